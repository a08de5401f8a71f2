"""Backups in other buckets and paths than those of the settings, as far as the operator allows."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.diagnostics import CheckItem, CheckState
from milvus_backup_server.domain.errors import (
    BackupAlreadyExists,
    BackupNotFound,
    InvalidRequest,
    MilvusRefused,
    OperationConflict,
    OperationNotResumable,
)
from milvus_backup_server.domain.leftovers import LeftoverKind, LeftoverState, SweepResult
from milvus_backup_server.domain.operations import OperationState, Phase
from milvus_backup_server.domain.places import HOME, Place
from milvus_backup_server.domain.requests import SweepRequest
from milvus_backup_server.domain.verification import VerifyLevel
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.backup_tasks import BackupTasks
from tests.support.bodies import until
from tests.support.held_calls import GATEWAY
from tests.support.meanwhile import Meanwhile, failing
from tests.support.phases import PhaseGate
from tests.support.running_service import Decorators
from tests.support.service import (
    CALLER,
    LIMITS,
    Service,
    World,
    add_collection,
    keys_below,
    named,
    running,
)
from tests.support.stores import GatedStore

pytestmark = pytest.mark.usefixtures("own_disk")

ARCHIVE = Place("archive", "team")
BESIDE = Place("a-bucket", "old")
DEEP = Place("archive", "team/a/b")
PLACES = pytest.mark.parametrize("place", [ARCHIVE, BESIDE, DEEP], ids=str)


async def world_of_ten() -> World:
    world = World(places=(ARCHIVE, BESIDE))
    await add_collection(world.milvus, "c", range(10))
    return world


async def keys_at(world: World, place: Place) -> list[str]:
    store = next(it for prefix, it in world.place_stores.items() if prefix.bucket == place.bucket)
    return await keys_below(store, f"{place.root}/")


async def names(service: Service, place: Place = HOME) -> list[str]:
    page = await service.catalog.at(place).list("", 10, full=False)
    return [backup.name for backup in page.items]


@PLACES
async def test_the_whole_life_of_a_backup_elsewhere(place: Place) -> None:
    world = await world_of_ten()
    async with running(world) as service:
        made = await service.create("b", place=place)
        assert made.place == place
        assert f"{place.root}/b/meta/full_meta.json" in await keys_at(world, place)
        assert await world.backups() == []  # not even a plan is left there
        backup = await service.catalog.at(place).get("b")
        assert (backup.place, backup.row_count) == (place, 10)
        assert (await names(service), await names(service, place)) == ([], ["b"])
        restored = await service.restore("b", place=place, suffix="_r")
        assert restored.place == place
        assert world.milvus.keys(named("c_r")) == list(range(10))
        verified = await service.verify("b", place=place, level=VerifyLevel.CONTENT)
        assert verified.state is OperationState.SUCCEEDED
        assert len((await service.catalog.at(place).get("b")).verifications) == 1
        await service.delete("b", place=place)
        assert await keys_at(world, place) == []
    assert await world.staged() == []


async def test_backups_of_one_name_are_kept_apart() -> None:
    world = await world_of_ten()
    async with running(world) as service:
        await service.create("b")
        world.milvus.insert(named("c"), range(10, 15))
        await service.create("b", place=ARCHIVE)
        with pytest.raises(BackupAlreadyExists):
            await service.create("b", place=ARCHIVE)
        for level in (VerifyLevel.LISTING, VerifyLevel.CONTENT):
            await service.verify("b", place=ARCHIVE, level=level)
        await service.verify("b")
        here, there = [await service.catalog.at(it).get("b") for it in (HOME, ARCHIVE)]
        assert (here.row_count, there.row_count) == (10, 15)
        assert (len(here.verifications), len(there.verifications)) == (1, 2)
        await service.delete("b")
        assert (await names(service), await names(service, ARCHIVE)) == ([], ["b"])
        # Only what was remembered of the one that is gone is forgotten.
        assert len((await service.catalog.at(ARCHIVE).get("b")).verifications) == 2


async def test_what_is_not_allowed_touches_nothing() -> None:
    world = await world_of_ten()
    before = await world.objects()
    async with running(world) as service:
        for place, field in ((Place("other"), "bucket_name"), (Place("", "x"), "path")):
            calls = (
                service.start_create("b", place=place),
                service.start_restore("b", place=place),
                service.start_delete("b", place),
                service.start_verify("b", place=place),
                service.export("b", place),
            )
            for call in calls:
                with pytest.raises(InvalidRequest) as caught:
                    await call
                assert caught.value.violations[0].field == f"place.{field}"
            with pytest.raises(InvalidRequest):
                service.catalog.at(place)
    assert await world.objects() == before
    assert not await world.place_stores[ARCHIVE].bucket_exists()


async def test_conflicts_are_of_one_place() -> None:
    world = await world_of_ten()
    gates: list[GatedStore] = []

    def gated(inner: ObjectStore) -> GatedStore:
        gates.append(GatedStore(inner, "delete"))
        return gates[-1]

    async with running(world) as service:
        await service.create("b")
        await service.create("b", place=ARCHIVE)
    async with running(world, Decorators(backup_store=gated)) as service:
        operation = await service.start_delete("b", ARCHIVE)
        await until(lambda: any(gate.waiting for gate in gates))
        with pytest.raises(OperationConflict):
            await service.start_restore("b", place=ARCHIVE, suffix="_r")
        active = service.operations.active_backups
        assert (list(active(ARCHIVE)), list(active())) == (["b"], [])
        assert (await service.start_restore("b", suffix="_r")).place == HOME
        for gate in gates:
            gate.gate.set()
        assert (await service.end(operation)).state is OperationState.SUCCEEDED


async def interrupted(world: World, records: ObjectStore, place: Place = DEEP) -> str:
    """Begin a create elsewhere, stop its service in the middle, and return the operation's name."""
    gate = PhaseGate(Phase.COPYING, number=2)
    async with running(world, gate.decorators, records=records) as service:
        gate.operations = service.operations
        operation = await service.start_create("b", place=place)
        await gate.wait()
        stopping = asyncio.create_task(service.operations.drain(0))
        await asyncio.sleep(0.01)
        gate.opened.set()
        await stopping
        assert service.operations.get(operation.name).state is OperationState.INTERRUPTED
    return operation.name


async def test_an_interrupted_create_goes_on_where_it_was() -> None:
    world, records = await world_of_ten(), MemoryServer("records").store("records")
    name = await interrupted(world, records)
    async with running(world, records=records, generation=2) as service:
        assert [key for key in await world.backups() if "/plans/" in key]
        assert (await service.use_cases.directory.get(name)).place == DEEP
        ended = await service.resume(name)
        assert (ended.state, ended.place) == (OperationState.SUCCEEDED, DEEP)
        assert (await service.catalog.at(DEEP).get("b")).state is BackupState.COMPLETE
        assert await world.backups() == []


async def test_one_that_is_cancelled_leaves_nothing() -> None:
    world, records = await world_of_ten(), MemoryServer("records").store("records")
    name = await interrupted(world, records)
    async with running(world, records=records, generation=2) as service:
        ended = await service.end(await service.use_cases.control.cancel(name))
        assert ended.state is OperationState.CANCELLED
    assert (await keys_at(world, DEEP), await world.backups()) == ([], [])


async def test_a_sweep_looks_wherever_backups_were_made() -> None:
    world, records = await world_of_ten(), MemoryServer("records").store("records")
    name = await interrupted(world, records)
    async with running(world, records=records, generation=2) as service:
        await service.use_cases.control.supersede(name)  # its service is not asked to clean up
        await service.end(await service.use_cases.directory.get(name))
        operation = await service.use_cases.sweep.start(SweepRequest(True, 0), CALLER)
        swept = (await service.end(operation)).result
        assert isinstance(swept, SweepResult)
        found = {item.subject for item in swept.leftovers if item.kind is LeftoverKind.BACKUP}
        assert found == {"archive/team/a/b/b"}
    assert (await keys_at(world, DEEP), await world.backups()) == ([], [])


async def test_a_sweep_leaves_alone_what_services_with_other_records_make() -> None:
    world = await world_of_ten()
    theirs, ours = (MemoryServer(name).store(name) for name in ("theirs", "ours"))
    await interrupted(world, theirs, ARCHIVE)
    await world.backup_store.delete(await world.backups())  # their plan is where their records are
    keys = await keys_at(world, ARCHIVE)
    async with running(world, records=ours, generation=2) as service:
        operation = await service.use_cases.sweep.start(SweepRequest(True, 0), CALLER)
        swept = (await service.end(operation)).result
    assert isinstance(swept, SweepResult)
    told = [(it.state, it.subject) for it in swept.leftovers if it.kind is LeftoverKind.BACKUP]
    assert told == [(LeftoverState.KEPT, "archive/team/b")]
    assert keys
    assert await keys_at(world, ARCHIVE) == keys


async def test_a_create_that_is_not_on_record_any_more_is_known_by_its_plan() -> None:
    world, records = await world_of_ten(), MemoryServer("records").store("records")
    await interrupted(world, MemoryServer("forgotten").store("forgotten"), ARCHIVE)
    async with running(world, records=records, generation=2) as service:
        operation = await service.use_cases.sweep.start(SweepRequest(True, 0), CALLER)
        swept = (await service.end(operation)).result
    assert isinstance(swept, SweepResult)
    told = {(it.state, it.kind) for it in swept.leftovers}
    removed = LeftoverState.REMOVED
    assert told == {(removed, LeftoverKind.BACKUP), (removed, LeftoverKind.PLAN)}
    assert (await keys_at(world, ARCHIVE), await world.backups()) == ([], [])


async def test_a_place_that_is_not_allowed_any_more_is_not_touched() -> None:
    world, records = await world_of_ten(), MemoryServer("records").store("records")
    name = await interrupted(world, records)
    keys = await keys_at(world, DEEP)
    store, world.place_stores = world.place_stores, {}
    places, world.places = world.places, ()
    async with running(world, records=records, generation=2) as service:
        control = service.use_cases.control
        for call in (control.resume(name), control.cancel(name)):
            with pytest.raises(OperationNotResumable, match="allow it until") as caught:
                await call
            assert caught.value.metadata["place"] == str(DEEP)
        operation = await service.use_cases.sweep.start(SweepRequest(True, 0), CALLER)
        swept = await service.end(operation)
        assert [warning.metadata["subject"] for warning in swept.warnings] == [str(DEEP)]
        assert isinstance(swept.result, SweepResult)
        (left,) = swept.result.leftovers
        assert (left.state, left.operation) == (LeftoverState.FAILED, name)
        assert "allow it until" in left.note
        last = await service.use_cases.directory.get(name)
        assert last.state is OperationState.INTERRUPTED
    world.place_stores, world.places = store, places
    assert await keys_at(world, DEEP) == keys
    async with running(world, records=records, generation=3) as service:
        ended = await service.end(await service.use_cases.control.cancel(name))
        assert ended.state is OperationState.CANCELLED
    assert (await keys_at(world, DEEP), await world.backups()) == ([], [])


async def test_a_retry_goes_where_the_first_try_went() -> None:
    world = await world_of_ten()
    await add_collection(world.milvus, "d", range(5))
    no = failing(MilvusRefused("no"))
    meanwhile = Meanwhile(GATEWAY, "load_state", no, part="default.d")
    async with running(world, meanwhile.decorators) as service:
        first = await service.end(await service.start_create("b", place=ARCHIVE))
        assert first.state is OperationState.PARTIALLY_SUCCEEDED
        second = await service.end(await service.start_retry(first))
        assert (second.state, second.place) == (OperationState.SUCCEEDED, ARCHIVE)
        assert (await service.catalog.at(ARCHIVE).get("b")).row_count == 15


async def test_an_archive_goes_from_place_to_place() -> None:
    world = await world_of_ten()

    async def chunks(data: bytes) -> AsyncIterator[bytes]:
        yield data

    async with running(world) as service:
        await service.create("b")
        data = await service.export("b")
        imported = await service.import_(chunks(data), "c", DEEP)
        assert imported.place == DEEP
        assert (await service.catalog.at(DEEP).get("c")).row_count == 10
        assert await service.export("c", DEEP)
        with pytest.raises(BackupNotFound):
            await service.export("c")


async def test_a_task_is_found_by_its_name_at_its_place_and_by_its_id_anywhere() -> None:
    world = await world_of_ten()
    async with running(world) as service:
        await service.create("b", place=ARCHIVE, task_id="t")
        tasks = BackupTasks(service.catalog, service.use_cases.directory)
        with pytest.raises(BackupNotFound):
            await tasks.by_name("b")
        there = BackupTasks(service.catalog.at(ARCHIVE), service.use_cases.directory)
        for task in (await there.by_name("b"), await tasks.by_id("t")):
            assert task.operation is not None
            assert (task.place, task.whole) == (ARCHIVE, True)


@pytest.mark.parametrize("phase", [Phase.DELETING, Phase.VERIFYING, Phase.IMPORTING])
async def test_deletes_and_restores_go_on_where_the_backup_lies(phase: Phase) -> None:
    world, records = await world_of_ten(), MemoryServer("records").store("records")
    async with running(world) as service:
        await service.create("b")
        world.milvus.insert(named("c"), range(10, 15))
        await service.create("b", place=DEEP)
    # A delete that has noted nothing yet is no reason to go on.
    gate = PhaseGate(phase, number=6 if phase is Phase.DELETING else 2)
    async with running(world, gate.decorators, records=records) as service:
        gate.operations = service.operations
        if phase is Phase.DELETING:
            operation = await service.start_delete("b", DEEP)
        else:
            operation = await service.start_restore("b", place=DEEP, suffix="_r")
        await gate.wait()
        stopping = asyncio.create_task(service.operations.drain(0))
        await asyncio.sleep(0.01)
        gate.opened.set()
        await stopping
        assert service.operations.get(operation.name).state is OperationState.INTERRUPTED
    async with running(world, records=records, generation=2) as service:
        ended = await service.resume(operation.name)
        assert (ended.state, ended.place) == (OperationState.SUCCEEDED, DEEP)
        assert await names(service) == ["b"]  # the one of the settings is as it was
    if phase is Phase.DELETING:
        assert await keys_at(world, DEEP) == []
    else:
        assert world.milvus.keys(named("c_r")) == list(range(15))


async def test_the_check_looks_into_every_place() -> None:
    world = await world_of_ten()

    async def told(*, make: bool = True) -> CheckItem:
        limits = replace(LIMITS, create_bucket=make)
        async with running(world, limits=limits) as service:
            (item,) = (
                it
                for it in await service.use_cases.diagnostics.check()
                if it.name == "backup_places"
            )
            return item

    missing = "archive/team does not exist; the first create there makes it"
    first = await told()
    assert (first.state, missing in first.message) == (CheckState.WARNING, True)
    refused = await told(make=False)
    assert refused.state is CheckState.FAILED
    assert "service.storage.allowedPlaces" in refused.message
    await world.place_stores[ARCHIVE].create_bucket()
    assert (await told()).state is CheckState.OK
    world.place_stores = {}
    async with running(world) as service:
        names_ = [item.name for item in await service.use_cases.diagnostics.check()]
    assert "backup_places" not in names_


async def test_the_bucket_of_the_settings_that_is_missing_is_named_by_its_own_setting() -> None:
    world = World(backup_bucket="b-bucket", create_backup_bucket=False, places=(ARCHIVE,))
    await add_collection(world.milvus, "c", range(10))
    await world.place_stores[ARCHIVE].create_bucket()
    async with running(world, limits=replace(LIMITS, create_bucket=False)) as service:
        error = await service.error(await service.start_create("b", place=ARCHIVE))
    assert error.reason == "BUCKET_NOT_FOUND"
    assert (error.metadata["bucket"], error.metadata["setting"]) == (
        "b-bucket",
        "backup.storage.bucketName",
    )
    assert await keys_at(world, ARCHIVE) == []
