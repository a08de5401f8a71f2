"""An import that an interrupted restore issued still runs: what it fills is not removed under it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from milvus_backup_server.domain.errors import BackupError, OperationStalled
from milvus_backup_server.domain.milvus import CollectionName, ImportJob, ImportState
from milvus_backup_server.domain.operations import Operation, OperationState, Phase
from tests.support.bodies import until
from tests.support.crash_checks import temporary
from tests.support.fake_milvus_imports import ENDED, FakeImport
from tests.support.gateways import GatewayDecorator
from tests.support.held_calls import GATEWAY
from tests.support.meanwhile import Meanwhile
from tests.support.phases import PhaseGate
from tests.support.resumed_restores import (
    FIELDS,
    Begun,
    interrupted,
    left,
    resume,
    undo,
    with_backup,
    written,
)
from tests.support.running_service import Decorators
from tests.support.sample import ROWS, assert_exact
from tests.support.service import LIMITS, Service, World, named, running

CANCELLED = OperationState.CANCELLED
PARTIALLY = OperationState.PARTIALLY_SUCCEEDED


async def with_open_import(number: int = 1) -> tuple[World, str, FakeImport]:
    """Interrupt a restore whose n-th import runs in Milvus."""
    world, begun = await with_backup(staged=True), Begun()
    jobs = world.milvus.imports.jobs
    async with running(world) as service:
        await begun(service)
        await until(lambda: len(jobs) == number)
        world.milvus.imports.gate.clear()
    return world, begun.name, list(jobs.values())[-1]


@asynccontextmanager
async def waited_for(
    world: World, service: Service, name: str, job: FakeImport
) -> AsyncIterator[None]:
    """Let the import end inside of the block, when the operation waits for it with everything in place."""
    text = f"import job {job.job_id} of Milvus into {{}}_r ({job.state.value}, 0 %)"
    texts = [text.format(collection) for collection in ("default.one", "shop.two")]
    await until(lambda: _waits_for(service, name) in texts)
    assert str(job.target) in temporary(world)
    for source in job.sources:
        assert [key for key in await world.staged() if key.startswith(source.insert)]
    yield
    world.milvus.imports.gate.set()


def _waits_for(service: Service, name: str) -> str:
    try:
        return service.operations.get(name).progress.waiting_for
    except BackupError:
        return ""


async def damage(world: World, collection: str) -> None:
    """Change an object of a collection in the backup."""
    part = f"/insert_log/{world.milvus.collection(named(collection)).collection_id}/"
    key = next(key for key in await world.backups() if part in key)
    await world.backup_store.put(key, b"x" * len(await world.backup_store.get(key)))


@pytest.mark.parametrize("phase", [Phase.VERIFYING, Phase.STAGING])
async def test_a_resume_that_is_cancelled_before_it_comes_to_the_import_waits_for_it(
    phase: Phase,
) -> None:
    world, name, job = await with_open_import()
    gate = PhaseGate(phase)
    async with running(world, gate.decorators) as service:
        gate.operations = service.operations
        going_on = asyncio.create_task(resume(service, interrupted(name, **FIELDS)))
        await gate.wait()
        service.operations.cancel(name)
        async with waited_for(world, service, name, job):
            assert service.operations.get(name).state is OperationState.CANCELLING
        assert (await going_on).state is CANCELLED
    assert job.state is ImportState.COMPLETED
    assert await left(world) == []


async def _resumed_with_damage(world: World, name: str, job: FakeImport) -> Operation:
    async with running(world) as service:
        going_on = asyncio.create_task(resume(service, interrupted(name, **FIELDS)))
        async with waited_for(world, service, name, job):
            pass
        return await going_on


async def test_a_resume_that_fails_before_it_comes_to_the_import_waits_for_it() -> None:
    world, name, job = await with_open_import()
    for collection in ("one", "shop.two"):
        await damage(world, collection)
    last = await _resumed_with_damage(world, name, job)
    assert last.state is OperationState.FAILED
    assert last.error is not None
    assert last.error.reason == "BACKUP_CORRUPT"
    assert job.state is ImportState.COMPLETED
    assert await left(world) == []


async def test_a_collection_that_fails_alone_is_removed_when_its_import_has_ended() -> None:
    world, name, job = await with_open_import(3)
    assert job.target.database == "shop", "of the first collection are all done"
    await damage(world, "shop.two")
    last = await _resumed_with_damage(world, name, job)
    assert last.state is PARTIALLY, last.error
    assert job.state is ImportState.COMPLETED
    assert world.milvus.keys(named("one_r")) == ROWS["one"]
    assert await left(world) == []


async def test_a_cancel_while_the_import_is_waited_for_waits_for_it_once_more() -> None:
    world, name, job = await with_open_import(3)
    await damage(world, "shop.two")
    async with running(world) as service:
        going_on = asyncio.create_task(resume(service, interrupted(name, **FIELDS)))
        async with waited_for(world, service, name, job):
            assert service.operations.get(name).progress.phase is not Phase.CLEANING_UP
            service.operations.cancel(name)
            await until(lambda: service.operations.get(name).progress.phase is Phase.CLEANING_UP)
            async with waited_for(world, service, name, job):
                pass
        last = await going_on
    assert last.state is CANCELLED
    assert job.state is ImportState.COMPLETED
    assert await left(world) == []


async def test_a_cancel_while_a_failed_restore_cleans_up_leaves_nothing_either() -> None:
    world, name, job = await with_open_import()
    for collection in ("one", "shop.two"):
        await damage(world, collection)
    async with running(world) as service:
        going_on = asyncio.create_task(resume(service, interrupted(name, **FIELDS)))
        async with waited_for(world, service, name, job):
            assert service.operations.get(name).progress.phase is Phase.CLEANING_UP
            service.operations.cancel(name)
            async with waited_for(world, service, name, job):
                pass
        last = await going_on
    assert last.state is CANCELLED
    assert job.state is ImportState.COMPLETED
    assert await left(world) == []


class Reticent(GatewayDecorator):
    """Lists jobs as the REST API does: without what they read."""

    async def list_imports(self, collection: CollectionName) -> list[ImportJob]:
        return [replace(job, files=()) for job in await super().list_imports(collection)]


async def test_an_import_whose_answer_was_lost_is_not_taken_for_one_that_is_done() -> None:
    world, begun = await with_backup(staged=True), Begun()
    lost = Meanwhile(
        GATEWAY, "submit_import", asyncio.Event().wait, first=2, after=True, shielded=False
    )
    async with running(world, lost.decorators) as service:
        await begun(service)
        await until(lambda: lost.fired == 1)
        world.milvus.imports.gate.clear()
    done, job = world.milvus.imports.jobs.values()
    assert (done.state, done.target) == (ImportState.COMPLETED, job.target)
    async with running(world, Decorators(gateway=Reticent)) as service:
        undoing = asyncio.create_task(undo(service, interrupted(begun.name, **FIELDS)))
        async with waited_for(world, service, begun.name, job):
            pass
        last = await undoing
    assert (last.state, last.warnings) == (CANCELLED, ())
    assert job.state is ImportState.COMPLETED
    assert await left(world) == []


async def test_a_collection_that_is_built_anew_is_removed_when_its_import_has_ended() -> None:
    world, name, job = await with_open_import()
    (key,) = [key for key in await written(world) if "/imports/" in key]
    values = json.loads(await world.backup_store.get(key))
    values["imports"][-1]["work"] = "of another cut"
    await world.backup_store.put(key, json.dumps(values).encode())
    async with running(world) as service:
        going_on = asyncio.create_task(resume(service, interrupted(name, **FIELDS)))
        async with waited_for(world, service, name, job):
            pass
        last = await going_on
    assert last.state is OperationState.SUCCEEDED, last.error
    assert "cut in another way" in last.warnings[0].message
    assert job.state is ImportState.COMPLETED
    assert_exact(world, "_r")
    assert await left(world) == []


async def test_what_a_running_import_reads_stays_when_another_collection_is_whole() -> None:
    world, name, job = await with_open_import(3)
    async with running(world) as service:
        going_on = asyncio.create_task(resume(service, interrupted(name, **FIELDS)))
        async with waited_for(world, service, name, job):
            pass
        last = await going_on
    assert (last.state, last.warnings) == (OperationState.SUCCEEDED, ())
    assert len(world.milvus.imports.jobs) == 3, "nothing is built anew"
    assert_exact(world, "_r")
    assert await left(world) == []


async def test_an_import_that_does_not_move_is_not_waited_for_for_ever() -> None:
    world, name, job = await with_open_import()
    limits = replace(LIMITS, import_stall_seconds=0.05)
    async with running(world, limits=limits) as service:
        last = await undo(service, interrupted(name, **FIELDS))
    assert last.state is CANCELLED
    assert [type(warning) for warning in last.warnings] == [OperationStalled]
    assert job.state not in ENDED
    assert await left(world) == []
