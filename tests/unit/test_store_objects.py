"""What is built of several requests to a store."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer, MemoryStore
from milvus_backup_server.domain.errors import (
    ObjectChanged,
    ObjectNotFound,
    StorageDenied,
    StorageUnavailable,
)
from milvus_backup_server.service.objects import (
    delete_prefix,
    list_children,
    list_objects,
    read_chunks,
    to_the_end,
    write_chunks,
)
from tests.support.stores import CountingStore, FailingStore, GatedStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryServer().store("bucket")


async def chunks_of(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def write_many(store: MemoryStore, keys: Iterable[str]) -> None:
    for key in keys:
        await store.put(key, b"")


async def test_listings_go_over_all_pages(store: MemoryStore) -> None:
    keys = [f"a/{number:04}/x" for number in range(2345)]
    await write_many(store, [*keys, "b"])
    assert [info.key async for info in list_objects(store, "a/")] == keys
    children = [child async for child in list_children(store, "a/")]
    assert children == [key.removesuffix("x") for key in keys]


@pytest.mark.parametrize(
    ("size", "chunk", "sizes"), [(0, 4, []), (3, 4, [3]), (8, 4, [4, 4]), (9, 4, [4, 4, 1])]
)
async def test_reading_in_pieces(
    store: MemoryStore, size: int, chunk: int, sizes: list[int]
) -> None:
    data = bytes(range(size))
    await store.put("x", data)
    pieces = [piece async for piece in read_chunks(store, "x", chunk)]
    assert [len(piece) for piece in pieces] == sizes
    assert b"".join(pieces) == data


async def test_reading_never_mixes_two_versions(store: MemoryStore) -> None:
    await store.put("x", b"old old old")
    reader = read_chunks(store, "x", 4)
    assert await anext(reader) == b"old "
    await store.put("x", b"new new new")
    with pytest.raises(ObjectChanged):
        await anext(reader)


async def test_reading_what_is_not_there(store: MemoryStore) -> None:
    with pytest.raises(ObjectNotFound):
        await anext(read_chunks(store, "x", 4))


@pytest.mark.parametrize(
    ("chunks", "calls"),
    [
        ([], {"put": 1}),
        ([b""], {"put": 1}),
        ([b"abc"], {"put": 1}),
        ([b"ab", b"cde"], {"put": 1}),
        ([b"abc", b"def"], {"start_upload": 1, "upload_part": 2, "complete_upload": 1}),
        ([b"abcdefghijk"], {"start_upload": 1, "upload_part": 3, "complete_upload": 1}),
        ([b"a"] * 10, {"start_upload": 1, "upload_part": 2, "complete_upload": 1}),
    ],
)
async def test_writing_takes_as_many_requests_as_parts(
    store: MemoryStore, chunks: list[bytes], calls: dict[str, int]
) -> None:
    counting = CountingStore(store)
    written = await write_chunks(counting, "x", chunks_of(chunks), part_size=5)
    data = b"".join(chunks)
    assert counting.calls == calls
    assert await store.get("x") == data
    assert written.md5 == hashlib.md5(data, usedforsecurity=False).hexdigest()
    info = await store.head("x")
    assert info is not None
    assert (written.info.size, written.info.etag) == (len(data), info.etag)


@pytest.mark.parametrize("method", ["upload_part", "complete_upload"])
async def test_a_failed_write_is_no_object(store: MemoryStore, method: str) -> None:
    faults = FailingStore(store)
    faults.fail(method, StorageDenied("no"))
    with pytest.raises(StorageDenied):
        await write_chunks(faults, "x", chunks_of([b"abcdefghijk"]), part_size=5)
    assert faults.injected[method] == 1
    assert await store.head("x") is None
    assert await store.list_uploads("") == []


async def test_a_failed_abort_hides_no_failed_write(store: MemoryStore) -> None:
    faults = FailingStore(store)
    faults.fail("upload_part", StorageDenied("no"))
    faults.fail("abort_upload", StorageUnavailable("later"))
    with pytest.raises(StorageDenied):
        await write_chunks(faults, "x", chunks_of([b"abcdefghijk"]), part_size=5)
    assert faults.injected == {"upload_part": 1, "abort_upload": 1}
    assert len(await store.list_uploads("")) == 1


async def test_a_failing_source_of_chunks_is_no_object(store: MemoryStore) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"abcdefghijk"
        raise StorageUnavailable("the other end broke")

    with pytest.raises(StorageUnavailable):
        await write_chunks(store, "x", chunks(), part_size=5)
    assert await store.head("x") is None
    assert await store.list_uploads("") == []


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("method", ["start_upload", "upload_part"])
async def test_a_cancelled_write_leaves_no_upload(
    store: MemoryStore, method: str, after: bool
) -> None:
    gated = GatedStore(store, method, after=after)
    writing = asyncio.create_task(write_chunks(gated, "x", chunks_of([b"abcdefghijk"]), 5))
    await gated.wait_for(1)
    writing.cancel()
    gated.gate.set()
    await asyncio.wait({writing})
    assert writing.cancelled()
    assert await store.head("x") is None
    assert await store.list_uploads("") == []


async def test_a_write_cancelled_twice_leaves_no_upload(store: MemoryStore) -> None:
    parts = GatedStore(store, "upload_part")
    aborts = GatedStore(parts, "abort_upload")
    writing = asyncio.create_task(write_chunks(aborts, "x", chunks_of([b"abcdefghijk"]), 5))
    await parts.wait_for(1)
    writing.cancel()
    await aborts.wait_for(1)
    writing.cancel()
    await asyncio.sleep(0)
    aborts.gate.set()
    await asyncio.wait({writing})
    assert writing.cancelled()
    assert await store.list_uploads("") == []


async def test_a_clean_up_is_finished_although_cancelled_again_and_again() -> None:
    gate, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await gate.wait()
        done.set()

    cleaning = asyncio.create_task(to_the_end(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        cleaning.cancel()
    await asyncio.sleep(0)
    assert not cleaning.done()
    gate.set()
    await asyncio.wait({cleaning})
    assert done.is_set()
    assert cleaning.cancelled()


async def test_a_clean_up_that_hangs_is_given_up() -> None:
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    await to_the_end(work(), seconds=0.01)
    assert cancelled.is_set()


async def test_deleting_below_a_prefix_in_batches(store: MemoryStore) -> None:
    counting = CountingStore(store)
    await write_many(store, [f"a/{number:04}" for number in range(2100)])
    await write_many(store, ["ab", "b/x"])
    removed = await delete_prefix(counting, "a/")
    assert removed == 2100
    assert counting.calls["delete"] == 3
    assert [info.key async for info in list_objects(store, "")] == ["ab", "b/x"]
    assert await delete_prefix(store, "nothing/") == 0
