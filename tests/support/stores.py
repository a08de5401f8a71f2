"""Decorators of ObjectStore that tests put around a real one: count, fail, delay, hold back, tell other ETags.

Each is a whole ObjectStore. Methods are named as in the port: "put", "copy_part", ...
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import TypeVar

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.objects import ListPage, ObjectInfo, StoreLocation
from milvus_backup_server.ports.object_store import ObjectStore

T = TypeVar("T")


class CountingStore(StoreDecorator):
    """Counts calls by method, and how many are under way at once.

    Attributes:
        calls: calls begun, by method.
        in_flight: calls under way now.
        peak: the most that were under way at once.
    """

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self.calls: Counter[str] = Counter()
        self.in_flight = 0
        self.peak = 0

    async def _request(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        self.calls[method] += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            return await call()
        finally:
            self.in_flight -= 1


class FailingStore(StoreDecorator):
    """Fails chosen calls of chosen methods, and counts what it did.

    Attributes:
        injected: failures so far, by method. A test of a fault asserts on it.
    """

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self.injected: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._plans: dict[str, tuple[Collection[int] | None, Exception, bool]] = {}

    def fail(
        self,
        method: str,
        error: Exception,
        *,
        at: Collection[int] | None = None,
        lose_answer: bool = False,
    ) -> None:
        """Make calls of `method` raise `error`.

        Args:
            method: of the port.
            error: what to raise.
            at: which calls, counted from 1; None for every one.
            lose_answer: make the request first, and fail although it succeeded.
        """
        self._plans[method] = (at, error, lose_answer)

    async def _request(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        self._calls[method] += 1
        at, error, lose_answer = self._plans.get(method, ((), Exception(), False))
        if at is not None and self._calls[method] not in at:
            return await call()
        if lose_answer:
            await call()
        self.injected[method] += 1
        raise error


class DelayingStore(StoreDecorator):
    """Takes some time over every request."""

    def __init__(self, inner: ObjectStore, seconds: float) -> None:
        super().__init__(inner)
        self._seconds = seconds

    async def _request(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        await asyncio.sleep(self._seconds)
        return await call()


class GatedStore(StoreDecorator):
    """Holds back the calls of some methods until a gate is opened.

    Attributes:
        waiting: calls held back now.
        gate: set it to let all through.
    """

    def __init__(self, inner: ObjectStore, *methods: str, after: bool = False) -> None:
        """Hold back `methods`.

        Args:
            inner: the store behind the gate.
            methods: of the port.
            after: make the request at once, and hold back its answer.
        """
        super().__init__(inner)
        self.waiting = 0
        self.gate = asyncio.Event()
        self._changed = asyncio.Condition()
        self._methods = methods
        self._after = after

    async def wait_for(self, calls: int) -> None:
        """Wait until so many calls are held back."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.waiting >= calls)

    async def _request(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        if method not in self._methods:
            return await call()
        if not self._after:
            await self._hold()
            return await call()
        result = await call()
        await self._hold()
        return result

    async def _hold(self) -> None:
        async with self._changed:
            self.waiting += 1
            self._changed.notify_all()
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1


class NoCondition(StoreDecorator):
    """A store that knows nothing of conditional writes."""

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        return await super().put(key, data)


class OtherEtags(StoreDecorator):
    """Has ETags that look like MD5s and are none, as with SSE-KMS; those of the inner store are."""

    async def head(self, key: str) -> ObjectInfo | None:
        info = await super().head(key)
        return info and _hidden(info)

    async def get(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> bytes:
        return await super().get(key, offset=offset, length=length, if_match=if_match[::-1])

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        info = await super().put(key, data, if_absent=if_absent, if_match=if_match[::-1])
        return _hidden(info)

    async def copy(
        self, source: StoreLocation, source_key: str, key: str, *, if_match: str, size: int = 0
    ) -> str:
        return (await super().copy(source, source_key, key, if_match=if_match, size=size))[::-1]

    async def list_page(
        self, prefix: str, *, token: str = "", delimiter: bool = False, limit: int = 1000
    ) -> ListPage:
        page = await super().list_page(prefix, token=token, delimiter=delimiter, limit=limit)
        return replace(page, objects=tuple(_hidden(info) for info in page.objects))


def _hidden(info: ObjectInfo) -> ObjectInfo:
    return replace(info, etag=info.etag[::-1])
