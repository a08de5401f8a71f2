"""Backups that released versions of the Go tool made are restored: every directory exactly once."""

import asyncio
import json

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.errors import BackupCorrupt, BackupNotRestorable
from milvus_backup_server.domain.operations import RestoreResult
from tests.support.fixtures import (
    GROUPS,
    OF_MILVUS_2_3,
    OF_NEWER_MILVUS,
    metadata,
    put_backup,
)
from tests.support.service import LIMITS, World, named, running

COUNTS = {
    "default.hello_milvus": 3000,
    "default.all_types": 800,
    "default.bin_vec": 300,
    "default.empty_one": 0,
    "default.groups": 1400,
    "shop.orders": 400,
}
"""Rows in the segments; the fake does not read deletes out of real binlogs."""


def counted(world: World, suffix: str = "") -> dict[str, int]:
    return {
        f"{database}.{name.removesuffix(suffix)}": len(
            world.milvus.collection(named(f"{database}.{name}")).live_keys()
        )
        for database, collections in world.milvus.databases.items()
        for name in collections
    }


@pytest.mark.parametrize("place", ["in place", "streamed"])
@pytest.mark.parametrize("legacy", [False, True], ids=["full", "legacy"])
@pytest.mark.parametrize("archive", [*OF_MILVUS_2_3, *GROUPS])
async def test_a_backup_of_the_go_tool_is_imported_exactly_once(
    archive: str, legacy: bool, place: str
) -> None:
    world = World()
    if place == "streamed":
        world = World(backup_bucket="b-bucket", backup_server=MemoryServer("other"))
    await put_backup(world.backup_store, "backup", archive, name="b", legacy=legacy)
    recorded = {
        f"{it['db_name']}.{it['collection_name']}": sum(
            segment.get("num_of_rows", 0)
            for partition in it["partition_backups"]
            for segment in partition.get("segment_backups", [])
        )
        for it in metadata(archive)["collection_backups"]
    }
    wanted = [it for it in recorded if (archive, it) != ("fx_go_0_3_3", "default.all_types")]
    async with running(world) as service:
        operation = await service.restore(collections=tuple(wanted))
    found = counted(world)
    assert found == {it: recorded[it] for it in wanted}
    for name in found.keys() & COUNTS.keys():
        assert found[name] == COUNTS[name], name
    assert isinstance(operation.result, RestoreResult)
    assert operation.result.content_checked_count == 0
    assert operation.result.size_checked_count > 0
    assert await world.staged() == []


async def test_no_moment_is_sent_for_a_backup_without_one() -> None:
    world = World()
    await put_backup(world.backup_store, "backup", "fx_go_0_5_16_groups", name="b")
    async with running(world) as service:
        operation = await service.restore()
    assert {job.options.moment for job in world.milvus.imports.jobs.values()} == {None}
    assert {it.moment for it in operation.collections} == {None}


@pytest.mark.parametrize("archive", GROUPS)
async def test_beside_a_stray_each_group_is_imported_once(archive: str) -> None:
    world = World()
    await put_backup(world.backup_store, "backup", archive, name="b")
    (collection,) = metadata(archive)["collection_backups"]
    number = collection["collection_id"]
    partition = collection["partition_backups"][0]["partition_id"]
    stray = f"backup/b/binlogs/insert_log/{number}/{partition}/999/998/100/1"
    await world.backup_store.put(stray, b"not of the backup")
    async with running(world) as service:
        operation = await service.restore()
    assert isinstance(operation.result, RestoreResult)
    assert operation.result.import_job_count == 3
    assert len(world.milvus.keys(named("groups"))) == 1400
    read = [job.read for job in world.milvus.imports.jobs.values()]
    assert not [key for keys in read for key in keys if "/999/" in key]


async def test_what_0_3_3_did_not_record_is_named_before_anything_is_touched() -> None:
    world = World()
    await put_backup(world.backup_store, "backup", "fx_go_0_3_3", name="b")
    before = await world.traces()
    async with running(world) as service:
        with pytest.raises(BackupNotRestorable) as caught:
            await service.start_restore()
    assert "default.all_types field" in caught.value.message
    assert caught.value.metadata["subject"] == "default.all_types"
    assert await world.traces() == before


@pytest.mark.parametrize("archive", OF_NEWER_MILVUS)
async def test_backups_of_newer_servers_are_refused_by_an_older_one(archive: str) -> None:
    world = World()
    await put_backup(world.backup_store, "backup", archive, name="b")
    async with running(world) as service:
        with pytest.raises(BackupNotRestorable) as caught:
            await service.start_restore()
    made = metadata(archive)["milvus_version"]
    assert made in caught.value.message
    assert caught.value.metadata["needed"] == made.rpartition(".")[0]
    assert world.collections() == ["default."]


@pytest.mark.parametrize("file", ["partition_meta", "collection_meta"])
async def test_level_files_that_do_not_fit_together_are_refused(file: str) -> None:
    world = World()
    await put_backup(world.backup_store, "backup", "fx_go_0_5_16_groups", name="b", legacy=True)
    await world.backup_store.put(f"backup/b/meta/{file}.json", b'{"infos":[]}')
    async with running(world) as service:
        with pytest.raises(BackupCorrupt):
            await service.start_restore()
    assert world.collections() == ["default."]


async def test_a_changed_object_of_the_go_tool_is_found_by_its_size_alone() -> None:
    world = World()
    written = await put_backup(world.backup_store, "backup", "fx_go_0_5_16_groups", name="b")
    key = next(key for key in written if "/insert_log/" in key)
    await world.backup_store.put(key, written[key][:-1])
    async with running(world) as service:
        error = await service.error(await service.start_restore())
    assert isinstance(error, BackupCorrupt)
    assert f"has {len(written[key]) - 1} bytes instead of {len(written[key])}" in error.message
    assert world.milvus.imports.jobs == {}
    assert world.collections() == ["default."]


def test_the_groups_are_shared_in_the_older_one_only() -> None:
    groups = {
        archive: [
            segment["group_id"]
            for partition in metadata(archive)["collection_backups"][0]["partition_backups"]
            for segment in partition["segment_backups"]
        ]
        for archive in GROUPS
    }
    assert sorted(groups["fx_go_0_4_3_groups"]) == [1, 1, 1, 2, 3]
    assert len(set(groups["fx_go_0_5_16_groups"])) == len(groups["fx_go_0_5_16_groups"]) == 3


async def test_others_have_their_turn_while_a_collection_of_many_segments_is_read() -> None:
    world = World()
    await put_backup(world.backup_store, "backup", "fx_go_0_5_16_groups", name="b")
    full = metadata("fx_go_0_5_16_groups")
    partition = full["collection_backups"][0]["partition_backups"][0]
    partition["segment_backups"] *= 1_000
    data = json.dumps(full).encode()
    await world.backup_store.put("backup/b/meta/full_meta.json", data)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with running(world) as service:
        reader = service.catalog.reader("b")
        counting = asyncio.create_task(count())
        records = [record async for record in reader.collections(await reader.files())]
        counting.cancel()
    assert len(records[0].partition_backups[0].segment_backups) == 3_000
    slices = len(data) // LIMITS.part_bytes
    assert turns > 10 * slices  # there are a few for each slice that is read
