"""A restore is interrupted a second time, while it goes on: nothing that was known is forgotten."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.errors import (
    MilvusDenied,
    MilvusUnavailable,
    OperationNotResumable,
    StorageUnavailable,
)
from milvus_backup_server.domain.operations import CollectionState, OperationState, Phase
from milvus_backup_server.domain.renaming import CollectionMapping
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.restore_finished import FinishedRestores
from tests.support.crash_checks import temporary
from tests.support.held_calls import BACKUP_STORE, GATEWAY, Gate, Gates, around_all
from tests.support.meanwhile import Meanwhile, failing
from tests.support.phases import PhaseGate
from tests.support.replacing_restores import (
    BACKED_UP,
    LATER,
    REPLACING,
    Begun,
    rows,
    stopped_while_replacing,
    with_backup,
)
from tests.support.resumed_restores import interrupted, resume, undo
from tests.support.running_service import Decorators
from tests.support.service import World, named, running
from tests.support.stores import FailingStore


async def interrupted_twice() -> tuple[World, str]:
    """End a service between the drop of an old collection and the renaming of the new one.

    The one that goes on is stopped before it comes to the names.
    """
    world, name = await stopped_while_replacing()
    gate = PhaseGate(Phase.VERIFYING)
    async with running(world, gate.decorators) as service:
        gate.operations = service.operations
        going_on = asyncio.create_task(resume(service, interrupted(name, **REPLACING)))
        await gate.wait()
        await service.operations.drain(0)
        assert (await going_on).state is OperationState.INTERRUPTED
    return world, name


async def test_names_that_were_being_given_are_still_known_after_a_second_stop() -> None:
    world, name = await interrupted_twice()
    async with running(world) as service:
        last = await resume(service, interrupted(name, 2, **REPLACING))
    assert last.state is OperationState.SUCCEEDED, last.error
    assert rows(world) == [BACKED_UP, BACKED_UP]
    assert temporary(world) == []


async def test_the_only_copy_of_a_collection_is_not_undone_after_a_second_stop() -> None:
    world, name = await interrupted_twice()
    async with running(world) as service:
        last = await undo(service, interrupted(name, 2, **REPLACING))
    assert last.state is OperationState.CANCELLED, last.error
    assert rows(world) == [BACKED_UP, LATER]
    assert temporary(world) == []


# --- before there is a run that goes on


async def stopped_in(phase: Phase, number: int = 1) -> tuple[World, str]:
    """Stop the service of a restore in a phase."""
    world, begun, gate = await with_backup(), Begun(), PhaseGate(phase, number=number)
    async with running(world, gate.decorators) as service:
        gate.operations = service.operations
        await begun(service)
        await gate.wait()
    return world, begun.name


async def test_a_resume_is_cancelled_while_it_reads_what_is_written_down() -> None:
    world, name = await stopped_in(Phase.IMPORTING, 4)
    assert temporary(world) != []
    reading, gates = Gate(BACKUP_STORE, "get", part="/targets/"), Gates()
    gates.gate = reading
    async with running(world, around_all(gates)) as service:
        going_on = asyncio.create_task(resume(service, interrupted(name, **REPLACING)))
        await reading.reached.wait()
        service.operations.cancel(name)
        assert (await going_on).state is OperationState.CANCELLED
    assert temporary(world) == []
    assert rows(world) == [LATER, LATER]
    assert [key for key in await world.backups() if "/restores/" in key] == []


async def test_a_store_that_is_away_when_a_restore_goes_on_interrupts_it_once_more() -> None:
    world, name = await stopped_in(Phase.IMPORTING, 4)
    away = Meanwhile(
        BACKUP_STORE, "get", failing(StorageUnavailable("away")), part="/targets/", times=1
    )
    async with running(world, away.decorators) as service:
        again = await resume(service, interrupted(name, **REPLACING))
        assert away.fired == 1
        assert again.state is OperationState.INTERRUPTED
        last = await resume(service, interrupted(name, 2, **REPLACING))
    assert last.state is OperationState.SUCCEEDED, last.error
    assert rows(world) == [BACKED_UP, BACKED_UP]


async def test_what_may_be_anothers_by_now_is_not_taken_away_while_the_store_is_away() -> None:
    world = await with_backup()
    records = FailingStore(MemoryServer("records").store("records"))

    async def fail_and_be_away() -> None:
        records.fail("head", StorageUnavailable("away"))
        raise MilvusDenied("no more", subject="one")

    failing_import = Meanwhile(GATEWAY, "submit_import", fail_and_be_away)
    async with running(world, failing_import.decorators, records=records) as service:
        last = await service.end(await service.start_restore("b", **REPLACING))
        assert records.injected["head"] > 0
    assert last.state is OperationState.INTERRUPTED
    assert last.error is not None
    assert last.error.message.startswith("away; what was done so far stays")
    assert temporary(world) != []


async def test_what_lies_under_a_temporary_name_without_a_journal_is_built_anew() -> None:
    world, name = await stopped_in(Phase.FINISHING)
    left = [world.milvus.keys(named(it)) for it in temporary(world)]
    assert left == [BACKED_UP, BACKED_UP], "rows that a second import would double"
    keys = [key for key in await world.backups() if "/restores/" in key]
    await world.backup_store.delete(keys)  # as where the store took none
    async with running(world) as service:
        last = await resume(service, interrupted(name, **REPLACING))
    assert last.state is OperationState.SUCCEEDED, last.error
    assert rows(world) == [BACKED_UP, BACKED_UP]
    assert temporary(world) == []


# --- what failed meanwhile


async def test_a_target_that_is_whole_is_restored_although_its_source_is_damaged_since() -> None:
    world = await with_backup()
    pairs = (("one", "one_a"), ("one", "one_b"), ("two", "two_r"))
    fields: dict[str, Any] = {"mappings": tuple(CollectionMapping(*pair) for pair in pairs)}
    down = Meanwhile(GATEWAY, "submit_import", failing(MilvusUnavailable("down")), first=2)
    async with running(world, down.decorators) as service:
        last = await service.end(await service.start_restore("b", **fields))
    assert last.state is OperationState.INTERRUPTED
    part = f"/insert_log/{world.milvus.collection(named('one')).collection_id}/"
    key = next(key for key in await world.backups() if part in key)
    await world.backup_store.put(key, b"x" * len(await world.backup_store.get(key)))
    async with running(world) as service:
        last = await resume(service, interrupted(last.name, **fields))
    assert last.state is OperationState.PARTIALLY_SUCCEEDED, last.error
    there = [name for name in world.collections() if name.endswith(("_a", "_b", "_r"))]
    assert there == ["default.one_a", "default.two_r"]
    assert world.milvus.keys(named("one_a")) == BACKED_UP
    failed = [str(it.target) for it in last.collections if it.state is CollectionState.FAILED]
    assert failed == ["default.one_b"]
    assert temporary(world) == []


class Later(StoreDecorator):
    """A store whose clock is some days ahead."""

    def __init__(self, inner: ObjectStore, days: int) -> None:
        super().__init__(inner)
        self._days = timedelta(days=days)

    async def now(self) -> datetime:
        return await super().now() + self._days


@pytest.mark.parametrize(("days", "known"), [(29, True), (100, False)])
async def test_a_restore_that_had_finished_is_not_done_again_weeks_later(
    days: int, *, known: bool
) -> None:
    world = await with_backup()
    async with running(world) as service:
        done = await service.restore("b", **REPLACING)
    world.milvus.insert(named("one"), LATER)  # what a second restore would drop
    storage = Storage("backup", Later(world.backup_store, days), "backup")
    await FinishedRestores(storage).tidy()
    found = await FinishedRestores(storage).result(done.name)
    assert found == (done.result if known else None)
    later = Decorators(backup_store=lambda inner: Later(inner, days))
    async with running(world, later) as service:
        if known:
            last = await resume(service, interrupted(done.name, **REPLACING))
            assert (last.state, last.result) == (OperationState.SUCCEEDED, done.result)
        else:
            with pytest.raises(OperationNotResumable, match="may have finished"):
                await resume(service, interrupted(done.name, **REPLACING))
    assert rows(world)[0] == [*BACKED_UP, *LATER]
