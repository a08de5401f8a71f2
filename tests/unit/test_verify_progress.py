"""The notes of what a verification has read: written in pieces, each once."""

import asyncio
from datetime import UTC, datetime

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.errors import StorageDenied, StorageUnavailable
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.verify_progress import VerifyProgress
from tests.support.service import keys_below
from tests.support.stores import FailingStore, GatedStore

COUNT = 10_000
NOW = datetime(2026, 11, 23, tzinfo=UTC)
FILES = {"full_meta.json": ObjectInfo("full_meta.json", 3, "etag", NOW)}
OTHERS = {"full_meta.json": ObjectInfo("full_meta.json", 3, "another", NOW)}


def name(number: int) -> CollectionName:
    return CollectionName("default", f"c{number:05}")


def progress(store: ObjectStore, files: dict[str, ObjectInfo] | None = None) -> VerifyProgress:
    made = VerifyProgress(Storage("backup", store, "backup"), "verify-1")
    if files is not None:
        made.begin(files, 0)
    return made


async def known(store: ObjectStore, files: dict[str, ObjectInfo], count: int) -> int:
    """Return how many of the first collections the next attempt does not read."""
    notes = progress(store)
    await notes.load()
    notes.begin(files, 0)
    return sum(notes.skips(name(number)) for number in range(count))


async def test_many_collections_are_written_once_each_and_never_all_at_one_time() -> None:
    store = MemoryServer().store("bucket")
    notes = progress(store, FILES)
    for number in range(COUNT):
        await notes.note(name(number))
        await notes.note(name(number))
    await notes.note(name(COUNT))
    await notes.write()
    sizes = [len(await store.get(key)) for key in await keys_below(store)]
    one = len('{"database":"default","name":"c00000"},')
    assert len(sizes) == 11
    assert max(sizes) < 1100 * one
    assert sum(sizes) < 1.1 * COUNT * one
    assert await known(store, FILES, COUNT + 5) == COUNT + 1
    assert await known(store, OTHERS, COUNT) == 0


async def test_a_later_attempt_overwrites_nothing_where_a_file_is_missing() -> None:
    store = MemoryServer().store("bucket")
    notes = progress(store, FILES)
    for number in range(3):
        await notes.note(name(number))
        await notes.write()
    (gap,) = [key for key in await keys_below(store) if key.endswith("verified.00000001.json")]
    await store.delete([gap])
    again = progress(store)
    await again.load()
    again.begin(FILES, 0)
    await again.note(name(1))
    await again.write()
    assert await known(store, FILES, 3) == 3


async def test_later_attempts_add_to_what_the_earlier_ones_noted() -> None:
    store = MemoryServer().store("bucket")
    for attempt in range(3):
        notes = progress(store)
        if attempt:
            await notes.load()
        notes.begin(FILES, 0)
        await notes.note(name(attempt))
        await notes.write()
    assert await known(store, FILES, 5) == 3
    notes = progress(store)
    await notes.load()
    notes.begin(OTHERS, 0)  # the backup was made anew
    await notes.note(name(4))
    await notes.write()
    assert await known(store, OTHERS, 5) == 1
    await notes.remove()
    assert await keys_below(store) == []


@pytest.mark.parametrize("error", [StorageDenied("no"), StorageUnavailable("away")])
async def test_what_a_store_does_not_take_is_tried_again(error: Exception) -> None:
    store = FailingStore(MemoryServer().store("bucket"))
    store.fail("put", error, at=[1])
    notes = progress(store, FILES)
    for number in range(3):
        await notes.note(name(number))
    await notes.write()
    assert store.injected["put"] == 1
    assert await keys_below(store) == []
    await notes.write()
    assert await known(store, FILES, 5) == 3


async def test_what_was_being_written_at_a_stop_is_written_behind_it() -> None:
    store = GatedStore(MemoryServer().store("bucket"), "put")
    notes = progress(store, FILES)
    await notes.note(name(0))
    writing = asyncio.create_task(notes.write())
    await store.wait_for(1)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    store.gate.set()
    await notes.write()
    assert await known(store, FILES, 5) == 1
