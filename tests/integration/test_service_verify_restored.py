"""Level RESTORED: what a backup is restored to is compared with its logs, and nothing of it stays."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from milvus_backup_server.domain.errors import (
    BinlogsNotInstalled,
    CollectionNotFound,
    InvalidRequest,
)
from milvus_backup_server.domain.operations import CollectionState, OperationState, Phase
from milvus_backup_server.domain.records import CollectionSchema, FieldSchema
from milvus_backup_server.domain.verification import Problem, ProblemKind, RowDifference
from milvus_backup_server.ports.binlogs import BinlogReader
from tests.support.fake_milvus_state import Key
from tests.support.held_calls import GATEWAY, around_all
from tests.support.meanwhile import Meanwhile, failing
from tests.support.phases import PhaseGate
from tests.support.service import (
    KEYED,
    SCHEMA,
    VECTOR,
    World,
    add_collection,
    flushed,
    running,
    succeeded,
)
from tests.support.verifications import (
    CONTENT,
    RESTORED,
    C,
    D,
    collection_id,
    data_keys,
    left,
    restored,
    result_of,
    staged_world,
    temporary_collection,
)

T = TypeVar("T")

CANCELLED, FAILED = OperationState.CANCELLED, OperationState.FAILED
INTERRUPTED, SUCCEEDED = OperationState.INTERRUPTED, OperationState.SUCCEEDED


TEXT_KEY = CollectionSchema(
    fields=(FieldSchema(field_id=100, name="pk", is_primary_key=True, data_type=21), VECTOR)
)


# --- what is found


async def test_a_backup_that_restores_to_its_rows_is_sound() -> None:
    world = await staged_world()
    before = await world.traces()
    async with running(world) as service:
        operation = succeeded(await service.verify(level=RESTORED))
        (shown,) = (await service.catalog.get("b")).verifications
    result = result_of(operation)
    assert result.sound
    assert (result.counts.restored_collections, result.counts.compared_rows) == (2, 10)
    assert result.counts.hash_checked == len(await data_keys(world))
    assert [(str(it.source), it.target, it.state) for it in operation.collections] == [
        ("default.c", None, CollectionState.SUCCEEDED),
        ("shop.d", None, CollectionState.SUCCEEDED),
    ]
    phases = {it.phase: it for it in operation.progress.phases}
    assert phases[Phase.COMPARING].done.rows == 10
    for phase in phases.values():
        assert phase.bytes_total is None or phase.done.bytes == phase.bytes_total, phase
    assert (shown.level, shown.restored_collections, shown.some) == (RESTORED, 2, False)
    assert await left(world, before) == []


async def test_rows_that_are_others_are_found_and_named() -> None:
    world = await staged_world()
    world.milvus.altered = {1}

    async def meddle() -> None:
        name = temporary_collection(world)
        world.milvus.delete(name, [2, 4])
        world.milvus.insert(name, [-7])

    before = await world.traces()
    meanwhile = Meanwhile(GATEWAY, "query_rows", meddle)
    last = await restored(world, meanwhile)
    assert last.state is FAILED
    assert last.error is not None
    assert (last.error.reason, last.error.message) == (
        "ROWS_DIFFER",
        "backup 'b' is restored to other rows than its logs hold, in 2 collections",
    )
    number, other = await collection_id(world, C), await collection_id(world, D)
    problems = result_of(last).problems
    assert [problem.kind for problem in problems] == [ProblemKind.ROWS] * 2
    partition = world.milvus.collection(C).partitions[0].partition_id
    assert problems[0] == Problem(
        f"binlogs/insert_log/{number}/{partition}/",
        ProblemKind.ROWS,
        "partition '_default' of default.c is restored to other rows than its logs hold: 2 missing, "
        "1 too many, 1 different",
        C,
        RowDifference(
            partition="_default",
            missing=2,
            extra=1,
            different=1,
            missing_keys=("2", "4"),
            extra_keys=("-7",),
            different_keys=("1",),
        ),
    )
    assert problems[1].key.startswith(f"binlogs/insert_log/{other}/")
    assert problems[1].rows == RowDifference(
        partition="_default", different=1, different_keys=("1",)
    )
    assert {it.state for it in last.collections} == {CollectionState.FAILED}
    assert await left(world, before) == []


async def test_no_key_of_a_row_is_in_the_log_or_the_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    name = await add_collection(world.milvus, "c", ["a-secret-key", "another"], schema=TEXT_KEY)
    await flushed(world.milvus, name)
    async with running(world) as service:
        await service.create("b")
    world.milvus.altered = {"a-secret-key"}
    with caplog.at_level(logging.DEBUG):
        last = await restored(world)
    assert result_of(last).problems[0].rows == RowDifference(
        partition="_default", different=1, different_keys=("a-secret-key",)
    )
    assert "a-secret-key" not in str(last.error)
    assert last.collections[0].error is not None
    assert "a-secret-key" not in str(last.collections[0].error)
    assert caplog.records
    assert not [it for it in caplog.records if "a-secret-key" in str(vars(it))]


async def test_rows_that_were_imported_twice_are_found() -> None:
    world = await staged_world()

    async def again() -> None:
        world.milvus.insert(temporary_collection(world), [0, 1])

    last = await restored(world, Meanwhile(GATEWAY, "query_rows", again))
    assert last.state is FAILED
    (problem,) = result_of(last).problems
    assert problem.rows == RowDifference(extra=2)
    assert problem.message == "default.c is restored to other rows than its logs hold: 2 too many"


async def test_keys_that_the_backup_has_twice_are_no_difference() -> None:
    world = World()
    name = await add_collection(world.milvus, "c", [1, 2, 3])
    await flushed(world.milvus, name)
    world.milvus.insert(name, [2, 3])
    async with running(world) as service:
        await service.create("b")
    result = result_of(succeeded(await restored(world)))
    assert result.counts.compared_rows == 5


async def test_rows_and_deletes_behind_the_moment_are_none_of_the_backup() -> None:
    world = World()
    name = await add_collection(world.milvus, "c", range(10))

    async def write() -> None:
        world.milvus.delete(name, [5])
        world.milvus.insert(name, [500])

    meanwhile = Meanwhile(GATEWAY, "is_flushed", write)
    async with running(world, meanwhile.decorators) as service:
        await service.create("b")
        result = result_of(succeeded(await service.verify(level=RESTORED)))
    assert meanwhile.fired == 1
    assert result.counts.compared_rows == 10


async def test_a_collection_with_a_partition_key_is_compared_as_one() -> None:
    world = World()
    name = await add_collection(world.milvus, "c", range(20), schema=KEYED)
    world.milvus.insert(name, range(20, 30), "_default_2")
    async with running(world) as service:
        await service.create("b")
    assert result_of(succeeded(await restored(world))).counts.compared_rows == 30
    world.milvus.altered = {25}
    (problem,) = result_of(await restored(world)).problems
    assert problem.rows == RowDifference(different=1, different_keys=("25",))


@pytest.mark.parametrize(("kind", "schema"), [(int, SCHEMA), (str, TEXT_KEY)])
async def test_many_rows_are_read_page_by_page(
    kind: Callable[[int], Key], schema: CollectionSchema
) -> None:
    world = World()
    keys = [kind(number) for number in range(-300, 900)]
    await add_collection(world.milvus, "c", keys, schema=schema)
    async with running(world) as service:
        await service.create("b")
    pages = Meanwhile(GATEWAY, "query_rows", failing(AssertionError()), first=10_000)
    async with running(world, pages.decorators) as service:
        result = result_of(succeeded(await service.verify(level=RESTORED)))
    assert result.counts.compared_rows == 1200
    # 128, 256 and 512 rows, the rest, and nothing behind it.
    assert [method for _, method, _ in pages.calls].count("query_rows") == 5


async def test_a_row_without_its_like_is_not_masked_by_others_of_its_group() -> None:
    world = World()
    await add_collection(world.milvus, "c", range(2000))
    async with running(world) as service:
        await service.create("b")
    world.milvus.altered = {471}
    (problem,) = result_of(await restored(world)).problems
    assert problem.rows == RowDifference(partition="_default", different=1, different_keys=("471",))


# --- what is asked for


async def test_some_collections_are_restored_and_that_is_remembered_beside_the_whole() -> None:
    world = await staged_world()
    async with running(world) as service:
        await service.verify(level=RESTORED)
        operation = succeeded(await service.verify(level=RESTORED, collections=("shop.d",)))
        result = result_of(operation)
        assert (result.counts.restored_collections, result.counts.compared_rows) == (1, 3)
        assert result.counts.hash_checked == len(await data_keys(world))
        shown = (await service.catalog.get("b")).verifications
    assert [(it.restored_collections, it.some) for it in shown] == [(1, True), (2, False)]
    assert {it.state for it in operation.collections} == {CollectionState.SUCCEEDED}


async def test_wrong_requests_are_refused() -> None:
    world = await staged_world()
    before = await world.traces()
    async with running(world) as service:
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"level": CONTENT, "collections": ("c",)}, "collections"),
            ({"level": RESTORED, "collections": ("no good",)}, "collections[0]"),
            ({"level": RESTORED, "sample_percent": 5}, "sample_percent"),
        ]
        for fields, field in wrong:
            with pytest.raises(InvalidRequest) as refused:
                await service.start_verify(**fields)
            assert [it.field for it in refused.value.violations] == [field]
        with pytest.raises(CollectionNotFound):
            await service.start_verify(level=RESTORED, collections=("nothing",))
    assert await world.traces() == before


async def test_without_the_reader_of_logs_nothing_is_touched() -> None:
    world = await staged_world()
    before = await world.traces()
    calls: list[str] = []

    async def count(port: str, method: str, subject: str, call: Callable[[], Awaitable[T]]) -> T:
        del subject
        calls.append(f"{port}.{method}")
        return await call()

    def missing() -> BinlogReader:
        raise BinlogsNotInstalled("pyarrow is not installed", subject="pyarrow")

    async with running(world, around_all(count), binlogs=missing) as service:
        with pytest.raises(BinlogsNotInstalled):
            await service.start_verify(level=RESTORED)
        assert not [call for call in calls if call.startswith(GATEWAY)]
        succeeded(await service.verify(level=CONTENT))
    assert await left(world, before) == []


async def test_a_damaged_backup_is_not_restored() -> None:
    world = await staged_world()
    key = (await data_keys(world))[0]
    data = await world.backup_store.get(key)
    await world.backup_store.put(key, data[:-1] + bytes([data[-1] ^ 1]))
    before = await world.traces()
    jobs = len(world.milvus.imports.jobs)
    last = await restored(world)
    assert last.error is not None
    assert last.error.reason == "BACKUP_CORRUPT"
    result = result_of(last)
    assert result.notes == ("nothing was restored, as the backup is damaged",)
    assert result.counts.restored_collections == 0
    assert len(world.milvus.imports.jobs) == jobs
    assert await left(world, before) == []


async def test_a_database_that_is_not_there_is_made_and_removed() -> None:
    world = await staged_world()
    await world.milvus.drop_collection(D)
    await world.milvus.drop_database("shop")
    before = await world.traces()
    succeeded(await restored(world))
    assert await left(world, before) == []


# --- what goes wrong


async def test_a_collection_that_cannot_be_restored_fails_it_and_the_others_are_compared() -> None:
    world = await staged_world()
    world.milvus.imports.faults.append("no space")
    before = await world.traces()
    async with running(world) as service:
        last = await service.verify(level=RESTORED)
        assert (await service.catalog.get("b")).verifications == ()
    assert last.state is FAILED
    assert last.error is not None
    assert last.error.reason == "IMPORT_FAILED"
    result = result_of(last)
    assert (result.problem_count, result.counts.restored_collections) == (0, 1)
    states = {str(it.source): it.state for it in last.collections}
    assert states == {"default.c": CollectionState.FAILED, "shop.d": CollectionState.SUCCEEDED}
    assert await left(world, before) == []


@pytest.mark.parametrize("phase", [Phase.STAGING, Phase.IMPORTING, Phase.COMPARING])
async def test_a_cancel_leaves_nothing(phase: Phase) -> None:
    world = await staged_world()
    before = await world.traces()
    gate = PhaseGate(phase)
    async with running(world, gate.decorators) as service:
        gate.operations = service.operations
        operation = await service.start_verify(level=RESTORED)
        await gate.wait()
        service.operations.cancel(operation.name)
        gate.opened.set()
        last = await service.end(operation)
    assert last.state is CANCELLED, last.error
    assert last.warnings == ()
    assert await left(world, before) == []


async def test_a_collection_with_a_long_name_is_compared_too() -> None:
    world = World()
    await add_collection(world.milvus, "c" * 245, range(3))
    async with running(world) as service:
        await service.create("b")
    assert result_of(succeeded(await restored(world))).counts.compared_rows == 3
