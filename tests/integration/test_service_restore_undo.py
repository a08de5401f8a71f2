"""An interrupted restore is cancelled instead of resumed: what it made goes, and nothing else."""

import asyncio
from dataclasses import replace
from typing import Any

from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.milvus import ImportState
from milvus_backup_server.domain.operations import OperationState, Phase
from milvus_backup_server.service.operations import OperationLimits
from tests.support.bodies import until
from tests.support.crash_checks import temporary
from tests.support.held_calls import GATEWAY
from tests.support.meanwhile import Meanwhile, failing
from tests.support.phases import PhaseGate
from tests.support.resumed_restores import (
    DOWN_NOW,
    FIELDS,
    Begun,
    interrupted,
    left,
    refused_by_milvus,
    resume,
    undo,
    with_backup,
)
from tests.support.sample import assert_exact
from tests.support.service import Service, running

INTERRUPTED = OperationState.INTERRUPTED
SUCCEEDED = OperationState.SUCCEEDED
QUICK = OperationLimits(cleanup_seconds=0.05)


async def test_undoing_waits_for_the_import_that_still_runs() -> None:
    world, begun = await with_backup(staged=True), Begun()
    async with running(world) as service:
        world.milvus.imports.gate.clear()
        await begun(service)
        await until(lambda: len(world.milvus.imports.jobs) == 1)
    (job,) = world.milvus.imports.jobs.values()
    async with running(world) as service:
        undoing = asyncio.create_task(undo(service, interrupted(begun.name, **FIELDS)))
        text = f"import job {job.job_id} of Milvus into default.one_r (pending, 0 %)"
        await until(lambda: _waits_for(service, begun.name) == text)
        assert await world.staged() != []
        world.milvus.imports.gate.set()
        assert (await undoing).state is OperationState.CANCELLED
    assert job.state is ImportState.COMPLETED
    assert await left(world) == []


def _waits_for(service: Service, name: str) -> str:
    try:
        return service.operations.get(name).progress.waiting_for
    except BackupError:
        return ""


async def test_undoing_can_be_asked_for_again_when_milvus_is_down() -> None:
    world = await with_backup(staged=True)
    operation = await refused_by_milvus(world, "submit_import", 2)
    down = Meanwhile(GATEWAY, "version", failing(DOWN_NOW))
    async with running(world, down.decorators) as service:
        assert (await undo(service, interrupted(operation.name, **FIELDS))).state is INTERRUPTED
        assert down.fired == 1
        assert await left(world) != []
        again = await undo(service, interrupted(operation.name, 2, **FIELDS))
    assert again.state is OperationState.CANCELLED
    assert await left(world) == []


async def test_undoing_removes_the_databases_that_were_made() -> None:
    world = await with_backup()
    before = world.collections()
    fields: dict[str, Any] = {"renames": {"one": "uno", "shop.two": "store.two"}}
    silence = Meanwhile(GATEWAY, "submit_import", failing(DOWN_NOW))
    async with running(world, silence.decorators) as service:
        last = await service.end(await service.start_restore(**fields))
    assert "store." in world.collections()
    async with running(world) as service:
        await undo(service, interrupted(last.name, **fields))
    assert world.collections() == before


async def test_the_backup_is_not_needed_to_undo() -> None:
    world = await with_backup()
    operation = await refused_by_milvus(world, "submit_import", 2)
    async with running(world) as service:
        await service.delete("b")
        last = await undo(service, interrupted(operation.name, **FIELDS))
    assert last.state is OperationState.CANCELLED
    assert await left(world) == []


async def test_a_cancel_that_was_killed_while_it_cleaned_up_can_be_resumed_and_undone() -> None:
    world = await with_backup(staged=True)
    dead = Meanwhile(GATEWAY, "drop_collection", asyncio.Event().wait, first=2, shielded=False)
    gate, begun = PhaseGate(Phase.FINISHING), Begun()
    both = replace(
        gate.decorators, gateway=lambda it: gate.decorators.gateway(dead.decorators.gateway(it))
    )
    async with running(world, both, operations=QUICK) as service:
        gate.operations = service.operations
        await begun(service)
        await gate.wait()
        service.operations.cancel(begun.name)
        await until(lambda: dead.fired == 1)
    assert service.operations.get(begun.name).state is INTERRUPTED
    assert len(temporary(world)) == 1
    async with running(world) as service:
        last = await resume(service, interrupted(begun.name, **FIELDS))
    assert last.state is SUCCEEDED, last.error
    assert_exact(world, "_r")
    assert await left(world) == []
