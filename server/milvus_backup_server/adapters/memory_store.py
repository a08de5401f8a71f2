"""Object stores in memory: buckets of one ``MemoryServer`` can copy among themselves.

Complete, with MD5 ETags, so that what passes its tests on it behaves the same on a real store.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from milvus_backup_server.adapters.paging import DELIMITER, Entry, take_page
from milvus_backup_server.domain.errors import (
    BucketNotFound,
    CopyDenied,
    ObjectAlreadyExists,
    ObjectChanged,
    ObjectNotFound,
    StorageRefused,
    UploadNotFound,
)
from milvus_backup_server.domain.objects import (
    ListPage,
    ObjectInfo,
    StoreLocation,
    Upload,
    UploadedPart,
)


@dataclass(frozen=True, slots=True)
class _Object:
    data: bytes
    etag: str
    modified: datetime


@dataclass(slots=True)
class _Bucket:
    objects: dict[str, _Object] = field(default_factory=dict)
    uploads: dict[str, tuple[str, dict[int, _Object]]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def write(self, key: str, content: _Object) -> None:
        if key not in self.objects:
            self.order.insert(bisect_left(self.order, key), key)
        self.objects[key] = content

    def remove(self, key: str) -> None:
        if self.objects.pop(key, None) is not None:
            del self.order[bisect_left(self.order, key)]

    def entries(self, prefix: str, start: str, *, delimiter: bool) -> Iterator[Entry]:
        position = bisect_left(self.order, max(prefix, start))
        while position < len(self.order) and self.order[position].startswith(prefix):
            key = self.order[position]
            head, found, _ = key[len(prefix) :].partition(DELIMITER)
            shared = delimiter and bool(found)
            entry = Entry(prefix + head + DELIMITER, is_prefix=True) if shared else Entry(key)
            yield entry
            position = bisect_left(self.order, entry.successor)


class MemoryServer:
    """Holds the buckets of one endpoint."""

    def __init__(self, name: str = "main") -> None:
        self.endpoint = f"memory://{name}"
        self.buckets: dict[str, _Bucket] = {}
        self.upload_numbers = itertools.count(1)

    def store(self, bucket: str, *, create: bool = True) -> MemoryStore:
        """Return the store of a bucket, which exists then unless ``create`` is off."""
        if create:
            self.buckets.setdefault(bucket, _Bucket())
        return MemoryStore(self, bucket)


class MemoryStore:
    """A bucket of a ``MemoryServer``; the promises are those of the port."""

    def __init__(self, server: MemoryServer, bucket: str) -> None:
        self._server = server
        self._location = StoreLocation("memory", server.endpoint, bucket)

    @property
    def location(self) -> StoreLocation:
        """Where the store is."""
        return self._location

    async def bucket_exists(self) -> bool:
        """Tell whether the bucket is there."""
        await asyncio.sleep(0)
        return self._location.bucket in self._server.buckets

    async def create_bucket(self) -> None:
        """Make the bucket."""
        await asyncio.sleep(0)
        self._server.buckets.setdefault(self._location.bucket, _Bucket())

    async def head(self, key: str) -> ObjectInfo | None:
        """Describe an object."""
        bucket = await self._bucket()
        return _described(key, bucket.objects[key]) if key in bucket.objects else None

    async def get(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> bytes:
        """Read a range."""
        found = _find(await self._bucket(), key, if_match)
        return found.data[offset : None if length is None else offset + length]

    async def now(self) -> datetime:
        """Return the time of this machine."""
        await self._bucket()
        return datetime.now(UTC)

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        """Write an object."""
        bucket = await self._bucket()
        if if_absent and key in bucket.objects:
            raise ObjectAlreadyExists(f"{key} is taken", key=key)
        if if_match and (key not in bucket.objects or bucket.objects[key].etag != if_match):
            raise ObjectChanged(f"{key} is not {if_match} any more", key=key)
        bucket.write(key, _content(bytes(data)))
        return _described(key, bucket.objects[key])

    async def copy(
        self,
        source: StoreLocation,
        source_key: str,
        key: str,
        *,
        if_match: str,
        size: int = 0,  # noqa: ARG002 - for decorators
    ) -> str:
        """Copy an object of a bucket of the same server."""
        bucket = await self._bucket()
        found = _find(self._other(source), source_key, if_match)
        bucket.write(key, _Object(found.data, found.etag, datetime.now(UTC)))
        return found.etag

    async def start_upload(self, key: str) -> Upload:
        """Begin a multipart upload."""
        bucket = await self._bucket()
        upload = Upload(key, f"upload-{next(self._server.upload_numbers)}")
        bucket.uploads[upload.upload_id] = (key, {})
        return upload

    async def upload_part(self, upload: Upload, number: int, data: bytes) -> UploadedPart:
        """Keep a part."""
        parts = _parts(await self._bucket(), upload)
        parts[number] = _content(bytes(data))
        return UploadedPart(number, parts[number].etag, len(parts[number].data))

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
        """Keep a range of another object as a part."""
        parts = _parts(await self._bucket(), upload)
        found = _find(self._other(source), source_key, if_match)
        parts[number] = _content(found.data[offset : offset + length])
        return UploadedPart(number, parts[number].etag, len(parts[number].data))

    async def complete_upload(self, upload: Upload, parts: Sequence[UploadedPart]) -> str:
        """Join the parts; the ETag is that of S3: the MD5 of the parts' MD5s and their number."""
        bucket = await self._bucket()
        kept = _parts(bucket, upload)
        if any(part.number not in kept or kept[part.number].etag != part.etag for part in parts):
            raise StorageRefused(f"a part of {upload.key} is not there", code="InvalidPart")
        chosen = [kept[part.number] for part in parts]
        digests = b"".join(bytes.fromhex(part.etag) for part in chosen)
        etag = f"{_md5(digests)}-{len(chosen)}"
        joined = b"".join(part.data for part in chosen)
        bucket.write(upload.key, _Object(joined, etag, datetime.now(UTC)))
        del bucket.uploads[upload.upload_id]
        return etag

    async def abort_upload(self, upload: Upload) -> None:
        """Forget an upload."""
        (await self._bucket()).uploads.pop(upload.upload_id, None)

    async def list_uploads(self, prefix: str) -> list[Upload]:
        """List uploads, in the order of keys."""
        uploads = (await self._bucket()).uploads
        found = [Upload(key, name) for name, (key, _) in uploads.items() if key.startswith(prefix)]
        return sorted(found, key=lambda upload: upload.key)[:1000]

    async def list_page(
        self, prefix: str, *, token: str = "", delimiter: bool = False, limit: int = 1000
    ) -> ListPage:
        """List one page."""
        bucket = await self._bucket()
        page, next_token = take_page(bucket.entries(prefix, token, delimiter=delimiter), limit)
        return ListPage(
            tuple(
                _described(row.name, bucket.objects[row.name]) for row in page if not row.is_prefix
            ),
            tuple(row.name for row in page if row.is_prefix),
            next_token,
        )

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects."""
        bucket = await self._bucket()
        for key in keys:
            bucket.remove(key)

    async def _bucket(self) -> _Bucket:
        # Every request lets others run first, as one over a network would.
        await asyncio.sleep(0)
        return self._named(self._location.bucket)

    def _other(self, source: StoreLocation) -> _Bucket:
        if not self._location.same_endpoint(source):
            raise CopyDenied(f"{source.endpoint} is another store", bucket=source.bucket)
        return self._named(source.bucket)

    def _named(self, name: str) -> _Bucket:
        bucket = self._server.buckets.get(name)
        if bucket is None:
            raise BucketNotFound(f"bucket {name} does not exist", subject=name, bucket=name)
        return bucket


def _find(bucket: _Bucket, key: str, if_match: str) -> _Object:
    found = bucket.objects.get(key)
    if found is None:
        raise ObjectNotFound(f"{key} does not exist", key=key)
    if if_match and found.etag != if_match:
        raise ObjectChanged(f"{key} is not {if_match} any more", key=key)
    return found


def _parts(bucket: _Bucket, upload: Upload) -> dict[int, _Object]:
    key, parts = bucket.uploads.get(upload.upload_id, ("", {}))
    if key != upload.key:
        raise UploadNotFound(f"no such upload to {upload.key}", key=upload.key)
    return parts


def _content(data: bytes) -> _Object:
    return _Object(data, _md5(data), datetime.now(UTC))


def _described(key: str, found: _Object) -> ObjectInfo:
    return ObjectInfo(key, len(found.data), found.etag, found.modified)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
