"""What goes on with an operation is in the way of others, as what begins is, whichever service it runs in."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from milvus_backup_server.domain.errors import ObjectChanged, OperationConflict
from milvus_backup_server.domain.operation_record import OperationRecord
from milvus_backup_server.domain.operations import OperationKind, OperationState
from milvus_backup_server.service.resuming import Continuation
from tests.support.bodies import until
from tests.support.held_calls import BACKUP_STORE, AroundStore, Gate, Gates
from tests.support.replicas import Replicas, Work, asked, at_once, crash, replicas
from tests.support.stores import FailingStore

CREATE, DELETE = OperationKind.CREATE_BACKUP, OperationKind.DELETE_BACKUP
INTERRUPTED = OperationState.INTERRUPTED
RUNNING = OperationState.RUNNING
SUCCEEDED = OperationState.SUCCEEDED


@pytest.fixture
async def world() -> AsyncIterator[Replicas]:
    async with replicas() as found:
        yield found


async def test_what_began_elsewhere_while_a_resume_was_checked_is_in_its_way(
    world: Replicas,
) -> None:
    first, other, work = await world.start(), await world.start(), Work()
    name = await first.begin(asked(kind=CREATE), Work())
    await first.on_record(name, RUNNING)
    await crash(first)
    begun: list[str] = []

    async def resumer(_: OperationRecord) -> Continuation:
        if not begun:
            begun.append(await other.begin(asked(), work))
        return Continuation(at_once)

    second = await world.start(resumers={CREATE: resumer})
    await second.becomes(name, INTERRUPTED)
    with pytest.raises(OperationConflict) as caught:
        await second.control.resume(name)
    assert caught.value.metadata["operation"] == begun[0]
    for service in (second, other):
        assert (await service.directory.get(name)).state is INTERRUPTED
    work.go.set()
    await other.on_record(begun[0], SUCCEEDED)
    await second.control.resume(name)
    await second.becomes(name, SUCCEEDED)


async def test_a_record_that_a_newer_service_wrote_is_lost_and_not_fought_for(
    world: Replicas,
) -> None:
    service, work = await world.start(), Work()
    name = await service.begin(asked(), work)
    await service.on_record(name, RUNNING)
    newer = b'{"format_version": 99}'
    key = f"root/.milvus-backup/operations/{name}.json"
    await world.store.put(key, newer)
    work.trackers[0].wait_for("something")
    await until(lambda: work.stopped == [False])
    await until(lambda: not service.journal.recorders)
    assert await world.store.get(key) == newer


async def test_a_cancel_that_does_not_come_through_is_no_success(world: Replicas) -> None:
    first, store = await world.start(), FailingStore(world.store)
    name = await first.begin(asked(), Work())
    await first.on_record(name, RUNNING)
    second = await world.start(store=store)
    store.fail("put", ObjectChanged("its owner has just written"))
    with pytest.raises(OperationConflict, match="again"):
        await second.control.cancel(name)
    assert store.injected["put"] > 1


async def test_who_slept_before_it_was_accepted_looks_again_what_is_in_its_way(
    world: Replicas,
) -> None:
    gates, work = Gates(), Work()
    first = await world.start(store=AroundStore(world.store, BACKUP_STORE, gates))
    second = await world.start()
    gate = gates.gate = Gate(BACKUP_STORE, "put", part="/operations/", number=2)
    beginning = asyncio.create_task(first.manager.begin(asked(), at_once))
    await gate.reached.wait()
    (announced,) = await second.log.recent()
    await second.log.remove(announced.record.name)  # as of who is taken for dead
    name = await second.begin(asked(), work)
    gate.opened.set()
    with pytest.raises(OperationConflict) as caught:
        await beginning
    assert caught.value.metadata["operation"] == name
