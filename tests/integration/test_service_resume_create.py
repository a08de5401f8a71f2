"""A create that was stopped anywhere goes on where it was, is cancelled, or its backup is deleted."""

import asyncio
from collections.abc import Sequence

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.errors import (
    MilvusUnavailable,
    OperationEnded,
    OperationNotResumable,
    StorageUnavailable,
)
from milvus_backup_server.domain.operations import (
    CreateResult,
    Operation,
    OperationKind,
    OperationState,
    Phase,
)
from milvus_backup_server.domain.verification import VerifyLevel
from milvus_backup_server.service.operation_entries import Filter
from tests.support.crash_checks import assert_listed_is_whole, assert_restores, remains, world_with
from tests.support.crashes import die, mutations
from tests.support.held_calls import BACKUP_STORE, GATEWAY, MILVUS_STORE
from tests.support.meanwhile import Meanwhile, failing
from tests.support.phases import PhaseGate
from tests.support.sample import ROWS, drop
from tests.support.service import Service, World, add_collection, flushed, named, running, succeeded

CREATES = Filter("b", frozenset({OperationKind.CREATE_BACKUP}))
Call = tuple[str, str, str]


class Watched:
    """A world with records of operations, and the calls that its services make."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.records = MemoryServer("records").store("records")

    def calls(self) -> Meanwhile:
        """Return what notes the calls of a service."""
        return Meanwhile("nothing", "nothing", failing(AssertionError()))

    async def interrupt(
        self, phase: Phase, number: int = 2, calls: list[Call] | None = None
    ) -> str:
        """Begin a create of `b`, stop its service in a phase, and return the operation's name."""
        gate = PhaseGate(phase, number=number)
        async with running(self.world, gate.decorators, records=self.records) as service:
            gate.operations = service.operations
            operation = await service.start_create("b")
            await gate.wait()
            stopping = asyncio.create_task(service.operations.drain(0))
            await asyncio.sleep(0.01)
            gate.opened.set()
            await stopping
            last = service.operations.get(operation.name)
        assert last.state is OperationState.INTERRUPTED
        return operation.name


async def watched() -> Watched:
    return Watched(await world_with())


def copies(calls: Sequence[Call]) -> list[str]:
    return [subject for port, method, subject in calls if (port, method) == (BACKUP_STORE, "copy")]


def touched(calls: Sequence[Call], method: str, part: str) -> list[Call]:
    return [call for call in calls if call[1] == method and part in call[2]]


async def whole(service: Service, world: World) -> None:
    """Assert that the backup is complete, sound, exact and has nothing beside it; remove it."""
    assert (await service.catalog.get("b")).state is BackupState.COMPLETE
    verified = succeeded(await service.verify("b", level=VerifyLevel.CONTENT))
    assert verified.warnings == ()
    assert [key for key in await world.backups() if "/plans/" in key] == []
    await assert_restores(world, service, "b")
    await service.delete("b")
    assert await remains(world) == []


async def back_up(service: Service) -> Operation:
    return await service.start_create("b")


async def resumed_after_death(at: int, *, after: bool) -> None:
    setting = await watched()
    world = setting.world
    assert await die(world, back_up, at, after=after, records=setting.records)
    before = {key for key in await world.backups() if "/binlogs/" in key}
    calls = setting.calls()
    async with running(world, calls.decorators, generation=2, records=setting.records) as service:
        name = await only_operation(service)  # until then it is in the way of restores
        await assert_listed_is_whole(world, service)
        calls.calls.clear()
        last = succeeded(await service.resume(name))
        again = before & set(copies(calls.calls))
        assert not again
        assert isinstance(last.result, CreateResult)
        assert last.name == name
        await whole(service, world)


async def only_operation(service: Service) -> str:
    """Return the name of the operation, when its owner counts as vanished."""
    async with asyncio.timeout(60):
        while True:
            page = await service.use_cases.directory.list("", 2, CREATES)
            (operation,) = page.items
            if operation.state is OperationState.INTERRUPTED:
                return operation.name
            await asyncio.sleep(0.02)


async def test_a_create_whose_service_died_goes_on_with_what_is_missing() -> None:
    count = len(await mutations((await watched()).world, back_up))
    for at, after in [(count // 3, True), (count // 2, False), (count - 3, True), (count, True)]:
        await resumed_after_death(at, after=after)


@pytest.mark.torture
async def test_a_create_whose_service_died_anywhere_goes_on() -> None:
    count = len(await mutations((await watched()).world, back_up))
    for at in range(1, count + 1):
        for after in (False, True):
            await resumed_after_death(at, after=after)


@pytest.mark.parametrize("number", [1, 4, 8])
async def test_what_was_copied_is_not_copied_again(number: int) -> None:
    setting = await watched()
    name = await setting.interrupt(Phase.COPYING, number)
    stood = {key for key in await setting.world.backups() if "/binlogs/" in key}
    calls = setting.calls()
    async with running(
        setting.world, calls.decorators, generation=2, records=setting.records
    ) as service:
        last = succeeded(await service.resume(name))
        made = copies(calls.calls)
        assert len(made) == len(set(made))
        assert not stood & set(made)
        assert touched(calls.calls, "flush", "") == []
        everything = {key for key in await setting.world.backups() if "/b/binlogs/" in key}
        assert set(made) == everything - stood
        assert isinstance(last.result, CreateResult)
        assert last.result.object_count == len(everything)
        assert last.progress.phases[-1].done.objects in (0, len(everything))
        await whole(service, setting.world)


async def test_a_collection_that_is_whole_is_not_read_again() -> None:
    setting = await watched()
    name = await setting.interrupt(Phase.WRITING_METADATA, 1)
    calls = setting.calls()
    async with running(
        setting.world, calls.decorators, generation=2, records=setting.records
    ) as service:
        succeeded(await service.resume(name))
        assert copies(calls.calls) == []
        assert touched(calls.calls, "list_page", "binlogs/") == []
        assert [call for call in calls.calls if call[0] == MILVUS_STORE] == []
        await whole(service, setting.world)


@pytest.mark.parametrize("number", [1, 3, 6])
async def test_what_vanished_meanwhile_is_planned_anew_from_a_new_moment(number: int) -> None:
    setting = await watched()
    world, one = setting.world, named("one")
    name = await setting.interrupt(Phase.COPYING, number)
    stood = {key for key in await world.backups() if "/binlogs/" in key}
    world.milvus.insert(one, [300])
    await flushed(world.milvus, one)
    await world.milvus.compact(one)
    await world.milvus.collect_garbage()
    calls = setting.calls()
    async with running(world, calls.decorators, generation=2, records=setting.records) as service:
        last = succeeded(await service.resume(name))
        assert [call[2] for call in touched(calls.calls, "flush", "")] == ["default"]
        two = (await world.milvus.describe_collection(named("shop.two"))).collection_id
        kept = {key for key in stood if f"_log/{two}/" in key}
        assert not kept & set(copies(calls.calls))
        assert last.succeeded_count == len(ROWS)
        await service.restore("b", suffix="_r")
        assert world.milvus.keys(named("one_r")) == [*ROWS["one"], 300]
        assert world.milvus.keys(named("shop.two_r")) == ROWS["shop.two"]
        assert succeeded(await service.verify("b", level=VerifyLevel.CONTENT)).warnings == ()


@pytest.mark.parametrize(
    ("phase", "number"), [(Phase.COPYING, 3), (Phase.WRITING_METADATA, 1)], ids=str
)
async def test_a_damaged_plan_of_a_collection_is_made_anew(phase: Phase, number: int) -> None:
    setting = await watched()
    name = await setting.interrupt(phase, number)
    (key,) = [key for key in await setting.world.backups() if "/0.1.jsonl" in key]
    await setting.world.backup_store.put(key, b"damaged")
    async with running(setting.world, generation=2, records=setting.records) as service:
        succeeded(await service.resume(name))
        await whole(service, setting.world)


async def test_without_a_plan_it_begins_anew_under_its_claim() -> None:
    setting = await watched()
    name = await setting.interrupt(Phase.COPYING, 3)
    plans = [key for key in await setting.world.backups() if "/plans/" in key]
    await setting.world.backup_store.delete(plans)
    async with running(setting.world, generation=2, records=setting.records) as service:
        succeeded(await service.resume(name))
        await whole(service, setting.world)


async def test_it_is_interrupted_and_goes_on_again_and_again() -> None:
    setting = await watched()
    name = await setting.interrupt(Phase.COPYING, 3)
    for generation, phase in enumerate([Phase.COPYING, Phase.CHECKING, Phase.WRITING_METADATA], 2):
        gate = PhaseGate(phase, number=2)
        async with running(
            setting.world, gate.decorators, generation=generation, records=setting.records
        ) as service:
            gate.operations = service.operations
            await service.use_cases.control.resume(name)
            await gate.wait()
            stopping = asyncio.create_task(service.operations.drain(0))
            await asyncio.sleep(0.01)
            gate.opened.set()
            await stopping
    async with running(setting.world, generation=1, records=setting.records) as service:
        last = succeeded(await service.resume(name))
        assert last.collection_count == len(ROWS)
        await whole(service, setting.world)


# --- cancelled or deleted instead


@pytest.mark.parametrize("phase", [Phase.LISTING, Phase.COPYING, Phase.WRITING_METADATA])
async def test_an_interrupted_create_is_cancelled_without_milvus(phase: Phase) -> None:
    setting = await watched()
    name = await setting.interrupt(phase)
    down = Meanwhile(GATEWAY, "version", failing(MilvusUnavailable("down", address="x")), times=99)
    async with running(
        setting.world, down.decorators, generation=2, records=setting.records
    ) as service:
        with pytest.raises(MilvusUnavailable):
            await service.use_cases.control.resume(name)
        last = await service.end(await service.use_cases.control.cancel(name))
        assert last.state is OperationState.CANCELLED
        assert last.warnings == ()
        assert await setting.world.backups() == []
        with pytest.raises(OperationEnded):
            await service.use_cases.control.cancel(name)
        with pytest.raises(OperationNotResumable):
            await service.use_cases.control.resume(name)


@pytest.mark.parametrize(
    ("method", "part"), [("get", "meta/claim.json"), ("list_page", "/plans/"), ("list_page", "/b/")]
)
async def test_a_cancel_that_the_store_does_not_answer_can_be_asked_for_again(
    method: str, part: str
) -> None:
    setting = await watched()
    name = await setting.interrupt(Phase.COPYING, 3)
    down = Meanwhile(BACKUP_STORE, method, failing(StorageUnavailable("down")), part=part)
    async with running(
        setting.world, down.decorators, generation=2, records=setting.records
    ) as service:
        last = await service.end(await service.use_cases.control.cancel(name))
        assert down.fired == 1
        assert (last.state, last.error and last.error.metadata["cause"]) == (
            OperationState.INTERRUPTED,
            "STORAGE_UNAVAILABLE",
        )
        last = await service.end(await service.use_cases.control.cancel(name))
        assert (last.state, last.warnings) == (OperationState.CANCELLED, ())
    assert await setting.world.backups() == []


@pytest.mark.parametrize("phase", [Phase.PLANNING, Phase.COPYING])
async def test_a_create_that_went_on_is_cancelled_and_leaves_nothing(phase: Phase) -> None:
    setting = await watched()
    name = await setting.interrupt(Phase.COPYING, 3)
    gate = PhaseGate(phase, number=2)
    async with running(
        setting.world, gate.decorators, generation=2, records=setting.records
    ) as service:
        gate.operations = service.operations
        operation = await service.use_cases.control.resume(name)
        await gate.wait()
        await service.use_cases.control.cancel(name)
        gate.opened.set()
        last = await service.end(operation)
        assert last.state is OperationState.CANCELLED, last.error
        assert last.warnings == ()
    assert await setting.world.backups() == []


async def test_the_backup_of_an_interrupted_create_is_deleted_and_the_create_ends() -> None:
    setting = await watched()
    name = await setting.interrupt(Phase.COPYING, 3)
    async with running(setting.world, generation=2, records=setting.records) as service:
        await service.delete("b")
        assert await setting.world.backups() == []
        ended = await service.operations.end_of(name)
        assert ended.state is OperationState.CANCELLED
        with pytest.raises(OperationNotResumable):
            await service.use_cases.control.resume(name)
        await service.create("b")


async def test_a_create_whose_name_is_anothers_now_touches_nothing_of_it() -> None:
    setting = await watched()
    name = await setting.interrupt(Phase.COPYING, 3)
    # A service that knows no records removes the backup and makes another one.
    async with running(setting.world, generation=2) as other:
        await other.delete("b")
        await other.create("b")
    before = await setting.world.objects()
    async with running(setting.world, generation=3, records=setting.records) as service:
        last = await service.resume(name)
        assert last.error is not None
        assert last.error.reason == "BACKUP_NAME_LOST"
    assert await setting.world.objects() == before


async def test_a_collection_that_is_gone_from_milvus_is_still_finished_from_its_copies() -> None:
    setting = await watched()
    name = await setting.interrupt(Phase.WRITING_METADATA, 1)
    await drop(setting.world, "")
    async with running(setting.world, generation=2, records=setting.records) as service:
        succeeded(await service.resume(name))
        await assert_restores(setting.world, service, "b")


async def test_collections_that_came_later_are_not_part_of_it() -> None:
    setting = await watched()
    name = await setting.interrupt(Phase.COPYING, 3)
    await add_collection(setting.world.milvus, "later", range(3))
    async with running(setting.world, generation=2, records=setting.records) as service:
        last = succeeded(await service.resume(name))
        assert last.collection_count == len(ROWS)
