"""A writer that slept while others went on neither finishes nor removes what is theirs."""

import asyncio

import pytest

from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.errors import StorageUnavailable
from milvus_backup_server.domain.operations import OperationState, Phase
from tests.support.held_calls import BACKUP_STORE
from tests.support.meanwhile import Meanwhile, failing
from tests.support.phases import PhaseGate
from tests.support.service import Service, World, add_collection, running

PHASES = [Phase.COPYING, Phase.CHECKING, Phase.WRITING_METADATA]


async def with_successor(world: World, sleeper: Service, gate: PhaseGate) -> None:
    """Begin a backup that sleeps in a phase; another service removes it and makes its own."""
    gate.operations = sleeper.operations
    await sleeper.start_create("b")
    await gate.wait()
    async with running(world, generation=2) as successor:
        await successor.delete("b")
        await add_collection(world.milvus, "later", range(5))
        await successor.create("b")


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.value)
async def test_a_writer_that_wakes_up_does_not_finish_over_its_successor(phase: Phase) -> None:
    world, gate = World(), PhaseGate(phase)
    await add_collection(world.milvus, "one", range(10))
    async with running(world, gate.decorators) as sleeper:
        await with_successor(world, sleeper, gate)
        before = await _contents(world)
        gate.opened.set()
        (operation,) = sleeper.operations.list("", 1).items
        error = await sleeper.error(operation)
        backup = await sleeper.catalog.get("b")
    assert error.reason == "BACKUP_NAME_LOST"
    after = await _contents(world)
    assert {key: after[key] for key in before} == before
    assert backup.state is BackupState.COMPLETE
    assert backup.collection_count == 2


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.value)
async def test_a_cancelled_writer_does_not_remove_its_successors_backup(phase: Phase) -> None:
    world, gate = World(), PhaseGate(phase)
    await add_collection(world.milvus, "one", range(10))
    async with running(world, gate.decorators) as sleeper:
        await with_successor(world, sleeper, gate)
        before = await _contents(world)
        (operation,) = sleeper.operations.list("", 1).items
        sleeper.operations.cancel(operation.name)
        last = await sleeper.end(operation)
        backup = await sleeper.catalog.get("b")
    assert last.state is OperationState.CANCELLED
    assert [warning.reason for warning in last.warnings] == ["BACKUP_NAME_LOST"]
    assert await _contents(world) == before
    assert backup.state is BackupState.COMPLETE


async def test_a_delete_that_wakes_up_does_not_remove_its_successors_backup() -> None:
    world, gate = World(), PhaseGate(Phase.DELETING, number=6)
    await add_collection(world.milvus, "one", range(10))
    async with running(world) as first:
        await first.create("b")
    async with running(world, gate.decorators) as sleeper:
        gate.operations = sleeper.operations
        operation = await sleeper.start_delete("b")
        await gate.wait()
        async with running(world, generation=2) as successor:
            await successor.delete("b")
            await successor.create("b")
        before = await _contents(world)
        gate.opened.set()
        error = await sleeper.error(operation)
    assert error.reason == "BACKUP_NAME_LOST"
    assert await _contents(world) == before


async def test_a_claim_whose_answer_was_lost_is_ours() -> None:
    world = World()
    await add_collection(world.milvus, "one", range(10))
    lost = Meanwhile(BACKUP_STORE, "put", failing(StorageUnavailable("lost")), after=True)
    async with running(world, lost.decorators) as service:
        await service.create("b")
    assert lost.fired == 1


async def _contents(world: World) -> dict[str, bytes]:
    """Return what lies in the backup, without the notes beside it."""
    keys = [key for key in await world.backups() if key.startswith("backup/b/")]
    contents = await asyncio.gather(*(world.backup_store.get(key) for key in keys))
    return dict(zip(keys, contents, strict=True))
