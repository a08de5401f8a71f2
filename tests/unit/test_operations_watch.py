"""Watchers get the newest state, every one of them the last, and cost nothing while they stall."""

import asyncio
import gc
import time
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from milvus_backup_server.domain.errors import OperationNotFound, ServerStopping
from milvus_backup_server.domain.operations import (
    Amount,
    Operation,
    OperationState,
    Phase,
    Result,
)
from milvus_backup_server.service.operations import OperationLimits, OperationManager
from milvus_backup_server.service.running import Broadcast
from milvus_backup_server.service.tracker import Tracker
from tests.support.bodies import RESULT, Held, asked, at_once, ended, in_time, until

RUNNING = OperationState.RUNNING
SUCCEEDED = OperationState.SUCCEEDED
INTERRUPTED = OperationState.INTERRUPTED
HOUR = 3600.0


@pytest.fixture
async def manager() -> AsyncIterator[OperationManager]:
    async with OperationManager(OperationLimits(concurrent=4, cleanup_seconds=0.2)) as running:
        yield running


async def started(manager: OperationManager, backup: str = "b") -> tuple[Operation, Held]:
    body = Held()
    operation = await manager.begin(asked(backup), body)
    await in_time(body.running.wait())
    return operation, body


async def collect(watching: AsyncIterator[Operation]) -> list[Operation]:
    async with asyncio.timeout(60):
        return [item async for item in watching]


def advance(body: Held, objects: int = 1) -> None:
    assert body.tracker is not None
    if body.tracker.progress().phase is None:
        body.tracker.enter(Phase.DELETING)
    body.tracker.advance(Amount(objects=objects))


def objects_of(operation: Operation) -> int:
    return operation.progress.phases[-1].done.objects if operation.progress.phases else 0


# --- one operation


async def test_a_watch_begins_with_the_present_state_and_ends_with_the_last(
    manager: OperationManager,
) -> None:
    operation, body = await started(manager)
    watching = manager.watch(operation.name, 0)
    assert (await anext(watching)).state is RUNNING
    body.go.set()
    rest = await collect(watching)
    assert rest[-1].state is SUCCEEDED
    assert rest[-1].result == RESULT


async def test_a_watch_of_what_has_ended_is_its_last_state(manager: OperationManager) -> None:
    last = await ended(manager, await manager.begin(asked(), at_once))
    assert await collect(manager.watch(last.name, HOUR)) == [last]


async def test_a_reader_skips_states_and_never_goes_back(manager: OperationManager) -> None:
    operation, body = await started(manager)
    watching = manager.watch(operation.name, 0)
    await anext(watching)
    for _ in range(1000):
        advance(body)
    second = await anext(watching)
    assert objects_of(second) == 1000
    body.go.set()
    rest = await collect(watching)
    revisions = [item.revision for item in (second, *rest)]
    assert revisions == sorted(set(revisions))


async def test_many_who_watch_get_one_and_the_same_value_and_all_of_them_the_last(
    manager: OperationManager,
) -> None:
    operation, body = await started(manager)
    watching = [manager.watch(operation.name, 0) for _ in range(3)]
    first = [await anext(item) for item in watching]
    assert first[0] is first[1] is first[2]
    for _ in range(5):
        advance(body)
        seen = [await anext(item) for item in watching]
        assert seen[0] is seen[1] is seen[2]
    late = manager.watch(operation.name, 0)
    advance(body)
    assert objects_of(await anext(late)) == 6  # who begins gets no state of a moment ago
    body.go.set()
    ends = [(await collect(item))[-1] for item in (*watching, late)]
    assert [item.state for item in ends] == [SUCCEEDED] * 4
    assert [objects_of(item) for item in ends] == [6] * 4


async def test_a_state_of_a_moment_ago_is_followed_by_the_newest(
    manager: OperationManager,
) -> None:
    operation, body = await started(manager)
    slow, quick = (manager.watch(operation.name, 0) for _ in range(2))
    many = manager.watch_many([operation.name], 0)
    for item in (slow, quick, many):
        await anext(item)
    advance(body)
    assert objects_of(await anext(quick)) == 1
    advance(body)
    async with asyncio.timeout(60):
        for item in (slow, many):
            seen = objects_of(await anext(item))
            if seen == 1:  # what the quick one got, a moment ago
                seen = objects_of(await anext(item))
            assert seen == 2
    body.go.set()


async def test_nothing_is_sent_without_a_change(manager: OperationManager) -> None:
    operation, body = await started(manager)
    watching = manager.watch(operation.name, 0)
    await anext(watching)
    second = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0.02)
    assert not second.done()
    advance(body)
    await in_time(second)


async def test_an_interval_holds_back_changes_but_not_the_end(manager: OperationManager) -> None:
    operation, body = await started(manager)
    watching = manager.watch(operation.name, HOUR)
    await anext(watching)
    second = asyncio.ensure_future(anext(watching))
    advance(body)
    await asyncio.sleep(0.02)
    assert not second.done()
    body.go.set()
    async with asyncio.timeout(60):
        assert (await second).state is SUCCEEDED


async def test_a_watch_of_nothing_is_not_found(manager: OperationManager) -> None:
    with pytest.raises(OperationNotFound):
        await collect(manager.watch("nothing", 0))
    with pytest.raises(OperationNotFound):
        await collect(manager.watch_many(["nothing"], 0))


async def test_a_watch_of_what_is_interrupted_gets_that_state_and_ends(
    manager: OperationManager,
) -> None:
    operation, _ = await started(manager)
    watching = asyncio.create_task(collect(manager.watch(operation.name, HOUR)))
    many = asyncio.create_task(collect(manager.watch_many([operation.name], HOUR)))
    await asyncio.sleep(0.01)
    await manager.drain(0)
    assert (await watching)[-1].state is INTERRUPTED
    assert (await many)[-1].state is INTERRUPTED


# --- many operations


async def test_many_are_watched_to_the_end_of_each(manager: OperationManager) -> None:
    started_ = [await started(manager, f"b{number}") for number in range(3)]
    names = [operation.name for operation, _ in started_]
    watching = asyncio.create_task(collect(manager.watch_many(names, 0)))
    await asyncio.sleep(0.01)
    for _, body in started_:
        body.go.set()
        await asyncio.sleep(0)
    seen = await watching
    for name in names:
        own = [item for item in seen if item.name == name]
        assert own[0].state is RUNNING
        assert own[-1].state is SUCCEEDED
        assert [item.revision for item in own] == sorted({item.revision for item in own})


async def test_the_last_state_is_sent_although_all_end_while_the_reader_is_busy(
    manager: OperationManager,
) -> None:
    one, one_body = await started(manager, "one")
    two, two_body = await started(manager, "two")
    last: dict[str, OperationState] = {}
    async with asyncio.timeout(60):
        async for item in manager.watch_many([one.name, two.name], 0):
            last[item.name] = item.state
            if not two_body.go.is_set():
                one_body.go.set()
                two_body.go.set()
                await until(lambda: manager.get(two.name).state is SUCCEEDED)
    assert last == {one.name: SUCCEEDED, two.name: SUCCEEDED}


async def test_the_end_of_one_is_told_at_once_whatever_the_interval(
    manager: OperationManager,
) -> None:
    one, body = await started(manager, "one")
    two, _ = await started(manager, "two")
    watching = manager.watch_many([one.name, two.name], HOUR)
    await anext(watching)
    await anext(watching)
    following = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0.01)
    body.go.set()
    async with asyncio.timeout(60):
        found = await following
    assert (found.name, found.state) == (one.name, SUCCEEDED)


async def test_a_forgotten_operation_is_not_sent_again_and_again() -> None:
    async with OperationManager(OperationLimits(concurrent=4, remembered=1)) as manager:
        one, one_body = await started(manager, "one")
        two, two_body = await started(manager, "two")
        seen: list[Operation] = []

        async def follow() -> None:
            async for item in manager.watch_many([one.name, two.name], 0):
                seen.append(item)  # noqa: PERF401 - looked at while it grows

        following = asyncio.create_task(follow())
        await until(lambda: len(seen) == 2)
        one_body.go.set()
        await until(lambda: seen[-1].state is SUCCEEDED)
        await ended(manager, await manager.begin(asked("three"), at_once))
        for _ in range(5):
            advance(two_body)
            await asyncio.sleep(0.002)
        two_body.go.set()
        await in_time(following)
        ends = [item for item in seen if item.name == one.name and item.state is SUCCEEDED]
        assert len(ends) == 1


async def test_a_watch_of_all_sees_what_begins_later(manager: OperationManager) -> None:
    watching = manager.watch_many([], 0)
    first = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0.01)
    assert not first.done()
    operation, _ = await started(manager)
    async with asyncio.timeout(60):
        assert (await first).name == operation.name


async def test_a_watch_of_all_ends_with_the_service_and_not_before_the_last_states(
    manager: OperationManager,
) -> None:
    one, _ = await started(manager, "one")
    two, _ = await started(manager, "two")
    last: dict[str, OperationState] = {}

    async def follow() -> None:
        async for item in manager.watch_many([], 0):
            last[item.name] = item.state
            if len(last) == 2 and INTERRUPTED not in last.values():
                await manager.drain(0)

    with pytest.raises(ServerStopping):
        await in_time(follow())
    assert last == {one.name: INTERRUPTED, two.name: INTERRUPTED}


async def test_watchers_of_nothing_end_when_the_service_stops(manager: OperationManager) -> None:
    watching = asyncio.create_task(collect(manager.watch_many([], HOUR)))
    await asyncio.sleep(0.01)
    await manager.drain(0)
    with pytest.raises(ServerStopping):
        await watching


# --- cost


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    broadcast = Broadcast()

    async def wait_shortly() -> None:
        try:
            await asyncio.wait_for(broadcast.wait_beyond(0), 0)
        except TimeoutError:
            return

    await wait_shortly()
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(2_000):
            await wait_shortly()
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 100_000


async def test_every_waiter_is_woken() -> None:
    broadcast = Broadcast()
    waiting = [asyncio.create_task(broadcast.wait_beyond(0)) for _ in range(10)]
    await asyncio.sleep(0)
    waiting[3].cancel()
    broadcast.notify()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(it, asyncio.CancelledError) for it in results].count(True) == 1
    await in_time(broadcast.wait_beyond(0))


async def test_a_stalled_watcher_costs_no_memory_and_does_not_hold_up_a_reading_one(
    manager: OperationManager,
) -> None:
    changes = 100_000
    published = asyncio.Event()

    async def body(tracker: Tracker) -> Result:
        for number in range(1, changes + 1):
            tracker.wait_for(f"change {number}")
            if number % 200 == 0:
                await asyncio.sleep(0)
        published.set()
        return RESULT

    operation = await manager.begin(asked(), body)
    stalled = manager.watch(operation.name, 0)
    stalled_many = manager.watch_many([], 0)
    await anext(stalled)
    await anext(stalled_many)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        reading = asyncio.create_task(_last(manager, operation.name))
        await in_time(published.wait())
        # Of this process's own time: a busy machine is no fault of the watch.
        at = time.process_time()
        last = await reading
        waited = time.process_time() - at
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert last.state is SUCCEEDED
    assert last.revision > changes
    assert waited < 1
    assert peak - before < 10_000_000
    assert (await collect(stalled))[-1] == last  # the one that stalled gets it too


async def _last(manager: OperationManager, name: str) -> Operation:
    last = manager.get(name)
    async for item in manager.watch(name, 0):
        last = item
    return last
