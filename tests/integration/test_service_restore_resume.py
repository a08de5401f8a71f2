"""A restore is interrupted at any step: going on with it gives exactly the rows, undoing it leaves nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from milvus_backup_server.domain.errors import (
    MilvusUnavailable,
    StorageUnavailable,
)
from milvus_backup_server.domain.milvus import ImportState
from milvus_backup_server.domain.operations import (
    CollectionState,
    Operation,
    OperationState,
    Phase,
    RestoreResult,
)
from milvus_backup_server.service.operations import OperationLimits
from tests.support.bodies import until
from tests.support.crash_checks import temporary
from tests.support.crashes import die, mutations
from tests.support.held_calls import BACKUP_STORE, GATEWAY, MILVUS_STORE
from tests.support.meanwhile import Meanwhile, failing
from tests.support.phases import PhaseGate
from tests.support.resumed_restores import (
    FIELDS,
    Begun,
    interrupted,
    left,
    refused_by_milvus,
    resume,
    silent,
    undo,
    with_backup,
    written,
)
from tests.support.sample import assert_exact
from tests.support.service import (
    World,
    flushed,
    named,
    running,
)

INTERRUPTED = OperationState.INTERRUPTED
SUCCEEDED = OperationState.SUCCEEDED
QUICK = OperationLimits(cleanup_seconds=0.05)


async def crashed(at: int, *, after: bool, staged: bool) -> tuple[World, str]:
    world, begun = await with_backup(staged=staged), Begun()
    assert await die(world, begun, at, after=after)
    return world, begun.name


async def crash_and_resume(at: int, *, after: bool, staged: bool, half: bool) -> None:
    """Let the service die, and Milvus too if `half`; go on in another one."""
    world, name = await crashed(at, after=after, staged=staged)
    if half:
        await world.milvus.imports.restart()
    async with running(world) as service:
        last = await resume(service, interrupted(name, **FIELDS))
    assert last.state is SUCCEEDED, (at, last.error)
    assert isinstance(last.result, RestoreResult)
    assert (last.result.collection_count, last.result.row_count) == (2, 15), at
    assert_exact(world, "_r")
    assert await left(world) == [], at


async def crash_and_undo(at: int, *, after: bool, staged: bool) -> None:
    world, name = await crashed(at, after=after, staged=staged)
    whole = [it for it in world.collections() if it.endswith("_r")]
    async with running(world) as service:
        last = await undo(service, interrupted(name, **FIELDS))
    assert last.state is OperationState.CANCELLED, (at, last.error)
    assert await left(world) == [], at
    # What has its final name is whole, may be in use by now, and is told of.
    assert [it for it in world.collections() if it.endswith("_r")] == whole
    told = [it.message for it in last.warnings]
    each = [f"{it} was restored whole and stays" for it in whole]
    assert told in (each, ["the restore had finished: its collections are whole and stay"])


async def count(*, staged: bool) -> int:
    return len(await mutations(await with_backup(staged=staged), Begun()))


async def test_a_restore_goes_on_after_a_crash_at_any_step() -> None:
    for at in range(1, await count(staged=False) + 1, 2):
        await crash_and_resume(at, after=at % 4 == 1, staged=False, half=at % 3 == 0)


async def test_an_interrupted_restore_can_be_undone_whenever_it_crashed() -> None:
    for at in range(2, await count(staged=False) + 1, 5):
        await crash_and_undo(at, after=at % 4 == 1, staged=False)


@pytest.mark.torture
@pytest.mark.parametrize("half", [False, True], ids=["service", "both"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_restore_goes_on_after_a_crash_at_every_step(*, after: bool, half: bool) -> None:
    for at in range(1, await count(staged=True) + 1):
        await crash_and_resume(at, after=after, staged=True, half=half)


@pytest.mark.torture
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_restore_can_be_undone_after_a_crash_at_every_step(*, after: bool) -> None:
    for at in range(1, await count(staged=True) + 1):
        await crash_and_undo(at, after=after, staged=True)


# --- stops of the service, silences of what it needs


@asynccontextmanager
async def stopped(
    world: World, phase: Phase, number: int = 1, *, answer: bool = False
) -> AsyncIterator[Operation]:
    """Stop a service in a phase of the restore, and yield the operation as it ended."""
    gate, begun = PhaseGate(phase, number=number, answer=answer), Begun()
    async with running(world, gate.decorators) as service:
        gate.operations = service.operations
        await begun(service)
        await gate.wait()
    yield service.operations.get(begun.name)


@pytest.mark.parametrize(
    "phase", [Phase.VERIFYING, Phase.STAGING, Phase.IMPORTING, Phase.FINISHING]
)
async def test_a_stop_of_the_service_leaves_what_a_resume_needs(phase: Phase) -> None:
    world = await with_backup(staged=True)
    async with stopped(world, phase, 2) as operation:
        assert operation.state is INTERRUPTED
        assert await written(world) != []
    async with running(world) as service:
        last = await resume(service, interrupted(operation.name, **FIELDS))
    assert last.state is SUCCEEDED, last.error
    assert_exact(world, "_r")
    assert await left(world) == []


async def test_a_stop_does_not_wait_for_the_import_and_a_resume_finds_it_again() -> None:
    world, begun = await with_backup(), Begun()
    async with running(world) as service:
        world.milvus.imports.gate.clear()
        await begun(service)
        await until(lambda: len(world.milvus.imports.jobs) == 1)
    assert service.operations.get(begun.name).state is INTERRUPTED
    (job,) = world.milvus.imports.jobs.values()
    assert job.state is ImportState.PENDING
    world.milvus.imports.gate.set()
    async with running(world) as service:
        last = await resume(service, interrupted(begun.name, **FIELDS))
    assert last.warnings == ()
    assert len(world.milvus.imports.jobs) == 3  # the one, and one for each of the other partitions
    assert_exact(world, "_r")


DOWN = "is down; what was done so far stays: resume the operation, or cancel it"


@pytest.mark.parametrize(
    ("port", "method", "part", "error"),
    [
        (GATEWAY, "create_collection", "", MilvusUnavailable("it is down")),
        (GATEWAY, "rename_collection", "", MilvusUnavailable("it is down")),
        (GATEWAY, "create_index", "", MilvusUnavailable("it is down")),
        (BACKUP_STORE, "put", "targets/", StorageUnavailable("it is down")),
        (BACKUP_STORE, "put", "finished-restores/", StorageUnavailable("it is down")),
        (MILVUS_STORE, "copy", "", StorageUnavailable("it is down")),
    ],
)
async def test_what_does_not_answer_interrupts_the_restore(
    port: str, method: str, part: str, error: MilvusUnavailable | StorageUnavailable
) -> None:
    world = await with_backup(staged=True)
    last = await silent(
        world, Meanwhile(port, method, failing(error), part=part, first=2 - bool(part))
    )
    assert last.state is INTERRUPTED
    assert last.error is not None
    assert (last.error.reason, last.error.message) == ("OPERATION_INTERRUPTED", f"it {DOWN}")
    assert last.error.metadata["cause"] == error.reason
    async with running(world) as service:
        resumed = await resume(service, interrupted(last.name, **FIELDS))
    assert resumed.state is SUCCEEDED, resumed.error
    assert_exact(world, "_r")
    assert await left(world) == []


async def test_a_restore_is_interrupted_again_and_goes_on_again() -> None:
    world = await with_backup()
    last = await silent(
        world, Meanwhile(GATEWAY, "create_collection", failing(MilvusUnavailable("x")))
    )
    for attempt, method in enumerate(["submit_import", "create_index", "rename_collection"], 1):
        silence = Meanwhile(GATEWAY, method, failing(MilvusUnavailable("x")))
        async with running(world, silence.decorators) as service:
            again = await resume(service, interrupted(last.name, attempt, **FIELDS))
        assert silence.fired == 1
        assert again.state is INTERRUPTED, again.error
    async with running(world) as service:
        end = await resume(service, interrupted(last.name, 4, **FIELDS))
    assert end.state is SUCCEEDED, end.error
    assert_exact(world, "_r")
    assert await left(world) == []


# --- nothing is done twice that need not be


async def test_what_was_read_before_and_is_the_same_is_not_read_again() -> None:
    world = await with_backup(staged=True)
    async with stopped(world, Phase.IMPORTING) as operation:
        pass
    calls = Meanwhile(BACKUP_STORE, "get", failing(AssertionError()), part="/binlogs/", times=1000)
    async with running(world, calls.decorators) as service:
        last = await resume(service, interrupted(operation.name, **FIELDS))
    assert last.state is SUCCEEDED, last.error
    assert calls.fired == 0
    assert isinstance(last.result, RestoreResult)
    assert last.result.content_checked_count == len(
        [key for key in await world.backups() if "/binlogs/" in key]
    )


async def test_objects_that_were_written_again_since_are_read_again() -> None:
    world = await with_backup()
    async with stopped(world, Phase.IMPORTING) as operation:
        pass
    key = next(key for key in await world.backups() if "/binlogs/insert_log/" in key)
    data = await world.backup_store.get(key)
    await world.backup_store.put(key, bytes([data[0] ^ 1]) + data[1:])
    async with running(world) as service:
        last = await resume(service, interrupted(operation.name, **FIELDS))
    assert last.state is OperationState.PARTIALLY_SUCCEEDED
    (bad,) = (item for item in last.collections if item.state is CollectionState.FAILED)
    assert bad.error is not None
    assert bad.error.reason == "BACKUP_CORRUPT"
    assert await left(world) == []


async def test_copies_that_stand_are_not_made_again() -> None:
    world = await with_backup(staged=True)
    async with stopped(world, Phase.STAGING, 3, answer=True) as operation:
        before = await world.staged()
    assert before
    await world.milvus_store.put(before[0], b"something else")
    copies = Meanwhile(MILVUS_STORE, "copy", failing(AssertionError()), first=10_000)
    async with running(world, copies.decorators) as service:
        last = await resume(service, interrupted(operation.name, **FIELDS))
    assert last.state is SUCCEEDED, last.error
    made = [
        subject
        for port, method, subject in copies.calls
        if (port, method) == (MILVUS_STORE, "copy")
    ]
    assert before[0] in made
    assert not set(before[1:]) & set(made)
    assert_exact(world, "_r")


async def test_imports_that_are_done_are_kept() -> None:
    world = await with_backup()
    operation = await refused_by_milvus(world, "create_index")
    done = list(world.milvus.imports.jobs)
    assert len(done) == 2  # both partitions of the first collection
    async with running(world) as service:
        await resume(service, interrupted(operation.name, **FIELDS))
    assert list(world.milvus.imports.jobs)[:2] == done
    assert len(world.milvus.imports.jobs) == 3
    assert_exact(world, "_r")


# --- what cannot be continued is built anew


async def built_anew(world: World, operation: Operation, why: str) -> None:
    async with running(world) as service:
        last = await resume(service, interrupted(operation.name, **FIELDS))
    assert last.state is SUCCEEDED, last.error
    assert [it.message for it in last.warnings] == ([why] if why else [])
    assert_exact(world, "_r")
    assert await left(world) == []


KEPT = "what the interrupted restore left of default.one_r cannot be continued"


async def test_a_collection_with_rows_that_no_import_tells_of_is_built_anew() -> None:
    world = await with_backup()
    operation = await refused_by_milvus(world, "submit_import", 2)
    (half,) = (named(name) for name in temporary(world))
    world.milvus.insert(half, [12345])
    await flushed(world.milvus, half)
    why = f"{KEPT}: it holds 10 rows where its imports told of 9; default.one_r is built anew"
    await built_anew(world, operation, why)


async def test_a_collection_that_somebody_dropped_is_built_anew() -> None:
    world = await with_backup()
    operation = await refused_by_milvus(world, "submit_import", 2)
    (half,) = (named(name) for name in temporary(world))
    await world.milvus.drop_collection(half)
    await built_anew(world, operation, "")


async def test_an_import_that_failed_meanwhile_is_not_repeated_into_the_same_collection() -> None:
    world, begun = await with_backup(), Begun()
    async with running(world) as service:
        world.milvus.imports.gate.clear()
        await begun(service)
        await until(lambda: len(world.milvus.imports.jobs) == 1)
    world.milvus.imports.faults.append("a fault of its own")
    world.milvus.imports.gate.set()
    async with running(world) as service:
        last = await resume(service, interrupted(begun.name, **FIELDS))
    assert [it.message for it in last.warnings] == [
        "Milvus could not import into default.one_r: a fault of its own; default.one_r is built anew"
    ]
    assert_exact(world, "_r")
    assert await left(world) == []
