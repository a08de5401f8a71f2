"""What the tests of verifications share: a backup with deletes and two collections, and its report."""

import json

from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.names import is_temporary_name
from milvus_backup_server.domain.operations import (
    Operation,
)
from milvus_backup_server.domain.verification import (
    VerifyLevel,
    VerifyResult,
)
from tests.support.meanwhile import Meanwhile
from tests.support.service import World, add_collection, flushed, running

LISTING, CONTENT, RESTORED = VerifyLevel.LISTING, VerifyLevel.CONTENT, VerifyLevel.RESTORED
RECORD = "backup/.milvus-backup/verifications/b.json"
C, D = CollectionName("default", "c"), CollectionName("shop", "d")


async def with_backup(world: World | None = None) -> World:
    """Back up `c`, which has deletes and a partition, and `shop.d`."""
    world = world or World()
    c = await add_collection(world.milvus, "c", range(5), partitions=["p"])
    await add_collection(world.milvus, "shop.d", range(3))
    await flushed(world.milvus, c)
    world.milvus.delete(c, [3])
    world.milvus.insert(c, range(50, 53), "p")
    async with running(world) as service:
        await service.create("b")
    return world


async def data_keys(world: World, part: str = "/binlogs/") -> list[str]:
    return [key for key in await world.backups() if part in key]


async def collection_id(world: World, name: CollectionName) -> int:
    lines = (
        await world.backup_store.get("backup/b/meta/manifest.1.collections.jsonl")
    ).splitlines()
    found = [json.loads(line) for line in lines]
    return next(int(it["collection_id"]) for it in found if it["collection_name"] == name.name)


def result_of(operation: Operation) -> VerifyResult:
    assert isinstance(operation.result, VerifyResult), operation
    return operation.result


async def staged_world() -> World:
    """Return a world whose backup is in another bucket than Milvus."""
    return await with_backup(World(backup_bucket="b-bucket"))


async def left(world: World, before: tuple[list[str], ...]) -> list[str]:
    """Return what is there now and was not before, but what is remembered of verifications."""
    pairs = zip(await world.traces(), before, strict=True)
    new = [key for now, then in pairs for key in now if key not in then]
    return [key for key in new if "/verifications/" not in key]


def temporary_collection(world: World) -> CollectionName:
    """Return the collection that is being compared."""
    (found,) = [
        CollectionName(database, name)
        for database, names in world.milvus.databases.items()
        for name in names
        if is_temporary_name(name)
    ]
    return found


async def restored(world: World, meanwhile: Meanwhile | None = None) -> Operation:
    """Verify the backup by a restore, in the midst of which something happens once."""
    decorators = meanwhile.decorators if meanwhile else None
    async with running(world, decorators) as service:
        last = await service.verify(level=RESTORED)
    assert meanwhile is None or meanwhile.fired == 1
    return last
