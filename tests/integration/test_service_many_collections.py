"""Many collections: a create works, nothing grows with them, every page can be reached."""

import asyncio
import gc
import time
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from milvus_backup_server.domain.operations import (
    SHOWN_COLLECTIONS,
    CollectionState,
    CreatePlan,
    CreateResult,
    Operation,
    OperationState,
)
from tests.support.service import Service, World, add_collection, running

COUNT = 1_000

# One of the processes makes them, once.
pytestmark = [pytest.mark.xdist_group("many collections")]


@dataclass
class Made:
    """The service behind a create of many collections, and what was seen of it on the way."""

    service: Service
    operation: Operation
    updates: list[Operation]
    longest_turn: float


@pytest.fixture(scope="module")
async def made() -> AsyncIterator[Made]:
    world = World()
    for number in range(COUNT):
        keys = range(2) if number % 100 == 0 else ()
        await add_collection(world.milvus, f"c{number:05}", keys)
    async with running(world) as service:
        longest = 0.0
        watching = True

        async def measure() -> None:
            nonlocal longest
            while watching:
                before = time.monotonic()
                await asyncio.sleep(0)
                longest = max(longest, time.monotonic() - before)
                await asyncio.sleep(0.01)

        measuring = asyncio.create_task(measure())
        operation = await service.start_create("b")
        updates = [item async for item in service.operations.watch(operation.name, 0.2)]
        watching = False
        await measuring
        yield Made(service, updates[-1], updates, longest)


async def test_all_of_them_are_backed_up(made: Made) -> None:
    assert made.operation.state is OperationState.SUCCEEDED, made.operation.error
    assert isinstance(made.operation.result, CreateResult)
    assert made.operation.result.collection_count == COUNT
    assert made.operation.succeeded_count == COUNT
    assert made.operation.result.object_count == 10 * 4


async def test_every_update_carries_few_collections(made: Made) -> None:
    assert len(made.updates) > 2
    assert max(len(item.collections) for item in made.updates) == SHOWN_COLLECTIONS
    running_ = [item for item in made.updates if item.state is OperationState.RUNNING]
    assert {item.collection_count for item in running_[1:]} == {COUNT}


async def test_every_page_of_the_operation_s_collections_is_reached(made: Made) -> None:
    names: list[str] = []
    offset = 0
    while True:
        page = made.service.operations.collections(made.operation.name, offset, 500)
        names += [item.source.name for item in page.items]
        assert all(item.state is CollectionState.SUCCEEDED for item in page.items)
        if not page.next_key:
            break
        offset = int(page.next_key)
    assert names == [f"c{number:05}" for number in range(COUNT)]


async def test_every_page_of_the_backup_s_collections_is_reached(made: Made) -> None:
    names: list[str] = []
    offset = 0
    while True:
        page = await made.service.catalog.collections("b", offset, 300)
        names += [item.name for item in page.items]
        if not page.next_key:
            break
        offset = int(page.next_key)
    assert names == [f"c{number:05}" for number in range(COUNT)]


async def test_the_backup_itself_carries_few_of_them(made: Made) -> None:
    backup = await made.service.catalog.get("b")
    assert len(backup.collections) == SHOWN_COLLECTIONS
    assert (backup.collection_count, backup.row_count) == (COUNT, 20)


async def test_a_plan_names_all_of_them(made: Made) -> None:
    operation = await made.service.start_create("c", validate_only=True)
    assert isinstance(operation.result, CreatePlan)
    assert len(operation.result.collections) == COUNT


async def test_reading_the_backup_does_not_need_memory_for_all_of_it(made: Made) -> None:
    reader = made.service.catalog.reader("b")
    files = await reader.files()
    assert files["full_meta.json"].size > 350_000
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        count = 0
        async for _ in reader.collections(files):
            count += 1
            if count == 500:  # tracing makes it slow
                break
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 500
    assert peak - before < 1_000_000


async def test_others_have_their_turn_meanwhile(made: Made) -> None:
    # No time limit: this only shows that the loop was never held for the whole of a phase.
    total = made.operation.end_time, made.operation.create_time
    assert total[0] is not None
    assert made.longest_turn < (total[0] - total[1]).total_seconds() / 4
