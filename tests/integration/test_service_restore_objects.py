"""What lies in a backup is compared with what was recorded, before Milvus reads any of it."""

from collections.abc import Callable
from typing import Any

import pytest

from milvus_backup_server.domain.errors import BackupCorrupt, BackupError
from milvus_backup_server.domain.layout import parse_backup_key
from milvus_backup_server.domain.operations import OperationState, Phase, RestoreResult
from tests.support.fixtures import metadata, put_backup
from tests.support.held_calls import BACKUP_STORE, GATEWAY
from tests.support.meanwhile import Meanwhile
from tests.support.service import World, add_collection, flushed, named, running

ROWS = [0, 1, 2, 4, 20, 21]
WRITES = {"create_database", "create_collection", "create_partition", "submit_import"}


async def with_backup(world: World | None = None) -> World:
    """Make a collection with two segments in `_default`, one in `p`, and deletes; back it up."""
    world = world or World()
    name = await add_collection(world.milvus, "c", range(5), partitions=["p"])
    await flushed(world.milvus, name)
    world.milvus.delete(name, [3])
    world.milvus.insert(name, range(20, 22))
    world.milvus.insert(name, range(50, 53), "p")
    async with running(world) as service:
        await service.create("b")
    return world


async def data_keys(world: World, kind: str = "/binlogs/") -> list[str]:
    return [key for key in await world.backups() if kind in key]


async def failed(world: World, **fields: Any) -> BackupError:
    """Restore, see that it fails before Milvus is asked to make or read anything."""
    before = await world.traces()
    watching = Meanwhile(GATEWAY, "none", _nothing)
    async with running(world, watching.decorators) as service:
        last = await service.end(await service.start_restore(suffix="_r", **fields))
    assert last.state is OperationState.FAILED
    assert last.error is not None
    assert last.error.metadata["collection"] == "default.c"
    assert [item.error is not None for item in last.collections] == [True]
    assert not {method for port, method, _ in watching.calls if port == GATEWAY} & WRITES
    assert world.milvus.imports.jobs == {}
    assert await world.traces() == before
    assert [it.phase for it in last.progress.phases] == [Phase.VERIFYING, Phase.CLEANING_UP]
    return last.error


async def _nothing() -> None:
    pass


@pytest.mark.parametrize("bucket", ["a-bucket", "b-bucket"])
@pytest.mark.parametrize("kind", ["/insert_log/", "/delta_log/"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (None, "is missing"),
        (lambda data: data[:-1], "bytes instead of"),
        (lambda data: data + b"x", "bytes instead of"),
        (lambda data: bytes([data[0] ^ 1]) + data[1:], "has other content than was recorded"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 128]), "has other content than was recorded"),
    ],
    ids=["gone", "shorter", "longer", "first bit", "last bit"],
)
async def test_a_damaged_object_is_found_before_any_import(
    bucket: str, kind: str, change: Callable[[bytes], bytes] | None, told: str
) -> None:
    world = await with_backup(World(backup_bucket=bucket))
    key = (await data_keys(world, kind))[-1]
    if change is None:
        await world.backup_store.delete([key])
    else:
        await world.backup_store.put(key, change(await world.backup_store.get(key)))
    error = await failed(world)
    assert isinstance(error, BackupCorrupt)
    assert told in error.message
    assert error.metadata["key"] == key.removeprefix("backup/b/")


async def test_each_single_object_is_checked() -> None:
    world = await with_backup()
    keys = await data_keys(world)
    assert len(keys) == 13
    for key in keys:
        original = await world.backup_store.get(key)
        await world.backup_store.put(key, bytes([original[0] ^ 1]) + original[1:])
        error = await failed(world)
        assert error.metadata["key"] == key.removeprefix("backup/b/")
        await world.backup_store.put(key, original)


async def test_the_content_check_can_be_turned_off_and_the_result_says_so() -> None:
    world = await with_backup()
    key = next(key for key in await data_keys(world, "/insert_log/") if key.split("/")[-2] == "101")
    data = await world.backup_store.get(key)
    await world.backup_store.put(key, data[:-1] + b" ")
    async with running(world) as service:
        operation = await service.restore(suffix="_r", skip_content_check=True)
    result = operation.result
    assert isinstance(result, RestoreResult)
    assert (result.content_checked_count, result.size_checked_count) == (0, 13)
    await world.backup_store.delete([key])
    assert "is missing" in (await _failed_without_content(world)).message


async def _failed_without_content(world: World) -> BackupError:
    async with running(world) as service:
        return await service.error(
            await service.start_restore(suffix="_s", skip_content_check=True)
        )


async def test_an_object_that_changes_while_it_is_read_is_damaged() -> None:
    world = await with_backup()
    key = (await data_keys(world, "/insert_log/"))[0]

    async def change() -> None:
        data = await world.backup_store.get(key)
        await world.backup_store.put(key, b"x" * len(data))

    meanwhile = Meanwhile(BACKUP_STORE, "get", change, part=key)
    async with running(world, meanwhile.decorators) as service:
        error = await service.error(await service.start_restore(suffix="_r"))
    assert meanwhile.fired == 1
    assert "changed while it was read" in error.message
    assert world.milvus.imports.jobs == {}


async def test_an_object_that_changes_before_it_is_staged_is_not_imported() -> None:
    world = await with_backup(World(backup_bucket="b-bucket"))
    key = (await data_keys(world, "/insert_log/"))[-1]
    before = await world.traces()

    async def change() -> None:
        await world.backup_store.put(key, b"x" * 300)

    meanwhile = Meanwhile("milvus_store", "copy", change)
    async with running(world, meanwhile.decorators) as service:
        error = await service.error(await service.start_restore(suffix="_r"))
    assert meanwhile.fired == 1
    assert error.reason == "BACKUP_CORRUPT"
    assert "changed while it was restored" in error.message
    assert world.milvus.imports.jobs == {}
    assert await world.traces() == before


# --- objects that do not belong to the backup


async def test_a_stray_inside_a_group_would_be_imported_and_is_refused() -> None:
    world = await with_backup()
    for kind in ("/insert_log/", "/delta_log/"):
        key = (await data_keys(world, kind))[0]
        stray = f"{key}9"
        await world.backup_store.put(stray, b"?")
        error = await failed(world)
        assert error.message == (
            f"{stray.removeprefix('backup/b/')} does not belong to the backup, but would be "
            "imported"
        )
        await world.backup_store.delete([stray])


@pytest.mark.parametrize("kind", ["insert_log", "delta_log"])
async def test_a_stray_beside_the_groups_is_not_imported(kind: str) -> None:
    world = await with_backup()
    log = parse_backup_key((await data_keys(world, "/insert_log/"))[0].removeprefix("backup/b/"))
    assert log is not None
    inner = f"{kind}/{log.collection_id}/{log.partition_id}/77/77/"
    stray = f"backup/b/binlogs/{inner}" + ("100/1" if kind == "insert_log" else "1")
    await world.backup_store.put(stray, b'{"rows":[[999,1]],"deletes":[[0,9000000000000000000]]}')
    async with running(world) as service:
        operation = await service.restore(suffix="_r")
    assert world.milvus.keys(named("c_r")) == [*ROWS, 50, 51, 52]
    assert isinstance(operation.result, RestoreResult)
    # The partition with the stray by its two groups, the other one as a whole.
    assert operation.result.import_job_count == 3
    read = {key for job in world.milvus.imports.jobs.values() for key in job.read}
    assert stray not in read
    assert set(await data_keys(world)) - {stray} == {
        key for key in read if key.startswith("backup/b/")
    }


async def test_strays_do_not_matter_where_copies_are_staged() -> None:
    world = await with_backup(World(backup_bucket="b-bucket"))
    log = parse_backup_key((await data_keys(world, "/insert_log/"))[0].removeprefix("backup/b/"))
    assert log is not None
    stray = f"insert_log/{log.collection_id}/{log.partition_id}/77/77/100/1"
    await world.backup_store.put(f"backup/b/binlogs/{stray}", b"?")
    async with running(world) as service:
        operation = await service.restore(suffix="_r")
    assert isinstance(operation.result, RestoreResult)
    assert operation.result.import_job_count == 2
    assert world.milvus.keys(named("c_r")) == [*ROWS, 50, 51, 52]


@pytest.mark.parametrize("name", ["note.txt", "1/2", "7/7/7/x"])
async def test_whatever_cannot_be_understood_is_refused(name: str) -> None:
    world = await with_backup()
    log = parse_backup_key((await data_keys(world, "/insert_log/"))[0].removeprefix("backup/b/"))
    assert log is not None
    stray = f"binlogs/insert_log/{log.collection_id}/{log.partition_id}/{name}"
    await world.backup_store.put(f"backup/b/{stray}", b"?")
    error = await failed(world)
    assert f"{stray} does not belong to the backup" in error.message


@pytest.mark.parametrize("inner", ["999/998/100/1", "998/100/1"])
async def test_without_groups_a_stray_anywhere_in_the_partition_would_be_imported(
    inner: str,
) -> None:
    world = World()
    await put_backup(world.backup_store, "backup", "fx_go_0_4_3", name="b")
    collection = next(
        it
        for it in metadata("fx_go_0_4_3")["collection_backups"]
        if it["collection_name"] == "bin_vec"
    )
    partition = collection["partition_backups"][1]
    assert "group_id" not in partition["segment_backups"][0]
    stray = f"binlogs/insert_log/{collection['collection_id']}/{partition['partition_id']}/{inner}"
    await world.backup_store.put(f"backup/b/{stray}", b"?")
    async with running(world) as service:
        error = await service.error(await service.start_restore(collections=("bin_vec",)))
    assert error.message == f"{stray} does not belong to the backup, but would be imported"
    assert world.milvus.imports.jobs == {}


async def test_what_lies_elsewhere_in_the_backup_does_not_matter() -> None:
    world = await with_backup()
    for key in ("notes.txt", "binlogs/insert_log/1/2/3/3/100/5", "meta/notes.txt"):
        await world.backup_store.put(f"backup/b/{key}", b"?")
    async with running(world) as service:
        await service.restore(suffix="_r")
    assert world.milvus.keys(named("c_r")) == [*ROWS, 50, 51, 52]
