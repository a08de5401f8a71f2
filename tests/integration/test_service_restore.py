"""A backup is restored: the rows of its moment, where and under what names the caller wants them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.operations import (
    CollectionState,
    OperationState,
    Phase,
    PlannedCollection,
    RestorePlan,
    RestoreResult,
)
from milvus_backup_server.domain.records import KeyValue
from milvus_backup_server.ports.milvus import MilvusGateway
from tests.support.fake_milvus_state import Key
from tests.support.gateways import CountingGateway
from tests.support.held_calls import MILVUS_STORE
from tests.support.meanwhile import Meanwhile
from tests.support.running_service import Decorators
from tests.support.service import (
    INDEX,
    KEYED,
    LIMITS,
    ROOT,
    World,
    add_collection,
    flushed,
    named,
    running,
)

# Where backups lie, seen from Milvus: in its bucket, in another of its store, in another store.
PLACES = ["in place", "staged", "streamed"]


def world_of(place: str) -> World:
    if place == "in place":
        return World()
    if place == "staged":
        return World(backup_bucket="b-bucket")
    return World(backup_bucket="b-bucket", backup_server=MemoryServer("other"))


async def filled(world: World) -> World:
    """Fill three collections: `one` with deletes in two partitions, `keyed`, and `shop.two`."""
    milvus = world.milvus
    one = await add_collection(milvus, "one", range(10), partitions=["p"], shards=2)
    await milvus.create_index(one, INDEX)
    milvus.insert(one, range(100, 105), "p")
    await flushed(milvus, one)
    milvus.insert(one, range(10, 15))
    milvus.delete(one, [3, 101])
    milvus.upsert(one, [4, 5])
    keyed = await add_collection(milvus, "keyed", schema=KEYED)
    for number in range(4):
        milvus.insert(keyed, [number * 10, number * 10 + 1], f"_default_{number}")
    properties = (KeyValue(key="collection.ttl.seconds", value="3600"),)
    await add_collection(milvus, "shop.two", range(3), properties=properties)
    return world


ROWS: dict[str, list[Key]] = {
    "default.one": [0, 1, 2, *range(4, 15), 100, 102, 103, 104],
    "default.keyed": [0, 1, 10, 11, 20, 21, 30, 31],
    "shop.two": [0, 1, 2],
}


def rows(world: World, names: Sequence[str]) -> dict[str, list[Key]]:
    return {name: world.milvus.keys(named(name)) for name in names}


@pytest.mark.parametrize("place", PLACES)
async def test_everything_comes_back_under_a_suffix(place: str) -> None:
    world = await filled(world_of(place))
    before = world.collections()
    async with running(world) as service:
        await service.create()
        operation = await service.restore(suffix="_r")
    assert rows(world, [f"{name}_r" for name in ROWS]) == {f"{it}_r": ROWS[it] for it in ROWS}
    assert rows(world, list(ROWS)) == ROWS
    assert world.collections() == sorted([*before, *(f"{name}_r" for name in ROWS)])
    assert await world.staged() == []
    result = operation.result
    assert isinstance(result, RestoreResult)
    staged = 0 if place == "in place" else result.content_checked_count
    assert result == RestoreResult(
        collection_count=3,
        import_job_count=2 + 4 + 1,  # one for each partition
        row_count=sum(len(keys) for keys in ROWS.values()),
        content_checked_count=result.content_checked_count,
        size_checked_count=0,
        staged_object_count=staged,
    )
    data = [key for key in await world.backups() if "/binlogs/" in key]
    assert result.content_checked_count == len(data)


async def test_a_restored_collection_is_made_as_the_old_one_was() -> None:
    world = await filled(World())
    async with running(world) as service:
        await service.create()
        await service.restore(suffix="_r")
    for name in ROWS:
        old = world.milvus.collection(named(name))
        new = world.milvus.collection(named(f"{name}_r"))
        assert new.schema.fields == old.schema.fields
        assert new.description.shards == old.description.shards
        assert new.description.consistency_level == old.description.consistency_level
        assert new.description.properties == old.description.properties
        assert [it.name for it in new.partitions] == [it.name for it in old.partitions]
        assert new.indexes == []
        assert new.load_state == "NotLoad"


async def test_indexes_are_made_again_on_request() -> None:
    world = await filled(World())
    async with running(world) as service:
        await service.create()
        await service.restore(suffix="_r", restore_indexes=True)
    (index,) = world.milvus.collection(named("one_r")).indexes
    assert (index.field_name, index.index_name, index.index_type, index.params) == (
        "v",
        "by_v",
        "IVF_FLAT",
        {"index_type": "IVF_FLAT", "metric_type": "L2", "nlist": "128"},
    )
    assert world.milvus.collection(named("keyed_r")).indexes == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"suffix": "_r", "collections": ("one",)}, {"default.one_r": "default.one"}),
        ({"suffix": "_r", "collections": ("shop.*",)}, {"shop.two_r": "shop.two"}),
        (
            {"renames": {"one": "uno", "keyed": "x.k"}, "collections": ("one", "keyed")},
            {"default.uno": "default.one", "x.k": "default.keyed"},
        ),
        (
            {"renames": {"shop.*": "store.*"}, "collections": ("shop.two",)},
            {"store.two": "shop.two"},
        ),
        (
            {"renames": {"default.*": "other.*", "shop.*": "other.*", "one": "other.uno"}},
            {
                "other.uno": "default.one",
                "other.keyed": "default.keyed",
                "other.two": "shop.two",
            },
        ),
        (
            {"renames": {"one": "two", "shop.*": "x.*"}, "target_collections": ("two", "x.*")},
            {"default.two": "default.one", "x.two": "shop.two"},
        ),
        ({"suffix": "_r", "target_collections": ("one_r",)}, {"default.one_r": "default.one"}),
    ],
)
async def test_what_is_restored_and_to_where(
    fields: Mapping[str, Any], expected: Mapping[str, str]
) -> None:
    world = await filled(World())
    async with running(world) as service:
        await service.create()
        before = set(world.collections())
        operation = await service.restore(**fields)
    made = set(world.collections()) - before
    assert {it for it in made if not it.endswith(".")} == set(expected)
    assert rows(world, list(expected)) == {it: ROWS[old] for it, old in expected.items()}
    targets = {str(it.target): str(it.source) for it in operation.collections}
    assert targets == expected


async def test_the_same_names_in_an_empty_milvus() -> None:
    world = await filled(World())
    async with running(world) as service:
        await service.create()
        for name in ROWS:
            await world.milvus.drop_collection(named(name))
        await world.milvus.drop_database("shop")
        await service.restore()
    assert rows(world, list(ROWS)) == ROWS


async def test_into_a_second_milvus_with_its_own_bucket() -> None:
    world = await filled(World())
    async with running(world) as service:
        await service.create()
    other = World(milvus_bucket="c-bucket", backup_bucket="a-bucket", server=world.server)
    async with running(other) as service:
        operation = await service.restore()
    assert rows(other, list(ROWS)) == ROWS
    assert isinstance(operation.result, RestoreResult)
    assert operation.result.staged_object_count > 0
    assert await other.staged() == []


async def test_how_the_operation_is_shown() -> None:
    world = await filled(World(backup_bucket="b-bucket"))
    async with running(world) as service:
        await service.create()
        operation = await service.restore(suffix="_r", labels={"who": "me"})
    progress = operation.progress
    assert {item.phase for item in progress.phases} == {
        Phase.VERIFYING,
        Phase.STAGING,
        Phase.IMPORTING,
        Phase.FINISHING,
    }
    by_phase = {item.phase: item for item in progress.phases}
    for phase in (Phase.VERIFYING, Phase.STAGING, Phase.IMPORTING):
        assert by_phase[phase].done.bytes == by_phase[phase].bytes_total
    assert progress.phases[0].phase is Phase.VERIFYING
    assert progress.phase is Phase.FINISHING
    assert progress.waiting_for == ""
    assert operation.labels == {"who": "me"}
    assert (operation.collection_count, operation.succeeded_count) == (3, 3)
    for item in operation.collections:
        assert item.state is CollectionState.SUCCEEDED
        assert item.bytes_done == item.bytes_total
        assert item.moment is not None


@pytest.mark.parametrize("place", PLACES)
async def test_validate_only_plans_and_touches_nothing(place: str) -> None:
    world = await filled(world_of(place))
    gateways: list[CountingGateway] = []

    def gateway(inner: MilvusGateway) -> CountingGateway:
        gateways.append(CountingGateway(inner))
        return gateways[-1]

    async with running(world, Decorators(gateway=gateway)) as service:
        await service.create()
        before = await world.traces()
        gateways[0].calls.clear()
        operation = await service.start_restore(
            renames={"one": "uno", "shop.*": "store.*"},
            collections=("one", "shop.two"),
            validate_only=True,
        )
        assert await world.traces() == before
        assert len(service.operations.list("", 10).items) == 1  # the create
    assert operation.state is OperationState.SUCCEEDED
    plan = operation.result
    assert isinstance(plan, RestorePlan)
    assert plan.new_databases == ("store",)
    assert plan.staged == (place != "in place")
    one, two = plan.collections
    assert one == PlannedCollection(
        source=named("one"),
        target=named("uno"),
        partitions=("_default", "p"),
        partition_count=2,
        segment_count=3,
        row_count=22,
        size_bytes=one.size_bytes,
        import_job_count=2,
        shard_count=2,
    )
    assert (two.source, two.target) == (named("shop.two"), named("store.two"))
    assert set(gateways[0].calls) == {"version", "list_databases", "has_collection"}


async def test_large_partitions_are_imported_group_by_group() -> None:
    world = await filled(World())
    async with running(world, limits=replace(LIMITS, import_job_bytes=1)) as service:
        await service.create()
        operation = await service.restore(suffix="_r", collections=("one",))
    assert isinstance(operation.result, RestoreResult)
    assert operation.result.import_job_count == 3
    assert rows(world, ["default.one_r"]) == {"default.one_r": ROWS["default.one"]}


async def test_every_import_is_cut_at_its_collection_s_own_moment() -> None:
    world = await filled(World())
    async with running(world) as service:
        await service.create()
        operation = await service.restore(suffix="_r")
    jobs = list(world.milvus.imports.jobs.values())
    for item in operation.collections:
        assert item.target is not None
        number = world.milvus.collection(item.target).collection_id
        own = [job for job in jobs if job.collection_id == number]
        assert {job.options.moment for job in own} == {item.moment}
    assert len({item.moment for item in operation.collections}) > 1


async def test_staged_objects_lie_below_milvus_s_own_root() -> None:
    world = await filled(World(backup_bucket="b-bucket"))
    copies = Meanwhile(MILVUS_STORE, "copy", nothing)
    async with running(world, copies.decorators) as service:
        await service.create()
        operation = await service.restore(suffix="_r")
    keys = [key for port, method, key in copies.calls if (port, method) == (MILVUS_STORE, "copy")]
    prefix = f"{ROOT}/milvus-backup-staging/{operation.name}/binlogs/"
    assert keys
    assert all(key.startswith(prefix) for key in keys)


async def nothing() -> None:
    pass
