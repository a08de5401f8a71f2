"""What comes in the moment of a stop, or while the store is slow: nothing runs on behind a stop."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from milvus_backup_server.domain.operation_record import OperationRecord
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.service.resuming import Continuation
from tests.support.held_calls import BACKUP_STORE, AroundStore, Gate, Gates
from tests.support.replicas import DELETE, Replicas, Work, asked, crash, replicas

CANCELLED, INTERRUPTED = OperationState.CANCELLED, OperationState.INTERRUPTED
RUNNING = OperationState.RUNNING


@pytest.fixture
async def world() -> AsyncIterator[Replicas]:
    async with replicas() as found:
        yield found


async def test_a_resume_that_is_checked_while_the_service_stops_does_not_run_behind_it(
    world: Replicas,
) -> None:
    first, work, checking, checked = await world.start(), Work(), asyncio.Event(), asyncio.Event()
    name = await first.begin(asked(), Work())
    await first.on_record(name, RUNNING)
    await crash(first)

    async def check() -> None:
        checking.set()
        await checked.wait()

    async def resumer(_: OperationRecord) -> Continuation:
        return Continuation(work, check=check)

    second, other = await world.start(resumers={DELETE: resumer}), await world.start()
    await second.becomes(name, INTERRUPTED)
    resuming = asyncio.create_task(second.control.resume(name))
    await checking.wait()
    await second.manager.drain(0)
    checked.set()
    await resuming
    await second.becomes(name, INTERRUPTED)
    assert work.trackers == [], "it has not begun"
    record = await other.on_record(name, INTERRUPTED)
    assert (record.attempt, record.owner) == (2, second.owner)


async def test_what_is_being_accepted_while_the_service_stops_does_not_run_behind_it(
    world: Replicas,
) -> None:
    gates, work = Gates(), Work()
    service = await world.start(store=AroundStore(world.store, BACKUP_STORE, gates))
    gate = gates.gate = Gate(BACKUP_STORE, "put", part="/operations/")
    beginning = asyncio.create_task(service.begin(asked(), work))
    await gate.reached.wait()
    await service.manager.drain(0)
    gate.opened.set()
    name = await beginning
    await service.becomes(name, INTERRUPTED)
    assert work.trackers == []
    await service.on_record(name, INTERRUPTED)


@pytest.mark.parametrize("number", [1, 2], ids=["announced", "accepted"])
async def test_a_cancel_of_what_is_being_accepted_is_in_time(world: Replicas, number: int) -> None:
    gates, work = Gates(), Work()
    service = await world.start(store=AroundStore(world.store, BACKUP_STORE, gates))
    gate = gates.gate = Gate(BACKUP_STORE, "put", part="/operations/", number=number)
    beginning = asyncio.create_task(service.begin(asked(), work))
    await gate.reached.wait()
    (listed,) = (await service.directory.list("", 10)).items
    await service.control.cancel(listed.name)
    gate.opened.set()
    assert await beginning == listed.name
    await service.becomes(listed.name, CANCELLED)
    assert work.trackers == []
    await service.on_record(listed.name, CANCELLED)


async def test_a_look_that_is_not_answered_keeps_no_sign_of_life_back(world: Replicas) -> None:
    gates = Gates()
    first = await world.start(store=AroundStore(world.store, BACKUP_STORE, gates))
    name = await first.begin(asked(), Work())
    await first.on_record(name, RUNNING)
    look = gates.gate = Gate(BACKUP_STORE, "list_page", part="/operations/")
    await look.reached.wait()
    beat = gates.gate = Gate(BACKUP_STORE, "put", part="/owners/")
    async with asyncio.timeout(60):
        await beat.reached.wait()
    beat.opened.set()
    assert not look.opened.is_set()
