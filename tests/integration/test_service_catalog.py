"""What backups there are, and what they are shown as."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from milvus_backup_server.domain.backups import Backup, BackupFormat, BackupState
from milvus_backup_server.domain.errors import (
    BackupCorrupt,
    BackupNotFound,
    InvalidRequest,
    StorageUnavailable,
)
from milvus_backup_server.domain.operations import Phase
from tests.support.fixtures import EVERY, METADATA_ONLY, WITH_DATA, metadata, put_backup
from tests.support.held_calls import BACKUP_STORE
from tests.support.meanwhile import Meanwhile
from tests.support.phases import PhaseGate
from tests.support.service import LIMITS, Service, World, add_collection, running

NO_MOMENT = (
    "made by the Go tool: no stated moment and no recorded hashes; a restore gives the rows of "
    "exactly the objects that were copied"
)
META = "backup/b/meta/"


async def with_backup() -> World:
    world = World()
    for name in ("c", "d"):
        await add_collection(world.milvus, name, range(10))
    async with running(world) as service:
        await service.create("b")
    return world


def without_segments(collection: dict[str, Any]) -> dict[str, Any]:
    partitions = [
        {key: value for key, value in partition.items() if key != "segment_backups"}
        for partition in collection["partition_backups"]
    ]
    return {**collection, "partition_backups": partitions}


async def names(service: Service, after: str = "", limit: int = 100) -> list[str]:
    return [it.name for it in (await service.catalog.list(after, limit, full=False)).items]


# --- backups of the Go tool


@pytest.mark.parametrize("archive", EVERY)
async def test_backups_of_the_go_tool_are_listed_and_described(archive: str) -> None:
    world = World()
    await put_backup(world.backup_store, "backup", archive, name="go")
    expected = metadata(archive)
    async with running(world) as service:
        (listed,) = (await service.catalog.list("", 10, full=True)).items
        shown = await service.catalog.get("go")
        collections = (await service.catalog.collections("go", 0, 100)).items
    assert listed == shown
    assert (shown.name, shown.state, shown.format) == (
        "go",
        BackupState.COMPLETE,
        BackupFormat.BINLOG,
    )
    assert shown.id == expected["id"]
    assert shown.milvus_version == expected["milvus_version"]
    assert shown.size_bytes == expected["size"]
    assert not shown.exact
    assert shown.notes == (NO_MOMENT,)
    assert shown.create_time is not None
    assert shown.end_time is not None
    assert shown.collection_count == len(expected["collection_backups"])
    assert shown.collections == collections
    assert [(it.database, it.name) for it in collections] == [
        (it["db_name"], it["collection_name"]) for it in expected["collection_backups"]
    ]
    assert sum(it.row_count for it in collections) == shown.row_count


async def test_a_collection_of_the_go_tool_in_full() -> None:
    world = World()
    await put_backup(world.backup_store, "backup", "fx_go_0_5_16")
    async with running(world) as service:
        collections = (await service.catalog.get("fx_go_0_5_16")).collections
    by_name = {f"{it.database}.{it.name}": it for it in collections}
    orders = by_name["shop.orders"]
    assert (orders.row_count, orders.segment_count, orders.moment) == (400, 2, None)
    recorded = {
        f"{it['db_name']}.{it['collection_name']}": it
        for it in metadata("fx_go_0_5_16")["collection_backups"]
    }
    assert {name: it.record.to_json() for name, it in by_name.items()} == {
        name: without_segments(it) for name, it in recorded.items()
    }


@pytest.mark.parametrize("archive", WITH_DATA[:6])
async def test_without_the_full_file_a_backup_of_the_go_tool_is_legacy(archive: str) -> None:
    world = World()
    await put_backup(world.backup_store, "backup", archive, name="full")
    await put_backup(world.backup_store, "backup", archive, name="legacy", legacy=True)
    async with running(world) as service:
        full = await service.catalog.get("full")
        legacy = await service.catalog.get("legacy")
    assert legacy.state is BackupState.LEGACY
    assert "read from the four level files" in legacy.notes[0]
    assert legacy.notes[1] == NO_MOMENT
    for one, other in zip(legacy.collections, full.collections, strict=True):
        recorded = other.record.to_json()
        # Early versions wrote the task's own facts into the full file only.
        extra = recorded.keys() - one.record.to_json().keys()
        assert extra <= {"id", "start_time", "end_time"}
        assert one.record.to_json() == {k: v for k, v in recorded.items() if k not in extra}
        assert one.row_count == other.row_count
        assert one.segment_count == other.segment_count
    assert legacy.row_count == full.row_count


async def test_the_directory_is_the_name_whatever_the_metadata_says() -> None:
    world = World()
    await put_backup(world.backup_store, "backup", "fx_mv_2_5_27", name="mine")
    async with running(world) as service:
        assert (await service.catalog.get("mine")).name == "mine"
        with pytest.raises(BackupNotFound):
            await service.catalog.get(metadata("fx_mv_2_5_27")["name"])


@pytest.mark.parametrize(
    ("format_", "shown", "note"),
    [
        ("snapshot", BackupFormat.SNAPSHOT, "a snapshot of Milvus 3.0 or later"),
        ("of tomorrow", BackupFormat.UNKNOWN, "its format is 'of tomorrow'"),
    ],
)
async def test_other_formats_are_shown_as_what_they_are(
    format_: str, shown: BackupFormat, note: str
) -> None:
    world = World()
    for file in ("full_meta", "backup_meta"):
        values = {"id": "x", "state_code": 0, "name": "b", "size": 1, "format": format_}
        await world.backup_store.put(f"{META}{file}.json", json.dumps(values).encode())
    async with running(world) as service:
        backup = await service.catalog.get("b")
    assert (backup.state, backup.format) == (BackupState.COMPLETE, shown)
    assert note in backup.notes[0]


# --- lists


async def test_backups_come_by_name_in_pages() -> None:
    world = World()
    async with running(world) as service:
        for name in ("c", "a", "_x", "b", "B"):
            await service.create(name)
        assert await names(service) == ["B", "_x", "a", "b", "c"]
        pages = []
        after = ""
        while True:
            page = await service.catalog.list(after, 2, full=False)
            pages.append([it.name for it in page.items])
            after = page.next_key
            if not after:
                break
    assert pages == [["B", "_x"], ["a", "b"], ["c"]]


async def test_what_cannot_be_a_backup_is_not_listed() -> None:
    world = await with_backup()
    for key in (".milvus-backup/lease.json", "a-b/meta/full_meta.json", "file", "1/x", "ä/x"):
        await world.backup_store.put(f"backup/{key}", b"{}")
    await world.backup_store.put("elsewhere/c/meta/full_meta.json", b"{}")
    async with running(world) as service:
        assert await names(service) == ["b"]


async def test_directories_of_milvus_in_the_same_root_are_no_backups() -> None:
    world = await with_backup()
    for directory in ("insert_log", "delta_log", "stats_log", "index_files"):
        await world.backup_store.put(f"backup/{directory}/1/2/3/0/4", b"x")
    await world.backup_store.put("backup/torso/binlogs/insert_log/1/2/3/3/0/4", b"x")
    async with running(world) as service:
        assert await names(service) == ["b", "torso"]
        with pytest.raises(BackupNotFound):
            await service.catalog.get("insert_log")


async def test_without_a_bucket_the_list_is_empty() -> None:
    world = World(backup_bucket="b-bucket", create_backup_bucket=False)
    async with running(world) as service:
        assert await names(service) == []
        with pytest.raises(BackupNotFound):
            await service.catalog.get("b")
        with pytest.raises(BackupNotFound):
            await service.catalog.collections("b", 0, 10)


async def test_a_store_that_does_not_list_is_given_up_in_time() -> None:
    world = await with_backup()

    async def hang() -> None:
        await asyncio.sleep(60)

    meanwhile = Meanwhile(BACKUP_STORE, "list_page", hang, shielded=False)
    limits = replace(LIMITS, check_seconds=0.1)
    async with running(world, meanwhile.decorators, limits=limits) as service:
        with pytest.raises(StorageUnavailable, match=r"did not answer within 0\.1 s"):
            await service.catalog.list("", 10, full=False)


async def test_names_are_checked_before_they_become_keys() -> None:
    world = await with_backup()
    async with running(world) as service:
        for name in ("", "..", "b/meta", ".milvus-backup"):
            with pytest.raises(InvalidRequest):
                await service.catalog.get(name)
            with pytest.raises(InvalidRequest):
                await service.catalog.collections(name, 0, 1)


async def test_collections_come_in_pages() -> None:
    world = await with_backup()
    async with running(world) as service:
        first = await service.catalog.collections("b", 0, 1)
        second = await service.catalog.collections("b", 1, 1)
        beyond = await service.catalog.collections("b", 2, 1)
    assert ([it.name for it in first.items], first.next_key) == (["c"], "1")
    assert ([it.name for it in second.items], second.next_key) == (["d"], "")
    assert (beyond.items, beyond.next_key) == ((), "")


async def test_a_backup_in_the_making_is_shown_as_such() -> None:
    world = World()
    await add_collection(world.milvus, "c", range(3))
    for phase in (Phase.LISTING, Phase.COPYING):
        gate = PhaseGate(phase)
        async with running(world, gate.decorators) as service:
            gate.operations = service.operations
            operation = await service.start_create("b")
            await gate.wait()
            assert (await service.catalog.get("b")).state is BackupState.CREATING
            assert await names(service) == ["b"]
            assert (await service.catalog.collections("b", 0, 10)).items == ()
            service.operations.cancel(operation.name)
            await service.end(operation)
            assert await names(service) == []


# --- damage


async def shown_with(world: World, file: str, data: bytes | None) -> tuple[Backup, Backup]:
    """Change or remove a file, and return how the backup is shown alone and in a full list."""
    if data is None:
        await world.backup_store.delete([META + file])
    else:
        await world.backup_store.put(META + file, data)
    async with running(world) as service:
        (listed,) = (await service.catalog.list("", 10, full=True)).items
        return await service.catalog.get("b"), listed


@pytest.mark.parametrize("data", [None, b"", b"{", b"[]", b'{"id":7}'])
@pytest.mark.parametrize("file", ["backup_meta.json", "manifest.1.json"])
async def test_a_backup_with_a_damaged_head_is_incomplete(file: str, data: bytes | None) -> None:
    if (file, data) == ("manifest.1.json", b'{"id":7}'):
        data = b'{"writer":7}'
    shown, listed = await shown_with(await with_backup(), file, data)
    assert shown == listed
    assert shown.state is BackupState.INCOMPLETE
    assert any("missing" in note or file in note for note in shown.notes)


async def test_a_damaged_list_of_collections_is_told() -> None:
    world = await with_backup()
    data = await world.backup_store.get(f"{META}manifest.1.collections.jsonl")
    changed = data.replace(b'"row_count":10', b'"row_count":11', 1)
    assert changed != data
    shown, listed = await shown_with(world, "manifest.1.collections.jsonl", changed)
    assert shown == listed
    assert shown.state is BackupState.INCOMPLETE
    assert shown.notes == ("manifest.1.collections.jsonl was changed after it was written",)
    async with running(world) as service:
        with pytest.raises(BackupCorrupt):
            await service.catalog.collections("b", 0, 10)


@pytest.mark.parametrize("data", [b"", b"{", b'{"collection_backups":[{"schema":7}]}'])
async def test_a_damaged_backup_of_the_go_tool_is_told(data: bytes) -> None:
    world = World()
    await put_backup(world.backup_store, "backup", "fx_go_0_5_16_groups", name="b")
    shown, listed = await shown_with(world, "full_meta.json", data)
    assert shown == listed
    assert shown.state is BackupState.INCOMPLETE
    assert any("full_meta.json" in note for note in shown.notes)


async def test_a_newer_manifest_is_named_and_not_called_damaged() -> None:
    world = await with_backup()
    data = await world.backup_store.get(f"{META}manifest.1.json")
    newer = data.replace(b'"format_version":1', b'"format_version":2')
    shown, listed = await shown_with(world, "manifest.1.json", newer)
    assert shown == listed
    assert shown.state is BackupState.COMPLETE
    assert shown.format is BackupFormat.UNKNOWN
    assert shown.notes == (
        "manifest.1.json has format version 2; this service reads up to 1: use a newer one",
    )


async def test_several_manifests_are_a_damage() -> None:
    world = await with_backup()
    data = await world.backup_store.get(f"{META}manifest.1.json")
    shown, _ = await shown_with(world, "manifest.2.json", data)
    assert shown.state is BackupState.INCOMPLETE
    assert shown.notes == ("there are several manifests",)


async def test_a_bad_backup_does_not_spoil_the_list() -> None:
    world = await with_backup()
    await world.backup_store.put("backup/a/meta/full_meta.json", b"{")
    await world.backup_store.put("backup/c/meta/claim.json", b"")
    await put_backup(world.backup_store, "backup", METADATA_ONLY[0], name="d")
    async with running(world) as service:
        for full in (True, False):
            items = (await service.catalog.list("", 10, full=full)).items
            assert [(it.name, it.state) for it in items] == [
                ("a", BackupState.INCOMPLETE),
                ("b", BackupState.COMPLETE),
                ("c", BackupState.INCOMPLETE),
                ("d", BackupState.COMPLETE),
            ]


async def test_times_of_incomplete_backups_are_those_of_their_objects() -> None:
    begun = datetime.now(UTC)
    world = World()
    await world.backup_store.put(f"{META}claim.json", b"{}")
    await world.backup_store.put(f"{META}manifest.1.json", b"{}")
    async with running(world) as service:
        shown = await service.catalog.get("b")
    assert shown.create_time is not None
    assert begun <= shown.create_time <= datetime.now(UTC)
