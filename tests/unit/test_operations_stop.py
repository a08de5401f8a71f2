"""Operations are cancelled on request, and interrupted when the service stops."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from milvus_backup_server.domain.errors import (
    OperationCancelled,
    OperationEnded,
    OperationInterrupted,
    ServerStopping,
    StorageUnavailable,
)
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.service.concurrency import task_group
from milvus_backup_server.service.operations import OperationLimits, OperationManager
from tests.support.bodies import RESULT, Held, asked, at_once, ended, in_time, state_of, until

PENDING = OperationState.PENDING
RUNNING = OperationState.RUNNING
CANCELLING = OperationState.CANCELLING
CANCELLED = OperationState.CANCELLED
INTERRUPTED = OperationState.INTERRUPTED
SUCCEEDED = OperationState.SUCCEEDED


@pytest.fixture
async def manager() -> AsyncIterator[OperationManager]:
    limits = OperationLimits(concurrent=1, remembered=3, cleanup_seconds=0.2)
    async with OperationManager(limits) as running:
        yield running


# --- cancel


async def test_a_cancelled_body_cleans_up_before_the_operation_ends(
    manager: OperationManager,
) -> None:
    body = Held()
    body.clean_up.clear()
    operation = await manager.begin(asked(), body)
    await in_time(body.running.wait())
    assert manager.cancel(operation.name).state is CANCELLING
    await in_time(body.cleaning.wait())
    assert body.tracker is not None
    assert body.tracker.cancel_requested
    assert state_of(manager, operation) is CANCELLING
    body.clean_up.set()
    last = await ended(manager, operation)
    assert last.state is CANCELLED
    assert isinstance(last.error, OperationCancelled)
    assert last.end_time is not None
    assert body.cleaned


async def test_asking_again_does_not_cut_the_clean_up_short(manager: OperationManager) -> None:
    body = Held()
    body.clean_up.clear()
    operation = await manager.begin(asked(), body)
    await in_time(body.running.wait())
    for _ in range(3):
        assert manager.cancel(operation.name).state is CANCELLING
        await asyncio.sleep(0)
    body.clean_up.set()
    assert (await ended(manager, operation)).state is CANCELLED
    assert body.cleaned


async def test_a_cancel_before_the_first_step_ends_it_all_the_same(
    manager: OperationManager,
) -> None:
    body = Held()
    operation = await manager.begin(asked(), body)
    assert manager.cancel(operation.name).state is CANCELLING  # its task has not run yet
    last = await ended(manager, operation)
    assert last.state is CANCELLED
    assert last.start_time is None
    assert not body.running.is_set()


async def test_those_that_never_began_are_forgotten_like_others(manager: OperationManager) -> None:
    for number in range(10):
        operation = await manager.begin(asked(f"b{number}"), at_once)
        manager.cancel(operation.name)
        await ended(manager, operation)
    assert len(manager.list("", 100).items) == 3


async def test_a_cancel_while_it_waits_for_a_place(manager: OperationManager) -> None:
    first = Held()
    await manager.begin(asked("first"), first)
    await in_time(first.running.wait())
    waiting = await manager.begin(asked("second"), at_once)
    await asyncio.sleep(0)
    assert state_of(manager, waiting) is PENDING
    manager.cancel(waiting.name)
    assert (await ended(manager, waiting)).state is CANCELLED
    third = await manager.begin(asked("third"), at_once)
    first.go.set()
    assert (await ended(manager, third)).state is SUCCEEDED


async def test_a_clean_up_that_fails_is_told_as_a_warning(manager: OperationManager) -> None:
    body = Held(late=StorageUnavailable("the store is gone"))
    operation = await manager.begin(asked(), body)
    await in_time(body.running.wait())
    manager.cancel(operation.name)
    last = await ended(manager, operation)
    assert last.state is CANCELLED
    assert last.error is not None
    assert last.error.reason == "OPERATION_CANCELLED"
    assert "not everything could be cleaned up" in last.error.message
    assert [warning.message for warning in last.warnings] == ["the store is gone"]


async def test_what_has_ended_cannot_be_cancelled(manager: OperationManager) -> None:
    last = await ended(manager, await manager.begin(asked(), at_once))
    with pytest.raises(OperationEnded) as caught:
        manager.cancel(last.name)
    assert caught.value.metadata == {"subject": last.name, "state": "succeeded"}


async def test_a_failure_that_was_caught_inside_does_not_confuse_a_later_cancel(
    manager: OperationManager,
) -> None:
    # A task group that fails leaves a cancellation counted on its task.
    body = Held()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise StorageUnavailable("x")

    async def recovering(tracker: object) -> object:
        try:
            async with task_group() as tasks:
                tasks.create_task(fails())
        except StorageUnavailable:
            pass
        return await body(tracker)  # type: ignore[arg-type]

    operation = await manager.begin(asked(), recovering)  # type: ignore[arg-type]
    await in_time(body.running.wait())
    manager.cancel(operation.name)
    assert (await ended(manager, operation)).state is CANCELLED


# --- stop


async def test_nothing_is_accepted_once_the_service_stops(manager: OperationManager) -> None:
    await manager.drain(0)
    with pytest.raises(ServerStopping):
        await manager.begin(asked(), at_once)


async def test_what_ends_within_the_grace_is_not_interrupted(manager: OperationManager) -> None:
    body = Held()
    operation = await manager.begin(asked(), body)
    await in_time(body.running.wait())
    draining = asyncio.create_task(manager.drain(10))
    await asyncio.sleep(0.01)
    assert not draining.done()
    body.go.set()
    await in_time(draining)
    assert manager.get(operation.name).result == RESULT


async def test_what_does_not_end_is_interrupted_and_not_cancelled(
    manager: OperationManager,
) -> None:
    body = Held()
    running = await manager.begin(asked("running"), body)
    waiting = await manager.begin(asked("waiting"), Held())
    await in_time(body.running.wait())
    await manager.drain(0.01)
    for operation in (running, waiting):
        last = manager.get(operation.name)
        assert last.state is INTERRUPTED
        assert isinstance(last.error, OperationInterrupted)
        assert last.end_time is not None
    assert body.cleaned
    assert body.tracker is not None
    assert not body.tracker.cancel_requested


async def test_one_that_never_began_is_interrupted_too(manager: OperationManager) -> None:
    operation = await manager.begin(asked(), at_once)
    await manager.drain(0)
    assert manager.get(operation.name).state is INTERRUPTED


async def test_a_clean_up_has_its_time_and_no_more(manager: OperationManager) -> None:
    body = Held()
    body.clean_up.clear()
    operation = await manager.begin(asked(), body)
    await in_time(body.running.wait())
    await in_time(manager.drain(0))
    assert body.cleaning.is_set()
    assert not body.cleaned
    assert manager.get(operation.name).state is INTERRUPTED


async def test_a_stop_lets_a_cancelled_operation_finish_its_clean_up(
    manager: OperationManager,
) -> None:
    body = Held()
    body.clean_up.clear()
    operation = await manager.begin(asked(), body)
    await in_time(body.running.wait())
    manager.cancel(operation.name)
    await in_time(body.cleaning.wait())
    draining = asyncio.create_task(manager.drain(0))
    await asyncio.sleep(0.05)
    assert not draining.done()
    body.clean_up.set()
    await in_time(draining)
    assert body.cleaned
    assert manager.get(operation.name).state is CANCELLED


async def test_a_cancelled_operation_that_cleans_up_too_long_is_interrupted(
    manager: OperationManager,
) -> None:
    body = Held()
    body.clean_up.clear()
    operation = await manager.begin(asked(), body)
    await in_time(body.running.wait())
    manager.cancel(operation.name)
    await in_time(manager.drain(0))
    assert manager.get(operation.name).state is INTERRUPTED
    assert not body.cleaned


async def test_leaving_the_manager_stops_everything() -> None:
    body = Held()
    async with OperationManager() as manager:
        operation = await manager.begin(asked(), body)
        await in_time(body.running.wait())
    assert manager.get(operation.name).state is INTERRUPTED
    await until(lambda: body.cleaned)
