"""Faults of a store that nothing but our own checks would notice."""

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.errors import StorageUnavailable
from milvus_backup_server.service.objects import list_objects
from tests.support.held_calls import BACKUP_STORE
from tests.support.meanwhile import Meanwhile
from tests.support.sample import fill
from tests.support.service import World, running
from tests.support.stores import FailingStore


async def test_a_copy_of_another_size_is_noticed() -> None:
    world = World()
    await fill(world)

    async def cut_a_copy() -> None:
        key = next(key for key in await world.backups() if key.startswith("backup/b/binlogs/"))
        await world.backup_store.put(key, (await world.backup_store.get(key))[:-1])

    torn = Meanwhile(BACKUP_STORE, "copy", cut_a_copy, after=True)
    async with running(world, torn.decorators) as service:
        error = await service.error(await service.start_create("b", "one"))
    assert torn.fired == 1
    assert error.reason == "BACKUP_CORRUPT"
    assert "backup/b/meta/full_meta.json" not in await world.backups()


async def test_a_listing_that_fails_is_no_shorter_listing() -> None:
    store = FailingStore(MemoryServer().store("bucket"))
    for number in range(1001):
        await store.put(f"{number:04}", b"")
    store.fail("list_page", StorageUnavailable("down"), at=[2])
    seen: list[str] = []
    with pytest.raises(StorageUnavailable):
        await listed_into(seen, store)
    assert (len(seen), store.injected["list_page"]) == (1000, 1)


async def listed_into(seen: list[str], store: FailingStore) -> None:
    async for item in list_objects(store, ""):
        seen.append(item.key)  # noqa: PERF401 - what came before the failure counts
