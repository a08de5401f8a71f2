"""Creates by each strategy, and the options that Milvus 2.3 or the settings refuse."""

import json
from typing import Any

import pytest

from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.errors import (
    BackupError,
    InvalidRequest,
    MilvusVersionUnsupported,
    Obstacle,
)
from milvus_backup_server.domain.operations import CreatePlan, OperationState
from milvus_backup_server.domain.strategies import BackupStrategy
from milvus_backup_server.ports.milvus import MilvusGateway
from tests.support.fake_milvus_state import Key
from tests.support.gateways import CountingGateway
from tests.support.running_service import Decorators
from tests.support.service import (
    INDEX,
    MANAGEMENT,
    World,
    add_collection,
    flushed,
    named,
    running,
)

FLUSHED = range(10)
IN_MEMORY = range(10, 15)


async def filled() -> World:
    """Two collections, each with rows that are flushed, and rows in Milvus's memory."""
    world = World()
    for name in ("one", "shop.two"):
        collection = await add_collection(world.milvus, name, FLUSHED, partitions=["p"])
        await world.milvus.create_index(collection, INDEX)
        await flushed(world.milvus, collection)
        world.milvus.insert(collection, IN_MEMORY)
    return world


async def restored_keys(world: World, **fields: Any) -> dict[str, list[Key]]:
    async with running(world, generation=2) as service:
        await service.restore(suffix="_r", **fields)
    names = ("one_r", "shop.two_r")
    return {name: world.milvus.collection(named(name)).live_keys() for name in names}


@pytest.mark.parametrize("strategy", [BackupStrategy.AUTO, BackupStrategy.SERIAL_FLUSH])
async def test_a_flush_gives_each_collection_a_moment(strategy: BackupStrategy) -> None:
    world = await filled()
    async with running(world) as service:
        operation = await service.create(strategy=strategy)
        backup = await service.catalog.get("b")
    assert (backup.exact, backup.strategy, backup.notes) == (True, strategy, ())
    assert all(item.moment for item in backup.collections)
    assert all(item.moment for item in operation.collections)
    every = [*FLUSHED, *IN_MEMORY]
    assert await restored_keys(world) == {"one_r": every, "shop.two_r": every}


async def test_serial_flush_has_one_collection_flushed_at_a_time() -> None:
    world = await filled()
    seen: list[str] = []

    class Watching(CountingGateway):
        async def flush(self, database: str, collections: Any) -> Any:
            seen.extend(f"flush {database}.{name}" for name in collections)
            return await super().flush(database, collections)

        async def is_flushed(self, collection: Any, flush: Any) -> bool:
            written = await super().is_flushed(collection, flush)
            if written:
                seen.append(f"written {collection}")
            return written

    async with running(world, Decorators(Watching)) as service:
        await service.create(strategy=BackupStrategy.SERIAL_FLUSH)
    assert seen == [
        "flush default.one",
        "written default.one",
        "flush shop.two",
        "written shop.two",
    ]


async def test_skip_flush_takes_what_milvus_has_written_and_says_so() -> None:
    world = await filled()
    gateways: list[CountingGateway] = []

    def counting(inner: MilvusGateway) -> CountingGateway:
        gateways.append(CountingGateway(inner))
        return gateways[-1]

    async with running(world, Decorators(counting)) as service:
        operation = await service.create(strategy=BackupStrategy.SKIP_FLUSH)
        backup = await service.catalog.get("b")
    assert not {"flush", "is_flushed"} & set(gateways[0].calls)
    assert (backup.state, backup.exact) == (BackupState.COMPLETE, False)
    assert backup.strategy is BackupStrategy.SKIP_FLUSH
    assert backup.notes == (
        (
            "made without a flush (skip_flush): no stated moment; a restore gives the rows of exactly the "
            "objects that were copied"
        ),
    )
    assert [item.moment for item in backup.collections] == [None, None]
    assert [item.moment for item in operation.collections] == [None, None]
    assert await restored_keys(world) == {"one_r": [*FLUSHED], "shop.two_r": [*FLUSHED]}
    assert {job.options.moment for job in world.milvus.imports.jobs.values()} == {None}


async def test_skip_flush_leaves_out_a_segment_that_is_still_being_written() -> None:
    world = await filled()
    world.milvus.flush_polls = 1_000_000
    await world.milvus.flush("default", ["one"])  # sealed; its objects are not there yet
    async with running(world) as service:
        await service.create("b", "one", strategy=BackupStrategy.SKIP_FLUSH)
        (shown,) = (await service.catalog.get("b")).collections
    assert (shown.row_count, shown.segment_count) == (10, 1)


async def test_meta_only_backs_up_everything_but_rows() -> None:
    world = await filled()
    async with running(world) as service:
        await service.create(strategy=BackupStrategy.META_ONLY)
        backup = await service.catalog.get("b")
        found = (await service.verify()).state
    assert found is OperationState.SUCCEEDED
    assert (backup.state, backup.exact, backup.size_bytes) == (BackupState.COMPLETE, False, 0)
    assert backup.notes == (
        "made with meta_only: it holds no rows; a restore makes empty collections",
    )
    assert [key for key in await world.backups() if "/binlogs/" in key] == []
    full = json.loads(await world.backup_store.get("backup/b/meta/full_meta.json"))
    for collection in full["collection_backups"]:
        assert [it["partition_name"] for it in collection["partition_backups"]] == ["_default", "p"]
        assert [it["index_name"] for it in collection["index_infos"]] == ["by_v"]
    assert await restored_keys(world, restore_indexes=True) == {"one_r": [], "shop.two_r": []}
    made = world.milvus.collection(named("shop.two_r"))
    assert [it.name for it in made.partitions] == ["_default", "p"]
    assert [it.index_name for it in made.indexes] == ["by_v"]


async def test_the_plan_of_meta_only_has_no_rows() -> None:
    world = await filled()
    async with running(world) as service:
        operation = await service.start_create(
            validate_only=True, strategy=BackupStrategy.META_ONLY
        )
    plan = operation.result
    assert isinstance(plan, CreatePlan)
    assert [(it.partition_count, it.segment_count, it.row_count) for it in plan.collections] == [
        (2, 0, 0),
        (2, 0, 0),
    ]
    assert plan.sized
    assert {it.size_bytes for it in plan.collections} == {0}


@pytest.mark.parametrize(
    ("fields", "kind", "field", "message"),
    [
        (
            {"strategy": BackupStrategy.BULK_FLUSH},
            MilvusVersionUnsupported,
            "strategy",
            "the strategy bulk_flush needs Milvus 2.6.11 or later; this is v2.3.5-lite",
        ),
        (
            {"rbac": True},
            MilvusVersionUnsupported,
            "rbac",
            "backing up users, roles and grants needs Milvus 2.4.9 or later; this is v2.3.5-lite",
        ),
        (
            {"pause_gc": True, "gc_pause_address": "http://169.254.169.254/latest"},
            InvalidRequest,
            "gc_pause_address",
            (
                "gc_pause_address: is not the address of the settings (milvus.management.endpoint), and "
                "no other is asked"
            ),
        ),
    ],
)
async def test_what_cannot_be_done_is_refused_before_anything_is_touched(
    fields: dict[str, Any], kind: type[BackupError], field: str, message: str
) -> None:
    world = await filled()
    async with running(world) as service:
        with pytest.raises(kind) as caught:
            await service.start_create(**fields)
        assert service.operations.list("", 10).items == ()
    assert (caught.value.message, caught.value.metadata["field"]) == (message, field)
    assert await world.backups() == []


async def test_all_that_cannot_be_done_is_told_together() -> None:
    world = await filled()
    async with running(world) as service:
        operation = await service.start_create(
            validate_only=True, strategy=BackupStrategy.BULK_FLUSH, rbac=True
        )
    assert operation.state is OperationState.FAILED
    assert isinstance(operation.result, CreatePlan)
    found: list[Obstacle] = list(operation.result.obstacles)
    assert [(it.field, it.reason) for it in found] == [
        ("strategy", "MILVUS_VERSION_UNSUPPORTED"),
        ("rbac", "MILVUS_VERSION_UNSUPPORTED"),
    ]


async def test_a_pause_of_the_garbage_collection_becomes_a_warning_where_it_cannot_be_had() -> None:
    world = await filled()
    async with running(world) as service:
        operation = await service.create(pause_gc=True, gc_pause_address=f"{MANAGEMENT}/")
    (warning,) = operation.warnings
    assert warning.reason == "MILVUS_VERSION_UNSUPPORTED"
    assert warning.message == (
        "Milvus's garbage collection is not paused: that needs Milvus 2.4.0 or later (this is "
        "v2.3.5-lite); a collection whose objects vanish meanwhile is flushed and copied anew"
    )
