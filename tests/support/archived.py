"""A backup that is exported: with deletes, partitions and another database."""

from tests.support.service import World, add_collection, flushed, running


async def with_backup() -> World:
    """Return a world with backup `b` of collections with deletes, partitions and another database."""
    world = World()
    one = await add_collection(world.milvus, "one", range(200), partitions=["p"])
    world.milvus.insert(one, range(500, 510), "p")
    await flushed(world.milvus, one)
    world.milvus.delete(one, [3, 501])
    await add_collection(world.milvus, "shop.two", range(30), shards=2)
    await add_collection(world.milvus, "empty")
    async with running(world) as service:
        await service.create("b", labels={"who": "me"})
    return world
