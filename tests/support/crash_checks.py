"""What must hold of a world after a service died in it, whenever that was."""

from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.errors import BackupNotFound
from milvus_backup_server.service.objects import list_objects
from tests.support.sample import ROWS, assert_exact, drop, fill
from tests.support.service import BACKUPS, Service, World, named, running

OTHER = "other"
"""A whole backup beside the one that is worked on."""
TEMPORARY = "_mbtmp_"
_GO = "as_go_sees_it"
_LISTED_BY_GO = "meta/backup_meta.json"
_COMPLETE = "meta/full_meta.json"
_OURS_ALONE = ("meta/claim.json", "meta/manifest.")
_KEPT = f"{BACKUPS}/.milvus-backup/"


async def world_with(*backups: str, staged: bool = False) -> World:
    """Make a world with the sample and whole backups of it.

    Args:
        backups: their names.
        staged: they lie in another bucket than Milvus's objects.
    """
    world = World(backup_bucket="b-bucket") if staged else World()
    await fill(world)
    async with running(world) as service:
        for name in backups:
            await service.create(name)
    return world


async def assert_listed_is_whole(
    world: World, service: Service, name: str = "b"
) -> BackupState | None:
    """Assert that a backup restores if it is listed as complete, by us or by the Go tool's rule.

    Returns the state that we tell of it; None if it is not there.
    """
    await _assert_whole_for_go(world, service, name)
    ends = await world.backup_store.head(f"{BACKUPS}/{name}/{_COMPLETE}")
    try:
        state = (await service.catalog.get(name)).state
    except BackupNotFound:
        return None
    if state is BackupState.COMPLETE or ends is not None:
        await assert_restores(world, service, name)
    return state


async def assert_restores(world: World, service: Service, name: str) -> None:
    """Assert that a backup restores to exactly the sample's rows."""
    await service.restore(name, suffix="_checked")
    assert_exact(world, "_checked")
    await drop(world, "_checked")


async def objects_of(world: World, name: str) -> dict[str, bytes]:
    """Return a backup's objects by key."""
    everything = await world.objects()
    return {key: data for key, data in everything.items() if key.startswith(f"{BACKUPS}/{name}/")}


async def remains(world: World) -> list[str]:
    """Return what lies in the stores that is neither Milvus's own, nor of `OTHER`, nor a record."""
    allowed = (f"{BACKUPS}/{OTHER}/", _KEPT)
    keys = [key for key in await world.backups() if not key.startswith(allowed)]
    return [*keys, *await world.staged(), *await world.uploads()]


def temporary(world: World) -> list[str]:
    """Return the collections under temporary names."""
    return [name for name in world.collections() if TEMPORARY in name]


def assert_finals_are_whole(world: World, suffix: str) -> list[str]:
    """Assert that whatever has its final name has all its rows; return which there are."""
    there = [name for name in ROWS if _exists(world, name + suffix)]
    for name in there:
        assert world.milvus.keys(named(name + suffix)) == ROWS[name]
    return there


def _exists(world: World, name: str) -> bool:
    target = named(name)
    return target.name in world.milvus.databases.get(target.database, {})


async def _assert_whole_for_go(world: World, service: Service, name: str) -> None:
    """Restore what the Go tool would find, if it lists the backup: all but our own files."""
    directory, copy = f"{BACKUPS}/{name}/", f"{BACKUPS}/{_GO}/"
    if await world.backup_store.head(directory + _LISTED_BY_GO) is None:
        return
    keys = [item.key async for item in list_objects(world.backup_store, directory)]
    for key in keys:
        rest = key.removeprefix(directory)
        if not rest.startswith((*_OURS_ALONE, _COMPLETE)):
            await world.backup_store.put(copy + rest, await world.backup_store.get(key))
    assert (await service.catalog.get(_GO)).state is BackupState.LEGACY
    await assert_restores(world, service, _GO)
    await service.delete(_GO)
