"""Decorators of all ports that hold back one call, so that a test can act in the middle of a phase."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.objects import (
    ListPage,
    ObjectInfo,
    StoreLocation,
    Upload,
    UploadedPart,
)
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.gateways import GatewayDecorator
from tests.support.running_service import Decorators

T = TypeVar("T")

GATEWAY = "gateway"
MILVUS_STORE = "milvus_store"
BACKUP_STORE = "backup_store"


class Around(Protocol):
    """Makes a call, and does something before or after it.

    `port` is one of the names above, `subject` the key, collection, database or job.
    """

    async def __call__(
        self, port: str, method: str, subject: str, call: Callable[[], Awaitable[T]]
    ) -> T: ...


class AroundGateway(GatewayDecorator):
    """Passes every call through `around`."""

    def __init__(self, inner: MilvusGateway, around: Around) -> None:
        super().__init__(inner)
        self._around = around

    async def _call(self, method: str, subject: str, call: Callable[[], Awaitable[T]]) -> T:
        return await self._around(GATEWAY, method, subject, call)


class AroundStore(StoreDecorator):
    """Passes the requests that read, write or list objects through `around`, with their keys."""

    def __init__(self, inner: ObjectStore, port: str, around: Around) -> None:
        super().__init__(inner)
        self._port = port
        self._around = around

    async def _about(self, method: str, key: str, call: Callable[[], Awaitable[T]]) -> T:
        return await self._around(self._port, method, key, call)

    async def get(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> bytes:
        return await self._about(
            "get",
            key,
            lambda: self._inner.get(key, offset=offset, length=length, if_match=if_match),
        )

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        return await self._about(
            "put", key, lambda: self._inner.put(key, data, if_absent=if_absent, if_match=if_match)
        )

    async def copy(
        self, source: StoreLocation, source_key: str, key: str, *, if_match: str, size: int = 0
    ) -> str:
        return await self._about(
            "copy",
            key,
            lambda: self._inner.copy(source, source_key, key, if_match=if_match, size=size),
        )

    async def copy_part(
        self,
        upload: Upload,
        number: int,
        source: StoreLocation,
        source_key: str,
        *,
        offset: int,
        length: int,
        if_match: str,
    ) -> UploadedPart:
        return await self._about(
            "copy_part",
            upload.key,
            lambda: self._inner.copy_part(
                upload, number, source, source_key, offset=offset, length=length, if_match=if_match
            ),
        )

    async def list_page(
        self, prefix: str, *, token: str = "", delimiter: bool = False, limit: int = 1000
    ) -> ListPage:
        return await self._about(
            "list_page",
            prefix,
            lambda: self._inner.list_page(prefix, token=token, delimiter=delimiter, limit=limit),
        )


def around_all(around: Around) -> Decorators:
    """Return decorators that pass the calls of all ports through `around`."""
    return Decorators(
        gateway=lambda inner: AroundGateway(inner, around),
        milvus_store=lambda inner: AroundStore(inner, MILVUS_STORE, around),
        backup_store=lambda inner: AroundStore(inner, BACKUP_STORE, around),
    )


class Gate:
    """Holds back one call until it is opened.

    Attributes:
        reached: set when the call is held back.
        opened: set it to let the call go on.
    """

    def __init__(
        self,
        port: str,
        method: str,
        *,
        part: str = "",
        number: int = 1,
        answer: bool = False,
        error: Exception | None = None,
    ) -> None:
        """Describe the call.

        Args:
            port: one of the names above.
            method: of the port.
            part: must be part of its subject.
            number: which of these calls, counted from 1.
            answer: make the call, and hold back its answer.
            error: what the call fails with when it is cancelled while it is held back.
        """
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self._port, self._method, self._part = port, method, part
        self._left = number
        self._answer = answer
        self._error = error

    def is_here(self, port: str, method: str, subject: str) -> bool:
        """Whether this is the call; counts it."""
        if (port, method) != (self._port, self._method) or self._part not in subject:
            return False
        self._left -= 1
        return self._left == 0

    async def hold(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make the call, and wait before or after it."""
        if not self._answer:
            await self._wait()
            return await call()
        result = await call()
        await self._wait()
        return result

    async def _wait(self) -> None:
        self.reached.set()
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            if self._error is None:
                raise
            raise self._error from None


class Gates:
    """What `around_all` takes: one gate at a time, changed from test to test."""

    def __init__(self) -> None:
        self.gate: Gate | None = None

    async def __call__(
        self, port: str, method: str, subject: str, call: Callable[[], Awaitable[T]]
    ) -> T:
        if self.gate is None or not self.gate.is_here(port, method, subject):
            return await call()
        return await self.gate.hold(call)
