"""A verification that is interrupted: nothing of it stays in the end, and what was read is not read again."""

from dataclasses import replace
from typing import Any, TypeVar

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.errors import (
    MilvusUnavailable,
    StorageUnavailable,
)
from milvus_backup_server.domain.operation_record import OperationRecord
from milvus_backup_server.domain.operations import Operation, OperationState
from milvus_backup_server.domain.requests import SweepRequest
from tests.support.crashes import die, mutations
from tests.support.held_calls import BACKUP_STORE, GATEWAY, Gate, Gates, around_all
from tests.support.meanwhile import Meanwhile, failing
from tests.support.resumed_restores import interrupted_verification, resume, undo
from tests.support.service import (
    CALLER,
    LIMITS,
    Service,
    World,
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
)

pytestmark = pytest.mark.usefixtures("own_disk")

T = TypeVar("T")

CANCELLED, FAILED = OperationState.CANCELLED, OperationState.FAILED
INTERRUPTED, SUCCEEDED = OperationState.INTERRUPTED, OperationState.SUCCEEDED


DOWN = MilvusUnavailable("it is down")


@pytest.mark.parametrize("method", ["create_collection", "load_collection", "query_rows"])
async def test_what_does_not_answer_interrupts_and_the_next_attempt_begins_anew(
    method: str,
) -> None:
    world = await staged_world()
    before = await world.traces()
    last = await restored(world, Meanwhile(GATEWAY, method, failing(DOWN)))
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
    last = await restored(world, Meanwhile(GATEWAY, "query_rows", failing(DOWN)))
    async with running(world) as service:
        ended = await undo(service, interrupted_verification(last.name, level=RESTORED))
    assert ended.state is CANCELLED
    assert await left(world, before) == []


async def test_a_resume_that_is_cancelled_at_once_leaves_nothing() -> None:
    world = await staged_world()
    before = await world.traces()
    last = await restored(world, Meanwhile(GATEWAY, "query_rows", failing(DOWN)))
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
    assert notes.endswith(f"/plans/{operation.name}/verified.00000000.json")
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
