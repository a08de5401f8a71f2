"""Parts of a Milvus are backed up, and parts of a backup restored: partitions, databases, several targets."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from milvus_backup_server.domain.errors import BackupError, InvalidRequest, PartitionNotFound
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    CollectionState,
    CreateResult,
    OperationState,
    RestoreResult,
)
from milvus_backup_server.domain.records import KeyValue
from milvus_backup_server.domain.renaming import CollectionMapping
from milvus_backup_server.domain.restore_mapping import MappedDatabase
from milvus_backup_server.domain.selection import CollectionPartitions
from milvus_backup_server.service.building import CollectionBuilder
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.importing import ImportQueue
from milvus_backup_server.service.open_imports import OpenImports
from milvus_backup_server.service.restore_journal import RestoreJournal
from milvus_backup_server.service.tracker import Tracker
from tests.support.fake_milvus_state import Key
from tests.support.held_calls import GATEWAY, MILVUS_STORE
from tests.support.meanwhile import Meanwhile
from tests.support.service import (
    BACKUPS,
    INDEX,
    KEYED,
    LIMITS,
    World,
    add_collection,
    flushed,
    named,
    running,
)

ONLY_P = (CollectionPartitions("one", ("p",)),)
P_ROWS: list[Key] = [100, 102, 103, 104]


async def filled(world: World | None = None) -> World:
    """Fill `one` with rows and a delete in each of three partitions, and `shop.two`; `empty` is a database."""
    world = world or World()
    one = await add_collection(world.milvus, "one", range(10), partitions=["p", "q"], shards=2)
    await world.milvus.create_index(one, INDEX)
    world.milvus.insert(one, range(100, 105), "p")
    world.milvus.insert(one, range(200, 205), "q")
    await flushed(world.milvus, one)
    world.milvus.delete(one, [3, 101, 202])
    await add_collection(world.milvus, "shop.two", range(3))
    await world.milvus.create_database("empty")
    return world


def keys(world: World, *names: str) -> list[list[Key]]:
    return [world.milvus.keys(named(name)) for name in names]


def partitions(world: World, name: str) -> list[str]:
    return [partition.name for partition in world.milvus.collection(named(name)).partitions]


# --- partitions


async def test_a_backup_of_one_partition_holds_that_partition_only() -> None:
    world = await filled()
    async with running(world) as service:
        created = await service.create(partitions=ONLY_P)
        backup = await service.catalog.get("b")
        await service.restore(suffix="_r")
    assert [collection.name for collection in backup.collections] == ["one"]
    (held,) = (collection.record.partition_backups for collection in backup.collections)
    assert [partition.partition_name for partition in held] == ["p"]
    partition = world.milvus.collection(named("one")).partition("p")
    assert partition is not None
    data = [key for key in await world.backups() if "/binlogs/" in key]
    assert data
    assert all(f"/{partition.partition_id}/" in key for key in data)
    assert isinstance(created.result, CreateResult)
    assert (created.result.row_count, created.result.object_count) == (5, len(data))
    levels = json.loads(await world.backup_store.get("backup/b/meta/partition_meta.json"))
    assert [level["partition_name"] for level in levels["infos"]] == ["p"]
    assert keys(world, "one_r") == [P_ROWS]
    assert partitions(world, "one_r") == ["_default", "p"]


async def test_beside_chosen_partitions_others_are_backed_up_whole() -> None:
    world = await filled()
    async with running(world) as service:
        await service.create("b", "default.*", "shop.two", partitions=ONLY_P)
        await service.restore(suffix="_r")
    assert keys(world, "one_r", "shop.two_r") == [P_ROWS, [0, 1, 2]]


@pytest.mark.parametrize("garbage", [False, True])
@pytest.mark.parametrize(
    ("port", "method"),
    [(GATEWAY, "is_flushed"), (GATEWAY, "list_segments"), (MILVUS_STORE, "list_page")],
)
async def test_what_happens_to_other_partitions_meanwhile_does_not_count(
    port: str, method: str, garbage: bool
) -> None:
    world = await filled()

    async def compact() -> None:
        await world.milvus.compact(named("one"))
        if garbage:
            await world.milvus.collect_garbage()

    part = "" if port == GATEWAY else "insert_log"
    meanwhile = Meanwhile(port, method, compact, part=part)
    async with running(world, meanwhile.decorators) as service:
        await service.create(partitions=ONLY_P)
        await service.restore(suffix="_r")
    assert meanwhile.fired == 1
    assert keys(world, "one_r") == [P_ROWS]


async def test_a_partition_that_is_dropped_while_the_backup_waits_is_told() -> None:
    world = await filled()

    async def drop() -> None:
        collection = world.milvus.collection(named("one"))
        collection.partitions = [it for it in collection.partitions if it.name != "p"]

    meanwhile = Meanwhile(GATEWAY, "flush", drop)
    async with running(world, meanwhile.decorators) as service:
        error = await service.error(await service.start_create(partitions=ONLY_P))
    assert isinstance(error, PartitionNotFound)
    assert error.metadata["resource"] == "default.one/p"
    assert await world.backups() == []


@pytest.mark.parametrize("bucket", ["a-bucket", "b-bucket"])
async def test_a_restore_of_one_partition_reads_that_partition_only(bucket: str) -> None:
    world = await filled(World(backup_bucket=bucket))
    async with running(world) as service:
        await service.create()
        operation = await service.restore(suffix="_r", partitions=ONLY_P)
    partition = world.milvus.collection(named("one")).partition("p")
    assert partition is not None
    data = [key for key in await world.backups() if f"/{partition.partition_id}/" in key]
    result = operation.result
    assert isinstance(result, RestoreResult)
    assert (result.content_checked_count, result.import_job_count) == (len(data), 1)
    assert result.staged_object_count == (0 if bucket == "a-bucket" else len(data))
    assert keys(world, "one_r") == [P_ROWS]
    assert partitions(world, "one_r") == ["_default", "p"]
    assert "shop.two_r" not in world.collections()


async def test_partitions_of_a_partition_key_are_refused() -> None:
    world = await filled()
    await add_collection(world.milvus, "keyed", schema=KEYED)
    chosen = (CollectionPartitions("keyed", ("_default_0",)),)
    async with running(world) as service:
        with pytest.raises(InvalidRequest, match=r"default\.keyed has a partition key"):
            await service.start_create(partitions=chosen)
        await service.create()
        with pytest.raises(InvalidRequest, match=r"default\.keyed has a partition key"):
            await service.start_restore(suffix="_r", partitions=chosen)


# --- databases


async def test_a_database_alone_is_backed_up_and_made_again() -> None:
    world = await filled()
    async with running(world) as service:
        created = await service.create("b", "empty.", "shop.")
        await world.milvus.drop_database("empty")
        await world.milvus.drop_collection(named("shop.two"))
        await world.milvus.drop_database("shop")
        assert isinstance(created.result, CreateResult)
        assert created.result.collection_count == 0
        await service.restore()
    assert [it for it in world.collections() if it.endswith(".")] == ["default.", "empty.", "shop."]


async def test_renamed_databases_are_made_under_their_new_names_only() -> None:
    world = await filled()
    async with running(world) as service:
        await service.create()
        before = world.collections()
        await service.restore(
            renames={"shop.*": "store.*", "empty.": "full."}, collections=("shop.*", "empty.")
        )
    assert sorted(set(world.collections()) - set(before)) == ["full.", "store.", "store.two"]


@pytest.mark.parametrize("able", [True, False])
async def test_databases_get_their_properties_where_milvus_has_such(able: bool) -> None:
    world, tracker = World(), Tracker(lambda: None)
    journal = RestoreJournal(Storage("backup", world.backup_store, BACKUPS), "x")
    imports = OpenImports(ImportQueue(world.milvus, LIMITS), journal, tracker)
    builder = CollectionBuilder(
        world.milvus, "x", tracker, LIMITS, journal=journal, imports=imports
    )
    given = (KeyValue(key="database.replica.number", value="2"),)
    databases = [MappedDatabase("plain"), MappedDatabase("rich", given)]
    await builder.create_databases(databases, with_properties=able)
    assert world.milvus.database_properties == {"plain": (), "rich": given if able else ()}
    expected = (
        "database 'rich' was made without its properties (database.replica.number), which need "
        "Milvus 2.4.3 or later"
    )
    told = [warning.message for warning in tracker.warnings]
    assert told == ([] if able else [expected])


# --- several targets


async def test_one_source_goes_to_several_targets_each_with_its_own_settings() -> None:
    world = await filled(World(backup_bucket="b-bucket"))
    async with running(world) as service:
        await service.create()
        before = world.collections()
        operation = await service.restore(
            mappings=(
                CollectionMapping("one", "uno"),
                CollectionMapping("one", "copies.one", 1, "a copy"),
                CollectionMapping("shop.*", "copies.*"),
            ),
            restore_indexes=True,
        )
    made = ["copies.one", "copies.two", "default.uno"]
    assert sorted(set(world.collections()) - set(before)) == ["copies.", *made]
    one = [*range(3), *range(4, 10), *P_ROWS, 200, 201, 203, 204]
    assert keys(world, "uno", "copies.one", "copies.two") == [one, one, [0, 1, 2]]
    shards = [world.milvus.collection(named(it)).description.shards for it in ("uno", "copies.one")]
    assert shards == [2, 1]
    assert world.milvus.collection(named("copies.one")).schema.description == "a copy"
    assert [len(world.milvus.collection(named(it)).indexes) for it in made] == [1, 0, 1]
    result = operation.result
    assert isinstance(result, RestoreResult)
    assert (result.collection_count, result.row_count) == (3, 2 * len(one) + 3)
    data = [key for key in await world.backups() if "/binlogs/" in key]
    assert result.staged_object_count == len(data)  # once, whatever the number of targets
    assert sorted(str(item.target) for item in operation.collections) == made
    for item in operation.collections:
        assert item.state is CollectionState.SUCCEEDED
        assert item.bytes_done == item.bytes_total
    assert await world.staged() == []


async def test_without_a_filter_a_mapping_restores_what_it_maps_and_with_one_what_that_names() -> (
    None
):
    world = await filled()
    mappings = (CollectionMapping("one", "copies.one"),)
    async with running(world) as service:
        await service.create()
        before = world.collections()
        await service.restore(mappings=mappings)
        assert set(world.collections()) - set(before) == {"copies.", "copies.one"}
        await world.milvus.drop_collection(named("copies.one"))
        await world.milvus.drop_collection(named("shop.two"))
        await service.restore(mappings=mappings, target_collections=("copies.*", "shop.*"))
    assert keys(world, "shop.two") == [[0, 1, 2]]
    assert {"copies.one", "shop.two"} <= set(world.collections())


async def test_a_failing_target_leaves_the_others_of_the_restore_alone() -> None:
    world = await filled()
    mappings = (CollectionMapping("one", "uno"), CollectionMapping("one", "due"))
    async with running(world) as service:
        await service.create()
        before = world.collections()
        # In the way only when everything is built.
        taken = Meanwhile(GATEWAY, "submit_import", lambda: add_collection_due(world))
        async with running(world, taken.decorators) as second:
            operation = await second.start_restore(mappings=mappings)
            last = await second.end(operation)
    assert last.state is OperationState.PARTIALLY_SUCCEEDED
    assert set(world.collections()) - set(before) == {"default.due", "default.uno"}
    failed, whole = last.collections
    assert (str(failed.target), failed.state) == ("default.due", CollectionState.FAILED)
    assert failed.error is not None
    assert failed.error.reason == "TARGET_ALREADY_EXISTS"
    assert (str(whole.target), whole.state) == ("default.uno", CollectionState.SUCCEEDED)


async def add_collection_due(world: World) -> None:
    await add_collection(world.milvus, "due")


# --- everything in the way, at once


def violations(error: BackupError) -> list[tuple[str, str, str]]:
    return [(item.field, item.reason, item.subject) for item in error.obstacles]


async def touched(world: World) -> Sequence[object]:
    return (await world.traces(), dict(world.milvus.imports.jobs))


RESTORE_IN_THE_WAY: dict[str, Any] = {
    "collections": ("nothing", "one", "shop.*", "nowhere.*", "empty."),
    "partitions": (CollectionPartitions("one", ("p", "r")),),
    "renames": {"gone": "x", "shop.*": "default.*", "one": "two"},
    "target_collections": ("default.*", "other.*", "empty."),
}
RESTORE_VIOLATIONS = [
    ("collections[0]", "COLLECTION_NOT_FOUND", "default.nothing"),
    ("collections[3]", "DATABASE_NOT_FOUND", "nowhere"),
    ("partitions[0].partitions[1]", "PARTITION_NOT_FOUND", "default.one/r"),
    ("renames['gone']", "COLLECTION_NOT_FOUND", "default.gone"),
    ("target_collections[1]", "DATABASE_NOT_FOUND", "other"),
    ("renames['shop.*']", "INVALID_REQUEST", ""),
    ("renames['one']", "TARGET_ALREADY_EXISTS", "default.two"),
]


async def test_all_that_stands_in_the_way_of_a_restore_is_told_at_once() -> None:
    world = await filled()
    async with running(world) as service:
        await service.create()
        await add_collection(world.milvus, "two")
        before = await touched(world)
        with pytest.raises(BackupError) as caught:
            await service.start_restore(**RESTORE_IN_THE_WAY)
        assert await touched(world) == before
    assert violations(caught.value) == RESTORE_VIOLATIONS
    assert "default.one and shop.two would both become default.two" in caught.value.message
    assert caught.value.metadata["count"] == "7"


async def test_all_that_stands_in_the_way_of_a_create_is_told_at_once() -> None:
    world = await filled()
    await world.backup_store.put("backup/b/x", b"")
    chosen = (CollectionPartitions("one", ("p", "r")), CollectionPartitions("no", ("p",)))
    async with running(world) as service:
        before = await touched(world)
        with pytest.raises(BackupError) as caught:
            await service.start_create("b", "nothing", "nowhere.", "shop.*", partitions=chosen)
        assert await touched(world) == before
    assert violations(caught.value) == [
        ("collections[0]", "COLLECTION_NOT_FOUND", "default.nothing"),
        ("collections[1]", "DATABASE_NOT_FOUND", "nowhere"),
        ("partitions[1].collection", "COLLECTION_NOT_FOUND", "default.no"),
        ("partitions[0].partitions[1]", "PARTITION_NOT_FOUND", "default.one/r"),
        ("backup_name", "BACKUP_ALREADY_EXISTS", "b"),
    ]


async def test_fields_that_leave_nothing_are_told() -> None:
    world = await filled()
    async with running(world) as service:
        await service.create()
        with pytest.raises(InvalidRequest, match="nothing of the backup is left to restore"):
            await service.start_restore(
                collections=("shop.*",), mappings=(CollectionMapping("one", "uno"),)
            )


async def test_a_target_without_multiple_sources_is_not_in_the_way_of_itself() -> None:
    world = await filled()
    async with running(world) as service:
        await service.create("b", "one")
        await world.milvus.drop_collection(named("one"))
        await service.restore(mappings=(CollectionMapping("one", "one"),))
    assert partitions(world, "one") == ["_default", "p", "q"]


def at(world: World, name: str) -> CollectionName:
    assert name in world.collections()
    return named(name)


async def test_a_swap_of_names_is_no_conflict() -> None:
    world = await filled()
    async with running(world, limits=replace(LIMITS, import_job_bytes=1)) as service:
        await service.create()
        for name in ("one", "shop.two"):
            await world.milvus.drop_collection(named(name))
        await service.restore(renames={"one": "shop.two", "shop.two": "one"})
    assert world.milvus.keys(at(world, "default.one")) == [0, 1, 2]
