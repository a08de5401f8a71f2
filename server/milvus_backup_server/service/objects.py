"""Whatever takes several requests to a store: whole listings, streams, uploads in parts."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Hashable,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from milvus_backup_server.domain.errors import (
    BackupError,
    ObjectChanged,
    ObjectNotFound,
    StorageDenied,
    StorageRefused,
)
from milvus_backup_server.domain.objects import ListPage, ObjectInfo, Upload, UploadedPart
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.memory import ByteBudget

T = TypeVar("T")

_PAGE = 1000
_CLEAN_UP_SECONDS = 15.0
MOST_READS = 5
"""How often what looks damaged is read before it counts as damaged, unless two readings agree."""

# Hashing more than this leaves the event loop: 1 MiB takes about 2 ms.
_THREAD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class WrittenObject:
    """An object that was written in a stream, and the MD5 of all its bytes in hex."""

    info: ObjectInfo
    md5: str


async def list_pages(
    store: ObjectStore, prefix: str, *, delimiter: bool = False
) -> AsyncIterator[ListPage]:
    """Yield all pages of a listing."""
    token = ""
    while True:
        page = await store.list_page(prefix, token=token, delimiter=delimiter, limit=_PAGE)
        yield page
        token = page.next_token
        if not token:
            return


async def list_objects(
    store: ObjectStore, prefix: str, *, delimiter: bool = False
) -> AsyncIterator[ObjectInfo]:
    """Yield all objects below a prefix, with ``delimiter`` only those right below it."""
    async for page in list_pages(store, prefix, delimiter=delimiter):
        for info in page.objects:
            yield info


async def list_children(store: ObjectStore, prefix: str) -> AsyncIterator[str]:
    """Yield the directories right below a prefix: whole prefixes, each ending in ``/``."""
    async for page in list_pages(store, prefix, delimiter=True):
        for child in page.prefixes:
            yield child


async def present_object(store: ObjectStore, key: str) -> ObjectInfo:
    """Return what a store tells of an object; ObjectNotFound if it does not exist."""
    found = await store.head(key)
    if found is None:
        raise ObjectNotFound(f"{key} does not exist", key=key, bucket=store.location.bucket)
    return found


async def read_chunks(
    store: ObjectStore, key: str, chunk_size: int, *, info: ObjectInfo | None = None
) -> AsyncIterator[bytes]:
    """Yield an object in pieces of one and the same version.

    Args:
        store: Where it is.
        key: Its key.
        chunk_size: Bytes of each piece but the last.
        info: What the store told of it; asked for if not given.

    Raises:
        ObjectNotFound: It does not exist.
        ObjectChanged: It was overwritten while it was read.
    """
    found = info or await present_object(store, key)
    for offset in range(0, found.size, chunk_size):
        yield await store.get(key, offset=offset, length=chunk_size, if_match=found.etag)


async def read_until_agreed(
    read: Callable[[], Awaitable[T]],
    is_right: Callable[[T], bool],
    identity: Callable[[T], Hashable],
) -> T:
    """Read something, and again while it is not right: bytes may be damaged on their way.

    Two readings that agree count: then it is what is stored that is not right.

    Args:
        read: Reads it.
        is_right: Tells whether a reading is as expected.
        identity: Returns what two readings agree by.

    Returns:
        What was read last.
    """
    seen = set[Hashable]()
    while True:
        found = await read()
        if is_right(found) or identity(found) in seen or len(seen) == MOST_READS - 1:
            return found
        seen.add(identity(found))


async def md5_of_object(
    store: ObjectStore,
    info: ObjectInfo,
    chunk_size: int,
    expected: str = "",
    *,
    memory: ByteBudget | None = None,
) -> str:
    """Return the MD5 of an object's bytes in hex.

    Bytes may be damaged on their way: what is not as expected is read again, until two readings agree.

    Args:
        store: Where it is.
        info: What the store told of it.
        chunk_size: Bytes in memory at one time.
        expected: The MD5 that it should have; empty if nothing tells.
        memory: Where these bytes count.

    Raises:
        ObjectNotFound: It does not exist.
        ObjectChanged: It was overwritten while it was read, or has not the size that it is listed with.
    """

    def is_right(found: tuple[str, int]) -> bool:
        return found[1] == info.size and expected in ("", found[0])

    md5, size = await read_until_agreed(
        lambda: _digest(store, info, chunk_size, memory), is_right, lambda found: found
    )
    if size != info.size:
        raise ObjectChanged(f"{info.key} gives {size} bytes instead of {info.size}", key=info.key)
    return md5


async def _digest(
    store: ObjectStore, info: ObjectInfo, chunk_size: int, memory: ByteBudget | None
) -> tuple[str, int]:
    if memory is None:
        return await _read_and_hash(store, info, chunk_size)
    async with memory.hold(min(info.size, chunk_size)):
        return await _read_and_hash(store, info, chunk_size)


async def _read_and_hash(store: ObjectStore, info: ObjectInfo, chunk_size: int) -> tuple[str, int]:
    hasher, size = hashlib.md5(usedforsecurity=False), 0
    async for chunk in read_chunks(store, info.key, chunk_size, info=info):
        await feed(hasher, chunk)
        size += len(chunk)
    return hasher.hexdigest(), size


async def write_chunks(
    store: ObjectStore,
    key: str,
    chunks: AsyncIterable[bytes],
    part_size: int,
    *,
    instead_of: str | None = None,
) -> WrittenObject:
    """Write an object of pieces whose sum need not be known; at most one part is in memory.

    One that fits in a part is written by one request, a larger one by a multipart upload, which is
    aborted on failure and cancellation. It is there at the end, whole, or not at all.

    Args:
        store: Where to.
        key: The object.
        chunks: What it holds.
        part_size: Bytes of a part.
        instead_of: Only in place of what has this ETag; empty: only where nothing is. None: whatever is
            there. Stores do not compare at the end of a multipart upload.

    Raises:
        ObjectAlreadyExists, ObjectChanged: As ``ObjectStore.put`` does.
    """
    async with contextlib.aclosing(_in_parts(chunks, part_size)) as parts:
        first, is_last = await anext(parts)
        if is_last:
            info = await store.put(
                key, first, if_absent=instead_of == "", if_match=instead_of or ""
            )
            return WrittenObject(info, await md5_of(first))
        async with uploading(store, key) as upload:
            return await _write_parts(store, upload, first, parts)


async def _write_parts(
    store: ObjectStore, upload: Upload, first: bytes, rest: AsyncIterable[tuple[bytes, bool]]
) -> WrittenObject:
    hasher, size, done = hashlib.md5(usedforsecurity=False), 0, list[UploadedPart]()

    async def write(part: bytes) -> None:
        nonlocal size
        await feed(hasher, part)
        size += len(part)
        done.append(await store.upload_part(upload, len(done) + 1, part))

    await write(first)
    async for part, _ in rest:
        await write(part)
    etag = await store.complete_upload(upload, done)
    return WrittenObject(ObjectInfo(upload.key, size, etag), hasher.hexdigest())


async def _in_parts(
    chunks: AsyncIterable[bytes], part_size: int
) -> AsyncGenerator[tuple[bytes, bool], None]:
    """Yield at least one part, each with whether it is the last."""
    buffer = bytearray()
    async for chunk in chunks:
        buffer += chunk
        while len(buffer) > part_size:  # so that what is left is never empty behind a part
            yield bytes(buffer[:part_size]), False
            del buffer[:part_size]
    yield bytes(buffer), True


async def delete_prefix(
    store: ObjectStore,
    prefix: str,
    *,
    keep: str = "",
    delete: Callable[[list[str]], Awaitable[object]] | None = None,
) -> int:
    """Remove the objects below a prefix; return their number.

    Args:
        store: Where they are.
        prefix: What their keys begin with.
        keep: A key that stays.
        delete: Instead of the store's own, for at most 1,000 keys.
    """
    removed = 0
    async for page in list_pages(store, prefix):
        keys = [info.key for info in page.objects if info.key != keep]
        if keys:
            await (delete or store.delete)(keys)
        removed += len(keys)
    return removed


async def abort_uploads(store: ObjectStore, prefix: str) -> None:
    """Abort the multipart uploads below a prefix, whose answers may have been lost.

    A store that does not let us look for them is no reason to fail.
    """
    with contextlib.suppress(StorageDenied, StorageRefused):
        before: list[Upload] = []
        while (uploads := await store.list_uploads(prefix)) and uploads != before:
            for upload in uploads:
                await store.abort_upload(upload)
            before = uploads


@asynccontextmanager
async def uploading(store: ObjectStore, key: str) -> AsyncIterator[Upload]:
    """Begin a multipart upload, and abort it if the body fails or is cancelled."""
    starting = asyncio.ensure_future(store.start_upload(key))
    try:
        upload = await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The store may have begun it already; only its answer says under which id.
        await to_the_end(_abort_started(store, starting))
        raise
    try:
        yield upload
    except BaseException:
        await to_the_end(_abort(store, upload))
        raise


async def _abort_started(store: ObjectStore, starting: asyncio.Future[Upload]) -> None:
    with contextlib.suppress(BackupError):
        await _abort(store, await starting)


async def _abort(store: ObjectStore, upload: Upload) -> None:
    # What cannot be aborted now is found by ``list_uploads`` later; the first error matters more.
    with contextlib.suppress(BackupError):
        await store.abort_upload(upload)


async def to_the_end(
    work: Coroutine[object, object, None], seconds: float = _CLEAN_UP_SECONDS
) -> None:
    """Do a clean-up even while being cancelled again and again, but no longer than ``seconds``."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    end = time.monotonic() + seconds
    while not task.done() and time.monotonic() < end:
        try:
            await asyncio.wait({task}, timeout=end - time.monotonic())
        except asyncio.CancelledError as error:
            cancelled = error
    task.cancel()
    await asyncio.wait({task})
    if cancelled is not None:
        raise cancelled


class Hasher(Protocol):
    """What ``hashlib`` makes."""

    def update(self, data: bytes, /) -> None:
        """Hash more bytes."""
        ...


async def feed(hasher: Hasher, data: bytes) -> None:
    """Hash more bytes without holding the event loop."""
    if len(data) < _THREAD_BYTES:
        hasher.update(data)
    else:
        await asyncio.to_thread(hasher.update, data)


async def md5_of(data: bytes) -> str:
    """Return the MD5 in hex without holding the event loop."""
    hasher = hashlib.md5(usedforsecurity=False)
    await feed(hasher, data)
    return hasher.hexdigest()
