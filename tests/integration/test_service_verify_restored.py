"""Level RESTORED: what a backup is restored to is compared with its logs, and nothing of it stays."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.errors import (
    BinlogsNotInstalled,
    CollectionNotFound,
    InvalidRequest,
    MilvusUnavailable,
    StorageUnavailable,
)
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.names import is_temporary_name
from milvus_backup_server.domain.operation_record import OperationRecord
from milvus_backup_server.domain.operations import CollectionState, Operation, OperationState, Phase
from milvus_backup_server.domain.records import CollectionSchema, FieldSchema
from milvus_backup_server.domain.requests import SweepRequest
from milvus_backup_server.domain.verification import Problem, ProblemKind, RowDifference
from milvus_backup_server.ports.binlogs import BinlogReader
from tests.support.crashes import die, mutations
from tests.support.fake_milvus_state import Key
from tests.support.held_calls import BACKUP_STORE, GATEWAY, Gate, Gates, around_all
from tests.support.meanwhile import Meanwhile, failing
from tests.support.phases import PhaseGate
from tests.support.resumed_restores import interrupted_verification, resume, undo
from tests.support.service import (
    CALLER,
    KEYED,
    LIMITS,
    SCHEMA,
    VECTOR,
    Service,
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
    result_of,
    with_backup,
)

T = TypeVar("T")

CANCELLED, FAILED = OperationState.CANCELLED, OperationState.FAILED
INTERRUPTED, SUCCEEDED = OperationState.INTERRUPTED, OperationState.SUCCEEDED


TEXT_KEY = CollectionSchema(
    fields=(FieldSchema(field_id=100, name="pk", is_primary_key=True, data_type=21), VECTOR)
)


async def staged_world() -> World:
    return await with_backup(World(backup_bucket="b-bucket"))


async def left(world: World, before: tuple[list[str], ...]) -> list[str]:
    """Return what is there now and was not before, but what is remembered of verifications."""
    pairs = zip(await world.traces(), before, strict=True)
    new = [key for now, then in pairs for key in now if key not in then]
    return [key for key in new if "/verifications/" not in key]


def temporary(world: World) -> CollectionName:
    """Return the collection that is being compared."""
    (found,) = [
        CollectionName(database, name)
        for database, names in world.milvus.databases.items()
        for name in names
        if is_temporary_name(name)
    ]
    return found


async def verified(world: World, meanwhile: Meanwhile | None = None) -> Operation:
    decorators = meanwhile.decorators if meanwhile else None
    async with running(world, decorators) as service:
        last = await service.verify(level=RESTORED)
    assert meanwhile is None or meanwhile.fired == 1
    return last


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
        name = temporary(world)
        world.milvus.delete(name, [2, 4])
        world.milvus.insert(name, [-7])

    before = await world.traces()
    meanwhile = Meanwhile(GATEWAY, "query_rows", meddle)
    last = await verified(world, meanwhile)
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
        last = await verified(world)
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
        world.milvus.insert(temporary(world), [0, 1])

    last = await verified(world, Meanwhile(GATEWAY, "query_rows", again))
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
    result = result_of(succeeded(await verified(world)))
    assert result.counts.compared_rows == 5


async def test_a_collection_with_a_partition_key_is_compared_as_one() -> None:
    world = World()
    name = await add_collection(world.milvus, "c", range(20), schema=KEYED)
    world.milvus.insert(name, range(20, 30), "_default_2")
    async with running(world) as service:
        await service.create("b")
    assert result_of(succeeded(await verified(world))).counts.compared_rows == 30
    world.milvus.altered = {25}
    (problem,) = result_of(await verified(world)).problems
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
    (problem,) = result_of(await verified(world)).problems
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
    last = await verified(world)
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
    succeeded(await verified(world))
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


DOWN = MilvusUnavailable("it is down")


@pytest.mark.parametrize("method", ["create_collection", "load_collection", "query_rows"])
async def test_what_does_not_answer_interrupts_and_the_next_attempt_begins_anew(
    method: str,
) -> None:
    world = await staged_world()
    before = await world.traces()
    last = await verified(world, Meanwhile(GATEWAY, method, failing(DOWN)))
    assert last.state is INTERRUPTED, last.error
    assert await left(world, before) != []
    record = interrupted_verification(last.name, level=RESTORED)
    async with running(world) as service:
        again = succeeded(await resume(service, record))
    assert result_of(again).counts.restored_collections == 2
    assert {(str(it.source), it.target) for it in again.collections} == {
        ("default.c", None),
        ("shop.d", None),
    }
    assert await left(world, before) == []


async def test_an_interrupted_one_can_be_cancelled() -> None:
    world = await staged_world()
    before = await world.traces()
    last = await verified(world, Meanwhile(GATEWAY, "query_rows", failing(DOWN)))
    async with running(world) as service:
        ended = await undo(service, interrupted_verification(last.name, level=RESTORED))
    assert ended.state is CANCELLED
    assert await left(world, before) == []


async def test_a_resume_that_is_cancelled_at_once_leaves_nothing() -> None:
    world = await staged_world()
    before = await world.traces()
    last = await verified(world, Meanwhile(GATEWAY, "query_rows", failing(DOWN)))
    services: list[Service] = []

    async def cancel() -> None:
        services[0].operations.cancel(last.name)

    meanwhile = Meanwhile(GATEWAY, "drop_collection", cancel)
    async with running(world, meanwhile.decorators) as service:
        services.append(service)
        ended = await resume(service, interrupted_verification(last.name, level=RESTORED))
    assert meanwhile.fired == 1
    assert ended.state is CANCELLED
    assert await left(world, before) == []


class Begun:
    """Begins the verification and keeps its name."""

    def __init__(self) -> None:
        self.name = ""

    async def __call__(self, service: Service) -> Operation:
        operation = await service.start_verify(level=RESTORED)
        self.name = operation.name
        return operation


async def crash(at: int) -> None:
    """Let the service die at a change, then resume or undo."""
    world, begun = await staged_world(), Begun()
    before = await world.traces()
    assert await die(world, begun, at, after=at % 2 == 1)
    record = interrupted_verification(begun.name, level=RESTORED)
    async with running(world) as service:
        last = await (undo if at % 3 == 0 else resume)(service, record)
    assert last.state is (CANCELLED if at % 3 == 0 else SUCCEEDED), (at, last.error)
    assert await left(world, before) == [], at


async def test_a_crash_anywhere_leaves_nothing_in_the_end() -> None:
    for at in range(2, len(await mutations(await staged_world(), Begun())) + 1, 7):
        await crash(at)


@pytest.mark.torture
async def test_every_crash_leaves_nothing_in_the_end() -> None:
    for at in range(1, len(await mutations(await staged_world(), Begun())) + 1):
        await crash(at)


# --- what was read is not read again


async def stopped(world: World, **fields: Any) -> Operation:
    """Stop a service when it reads the first object of `shop.d`, behind all of `c`."""
    gate, part = Gate(BACKUP_STORE, "get", part=f"/{await collection_id(world, D)}/"), Gates()
    part.gate = gate
    one_by_one = replace(LIMITS, collections=1)
    async with running(world, around_all(part), limits=one_by_one) as service:
        operation = await service.start_verify(level=CONTENT, **fields)
        await gate.reached.wait()
    return service.operations.get(operation.name)


async def reads_of(world: World, number: int, record: OperationRecord) -> tuple[int, Operation]:
    """Resume, and return how many objects of a collection were read, and the end."""
    reads = Meanwhile(BACKUP_STORE, "get", failing(AssertionError()), first=10_000)
    async with running(world, reads.decorators) as service:
        last = await resume(service, record)
    keys = [subject for _, method, subject in reads.calls if method == "get"]
    return len([key for key in keys if f"/binlogs/insert_log/{number}/" in key]), last


async def test_what_was_read_before_an_interrupt_is_not_read_again() -> None:
    world = await staged_world()
    before = await world.traces()
    operation = await stopped(world)
    assert operation.state is INTERRUPTED
    (notes,) = await left(world, before)
    assert notes.endswith(f"/plans/{operation.name}/verified.json")
    record = interrupted_verification(operation.name, level=CONTENT)
    count, last = await reads_of(world, await collection_id(world, C), record)
    assert count == 0
    result = result_of(succeeded(last))
    note = "1 collections were read before the verification was interrupted, and only listed since"
    assert result.notes == (note,)
    assert result.counts.hash_checked > 0
    assert result.counts.hash_checked + result.counts.listed == len(await data_keys(world))
    assert await left(world, before) == []


async def test_another_backup_of_the_name_is_read_whole() -> None:
    world = await staged_world()
    operation = await stopped(world)
    async with running(world, generation=2) as service:
        await service.delete("b")
        await service.create("b")
    record = interrupted_verification(operation.name, level=CONTENT)
    count, last = await reads_of(world, world.milvus.collection(C).collection_id, record)
    assert count > 0
    assert result_of(succeeded(last)).counts.hash_checked == len(await data_keys(world))


async def test_a_sample_has_the_same_objects_after_a_resume() -> None:
    world = await staged_world()
    operation = await stopped(world, sample_percent=99)
    record = interrupted_verification(operation.name, level=CONTENT, sample_percent=99)
    count, last = await reads_of(world, await collection_id(world, C), record)
    assert count == 0
    assert result_of(succeeded(last)).sample.seed != 0


async def test_the_notes_of_one_that_is_cancelled_instead_are_removed() -> None:
    world = await staged_world()
    before = await world.traces()
    operation = await stopped(world)
    async with running(world) as service:
        last = await undo(service, interrupted_verification(operation.name, level=CONTENT))
    assert last.state is CANCELLED
    assert await left(world, before) == []


async def test_a_store_that_stays_away_interrupts_it() -> None:
    world = await staged_world()
    away = Meanwhile(
        BACKUP_STORE, "list_page", failing(StorageUnavailable("it is down")), part="/binlogs/"
    )
    async with running(world, away.decorators) as service:
        last = await service.verify(level=CONTENT)
    assert last.state is INTERRUPTED
    assert last.error is not None
    assert last.error.metadata["cause"] == "STORAGE_UNAVAILABLE"
    async with running(world) as service:
        again = await resume(service, interrupted_verification(last.name, level=CONTENT))
    assert result_of(succeeded(again)).sound


# --- a sweep instead


async def test_an_interrupted_one_is_swept() -> None:
    world = await staged_world()
    before, records = await world.traces(), MemoryServer("records").store("records")
    silence = Meanwhile(GATEWAY, "query_rows", failing(DOWN))
    async with running(world, silence.decorators, records=records) as service:
        assert (await service.verify(level=RESTORED)).state is INTERRUPTED
    assert await left(world, before) != []
    async with running(world, records=records) as service:
        sweep = await service.use_cases.sweep.start(SweepRequest(True, 0), CALLER)
        succeeded(await service.end(sweep))
    assert await left(world, before) == []
