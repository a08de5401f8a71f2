"""What is in the way of going on with a restore: names that are taken, other backups, no journal."""

from dataclasses import replace

import pytest

from milvus_backup_server.domain.errors import (
    StorageDenied,
    TargetAlreadyExists,
)
from milvus_backup_server.domain.operations import (
    OperationState,
    Phase,
)
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.crash_checks import temporary
from tests.support.held_calls import BACKUP_STORE
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
    with_backup,
)
from tests.support.running_service import Decorators
from tests.support.sample import assert_exact
from tests.support.service import (
    add_collection,
    named,
    running,
)
from tests.support.stores import FailingStore

INTERRUPTED = OperationState.INTERRUPTED
SUCCEEDED = OperationState.SUCCEEDED


async def test_a_resume_is_refused_while_somebody_else_has_the_name() -> None:
    world = await with_backup()
    operation = await refused_by_milvus(world, "submit_import", 2)
    await add_collection(world.milvus, "one_r", [1])
    record = interrupted(operation.name, **FIELDS)
    async with running(world) as service:
        with pytest.raises(TargetAlreadyExists):
            await resume(service, record)
        await world.milvus.drop_collection(named("one_r"))
        assert (await resume(service, record)).state is SUCCEEDED


async def test_a_restore_does_not_go_on_with_another_backup() -> None:
    world = await with_backup()
    operation = await refused_by_milvus(world, "submit_import", 2)
    record = interrupted(operation.name, **FIELDS)
    async with running(world, generation=2) as service:
        await service.delete("b")
        await service.create("b", "one", "shop.two")
        last = await resume(service, record)
        assert last.state is OperationState.FAILED
        assert last.error is not None
        assert last.error.reason == "BACKUP_NOT_RESTORABLE"
        assert "the backup was changed since it was interrupted" in last.error.message
    assert await left(world) == []


async def test_a_store_that_takes_no_journal_gets_a_restore_that_cleans_up() -> None:
    world = await with_backup()
    before = world.collections()
    refusal = Meanwhile(BACKUP_STORE, "put", failing(StorageDenied("read only")), part="head")
    gate, begun = PhaseGate(Phase.FINISHING), Begun()
    both = replace(
        gate.decorators,
        backup_store=lambda it: gate.decorators.backup_store(refusal.decorators.backup_store(it)),
    )
    async with running(world, both) as service:
        gate.operations = service.operations
        await begun(service)
        await gate.wait()
    last = service.operations.get(begun.name)
    assert refusal.fired == 1
    assert last.state is INTERRUPTED
    assert [it.message for it in last.warnings] == [
        "if this restore is interrupted it cannot be resumed: read only"
    ]
    assert world.collections() == before
    assert await left(world) == []


async def test_a_journal_that_the_store_takes_no_more_interrupts_the_restore() -> None:
    world = await with_backup(staged=True)
    refusal = Meanwhile(
        BACKUP_STORE, "put", failing(StorageDenied("quota")), part="targets/", first=3, times=99
    )
    last = await silent(world, refusal)
    assert last.state is INTERRUPTED
    assert last.error is not None
    assert last.error.message == (
        "the journal of the restore cannot be written: quota; what was done so far stays: resume the "
        "operation, or cancel it"
    )
    assert last.error.metadata["cause"] == "STORAGE_DENIED"
    assert temporary(world) != []
    async with running(world) as service:
        resumed = await resume(service, interrupted(last.name, **FIELDS))
    assert resumed.state is SUCCEEDED, resumed.error
    assert_exact(world, "_r")
    assert await left(world) == []


async def test_copies_that_the_store_lets_nobody_remove_stay_and_are_told_of_once() -> None:
    world = await with_backup(staged=True)
    stores: list[FailingStore] = []

    def keeping(inner: ObjectStore) -> ObjectStore:
        stores.append(FailingStore(inner))
        stores[0].fail("delete", StorageDenied("it keeps all"))
        return stores[0]

    async with running(world, Decorators(milvus_store=keeping)) as service:
        last = await service.end(await service.start_restore(**FIELDS))
    assert last.state is SUCCEEDED, last.error
    assert_exact(world, "_r")
    assert stores[0].injected["delete"] > 1
    (warning,) = last.warnings
    assert warning.reason == "LEFT_BEHIND"
    assert warning.message.endswith("could not be removed and remain: it keeps all")
    assert await world.staged() != []
