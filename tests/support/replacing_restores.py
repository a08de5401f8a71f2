"""A restore that takes the place of two collections with other rows, and a service that ends in the middle of it."""

from typing import Any

from milvus_backup_server.domain.operations import Operation
from milvus_backup_server.domain.restore_options import RestoreOptions
from tests.support.crashes import die, mutations
from tests.support.fake_milvus_state import Key
from tests.support.service import Service, World, add_collection, flushed, named, running

REPLACING: dict[str, Any] = {"options": RestoreOptions(drop_existing_collections=True)}
BACKED_UP: list[Key] = [0, 1, 2]
LATER: list[Key] = [900]
NAMES = ("one", "two")


async def with_backup() -> World:
    """Back up two collections, and write other rows into them."""
    world = World()
    for name in NAMES:
        await flushed(world.milvus, await add_collection(world.milvus, name, BACKED_UP))
    async with running(world) as service:
        await service.create("b")
    for name in NAMES:
        world.milvus.delete(named(name), BACKED_UP)
        world.milvus.insert(named(name), LATER)
    return world


async def aliased() -> World:
    """Do the same with an alias for each."""
    world = await with_backup()
    for name in NAMES:
        world.milvus.point_alias(named(name), f"to_{name}")
    return world


async def replacing(service: Service) -> Operation:
    """Begin the restore."""
    return await service.start_restore("b", **REPLACING)


def rows(world: World) -> list[list[Key]]:
    """Return the keys in both collections."""
    return [world.milvus.keys(named(name)) for name in NAMES]


class Begun:
    """Begins the restore and keeps its name."""

    def __init__(self) -> None:
        self.name = ""

    async def __call__(self, service: Service) -> Operation:
        operation = await service.start_restore("b", **REPLACING)
        self.name = operation.name
        return operation


async def stopped_while_replacing() -> tuple[World, str]:
    """End a service between the drop of an old collection and the renaming of the new one."""
    steps = await mutations(await with_backup(), Begun())
    renaming = next(
        number for number, step in enumerate(steps, 1) if step.startswith("rename_collection")
    )
    world, begun = await with_backup(), Begun()
    assert await die(world, begun, renaming, after=False)
    assert "default.one" not in world.collections(), "the old one is gone"
    return world, begun.name
