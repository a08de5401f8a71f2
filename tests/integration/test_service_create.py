"""A backup is made: its objects, its metadata, and how it is shown."""

import json
import re
from datetime import UTC, datetime

import pytest

from milvus_backup_server.domain.backups import BackupFormat, BackupState
from milvus_backup_server.domain.errors import OperationNotFound
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    CollectionState,
    CreatePlan,
    CreateResult,
    OperationState,
    Phase,
    PlannedCollection,
)
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.gateways import CountingGateway
from tests.support.running_service import Decorators
from tests.support.service import INDEX, World, add_collection, flushed, running
from tests.support.stores import CountingStore

LEVELS = {"backup_meta.json", "collection_meta.json", "partition_meta.json", "segment_meta.json"}


async def two_collections(world: World) -> tuple[CollectionName, CollectionName]:
    """Make one with two segments in two partitions and deletes, and one in another database."""
    milvus = world.milvus
    one = await add_collection(milvus, "one", range(10), partitions=["p"])
    await milvus.create_index(one, INDEX)
    milvus.insert(one, range(100, 105), "p")
    await flushed(milvus, one)
    milvus.delete(one, [3, 101])
    milvus.load(one)
    milvus.point_alias(one, "first")
    two = await add_collection(milvus, "shop.two", range(3), shards=2)
    return one, two


def meta(keys: list[str], directory: str = "backup/b/meta/") -> set[str]:
    return {key.removeprefix(directory) for key in keys if key.startswith(directory)}


async def test_the_files_of_a_backup() -> None:
    world = World()
    one, two = await two_collections(world)
    async with running(world) as service:
        operation = await service.create()
    ids = [world.milvus.collection(name).collection_id for name in (one, two)]
    keys = await world.backups()
    assert meta(keys) == LEVELS | {
        "full_meta.json",
        "claim.json",
        "manifest.1.json",
        "manifest.1.collections.jsonl",
        f"manifest.1/{ids[0]}.jsonl",
        f"manifest.1/{ids[1]}.jsonl",
    }
    # Two segments of 4 columns (row id, timestamp, pk, v) and their delta logs; one segment more.
    data = [key for key in keys if key.startswith("backup/b/binlogs/")]
    assert len(data) == 2 * (4 + 1) + 4
    assert sum(f"/insert_log/{ids[0]}/" in key for key in data) == 8
    assert sum(f"/delta_log/{ids[0]}/" in key for key in data) == 2
    assert set(keys) == set(data) | {f"backup/b/meta/{name}" for name in meta(keys)}
    result = operation.result
    assert isinstance(result, CreateResult)
    sizes = [len(await world.backup_store.get(key)) for key in data]
    assert result == CreateResult(
        collection_count=2,
        object_count=14,
        size_bytes=sum(sizes),
        row_count=18,
        server_side_copy_count=14,
    )


async def test_every_object_is_a_copy_under_the_key_that_its_ids_give() -> None:
    world = World()
    await two_collections(world)
    async with running(world) as service:
        await service.create()
    copied = 0
    for key in await world.backups():
        found = re.fullmatch(r"backup/b/binlogs/((?:insert|delta)_log/\d+/\d+)/(\d+)/(.*)", key)
        if found:
            assert found[3].startswith(f"{found[2]}/")  # the group is the segment
            source = f"files/{found[1]}/{found[3]}"
            assert await world.backup_store.get(key) == await world.milvus_store.get(source)
            copied += 1
    assert copied == 14


async def test_how_a_backup_is_shown() -> None:
    world = World()
    one, two = await two_collections(world)
    begun = datetime.now(UTC)
    async with running(world) as service:
        operation = await service.create(labels={"who": "me"})
        backup = await service.catalog.get("b")
        basic = await service.catalog.get_basic("b")
        listed = (await service.catalog.list("", 10, full=False)).items
        collections = (await service.catalog.collections("b", 0, 10)).items
    assert (backup.name, backup.state, backup.format) == (
        "b",
        BackupState.COMPLETE,
        BackupFormat.BINLOG,
    )
    assert backup.id == operation.name
    assert backup.labels == {"who": "me"}
    assert backup.milvus_version == "v2.3.5-lite"
    assert backup.exact
    assert backup.notes == ()
    assert (backup.collection_count, backup.row_count) == (2, 18)
    assert backup.create_time is not None
    assert backup.end_time is not None
    assert begun <= backup.create_time <= backup.end_time <= datetime.now(UTC)
    assert listed == (basic,)
    assert basic.collections == ()
    assert backup.collections == collections
    first, second = collections
    assert (first.database, first.name, first.row_count, first.segment_count) == (
        "default",
        "one",
        15,
        2,
    )
    level = json.loads(await world.backup_store.get("backup/b/meta/collection_meta.json"))
    assert [it.record.to_json() for it in collections] == level["infos"]
    assert [it.partition_name for it in first.record.partition_backups] == ["_default", "p"]
    assert (first.record.shards_num, first.record.load_state) == (1, "Loaded")
    assert [it.index_name for it in first.record.index_infos] == ["by_v"]
    assert first.record.aliases == ("first",)
    assert (second.database, second.name, second.row_count) == ("shop", "two", 3)
    assert second.record.shards_num == 2
    assert [it.db_name for it in backup.databases] == ["default", "shop"]
    files = [key for key in await world.backups() if "/meta/" in key]
    sizes = [len(await world.backup_store.get(key)) for key in files]
    assert (len(sizes), backup.meta_size_bytes) == (10, sum(sizes))
    by_name = {it.source: it for it in operation.collections}
    assert by_name[one].moment == first.moment
    assert by_name[two].moment == second.moment
    assert first.moment is not None


async def test_how_the_operation_is_shown() -> None:
    world = World()
    await two_collections(world)
    async with running(world) as service:
        operation = await service.create()
    assert [item.phase for item in operation.progress.phases] == [
        Phase.PLANNING,
        Phase.FLUSHING,
        Phase.LISTING,
        Phase.COPYING,
        Phase.CHECKING,
        Phase.WRITING_METADATA,
    ]
    copying, checking = operation.progress.phases[3:5]
    for phase in (copying, checking):
        assert phase.done.objects == phase.objects_total == 14
        assert phase.done.bytes == phase.bytes_total
    assert (operation.collection_count, operation.succeeded_count) == (2, 2)
    assert {it.state for it in operation.collections} == {CollectionState.SUCCEEDED}
    for item in operation.collections:
        assert item.bytes_done == item.bytes_total
    assert operation.warnings == ()


async def test_an_empty_collection_is_in_the_backup() -> None:
    world = World()
    await add_collection(world.milvus, "empty")
    async with running(world) as service:
        await service.create()
        (shown,) = (await service.catalog.get("b")).collections
    assert (shown.name, shown.row_count, shown.segment_count) == ("empty", 0, 0)
    assert len(shown.record.partition_backups) == 1


async def test_a_milvus_without_collections_gives_an_empty_backup() -> None:
    world = World()
    async with running(world) as service:
        await service.create()
        backup = await service.catalog.get("b")
    assert (backup.state, backup.collection_count) == (BackupState.COMPLETE, 0)
    full = json.loads(await world.backup_store.get("backup/b/meta/full_meta.json"))
    assert full["collection_backups"] == []


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (["one"], ["default.one"]),
        (["shop.*"], ["shop.two"]),
        (["shop.two", "one"], ["default.one", "shop.two"]),
        ([], ["default.one", "shop.two"]),
    ],
)
async def test_only_what_is_selected_is_backed_up(
    selection: list[str], expected: list[str]
) -> None:
    world = World()
    await two_collections(world)
    async with running(world) as service:
        await service.create("b", *selection)
        shown = (await service.catalog.get("b")).collections
    assert [f"{it.database}.{it.name}" for it in shown] == expected


async def test_what_restores_are_building_is_not_backed_up() -> None:
    world = World()
    await two_collections(world)
    await add_collection(world.milvus, "_mbtmp_20260131t120000_0a1b2c3d_0", range(5))
    async with running(world) as service:
        await service.create()
        backup = await service.catalog.get("b")
    assert backup.collection_count == 2


async def test_without_a_name_one_is_made_as_the_go_tool_does() -> None:
    world = World()
    async with running(world) as service:
        operation = await service.create("")
    assert re.fullmatch(r"backup_\d{4}(_\d\d){5}_\d+", operation.backup_name)
    assert f"backup/{operation.backup_name}/meta/full_meta.json" in await world.backups()


async def test_a_request_id_makes_a_create_safe_to_repeat() -> None:
    world = World()
    async with running(world) as service:
        first = await service.create("", request_id="id")
        again = await service.start_create("", request_id="id")
    assert (again.name, again.backup_name) == (first.name, first.backup_name)
    assert again.state is OperationState.SUCCEEDED


async def test_validate_only_plans_and_neither_flushes_nor_writes() -> None:
    world = World()
    one, two = await two_collections(world)
    gateways: list[CountingGateway] = []
    stores: list[CountingStore] = []

    def gateway(inner: MilvusGateway) -> CountingGateway:
        gateways.append(CountingGateway(inner))
        return gateways[-1]

    def store(inner: ObjectStore) -> CountingStore:
        stores.append(CountingStore(inner))
        return stores[-1]

    async with running(world, Decorators(gateway, store, store)) as service:
        operation = await service.start_create(validate_only=True)
        assert service.operations.list("", 10).items == ()
        with pytest.raises(OperationNotFound):
            service.operations.get(operation.name)
    assert operation.state is OperationState.SUCCEEDED
    plan = operation.result
    assert isinstance(plan, CreatePlan)
    assert plan.backup_name == "b"
    assert plan.server_side_copy
    assert plan.collections == (
        PlannedCollection(
            source=one,
            partitions=plan.collections[0].partitions,
            partition_count=2,
            segment_count=2,
            row_count=15,
            size_bytes=plan.collections[0].size_bytes,
        ),
        PlannedCollection(source=two, partitions=("_default",), partition_count=1),
    )
    reads = {"version", "allocate_timestamp", "list_databases", "list_collections"}
    described = {"list_segments", "list_partitions", "describe_collection"}
    assert set(gateways[0].calls) == reads | described
    for counted in stores:
        assert set(counted.calls) <= {"bucket_exists", "list_page", "head", "get"}
    assert await world.backups() == []
