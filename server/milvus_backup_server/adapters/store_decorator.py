"""The base of the decorators of ``ObjectStore``: every request goes through one method."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

from milvus_backup_server.domain.objects import (
    ListPage,
    ObjectInfo,
    StoreLocation,
    Upload,
    UploadedPart,
)
from milvus_backup_server.ports.object_store import ObjectStore

T = TypeVar("T")


class StoreDecorator:
    """Passes every request on; a subclass says in ``_request`` what happens around it.

    The promises are those of the port.
    """

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner

    async def _request(self, method: str, call: Callable[[], Awaitable[T]]) -> T:  # noqa: ARG002
        """Make a request.

        Args:
            method: The name of the port's method.
            call: Makes one try of it; may be called more than once.
        """
        return await call()

    async def _moving(self, method: str, size: int, call: Callable[[], Awaitable[T]]) -> T:  # noqa: ARG002
        """Make a request that moves so many bytes; 0 if they are not known before."""
        return await self._request(method, call)

    @property
    def location(self) -> StoreLocation:
        """Where the decorated store is."""
        return self._inner.location

    async def bucket_exists(self) -> bool:
        """Pass on."""
        return await self._request("bucket_exists", self._inner.bucket_exists)

    async def create_bucket(self) -> None:
        """Pass on."""
        return await self._request("create_bucket", self._inner.create_bucket)

    async def head(self, key: str) -> ObjectInfo | None:
        """Pass on."""
        return await self._request("head", lambda: self._inner.head(key))

    async def get(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> bytes:
        """Pass on."""
        return await self._moving(
            "get",
            length or 0,
            lambda: self._inner.get(key, offset=offset, length=length, if_match=if_match),
        )

    async def now(self) -> datetime:
        """Pass on."""
        return await self._request("now", self._inner.now)

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        """Pass on."""
        return await self._moving(
            "put",
            len(data),
            lambda: self._inner.put(key, data, if_absent=if_absent, if_match=if_match),
        )

    async def copy(
        self, source: StoreLocation, source_key: str, key: str, *, if_match: str, size: int = 0
    ) -> str:
        """Pass on."""
        return await self._moving(
            "copy",
            size,
            lambda: self._inner.copy(source, source_key, key, if_match=if_match, size=size),
        )

    async def start_upload(self, key: str) -> Upload:
        """Pass on."""
        return await self._request("start_upload", lambda: self._inner.start_upload(key))

    async def upload_part(self, upload: Upload, number: int, data: bytes) -> UploadedPart:
        """Pass on."""
        return await self._moving(
            "upload_part", len(data), lambda: self._inner.upload_part(upload, number, data)
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
        """Pass on."""
        return await self._moving(
            "copy_part",
            length,
            lambda: self._inner.copy_part(
                upload, number, source, source_key, offset=offset, length=length, if_match=if_match
            ),
        )

    async def complete_upload(self, upload: Upload, parts: Sequence[UploadedPart]) -> str:
        """Pass on."""
        return await self._request(
            "complete_upload", lambda: self._inner.complete_upload(upload, parts)
        )

    async def abort_upload(self, upload: Upload) -> None:
        """Pass on."""
        return await self._request("abort_upload", lambda: self._inner.abort_upload(upload))

    async def list_uploads(self, prefix: str) -> list[Upload]:
        """Pass on."""
        return await self._request("list_uploads", lambda: self._inner.list_uploads(prefix))

    async def list_page(
        self, prefix: str, *, token: str = "", delimiter: bool = False, limit: int = 1000
    ) -> ListPage:
        """Pass on."""
        return await self._request(
            "list_page",
            lambda: self._inner.list_page(prefix, token=token, delimiter=delimiter, limit=limit),
        )

    async def delete(self, keys: Sequence[str]) -> None:
        """Pass on."""
        return await self._request("delete", lambda: self._inner.delete(keys))
