"""The answer to `validate_only`: everything that would be done, and everything that stands in the way."""

from dataclasses import replace
from typing import Any

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.errors import Obstacle, StorageDenied
from milvus_backup_server.domain.operations import (
    CreatePlan,
    Operation,
    OperationState,
    PlannedCollection,
    RestorePlan,
)
from milvus_backup_server.domain.renaming import CollectionMapping
from milvus_backup_server.domain.selection import CollectionPartitions
from tests.support.held_calls import MILVUS_STORE
from tests.support.meanwhile import Meanwhile, failing
from tests.support.running_service import Decorators
from tests.support.service import INDEX, Service, World, add_collection, flushed, named, running

ONLY_P = (CollectionPartitions("one", ("p",)),)


async def filled(world: World | None = None) -> World:
    world = world or World()
    one = await add_collection(world.milvus, "one", range(10), partitions=["p"], shards=2)
    await world.milvus.create_index(one, INDEX)
    world.milvus.insert(one, range(100, 105), "p")
    await flushed(world.milvus, one)
    world.milvus.insert(one, range(50))  # in memory only: not in a plan
    await add_collection(world.milvus, "shop.two")
    return world


async def create_plan(service: Service, *names: str, **fields: Any) -> tuple[Operation, CreatePlan]:
    operation = await service.start_create("b", *names, validate_only=True, **fields)
    assert isinstance(operation.result, CreatePlan)
    return operation, operation.result


async def restore_plan(service: Service, **fields: Any) -> tuple[Operation, RestorePlan]:
    operation = await service.start_restore(validate_only=True, **fields)
    assert isinstance(operation.result, RestorePlan)
    return operation, operation.result


async def sizes(world: World) -> dict[str, int]:
    """Return the bytes of the objects of each partition of `one`."""
    page = await world.milvus_store.list_page("files/")
    return {
        partition.name: sum(
            item.size for item in page.objects if f"/{partition.partition_id}/" in item.key
        )
        for partition in world.milvus.collection(named("one")).partitions
    }


async def test_the_plan_of_a_create() -> None:
    world = await filled(World(backup_bucket="b-bucket", create_backup_bucket=False))
    size = await sizes(world)
    async with running(world) as service:
        operation, plan = await create_plan(service)
    assert (operation.state, operation.error) == (OperationState.SUCCEEDED, None)
    assert plan == CreatePlan(
        backup_name="b",
        collections=(
            PlannedCollection(
                source=named("one"),
                partitions=("_default", "p"),
                partition_count=2,
                segment_count=2,
                row_count=15,
                size_bytes=size["_default"] + size["p"],
            ),
            PlannedCollection(
                source=named("shop.two"), partitions=("_default",), partition_count=1
            ),
        ),
        server_side_copy=True,
        databases=("default", "shop"),
        sized=True,
        new_bucket="b-bucket",
        obstacles=(),
    )
    assert size["p"] > 0
    assert list(world.server.buckets) == ["a-bucket"]


async def test_the_plan_of_a_create_of_one_partition() -> None:
    world = await filled()
    size = await sizes(world)
    async with running(world) as service:
        _, plan = await create_plan(service, partitions=ONLY_P)
    assert plan.collections == (
        PlannedCollection(
            source=named("one"),
            partitions=("p",),
            partition_count=1,
            segment_count=1,
            row_count=5,
            size_bytes=size["p"],
        ),
    )
    assert plan.databases == ("default",)
    assert plan.new_bucket == ""


async def test_a_plan_of_a_create_tells_what_stands_in_its_way() -> None:
    world = await filled()
    async with running(world) as service:
        await service.create()
        before = await world.traces()
        operation, plan = await create_plan(service, "one", "nothing")
        assert await world.traces() == before
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert operation.error.reason == "COLLECTION_NOT_FOUND"
    text = "collection 'default.nothing' does not exist"
    missing = Obstacle("collections[1]", "COLLECTION_NOT_FOUND", "default.nothing", text)
    taken = plan.obstacles[1]
    assert plan.obstacles == (missing, taken)
    assert (taken.field, taken.reason) == ("backup_name", "BACKUP_ALREADY_EXISTS")
    assert [item.source for item in plan.collections] == [named("one")]


async def test_a_store_that_cannot_be_listed_stands_in_the_way_of_a_create() -> None:
    world = await filled()
    denied = failing(StorageDenied("no", subject="a-bucket"))
    meanwhile = Meanwhile(MILVUS_STORE, "list_page", denied, part="insert_log")
    async with running(world, meanwhile.decorators) as service:
        operation, plan = await create_plan(service)
    assert operation.state is OperationState.FAILED
    assert [item.reason for item in plan.obstacles] == ["STORAGE_DENIED"]
    assert not plan.sized


async def test_a_wrong_bucket_stands_in_the_way_of_a_create() -> None:
    world = await filled()
    elsewhere = Decorators(milvus_store=lambda _: MemoryServer("main").store("a-bucket"))
    async with running(world, elsewhere) as service:
        operation, plan = await create_plan(service)
    assert operation.state is OperationState.FAILED
    assert [(item.reason, item.subject) for item in plan.obstacles] == [
        ("SOURCE_STORAGE_MISMATCH", "default.one")
    ]
    assert not plan.sized


async def test_the_plan_of_a_restore() -> None:
    world = await filled(World(backup_bucket="b-bucket"))
    async with running(world) as service:
        await service.create()
        before = await world.traces()
        operation, plan = await restore_plan(
            service,
            mappings=(
                CollectionMapping("one", "uno"),
                CollectionMapping("one", "copies.one", 1),
                CollectionMapping("shop.*", "store.*"),
            ),
            restore_indexes=True,
        )
        assert await world.traces() == before
    assert (operation.state, operation.error) == (OperationState.SUCCEEDED, None)
    bytes_ = plan.collections[0].size_bytes
    one = PlannedCollection(
        source=named("one"),
        target=named("copies.one"),
        partitions=("_default", "p"),
        partition_count=2,
        segment_count=3,
        row_count=65,
        size_bytes=bytes_,
        import_job_count=2,
        shard_count=1,
        index_count=1,
    )
    assert plan.collections[0] == one
    assert plan.collections[1] == replace(one, target=named("uno"), shard_count=2)
    assert plan.collections[2] == PlannedCollection(
        source=named("shop.two"),
        target=named("store.two"),
        partitions=("_default",),
        partition_count=1,
        shard_count=1,
    )
    assert plan.new_databases == ("copies", "store")
    assert (plan.staged, plan.staged_bytes) == (True, bytes_)  # `one` once, for both targets


async def test_the_plan_of_a_restore_of_one_partition() -> None:
    world = await filled()
    size = await sizes(world)
    async with running(world) as service:
        await service.create()
        _, plan = await restore_plan(service, partitions=ONLY_P, suffix="_r")
    (one,) = plan.collections
    assert (one.partitions, one.row_count, one.import_job_count) == (("p",), 5, 1)
    assert one.size_bytes == size["p"]
    assert (plan.staged, plan.staged_bytes) == (False, 0)


async def test_a_plan_of_a_restore_tells_what_stands_in_its_way() -> None:
    world = await filled()
    async with running(world) as service:
        await service.create()
        before = await world.traces()
        operation, plan = await restore_plan(service, renames={"shop.two": "one", "gone": "x"})
        assert await world.traces() == before
        assert service.operations.list("", 10).items[0].name != operation.name
    assert operation.state is OperationState.FAILED
    assert [(item.field, item.reason) for item in plan.obstacles] == [
        ("renames['gone']", "COLLECTION_NOT_FOUND"),
        ("renames['shop.two']", "INVALID_REQUEST"),
        ("renames", "TARGET_ALREADY_EXISTS"),  # of the one that keeps its name
    ]
    assert operation.error is not None
    assert operation.error.obstacles == plan.obstacles
    assert [item.source for item in plan.collections] == [named("one"), named("shop.two")]
