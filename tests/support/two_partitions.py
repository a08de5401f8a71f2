"""A world with a backup of two collections, each with rows in two partitions."""

from __future__ import annotations

from tests.support.service import World, add_collection, running

ROWS = [*range(5), *range(50, 55)]


async def with_backup(backup_bucket: str = "a-bucket") -> World:
    """Make it; the backups lie in a bucket of their own if `backup_bucket` names one."""
    world = World(backup_bucket=backup_bucket)
    for name in ("one", "two"):
        collection = await add_collection(world.milvus, name, range(5), partitions=["p"])
        world.milvus.insert(collection, range(50, 55), "p")
    async with running(world) as service:
        await service.create("b")
    return world
