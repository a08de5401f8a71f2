"""A delete that was stopped anywhere goes on in its order, and never with another backup of the name."""

import asyncio

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.operations import (
    DeleteResult,
    Operation,
    OperationKind,
    OperationState,
    Phase,
)
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.crash_checks import OTHER, objects_of, world_with
from tests.support.crashes import die, mutations
from tests.support.fixtures import put_backup
from tests.support.phases import PhaseGate
from tests.support.service import Service, World, running, succeeded


def new_records() -> ObjectStore:
    return MemoryServer("records").store("records")


async def delete(service: Service) -> Operation:
    return await service.start_delete("b")


async def interrupt(world: World, records: ObjectStore, number: int, *, generation: int = 1) -> str:
    """Begin a delete of `b`, stop its service at one of its calls, and return the operation's name."""
    gate = PhaseGate(Phase.DELETING, number=number)
    async with running(world, gate.decorators, records=records, generation=generation) as service:
        gate.operations = service.operations
        operation = await service.start_delete("b")
        await gate.wait()
        stopping = asyncio.create_task(service.operations.drain(0))
        await asyncio.sleep(0.01)
        gate.opened.set()
        await stopping
        last = service.operations.get(operation.name)
    assert last.state is OperationState.INTERRUPTED
    assert last.kind is OperationKind.DELETE_BACKUP
    return operation.name


async def resumed_after_death(at: int, *, after: bool) -> None:
    world, records = await world_with("b", OTHER), new_records()
    before = await objects_of(world, OTHER)
    assert await die(world, delete, at, after=after, records=records)
    async with running(world, generation=2, records=records) as service:
        async with asyncio.timeout(60):
            while True:
                (operation,) = (await service.use_cases.directory.list("", 2)).items
                if operation.state is OperationState.INTERRUPTED:
                    break
                await asyncio.sleep(0.02)
        last = await service.resume(operation.name)
        if at == 1 and not after:  # nothing was noted, so nothing was removed
            assert last.error is not None
            assert "delete it again" in last.error.message
            await service.delete("b")
        else:
            assert last.state is OperationState.SUCCEEDED, last.error
    left = await world.objects()
    assert left == before


async def test_a_delete_whose_service_died_goes_on() -> None:
    count = len(await mutations(await world_with("b"), delete))
    for at, after in [(1, False), (2, True), (count // 2, False), (count, True)]:
        await resumed_after_death(at, after=after)


@pytest.mark.torture
async def test_a_delete_whose_service_died_anywhere_goes_on() -> None:
    count = len(await mutations(await world_with("b"), delete))
    for at in range(1, count + 1):
        for after in (False, True):
            await resumed_after_death(at, after=after)


@pytest.mark.parametrize("number", [5, 7, 9])
async def test_an_interrupted_delete_goes_on_and_tells_what_it_removed(number: int) -> None:
    world, records = await world_with("b"), new_records()
    name = await interrupt(world, records, number)
    left = len(await objects_of(world, "b"))
    async with running(world, generation=2, records=records) as service:
        assert (await service.catalog.get("b")).state is not BackupState.COMPLETE or number == 5
        last = succeeded(await service.resume(name))
    assert last.result == DeleteResult(left)
    assert await world.backups() == []


async def test_a_backup_of_the_go_tool_is_removed_to_its_end_too() -> None:
    world, records = World(), new_records()
    await put_backup(world.backup_store, "backup", "fx_go_0_4_30", name="b")
    name = await interrupt(world, records, 7)
    async with running(world, generation=2, records=records) as service:
        succeeded(await service.resume(name))
    assert await world.backups() == []


@pytest.mark.parametrize("number", [4, 7])
async def test_another_backup_of_the_name_is_left_alone(number: int) -> None:
    world, records = await world_with("b"), new_records()
    name = await interrupt(world, records, number)
    async with running(world, generation=2) as other:  # which knows no records
        await other.delete("b")
        await other.create("b")
    before = await objects_of(world, "b")
    async with running(world, generation=3, records=records) as service:
        last = await service.resume(name)
        assert last.error is not None
        assert last.error.reason == "BACKUP_NAME_LOST"
        assert (await service.catalog.get("b")).state is BackupState.COMPLETE
    assert await objects_of(world, "b") == before


async def test_another_backup_of_the_go_tool_is_left_alone() -> None:
    world, records = World(), new_records()
    await put_backup(world.backup_store, "backup", "fx_go_0_4_30", name="b")
    name = await interrupt(world, records, 7)
    await put_backup(world.backup_store, "backup", "fx_go_0_4_3_groups", name="b")
    before = await objects_of(world, "b")
    async with running(world, generation=2, records=records) as service:
        last = await service.resume(name)
        assert last.error is not None
        assert last.error.reason == "BACKUP_NAME_LOST"
    assert await objects_of(world, "b") == before


@pytest.mark.parametrize("number", range(1, 6))
async def test_a_delete_that_was_cancelled_before_it_removed_anything_says_nothing(
    number: int,
) -> None:
    world = await world_with("b")
    before = await world.objects()
    gate = PhaseGate(Phase.DELETING, number=number)
    async with running(world, gate.decorators) as service:
        gate.operations = service.operations
        operation = await service.start_delete("b")
        await gate.wait()
        service.operations.cancel(operation.name)
        last = await service.end(operation)
    assert (last.state, last.warnings) == (OperationState.CANCELLED, ())
    assert await world.objects() == before


async def test_a_delete_that_went_on_is_cancelled_before_it_removes_more() -> None:
    world, records = await world_with("b"), new_records()
    name = await interrupt(world, records, 7)
    gate = PhaseGate(Phase.DELETING)
    async with running(world, gate.decorators, generation=2, records=records) as service:
        gate.operations = service.operations
        operation = await service.use_cases.control.resume(name)
        await gate.wait()
        await service.use_cases.control.cancel(name)
        last = await service.end(operation)
        assert last.state is OperationState.CANCELLED
        assert [warning.message for warning in last.warnings] == [
            "backup 'b' is removed in part; delete it again"
        ]
    assert [key for key in await world.backups() if "/plans/" in key] == []


async def test_a_cancelled_interrupted_delete_says_what_is_left() -> None:
    world, records = await world_with("b"), new_records()
    name = await interrupt(world, records, 7)
    async with running(world, generation=2, records=records) as service:
        last = await service.end(await service.use_cases.control.cancel(name))
        assert last.state is OperationState.CANCELLED
        assert [warning.message for warning in last.warnings] == [
            "backup 'b' is removed in part; delete it again"
        ]
        await service.delete("b")
    assert await world.backups() == []
