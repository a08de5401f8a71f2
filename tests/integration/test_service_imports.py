"""Import jobs: issued one after another, followed to their end, never repeated blindly."""

import asyncio
import gc
import logging
from dataclasses import replace

import pytest

from milvus_backup_server.domain.errors import (
    ImportOutcomeUnknown,
    MilvusRefused,
    MilvusUnavailable,
    StorageDenied,
)
from milvus_backup_server.domain.milvus import ImportState
from milvus_backup_server.domain.operations import (
    CollectionState,
    Operation,
    OperationState,
    RestoreResult,
)
from milvus_backup_server.ports.milvus import MilvusGateway
from tests.support.bodies import until
from tests.support.crash_checks import temporary
from tests.support.fake_milvus_imports import ENDED
from tests.support.gateways import FailingGateway
from tests.support.held_calls import GATEWAY, MILVUS_STORE
from tests.support.meanwhile import Meanwhile, failing
from tests.support.running_service import Decorators
from tests.support.service import LIMITS, World, named, running
from tests.support.two_partitions import ROWS, with_backup

# --- one at a time


async def test_one_job_is_in_flight_for_the_cluster_whatever_the_number_of_restores() -> None:
    world = await with_backup()
    most = 0

    async def count() -> None:
        nonlocal most
        jobs = world.milvus.imports.jobs.values()
        most = max(most, sum(job.state not in ENDED for job in jobs))

    polls = Meanwhile(GATEWAY, "import_job", count, times=100_000)
    async with running(world, polls.decorators) as service:
        started = [await service.start_restore(suffix=f"_{number}") for number in range(4)]
        for operation in started:
            assert (await service.end(operation)).state is OperationState.SUCCEEDED
    assert polls.fired > 16
    assert most == 1
    assert len(world.milvus.imports.jobs) == 4 * 4


async def test_the_job_is_shown_while_it_runs() -> None:
    world = await with_backup()
    async with running(world) as service:
        world.milvus.imports.gate.clear()
        operation = await service.start_restore(suffix="_r", collections=("one",))
        await until(lambda: bool(world.milvus.imports.jobs))
        (job,) = world.milvus.imports.jobs
        text = f"import job {job} of Milvus into default.one_r (pending, 0 %)"
        await until(lambda: service.operations.get(operation.name).progress.waiting_for == text)
        world.milvus.imports.gate.set()
        last = await service.end(operation)
    assert last.progress.waiting_for == ""


# --- jobs that do not end well


async def test_a_job_that_fails_fails_the_restore_with_milvus_s_reason_and_leaves_nothing() -> None:
    world = await with_backup("b-bucket")
    before = await world.traces()
    world.milvus.imports.faults.append("disk quota exceeded")
    async with running(world) as service:
        last = await service.end(await service.start_restore(suffix="_r", collections=("one",)))
    assert last.state is OperationState.FAILED
    assert last.error is not None
    assert last.error.reason == "IMPORT_FAILED"
    assert last.error.message == "Milvus could not import into default.one_r: disk quota exceeded"
    assert last.error.metadata["collection"] == "default.one"
    assert [item.state for item in last.collections] == [CollectionState.FAILED]
    assert len(world.milvus.imports.jobs) == 1
    assert await world.traces() == before


def warned(operation: Operation) -> list[str]:
    return [warning.message for warning in operation.warnings]


async def test_a_collection_is_built_anew_when_milvus_forgets_a_job_of_it() -> None:
    world = await with_backup("b-bucket")
    forgotten: list[str] = []

    async def forget() -> None:
        forgotten.extend(world.milvus.imports.jobs)
        for job in forgotten:
            world.milvus.imports.forget(job)

    # The first partition of the first collection is in by then, and must not be in twice.
    meanwhile = Meanwhile(GATEWAY, "import_job", forget, first=4)
    async with running(world, meanwhile.decorators) as service:
        last = await service.restore(suffix="_r")
    assert meanwhile.fired == 1
    assert len(forgotten) == 2
    text = f"Milvus does not know its import job {forgotten[1]} any more"
    assert warned(last) == [f"{text}; default.one_r is built anew"]
    assert world.milvus.keys(named("one_r")) == world.milvus.keys(named("two_r")) == ROWS
    assert temporary(world) == await world.staged() == []


async def test_a_collection_that_is_half_in_after_a_restart_of_milvus_is_built_anew() -> None:
    world = await with_backup()
    halves: list[int] = []

    async def restart() -> None:
        await world.milvus.imports.restart()
        world.milvus.imports.polls = 1
        halves.extend(len(world.milvus.keys(named(name))) for name in temporary(world))

    world.milvus.imports.polls = 1000
    meanwhile = Meanwhile(GATEWAY, "import_job", restart, first=3)
    async with running(world, meanwhile.decorators) as service:
        last = await service.restore(suffix="_r")
    assert halves == [2]
    (text,) = warned(last)
    assert text.endswith("task marked failed as service restarted; default.one_r is built anew")
    assert isinstance(last.result, RestoreResult)
    assert last.result.row_count == 20
    assert last.progress.phases[1].done.rows == 20
    assert last.progress.phases[1].done.bytes == last.progress.phases[1].bytes_total
    assert world.milvus.keys(named("one_r")) == world.milvus.keys(named("two_r")) == ROWS
    assert temporary(world) == []


async def test_a_milvus_that_restarts_during_each_import_fails_the_restore_in_the_end() -> None:
    world = await with_backup()
    before = await world.traces()
    world.milvus.imports.polls = 1000
    meanwhile = Meanwhile(GATEWAY, "import_job", world.milvus.imports.restart, times=1000)
    async with running(world, meanwhile.decorators) as service:
        last = await service.end(await service.start_restore(suffix="_r", collections=("one",)))
    assert last.error is not None
    assert "task marked failed as service restarted" in last.error.message
    assert "anew" not in last.error.message
    assert len(world.milvus.imports.jobs) == 3
    assert await world.traces() == before


async def test_a_job_without_progress_interrupts_the_restore() -> None:
    world = await with_backup()
    limits = replace(LIMITS, import_stall_seconds=0.05)
    async with running(world, limits=limits) as service:
        world.milvus.imports.gate.clear()
        last = await service.end(await service.start_restore(suffix="_r"))
    (job,) = world.milvus.imports.jobs
    assert last.state is OperationState.INTERRUPTED
    assert last.error is not None
    assert (last.error.metadata["cause"], last.error.metadata["job"]) == ("OPERATION_STALLED", job)
    assert "shows no progress for 0.05 s (state pending)" in last.error.message


async def test_a_silence_of_milvus_while_a_job_runs_is_waited_out() -> None:
    world = await with_backup()
    silence = Meanwhile(
        GATEWAY, "import_job", failing(MilvusUnavailable("restarts")), first=2, times=5
    )
    async with running(world, silence.decorators) as service:
        await service.restore(suffix="_r")
    assert silence.fired == 5
    assert world.milvus.keys(named("one_r")) == ROWS


# --- lost answers


def losing(*, after: bool, times: int = 1) -> tuple[list[FailingGateway], Decorators]:
    """Return decorators that lose the answer to the first import, or the import itself."""
    gateways: list[FailingGateway] = []

    def gateway(inner: MilvusGateway) -> FailingGateway:
        lost = ImportOutcomeUnknown("the answer was lost")
        gateways.append(FailingGateway(inner, "submit_import", lost, times=times, after=after))
        return gateways[-1]

    return gateways, Decorators(gateway=gateway)


@pytest.mark.parametrize("backup_bucket", ["a-bucket", "b-bucket"])
async def test_after_a_lost_answer_the_job_is_found_by_its_files_and_not_repeated(
    backup_bucket: str,
) -> None:
    world = await with_backup(backup_bucket)
    gateways, decorators = losing(after=True)
    async with running(world, decorators) as service:
        operation = await service.restore(suffix="_r")
    assert gateways[0].injected == 1
    assert isinstance(operation.result, RestoreResult)
    assert operation.result.import_job_count == 4 == len(world.milvus.imports.jobs)
    assert world.milvus.keys(named("one_r")) == ROWS


async def test_a_lost_import_that_never_arrived_is_not_repeated_into_the_same_collection() -> None:
    world = await with_backup()
    gateways, decorators = losing(after=False)
    async with running(world, decorators) as service:
        last = await service.restore(suffix="_r")
    assert gateways[0].injected == 1
    lost = "the answer to an import into default.one_r was lost, and Milvus lists no such job"
    assert warned(last) == [f"{lost}; default.one_r is built anew"]
    # Whatever arrives late goes into a collection that is gone.
    jobs = world.milvus.imports.jobs.values()
    assert [job.target.name[-1] for job in jobs] == ["1", "1", "2", "2"]
    assert world.milvus.keys(named("one_r")) == ROWS
    assert temporary(world) == []


async def test_imports_that_are_always_lost_fail_the_restore() -> None:
    world = await with_backup()
    before = await world.traces()
    gateways, decorators = losing(after=False, times=10)
    async with running(world, decorators) as service:
        error = await service.error(await service.start_restore(suffix="_r", collections=("one",)))
    assert gateways[0].injected == 3
    assert error.reason == "IMPORT_OUTCOME_UNKNOWN"
    assert world.milvus.imports.jobs == {}
    assert await world.traces() == before


async def test_a_silence_while_a_lost_job_is_looked_for_is_waited_out() -> None:
    world = await with_backup()
    gateways, losses = losing(after=True)
    silence = Meanwhile(GATEWAY, "list_imports", failing(MilvusUnavailable("down")), times=2)
    decorators = Decorators(gateway=lambda inner: silence.decorators.gateway(losses.gateway(inner)))
    async with running(world, decorators) as service:
        await service.restore(suffix="_r")
    assert (gateways[0].injected, silence.fired) == (1, 2)
    assert world.milvus.keys(named("one_r")) == ROWS


async def test_an_import_that_milvus_refuses_is_told() -> None:
    world = await with_backup()
    refusal = MilvusRefused("too many", subject="x", call="Import")
    meanwhile = Meanwhile(GATEWAY, "submit_import", failing(refusal))
    async with running(world, meanwhile.decorators) as service:
        error = await service.error(await service.start_restore(suffix="_r", collections=("one",)))
    assert error.reason == "MILVUS_REFUSED"


async def test_a_failure_nobody_waits_for_any_more_is_not_an_unhandled_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = await with_backup()
    with caplog.at_level(logging.ERROR, logger="asyncio"):
        async with running(world) as service:
            world.milvus.imports.gate.clear()
            world.milvus.imports.faults.append("no space")
            operation = await service.start_restore(suffix="_r")
            await until(lambda: bool(world.milvus.imports.jobs))
            service.operations.cancel(operation.name)
            world.milvus.imports.gate.set()
            await service.end(operation)
        del operation
        gc.collect()
        await asyncio.sleep(0)
    assert "never retrieved" not in caplog.text


# --- what Milvus read is not what the backup holds


async def test_rows_that_milvus_did_not_find_are_told() -> None:
    # A Milvus that reads another bucket than the settings say ends such a job as if all were well.
    world = await with_backup("b-bucket")
    elsewhere = World(server=world.server, backup_bucket="b-bucket", milvus_bucket="c-bucket")
    elsewhere.milvus = world.milvus
    async with running(elsewhere) as service:
        error = await service.error(await service.start_restore(suffix="_r"))
    assert error.reason == "ROW_COUNT_MISMATCH"
    assert not [name for name in world.collections() if name.endswith("_r")]
    assert await elsewhere.staged() == []


async def test_more_rows_than_the_backup_holds_are_told() -> None:
    world = await with_backup("b-bucket")
    staged: list[str] = []

    async def double() -> None:
        # Somebody puts a copy of a segment beside the staged ones.
        page = await world.milvus_store.list_page("files/milvus-backup-staging/")
        for item in page.objects:
            if "/insert_log/" in item.key:
                *start, group, _, column, log = item.key.split("/")
                key = "/".join([*start, group + "9", group + "9", column, log])
                staged.append(key)
                await world.milvus_store.put(key, await world.milvus_store.get(item.key))

    meanwhile = Meanwhile(GATEWAY, "submit_import", double)
    async with running(world, meanwhile.decorators) as service:
        error = await service.error(await service.start_restore(suffix="_r", collections=("one",)))
    assert staged
    assert error.reason == "ROW_COUNT_MISMATCH"
    assert error.metadata["recorded"] == "10"
    assert await world.staged() == []


async def test_staging_that_cannot_be_filled_fails_the_restore_and_leaves_nothing() -> None:
    world = await with_backup("b-bucket")
    before = await world.traces()
    denied = failing(StorageDenied("no right to write"))
    meanwhile = Meanwhile(MILVUS_STORE, "copy", denied, first=3)
    async with running(world, meanwhile.decorators) as service:
        await service.error(await service.start_restore(suffix="_r"))
    assert meanwhile.fired == 1
    assert await world.traces() == before
    assert {job.state for job in world.milvus.imports.jobs.values()} <= {ImportState.COMPLETED}
