"""A create is cancelled, in each phase: it ends soon and leaves nothing; the name is free again."""

import asyncio
from dataclasses import replace

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.transfer import TransferSettings
from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.errors import StorageUnavailable
from milvus_backup_server.domain.operations import (
    CollectionState,
    CreateResult,
    OperationState,
    Phase,
)
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.operations import OperationLimits
from tests.support.held_calls import BACKUP_STORE, Gate, Gates, around_all
from tests.support.meanwhile import Meanwhile
from tests.support.phases import PhaseGate
from tests.support.running_service import Decorators
from tests.support.service import LIMITS, Service, World, add_collection, flushed, running
from tests.support.stores import FailingStore, GatedStore

CREATE_PHASES = [
    Phase.PLANNING,
    Phase.FLUSHING,
    Phase.LISTING,
    Phase.COPYING,
    Phase.CHECKING,
    Phase.WRITING_METADATA,
]


async def filled(world: World | None = None) -> World:
    world = world or World()
    for name in ("c", "d"):
        await flushed(world.milvus, await add_collection(world.milvus, name, range(10)))
    return world


async def cancelled(service: Service, name: str, *gates: asyncio.Event) -> None:
    """Cancel an operation, open the gates, and see that it ended as cancelled."""
    assert service.operations.cancel(name).state is OperationState.CANCELLING
    await asyncio.sleep(0.01)
    for gate in gates:
        gate.set()
    last = await service.end(service.operations.get(name))
    assert last.state is OperationState.CANCELLED, last.error
    assert last.error is not None
    assert last.error.message == "cancelled on request"
    assert last.warnings == ()
    assert {item.state for item in last.collections} <= {CollectionState.STOPPED}


@pytest.mark.parametrize("answer", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("phase", CREATE_PHASES)
async def test_a_create_cancelled_in_any_phase_leaves_nothing(
    phase: Phase, number: int, answer: bool
) -> None:
    if (phase, number) == (Phase.PLANNING, 3):
        number = 1  # there is only one call
    world = await filled()
    before = await world.traces()
    gate = PhaseGate(phase, number=number, answer=answer)
    async with running(world, gate.decorators) as service:
        gate.operations = service.operations
        operation = await service.start_create("b")
        await gate.wait()
        await cancelled(service, operation.name, gate.opened)
        assert await world.traces() == before
        await service.create("b")
        assert (await service.catalog.get("b")).state is BackupState.COMPLETE


async def test_a_create_cancelled_behind_its_last_write_leaves_nothing() -> None:
    """What is left to wait for then is the removal of what lies on the local disk."""
    world = await filled()
    before = await world.traces()

    async def cancel() -> None:
        (operation,) = service.operations.list("", 1).items
        service.operations.cancel(operation.name)

    end = Meanwhile(BACKUP_STORE, "put", cancel, part="full_meta.json", after=True, shielded=False)
    async with running(world, end.decorators) as service:
        last = await service.end(await service.start_create("b"))
        assert end.fired == 1
        assert last.state is OperationState.CANCELLED
        assert last.warnings == ()
        assert await world.traces() == before
        await service.create("b")


@pytest.mark.parametrize("answer", [False, True], ids=["before", "after"])
async def test_a_cancel_while_the_name_is_claimed(answer: bool) -> None:
    world = await filled()
    gates = Gates()
    gates.gate = Gate(BACKUP_STORE, "put", part="claim.json", answer=answer)
    async with running(world, around_all(gates)) as service:
        operation = await service.start_create("b")
        await gates.gate.reached.wait()
        service.operations.cancel(operation.name)
        await asyncio.sleep(0.01)
        # Whether the name is ours must be known before it can be given back.
        assert service.operations.get(operation.name).state is OperationState.CANCELLING
        gates.gate.opened.set()
        last = await service.end(operation)
        assert last.state is OperationState.CANCELLED
        assert await world.backups() == []
        await service.create("b")


@pytest.mark.parametrize("answer", [False, True], ids=["before", "after"])
async def test_a_claim_whose_write_does_not_end_is_not_waited_for_without_end(answer: bool) -> None:
    world = await filled()
    gates = Gates()
    gates.gate = Gate(BACKUP_STORE, "put", part="claim.json", answer=answer)
    limits = replace(LIMITS, cleanup_seconds=0.05)
    async with running(world, around_all(gates), limits=limits) as service:
        operation = await service.start_create("b")
        await gates.gate.reached.wait()
        service.operations.cancel(operation.name)
        last = await service.end(operation)
        assert last.state is OperationState.CANCELLED
        assert last.warnings == ()
        assert await world.backups() == []
        gates.gate.opened.set()
        await service.create("b")


async def test_a_cancel_while_the_name_turns_out_to_be_taken_touches_nothing_of_the_other() -> None:
    world = await filled()
    gates = Gates()
    gates.gate = Gate(BACKUP_STORE, "put", part="claim.json")
    async with running(world, around_all(gates)) as service:
        operation = await service.start_create("b")
        await gates.gate.reached.wait()
        for key in ("meta/claim.json", "binlogs/x"):
            await world.backup_store.put(f"backup/b/{key}", b"theirs")
        service.operations.cancel(operation.name)
        gates.gate.opened.set()
        assert (await service.end(operation)).state is OperationState.CANCELLED
    assert await world.backups() == ["backup/b/binlogs/x", "backup/b/meta/claim.json"]


async def test_a_cancel_while_it_waits_for_a_place_writes_nothing() -> None:
    world = await filled()
    gate = PhaseGate(Phase.COPYING)
    one_place = OperationLimits(concurrent=1)
    async with running(world, gate.decorators, operations=one_place) as service:
        gate.operations = service.operations
        first = await service.start_create("first")
        await gate.wait()
        second = await service.start_create("second")
        service.operations.cancel(second.name)
        assert (await service.end(second)).state is OperationState.CANCELLED
        gate.opened.set()
        assert (await service.end(first)).state is OperationState.SUCCEEDED
    assert not [key for key in await world.backups() if "/second/" in key]


IN_PARTS = TransferSettings(
    workers=2, part_size_bytes=16, copy_threshold_bytes=16, copy_part_size_bytes=16
)


@pytest.mark.parametrize(
    ("method", "after"),
    [
        ("start_upload", False),
        ("start_upload", True),
        ("copy_part", False),
        ("copy_part", True),
        ("complete_upload", False),
        ("complete_upload", True),
    ],
)
async def test_a_cancel_during_copies_in_parts_leaves_no_upload(method: str, after: bool) -> None:
    world = await filled(World(backup_bucket="b-bucket"))
    stores: list[GatedStore] = []

    def gated(inner: ObjectStore) -> GatedStore:
        stores.append(GatedStore(inner, method, after=after))
        return stores[-1]

    decorators = Decorators(backup_store=gated)
    async with running(world, decorators, transfer=IN_PARTS) as service:
        operation = await service.start_create("b")
        await stores[0].wait_for(1)
        await cancelled(service, operation.name, stores[0].gate)
        assert await world.backups() == []
        assert await world.uploads() == []
        await service.create("b")
        assert await world.uploads() == []


@pytest.mark.parametrize("method", ["start_upload", "upload_part", "complete_upload", "put"])
async def test_a_cancel_while_bytes_come_through_us_leaves_nothing(method: str) -> None:
    world = await filled(World(backup_bucket="b-bucket", backup_server=MemoryServer("other")))
    stores: list[GatedStore] = []

    def gated(inner: ObjectStore) -> GatedStore:
        stores.append(GatedStore(inner, method))
        return stores[-1]

    transfer = TransferSettings(workers=2) if method == "put" else IN_PARTS
    decorators = Decorators(backup_store=gated)
    async with running(world, decorators, transfer=transfer) as service:
        operation = await service.start_create("b")
        await stores[0].wait_for(1)
        await cancelled(service, operation.name, stores[0].gate)
        assert await world.backups() == []
        assert await world.uploads() == []
        last = await service.create("b")
    assert isinstance(last.result, CreateResult)
    assert last.result.server_side_copy_count == 0


async def test_a_step_that_fails_while_it_is_cancelled_does_not_prevent_the_clean_up() -> None:
    world = await filled()
    reached = asyncio.Event()

    async def break_when_cancelled() -> None:
        reached.set()
        try:
            await asyncio.sleep(60)
        finally:
            raise StorageUnavailable("it broke while it was stopped")

    breaking = Meanwhile(
        BACKUP_STORE, "list_page", break_when_cancelled, part="/binlogs/", shielded=False
    )
    async with running(world, breaking.decorators) as service:
        operation = await service.start_create("b")
        await reached.wait()
        service.operations.cancel(operation.name)
        last = await service.end(operation)
        assert last.state is OperationState.CANCELLED
        assert await world.backups() == []
        assert [warning.reason for warning in last.warnings] == ["STORAGE_UNAVAILABLE"]


async def test_a_clean_up_that_fails_says_so_and_the_rest_can_be_deleted() -> None:
    world = await filled()
    gate = PhaseGate(Phase.CHECKING)
    stores: list[FailingStore] = []

    def backup_store(inner: ObjectStore) -> FailingStore:
        stores.append(FailingStore(inner))
        return stores[-1]

    around = gate.decorators
    decorators = replace(around, backup_store=lambda it: around.backup_store(backup_store(it)))
    async with running(world, decorators) as service:
        gate.operations = service.operations
        operation = await service.start_create("b")
        await gate.wait()
        stores[0].fail("delete", StorageUnavailable("down"), at=[1])
        service.operations.cancel(operation.name)
        last = await service.end(operation)
        assert stores[0].injected["delete"] == 1
        assert last.state is OperationState.CANCELLED
        assert last.error is not None
        assert "not everything could be cleaned up" in last.error.message
        assert [(warning.reason, warning.message) for warning in last.warnings] == [
            (
                "LEFT_BEHIND",
                "backup 'b' was written in part and could not be removed: down; delete it",
            )
        ]
        assert (await service.catalog.get("b")).state is BackupState.INCOMPLETE
        await service.delete("b")
    assert await world.backups() == []


async def test_a_stopped_service_leaves_an_incomplete_backup_that_can_be_deleted() -> None:
    world = await filled()
    gate = PhaseGate(Phase.CHECKING)
    async with running(world, gate.decorators) as service:
        gate.operations = service.operations
        operation = await service.start_create("b")
        await gate.wait()
    assert service.operations.get(operation.name).state is OperationState.INTERRUPTED
    assert await world.uploads() == []
    async with running(world) as restarted:
        assert (await restarted.catalog.get("b")).state is BackupState.INCOMPLETE
        await restarted.delete("b")
        assert await world.backups() == []
        await restarted.create("b")


async def test_the_clean_up_is_shown_as_its_own_phase() -> None:
    world = await filled()
    gate = PhaseGate(Phase.WRITING_METADATA)
    async with running(world, gate.decorators) as service:
        gate.operations = service.operations
        operation = await service.start_create("b")
        await gate.wait()
        written = len([key for key in await world.backups() if key.startswith("backup/b/")])
        await cancelled(service, operation.name)
        progress = service.operations.get(operation.name).progress
    assert progress.phase is Phase.CLEANING_UP
    assert progress.phases[-1].done.objects == written
