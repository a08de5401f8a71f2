"""A restore is cancelled, in each phase: nothing of it is left, and it can be done again."""

import asyncio
from dataclasses import replace

import pytest

from milvus_backup_server.adapters.transfer import TransferSettings
from milvus_backup_server.domain.errors import (
    BackupError,
    MilvusRefused,
    MilvusUnavailable,
    StorageUnavailable,
)
from milvus_backup_server.domain.operations import CollectionState, OperationState, Phase
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.bodies import until
from tests.support.fake_milvus_imports import ENDED
from tests.support.held_calls import GATEWAY, MILVUS_STORE
from tests.support.meanwhile import Meanwhile, failing
from tests.support.phases import PhaseGate
from tests.support.running_service import Decorators
from tests.support.service import (
    INDEX,
    ROOT,
    Service,
    World,
    add_collection,
    named,
    running,
)
from tests.support.stores import GatedStore

CANCELLED = OperationState.CANCELLED
CANCELLING = OperationState.CANCELLING


async def with_backup(backup_bucket: str = "b-bucket") -> World:
    world = World(backup_bucket=backup_bucket)
    for name in ("one", "shop.two"):
        collection = await add_collection(world.milvus, name, range(5), partitions=["p"])
        await world.milvus.create_index(collection, INDEX)
        world.milvus.insert(collection, range(50, 55), "p")
    async with running(world) as service:
        await service.create("b")
    return world


RENAMES = {"one": "uno", "shop.two": "store.two"}


async def cancelled(service: Service, name: str, *gates: asyncio.Event) -> None:
    assert service.operations.cancel(name).state is CANCELLING
    await asyncio.sleep(0.01)
    for gate in gates:
        gate.set()
    last = await service.end(service.operations.get(name))
    assert last.state is CANCELLED, last.error
    assert last.warnings == ()
    assert last.progress.phase is Phase.CLEANING_UP
    assert {item.state for item in last.collections} == {CollectionState.STOPPED}


@pytest.mark.parametrize("answer", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 4])
@pytest.mark.parametrize(
    "phase", [Phase.VERIFYING, Phase.STAGING, Phase.IMPORTING, Phase.FINISHING]
)
async def test_a_restore_cancelled_in_any_phase_leaves_nothing(
    phase: Phase, number: int, answer: bool
) -> None:
    world = await with_backup()
    before = await world.traces()
    gate = PhaseGate(phase, number=number, answer=answer)
    async with running(world, gate.decorators) as service:
        gate.operations = service.operations
        operation = await service.start_restore(renames=RENAMES, restore_indexes=True)
        await gate.wait()
        await cancelled(service, operation.name, gate.opened)
        assert await world.traces() == before
        assert {job.state for job in world.milvus.imports.jobs.values()} <= ENDED
        await service.restore(renames=RENAMES, restore_indexes=True)
    assert world.milvus.keys(named("uno")) == [*range(5), *range(50, 55)]
    assert await world.staged() == []


IMPORTING_CALLS = [
    "create_database",
    "create_collection",
    "create_partition",
    "describe_collection",
    "submit_import",
    "import_job",
    "create_index",
    "has_collection",
    "rename_collection",
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("method", IMPORTING_CALLS)
async def test_a_restore_cancelled_around_any_call_of_milvus_leaves_nothing(
    method: str, number: int, after: bool
) -> None:
    if (method, number) == ("create_database", 2):
        number = 1
    if method == "has_collection":
        number += 1  # the first two are those of the checks
    world = await with_backup()
    before = await world.traces()
    names: list[str] = []

    async def cancel() -> None:
        service.operations.cancel(names[0])
        await asyncio.sleep(0)

    meanwhile = Meanwhile(GATEWAY, method, cancel, first=number, after=after, shielded=False)
    async with running(world, meanwhile.decorators) as service:
        operation = await service.start_restore(renames=RENAMES, restore_indexes=True)
        names.append(operation.name)
        last = await service.end(operation)
        assert meanwhile.fired == 1
        assert last.state is CANCELLED
        assert await world.traces() == before
        assert {job.state for job in world.milvus.imports.jobs.values()} <= ENDED


async def test_a_restore_cancelled_behind_its_last_call_leaves_nothing() -> None:
    """What is left to wait for then is the removal of what lies on the local disk."""
    world = await with_backup()
    before = await world.traces()

    async def cancel() -> None:
        service.operations.cancel(service.operations.list("", 1).items[0].name)

    end = Meanwhile(GATEWAY, "rename_collection", cancel, first=2, after=True, shielded=False)
    async with running(world, end.decorators) as service:
        last = await service.end(await service.start_restore(renames=RENAMES))
        assert end.fired == 1
        assert last.state is CANCELLED
        assert last.warnings == ()
        assert await world.traces() == before
        await service.restore(renames=RENAMES)


async def test_a_cancel_waits_for_the_one_import_job_and_shows_it() -> None:
    world = await with_backup("a-bucket")
    before = await world.traces()
    async with running(world) as service:
        world.milvus.imports.gate.clear()
        operation = await service.start_restore(suffix="_r")
        await until(lambda: len(world.milvus.imports.jobs) == 1)
        (job,) = world.milvus.imports.jobs.values()
        service.operations.cancel(operation.name)
        await asyncio.sleep(0.05)
        now = service.operations.get(operation.name)
        assert now.state is CANCELLING
        assert f"import job {job.job_id} of Milvus into default.one_r" in now.progress.waiting_for
        # Milvus reads its objects and writes its collection until the job has ended.
        assert len(world.collections()) == len(before[3]) + 1
        world.milvus.imports.gate.set()
        last = await service.end(operation)
        assert last.state is CANCELLED
        assert await world.traces() == before
        assert len(world.milvus.imports.jobs) == 1  # no other was issued
        assert job.state in ENDED


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_no_import_is_issued_behind_a_cancel(after: bool) -> None:
    world = await with_backup()
    before = await world.traces()

    async def cancel() -> None:
        service.operations.cancel(service.operations.list("", 1).items[0].name)
        await asyncio.sleep(0)

    # The first question for the version is that of the checks, the second that before an import.
    asked = Meanwhile(GATEWAY, "version", cancel, first=2, after=after, shielded=False)
    async with running(world, asked.decorators) as service:
        last = await service.end(await service.start_restore(suffix="_r"))
    assert asked.fired == 1
    assert last.state is CANCELLED
    assert world.milvus.imports.jobs == {}
    assert await world.traces() == before


async def test_a_job_that_fails_after_the_cancel_changes_nothing() -> None:
    world = await with_backup()
    before = await world.traces()
    async with running(world) as service:
        world.milvus.imports.gate.clear()
        world.milvus.imports.faults.append("no space")
        operation = await service.start_restore(suffix="_r")
        await until(lambda: len(world.milvus.imports.jobs) == 1)
        await asyncio.sleep(0.01)
        await cancelled(service, operation.name, world.milvus.imports.gate)
    assert world.milvus.imports.faults == type(world.milvus.imports.faults)()
    assert await world.traces() == before


async def test_a_cancelled_restore_that_waits_for_its_turn_does_not_wait_for_the_job() -> None:
    world = await with_backup("a-bucket")
    async with running(world) as service:
        world.milvus.imports.gate.clear()
        first = await service.start_restore(suffix="_r")
        await until(lambda: len(world.milvus.imports.jobs) == 1)
        second = await service.start_restore(suffix="_s")
        await until(
            lambda: "a turn to import" in service.operations.get(second.name).progress.waiting_for
        )
        service.operations.cancel(second.name)
        assert (await service.end(second)).state is CANCELLED
        assert not [name for name in world.collections() if name.endswith("_s")]
        world.milvus.imports.gate.set()
        assert (await service.end(first)).state is OperationState.SUCCEEDED


IN_PARTS = TransferSettings(
    workers=2, part_size_bytes=16, copy_threshold_bytes=16, copy_part_size_bytes=16
)


@pytest.mark.parametrize("method", ["start_upload", "copy_part", "complete_upload"])
async def test_a_cancel_during_staging_in_parts_leaves_no_upload(method: str) -> None:
    world = await with_backup()
    before = await world.traces()
    stores: list[GatedStore] = []

    def gated(inner: ObjectStore) -> GatedStore:
        stores.append(GatedStore(inner, method, after=True))
        return stores[-1]

    decorators = Decorators(milvus_store=gated)
    async with running(world, decorators, transfer=IN_PARTS) as service:
        operation = await service.start_restore(suffix="_r")
        await stores[0].wait_for(1)
        await cancelled(service, operation.name, stores[0].gate)
        assert await world.traces() == before


# --- clean-ups that fail


@pytest.mark.parametrize(
    ("error", "left", "warnings"),
    [
        (MilvusUnavailable("down"), 0, []),  # tried again
        (MilvusRefused("no"), 1, ["LEFT_BEHIND"]),
    ],
    ids=["passing", "lasting"],
)
async def test_what_cannot_be_taken_away_is_a_warning_and_the_rest_is_taken_away(
    error: BackupError, left: int, warnings: list[str]
) -> None:
    world = await with_backup()
    gate = PhaseGate(Phase.FINISHING)
    drops = Meanwhile(GATEWAY, "drop_collection", failing(error))
    around = gate.decorators
    decorators = replace(
        around, gateway=lambda inner: around.gateway(drops.decorators.gateway(inner))
    )
    async with running(world, decorators) as service:
        gate.operations = service.operations
        operation = await service.start_restore(suffix="_r")
        await gate.wait()
        service.operations.cancel(operation.name)
        last = await service.end(operation)
    assert drops.fired == 1
    assert last.state is CANCELLED
    assert [warning.reason for warning in last.warnings] == warnings
    assert len([name for name in world.collections() if "_mbtmp_" in name]) == left
    assert await world.staged() == []


async def test_staging_that_cannot_be_removed_is_a_warning() -> None:
    world = await with_backup()
    gate = PhaseGate(Phase.IMPORTING)
    lists = Meanwhile(MILVUS_STORE, "list_page", failing(StorageUnavailable("down")))
    around = gate.decorators
    decorators = replace(
        around, milvus_store=lambda inner: around.milvus_store(lists.decorators.milvus_store(inner))
    )
    async with running(world, decorators) as service:
        gate.operations = service.operations
        operation = await service.start_restore(suffix="_r")
        await gate.wait()
        service.operations.cancel(operation.name)
        last = await service.end(operation)
    assert lists.fired == 1
    assert last.state is CANCELLED
    where = f"a-bucket/{ROOT}/milvus-backup-staging/{last.name}/"
    assert [(warning.reason, warning.message) for warning in last.warnings] == [
        ("LEFT_BEHIND", f"copies below {where} could not be removed and remain: down")
    ]
    assert await world.staged() != []


async def test_a_database_that_is_in_use_meanwhile_is_left_with_a_warning() -> None:
    world = await with_backup()
    gate = PhaseGate(Phase.FINISHING)
    async with running(world, gate.decorators) as service:
        gate.operations = service.operations
        operation = await service.start_restore(renames=RENAMES)
        await gate.wait()
        await add_collection(world.milvus, "store.theirs")
        service.operations.cancel(operation.name)
        last = await service.end(operation)
    assert last.state is CANCELLED
    assert [warning.reason for warning in last.warnings] == ["LEFT_BEHIND"]
    assert [name for name in world.collections() if name.startswith("store.")] == [
        "store.",
        "store.theirs",
    ]
