"""Two collections with deletes and two partitions, and the rows that a restore of them must give."""

from milvus_backup_server.domain.milvus import CollectionName
from tests.support.fake_milvus_state import Key
from tests.support.service import World, add_collection, flushed, named

ROWS: dict[str, list[Key]] = {
    "one": [0, 1, 2, 4, 5, 6, 7, 8, 9, 100, 101, 102],
    "shop.two": [0, 1, 2],
}


async def fill(world: World) -> None:
    """Make the collections; one of them is flushed in part."""
    one = await add_collection(world.milvus, "one", range(10), partitions=["p"])
    await add_collection(world.milvus, "shop.two", range(3))
    await flushed(world.milvus, one)
    world.milvus.delete(one, [3])
    world.milvus.insert(one, range(100, 103), "p")


def assert_exact(world: World, suffix: str) -> None:
    """Assert that the collections with a suffix have exactly the rows."""
    for name, keys in ROWS.items():
        assert world.milvus.keys(named(name + suffix)) == keys


async def drop(world: World, suffix: str) -> None:
    """Drop the collections with a suffix."""
    for name in ROWS:
        target = named(name)
        await world.milvus.drop_collection(CollectionName(target.database, target.name + suffix))
