"""Operations while their records cannot be written: none is lost, and the records follow."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

import pytest

from milvus_backup_server.domain.errors import (
    BackupError,
    MilvusUnavailable,
    StorageDenied,
    StorageRefused,
    StorageUnavailable,
)
from milvus_backup_server.domain.operation_record import OperationRecord
from milvus_backup_server.domain.operations import DeleteResult, OperationState, Result
from milvus_backup_server.service.operation_entries import OperationPage
from milvus_backup_server.service.resuming import Continuation
from milvus_backup_server.service.tracker import Tracker
from tests.support.bodies import until
from tests.support.outage import Outage
from tests.support.replicas import DELETE, Replicas, Work, asked, at_once, crash, replicas

T = TypeVar("T")

RUNNING = OperationState.RUNNING
SUCCEEDED = OperationState.SUCCEEDED
ELSEWHERE = "20261122t200102_6437f62d"


@pytest.fixture
async def world() -> AsyncIterator[Replicas]:
    async with replicas() as found:
        yield found


async def test_an_operation_begins_without_a_record_which_follows(world: Replicas) -> None:
    store, work = Outage(world.store), Work()
    service = await world.start(store=store)
    store.fail(StorageUnavailable("down"))
    name = await service.begin(asked(), work)
    await service.becomes(name, RUNNING)
    assert store.injected
    assert await world.keys() == []
    store.error = None
    other = await world.start()
    assert (await service.on_record(name, RUNNING)).accepted
    await other.becomes(name, RUNNING)
    work.go.set()
    assert (await other.becomes(name, SUCCEEDED)).result == DeleteResult(7)


async def test_an_end_while_the_store_is_down_is_recorded_when_it_is_back(
    world: Replicas,
) -> None:
    store, work = Outage(world.store), Work()
    service, other = await world.start(store=store), await world.start()
    name = await service.begin(asked(), work)
    await other.becomes(name, RUNNING)
    store.fail(StorageUnavailable("down"), reads=True)
    work.go.set()
    await service.manager.end_of(name)
    await asyncio.sleep(0.2)  # some tries
    assert store.injected > 1
    assert (await service.directory.get(name)).state is SUCCEEDED
    store.error = None
    await other.becomes(name, SUCCEEDED)
    assert (await service.directory.list("", 10)).records_error is None


async def test_while_the_store_is_down_the_memory_serves(world: Replicas) -> None:
    store = Outage(world.store)
    service = await world.start(store=store)
    name = await service.begin(asked(), at_once)
    await service.on_record(name, SUCCEEDED)
    store.fail(StorageUnavailable("down"), reads=True)
    assert (await service.directory.get(name)).state is SUCCEEDED
    listed = await service.directory.list("", 10)
    assert [it.name for it in listed.items] == [name]
    assert isinstance(listed.records_error, StorageUnavailable)
    assert await service.directory.active_backups() == {}
    with pytest.raises(StorageUnavailable):
        await service.directory.get(ELSEWHERE)
    with pytest.raises(StorageUnavailable):
        await service.control.cancel(ELSEWHERE)
    assert await service.manager.repeated("id", None) is None
    another = await service.begin(asked(), at_once)
    assert (await service.manager.end_of(another)).state is SUCCEEDED


@pytest.mark.parametrize("error", [StorageDenied("read only"), StorageRefused("no conditions")])
async def test_a_store_that_takes_no_records_stops_no_operation(
    world: Replicas, error: BackupError
) -> None:
    store = Outage(world.store)
    store.fail(error)
    service = await world.start(store=store)
    name = await service.begin(asked(), at_once)
    assert (await service.manager.end_of(name)).state is SUCCEEDED
    assert (await service.directory.get(name)).state is SUCCEEDED
    assert await world.keys() == []


async def test_records_follow_when_the_operation_has_made_the_bucket(world: Replicas) -> None:
    store = world.server.store("absent", create=False)
    service = await world.start(store=store)
    assert await service.directory.list("", 10) == OperationPage(())
    assert not await store.bucket_exists(), "who only reads makes nothing"

    async def body(_: Tracker) -> Result:
        await store.create_bucket()
        return DeleteResult(1)

    name = await service.begin(asked(), body)
    assert (await service.on_record(name, SUCCEEDED)).attempt == 1


async def test_a_stop_while_the_store_is_down_ends(world: Replicas) -> None:
    store = Outage(world.store)
    service = await world.start(store=store)
    name = await service.begin(asked(), Work())
    await service.on_record(name, RUNNING)
    store.fail(StorageUnavailable("down"), reads=True)
    began = asyncio.get_running_loop().time()
    await service.manager.drain(0)
    await service.journal.__aexit__(None, None, None)
    assert asyncio.get_running_loop().time() - began < 15
    assert (await service.directory.get(name)).state is OperationState.INTERRUPTED


@pytest.mark.parametrize("error", [StorageDenied("read only"), StorageRefused("no conditions")])
async def test_a_store_that_takes_no_records_is_not_asked_for_ever(
    world: Replicas, error: BackupError
) -> None:
    store = Outage(world.store)
    store.fail(error)
    service = await world.start(store=store)
    await service.manager.end_of(await service.begin(asked(), at_once))
    await until(lambda: not service.journal.recorders and service.journal.heart.task is None)
    before = store.injected
    await asyncio.sleep(0.2)
    assert store.injected == before > 0


async def test_a_request_id_that_could_not_be_recorded_at_once_holds_later(world: Replicas) -> None:
    store = world.server.store("absent", create=False)
    service = await world.start(store=store)

    async def body(_: Tracker) -> Result:
        await store.create_bucket()
        return DeleteResult(1)

    name = await service.begin(asked(request_id="once"), body)
    await service.on_record(name, SUCCEEDED)
    await until(lambda: not service.journal.recorders)
    later = await world.start(store=store)
    assert (await later.begin(asked(request_id="once"), at_once)) == name


async def test_what_was_interrupted_is_resumed_when_store_and_milvus_come_up_later(
    world: Replicas,
) -> None:
    first = await world.start()
    name = await first.begin(asked(), Work())
    await first.on_record(name, RUNNING)
    await crash(first)
    store, tries = Outage(world.store), 0

    async def resumer(_: OperationRecord) -> Continuation:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise MilvusUnavailable("it starts")
        return Continuation(at_once)

    store.fail(StorageUnavailable("it starts"), reads=True)
    second = await world.start(store=store, resumers={DELETE: resumer})
    resuming = asyncio.create_task(second.control.resume_all())
    await asyncio.sleep(0.6)
    assert store.injected > 0
    store.error = None
    await second.becomes(name, SUCCEEDED)
    await resuming
    assert tries == 3
