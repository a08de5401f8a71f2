"""What the tests of verifications share: a backup with deletes and two collections, and its report."""

import json

from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    Operation,
)
from milvus_backup_server.domain.verification import (
    VerifyLevel,
    VerifyResult,
)
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
