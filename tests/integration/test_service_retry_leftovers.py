"""What a retry goes on with is that of the first try: nobody takes it away, and it goes with the backup."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.errors import MilvusRefused
from milvus_backup_server.domain.leftovers import SweepResult
from milvus_backup_server.domain.operations import Operation, OperationState, Phase
from milvus_backup_server.domain.requests import SweepRequest
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.crash_checks import world_with
from tests.support.held_calls import GATEWAY
from tests.support.meanwhile import Meanwhile, failing
from tests.support.phases import PhaseGate
from tests.support.service import CALLER, Service, World, running, succeeded

pytestmark = pytest.mark.usefixtures("own_disk")


@pytest.fixture
def records() -> ObjectStore:
    return MemoryServer("records").store("records")


async def partly_made(world: World, records: ObjectStore) -> Operation:
    """Make a backup of which one collection fails."""
    refusing = Meanwhile(GATEWAY, "load_state", failing(MilvusRefused("no")))
    async with running(world, refusing.decorators, records=records) as service:
        last = await service.end(await service.start_create("b"))
    assert last.state is OperationState.PARTIALLY_SUCCEEDED
    return last


@asynccontextmanager
async def retrying(
    world: World, records: ObjectStore
) -> AsyncIterator[tuple[Service, Operation, PhaseGate]]:
    """Hold the retry of such a backup while it copies."""
    first, gate = await partly_made(world, records), PhaseGate(Phase.COPYING, number=3)
    async with running(world, gate.decorators, generation=2, records=records) as service:
        gate.operations = service.operations
        retry = await service.start_retry(first)
        await gate.wait()
        yield service, retry, gate


async def swept(world: World, records: ObjectStore) -> SweepResult:
    async with running(world, generation=3, records=records) as service:
        request = SweepRequest(apply=True, min_age_seconds=0)
        operation = await service.use_cases.sweep.start(request, CALLER)
        result = succeeded(await service.end(operation)).result
    assert isinstance(result, SweepResult)
    return result


async def test_a_sweep_leaves_alone_what_a_retry_works_with(records: ObjectStore) -> None:
    world = await world_with()
    async with retrying(world, records) as (service, retry, gate):
        plans = [key for key in await world.backups() if "/plans/" in key]
        assert plans
        assert (await swept(world, records)).leftovers == ()
        assert set(plans) <= set(await world.backups())
        gate.opened.set()
        succeeded(await service.end(retry))


async def test_a_retry_that_was_interrupted_ends_with_the_delete_of_its_backup(
    records: ObjectStore,
) -> None:
    world = await world_with()
    async with retrying(world, records) as (service, retry, gate):
        stopping = asyncio.create_task(service.operations.drain(0))
        await asyncio.sleep(0.01)
        gate.opened.set()
        await stopping
    async with running(world, generation=3, records=records) as service:
        before = await service.use_cases.directory.get(retry.name)
        assert before.state is OperationState.INTERRUPTED
        await service.delete("b")
        assert (await service.operations.end_of(retry.name)).state is OperationState.CANCELLED
    assert await world.backups() == []
