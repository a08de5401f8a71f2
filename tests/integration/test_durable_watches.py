"""Operations of several services are watched, whichever of them runs them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from milvus_backup_server.domain.operations import OperationKind, OperationState
from tests.support.replicas import Replicas, Work, asked, replicas, resuming

DELETE = OperationKind.DELETE_BACKUP
INTERRUPTED = OperationState.INTERRUPTED
RUNNING = OperationState.RUNNING
SUCCEEDED = OperationState.SUCCEEDED


@pytest.fixture
async def world() -> AsyncIterator[Replicas]:
    async with replicas() as found:
        yield found


async def test_an_operation_of_another_service_is_watched_to_its_end(world: Replicas) -> None:
    first, second, work = await world.start(), await world.start(), Work()
    name = await first.begin(asked(), work)
    states = [RUNNING]
    async with asyncio.timeout(60):
        async for operation in second.directory.watch(name, 0.01):
            states.append(operation.state)
            work.go.set()
    assert states[-1] is SUCCEEDED


async def test_operations_of_both_services_are_watched_together(world: Replicas) -> None:
    first, second, work = await world.start(), await world.start(), Work()
    there = await first.begin(asked("one"), work)
    here = await second.begin(asked("two"), work)
    last: dict[str, OperationState] = {}
    async with asyncio.timeout(60):
        async for operation in second.directory.watch_many([there, here], 0.01):
            last[operation.name] = operation.state
            if set(last) == {there, here}:
                work.go.set()
    assert last == {there: SUCCEEDED, here: SUCCEEDED}


async def test_what_another_service_has_resumed_is_followed_there_by_who_ran_it_before(
    world: Replicas,
) -> None:
    first, go_on = await world.start(resumers={DELETE: resuming(Work())}), Work()
    name = await first.begin(asked(), Work())
    await first.on_record(name, RUNNING)
    first.manager.known[name].interrupt()
    await first.on_record(name, INTERRUPTED)
    second = await world.start(resumers={DELETE: resuming(go_on)})
    await second.control.resume(name)
    await first.becomes(name, RUNNING)
    seen = []
    async with asyncio.timeout(60):
        async for operation in first.directory.watch_many([name], 0.01):
            seen.append(operation.state)
            go_on.go.set()
    assert (seen[0], seen[-1]) == (RUNNING, SUCCEEDED)
