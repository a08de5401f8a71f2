"""A resume that does not come to its end, or whose answer is lost, leaves nobody's operation behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from milvus_backup_server.domain.errors import (
    OperationConflict,
    OperationInterrupted,
    StorageUnavailable,
)
from milvus_backup_server.domain.operations import OperationState
from tests.support.held_calls import BACKUP_STORE, AroundStore, Gate, Gates
from tests.support.meanwhile import Meanwhile, failing
from tests.support.replicas import (
    DELETE,
    Replica,
    Replicas,
    Work,
    asked,
    at_once,
    crash,
    replicas,
    resuming,
)

INTERRUPTED = OperationState.INTERRUPTED
SUCCEEDED = OperationState.SUCCEEDED
RUNNING = OperationState.RUNNING
UNAVAILABLE = StorageUnavailable("no answer")
REASON = OperationInterrupted("Milvus did not answer; resume it, or cancel it")
"""Why it was interrupted: what callers are told until somebody goes on with it."""


@pytest.fixture
async def world() -> AsyncIterator[Replicas]:
    async with replicas() as found:
        yield found


async def interrupted(world: Replicas) -> str:
    """Leave an interrupted operation."""
    first = await world.start()
    name = await first.begin(asked(), Work())
    await first.on_record(name, RUNNING)
    await crash(first)
    stored = await first.log.read(name)
    assert stored is not None
    await first.log.replace(stored.record.interrupted(REASON), stored.version)
    return name


async def at_work(world: Replicas, *around: Gates | Meanwhile) -> Replica:
    """Start a service that has something else to do, so that it lives for others all the time."""
    store = world.store
    for each in around:
        store = AroundStore(store, BACKUP_STORE, each)
    service = await world.start(store=store, resumers={DELETE: resuming(at_once)})
    name = await service.begin(asked("another"), Work())
    await service.on_record(name, RUNNING)
    return service


async def is_as_it_was(name: str, *services: Replica) -> None:
    for service in services:
        told = await service.becomes(name, INTERRUPTED)
        assert told.error is not None
        assert (told.error.message, told.owner) == (REASON.message, "")


async def test_a_resume_that_is_cancelled_when_it_has_taken_over_gives_it_back(
    world: Replicas,
) -> None:
    name, gates = await interrupted(world), Gates()
    service, other = await at_work(world, gates), await world.start()
    gate = gates.gate = Gate(BACKUP_STORE, "put", part=f"/operations/{name}", answer=True)
    resuming_it = asyncio.create_task(service.control.resume(name))
    await gate.reached.wait()
    resuming_it.cancel()
    await asyncio.gather(resuming_it, return_exceptions=True)
    assert resuming_it.cancelled()
    await is_as_it_was(name, other, service)
    await service.control.resume(name)
    await service.becomes(name, SUCCEEDED)


async def test_a_resume_whose_answer_is_lost_gives_it_back(world: Replicas) -> None:
    name = await interrupted(world)
    part = f"/operations/{name}"
    lost = Meanwhile(BACKUP_STORE, "put", failing(UNAVAILABLE), part=part, after=True)
    service, other = await at_work(world, lost), await world.start()
    with pytest.raises(StorageUnavailable):
        await service.control.resume(name)
    assert lost.fired == 1
    await is_as_it_was(name, service, other)
    await service.control.resume(name)
    await other.becomes(name, SUCCEEDED)


async def test_of_two_resumes_the_one_that_comes_too_late_leaves_the_other_one_alone(
    world: Replicas,
) -> None:
    name, late, first = await interrupted(world), Gates(), Gates()
    service = await at_work(world, first, late)
    part = f"/operations/{name}"
    held_late = late.gate = Gate(BACKUP_STORE, "put", part=part)
    held_first = first.gate = Gate(BACKUP_STORE, "put", part=part, answer=True)
    too_late = asyncio.create_task(service.control.resume(name))
    await held_late.reached.wait()
    in_time = asyncio.create_task(service.control.resume(name))
    await held_first.reached.wait()
    held_late.opened.set()
    with pytest.raises(OperationConflict):
        await too_late
    assert (await service.directory.get(name)).state is OperationState.PENDING
    held_first.opened.set()
    await in_time
    await service.becomes(name, SUCCEEDED)


async def test_what_could_not_be_given_back_is_settled_by_who_looks(world: Replicas) -> None:
    name = await interrupted(world)
    part = f"/operations/{name}"
    lost = Meanwhile(BACKUP_STORE, "put", failing(UNAVAILABLE), after=True, part=part)
    away = Meanwhile(BACKUP_STORE, "put", failing(UNAVAILABLE), first=2, part=part)
    service, other = await at_work(world, lost, away), await world.start()
    with pytest.raises(StorageUnavailable):
        await service.control.resume(name)
    assert (lost.fired, away.fired) == (1, 1), "it is taken over, and cannot be given back"
    states = {it.name: it.state for it in (await service.directory.list("", 10)).items}
    assert states[name] is INTERRUPTED
    await other.becomes(name, INTERRUPTED)
    await service.control.resume(name)
    await other.becomes(name, SUCCEEDED)
