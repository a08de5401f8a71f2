"""Doing the same to many things, so many at a time."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from milvus_backup_server.domain.errors import StorageDenied, StorageUnavailable
from milvus_backup_server.service.concurrency import for_each, in_order, task_group


async def test_every_item_is_worked_on_once() -> None:
    done: list[int] = []

    async def work(item: int) -> None:
        await asyncio.sleep(0)
        done.append(item)

    await for_each(range(100), work, concurrent=7)
    assert sorted(done) == list(range(100))


@pytest.mark.parametrize(("items", "concurrent", "most"), [(10, 3, 3), (2, 5, 2), (0, 3, 0)])
async def test_only_so_many_at_a_time(items: int, concurrent: int, most: int) -> None:
    running = peak = 0

    async def work(_: int) -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.001)
        running -= 1

    await for_each(range(items), work, concurrent=concurrent)
    assert peak == most


async def test_items_are_drawn_no_faster_than_they_are_worked_off() -> None:
    drawn = done = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for number in range(1000):
            drawn += 1
            assert drawn - done <= 4
            yield number

    async def work(_: int) -> None:
        nonlocal done
        await asyncio.sleep(0)
        done += 1

    await for_each(items(), work, concurrent=4)
    assert done == 1000


async def test_only_so_many_tasks_exist_however_many_items_there_are() -> None:
    before = len(asyncio.all_tasks())
    peak = 0

    async def work(_: int) -> None:
        nonlocal peak
        peak = max(peak, len(asyncio.all_tasks()))
        await asyncio.sleep(0)

    await for_each(range(10_000), work, concurrent=4)
    assert peak <= before + 4


async def test_the_first_failure_is_raised_as_it_is_and_stops_the_rest() -> None:
    begun: list[int] = []
    cancelled: list[int] = []

    async def work(item: int) -> None:
        begun.append(item)
        if item == 2:
            raise StorageDenied("no")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise

    with pytest.raises(StorageDenied, match="no"):
        await for_each(range(100), work, concurrent=3)
    assert begun == [0, 1, 2]
    assert sorted(cancelled) == [0, 1]


async def test_a_failure_while_the_rest_is_stopped_does_not_hide_the_first() -> None:
    async def work(item: int) -> None:
        if item == 1:
            raise StorageDenied("the cause")
        try:
            await asyncio.sleep(60)
        finally:
            raise StorageUnavailable("a consequence")

    with pytest.raises(StorageDenied, match="the cause"):
        await for_each(range(2), work, concurrent=2)


async def test_a_failure_of_the_body_is_raised_as_it_is() -> None:
    async def fail() -> None:
        async with task_group() as tasks:
            tasks.create_task(asyncio.sleep(60))
            await asyncio.sleep(0)
            raise StorageDenied("no")

    with pytest.raises(StorageDenied):
        await fail()


async def test_a_cancelled_caller_cancels_the_work() -> None:
    cancelled: list[int] = []

    async def work(item: int) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise

    caller = asyncio.create_task(for_each(range(10), work, concurrent=2))
    await asyncio.sleep(0.01)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert sorted(cancelled) == [0, 1]


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def test_in_order_keeps_the_order_and_works_ahead() -> None:
    running = peak = 0

    async def work(number: int) -> int:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        for _ in range(10 - number % 7):  # the later ones are done sooner
            await asyncio.sleep(0)
        running -= 1
        return number * 2

    async with aclosing(in_order(numbers(30), work, ahead=4)) as results:
        assert [result async for result in results] == [number * 2 for number in range(30)]
    assert peak == 4


async def test_in_order_stops_at_the_first_failure_and_leaves_nothing_running() -> None:
    before = asyncio.all_tasks()
    found: list[int] = []

    async def work(number: int) -> int:
        if number == 2:
            raise ValueError(number)
        await asyncio.sleep(0 if number < 2 else 60)
        return number

    async def read() -> None:
        async for result in in_order(numbers(10), work, ahead=4):
            found.append(result)  # noqa: PERF401 what came before the failure is looked at

    with pytest.raises(ValueError, match="2"):
        await read()
    assert found == [0, 1]
    assert asyncio.all_tasks() == before


async def test_in_order_that_is_closed_leaves_nothing_running() -> None:
    before = asyncio.all_tasks()

    async def work(number: int) -> int:
        await asyncio.sleep(0 if number == 0 else 60)
        return number

    async with aclosing(in_order(numbers(10), work, ahead=3)) as results:
        assert await anext(results) == 0
        assert len(asyncio.all_tasks()) > len(before)
    assert asyncio.all_tasks() == before
