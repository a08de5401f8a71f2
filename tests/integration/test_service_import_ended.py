"""Imports that end before their end: cancelled, left by their caller, interrupted, crashed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.errors import (
    BackupError,
    OperationConflict,
    OperationStalled,
    StorageDenied,
    TooManyOperations,
)
from milvus_backup_server.domain.operations import Operation, OperationState
from milvus_backup_server.domain.requests import ExportRequest
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.held_calls import BACKUP_STORE
from tests.support.meanwhile import Meanwhile
from tests.support.running_service import Decorators
from tests.support.service import CALLER, LIMITS, Service, World, running
from tests.support.stores import FailingStore
from tests.support.tars import below, go_backup, in_chunks, tar_of

T = TypeVar("T")

GO = go_backup(3, 700)
MANY = go_backup(40, 100_000)
WRITES = 9
"""Of an import of ``GO``: the claim, three objects, five metadata files."""


async def held(archive: bytes, gate: asyncio.Event) -> AsyncIterator[bytes]:
    """Yield the first half of an archive, and the other half when the gate opens."""
    half = len(archive) // 2
    yield archive[:half]
    await gate.wait()
    yield archive[half:]


@pytest.mark.parametrize("number", range(1, WRITES + 2))
async def test_a_cancel_at_any_request_leaves_nothing(number: int) -> None:
    world = World()

    async def cancel() -> None:
        (operation,) = service.operations.list("", 1).items
        service.operations.cancel(operation.name)

    hook = Meanwhile(BACKUP_STORE, "put", cancel, first=number)
    async with running(world, hook.decorators) as service:
        if number > WRITES:
            await service.import_(in_chunks(tar_of(below("b", GO))))
            assert hook.fired == 0
            return
        with pytest.raises(BackupError) as caught:
            await service.import_(in_chunks(tar_of(below("b", GO))))
        (operation,) = service.operations.list("", 1).items
    assert hook.fired == 1
    assert caught.value.reason == "OPERATION_CANCELLED"
    assert operation.state is OperationState.CANCELLED
    assert await world.objects() == {}
    assert await world.uploads() == []


class ActingAfterDelete(StoreDecorator):
    """Does something when a delete is done, before its answer."""

    def __init__(self, inner: ObjectStore, act: Callable[[], object]) -> None:
        super().__init__(inner)
        self._act = act

    async def _request(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        answer = await call()
        if method == "delete":
            self._act()
        return answer


async def test_a_cancel_behind_the_last_request_leaves_nothing() -> None:
    """What is left to wait for then is the removal of what lies on the local disk."""
    world, states = World(), list[OperationState]()

    def cancel() -> None:
        (operation,) = service.operations.list("", 1).items
        states.append(operation.state)
        service.operations.cancel(operation.name)

    # As the archive is a backup of the Go tool, the last request is the removal of the claim.
    decorators = Decorators(backup_store=lambda inner: ActingAfterDelete(inner, cancel))
    async with running(world, decorators) as service:
        with pytest.raises(BackupError) as caught:
            await service.import_(in_chunks(tar_of(below("b", GO))))
        (operation,) = service.operations.list("", 1).items
    assert states[0] is OperationState.RUNNING
    assert caught.value.reason == "OPERATION_CANCELLED"
    assert operation.warnings == ()
    assert await world.objects() == {}


async def test_a_cancel_while_the_caller_is_silent_leaves_nothing() -> None:
    world = World()
    archive = tar_of(below("b", go_backup(4, 3_000_000)))
    async with running(world) as service:
        importing = asyncio.create_task(service.import_(held(archive, asyncio.Event())))
        await until(world.uploads)
        (operation,) = service.operations.list("", 1).items
        service.operations.cancel(operation.name)
        with pytest.raises(BackupError) as caught:
            await importing
    assert caught.value.reason == "OPERATION_CANCELLED"
    assert await world.objects() == {}
    assert await world.uploads() == []


async def half_way(service: Service, files: dict[str, bytes] = MANY) -> "asyncio.Task[Operation]":
    """Begin an import whose caller sends one half, and wait until some of it is written."""
    archive = tar_of(below("b", files))
    importing = asyncio.create_task(service.import_(held(archive, asyncio.Event())))

    async def some_are_there() -> bool:
        return len([key for key in await service.world.backups() if "/b/binlogs/" in key]) > 3

    await until(some_are_there)
    return importing


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Let others run until a condition holds."""
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - it may be anything
            await asyncio.sleep(0)


async def test_a_caller_that_leaves_ends_its_import() -> None:
    world = World()
    async with running(world) as service:
        importing = await half_way(service)
        importing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await importing
        (operation,) = service.operations.list("", 1).items
        last = await service.operations.end_of(operation.name)
    assert last.state is OperationState.FAILED
    assert last.error is not None
    assert last.error.reason == "OPERATION_INTERRUPTED"
    assert last.error.message == "the caller left before the end of the archive"
    assert await world.objects() == {}


async def test_a_caller_whose_stream_breaks_ends_its_import() -> None:
    world = World()

    async def broken() -> AsyncIterator[bytes]:
        yield tar_of(below("b", MANY))[:1_000_000]
        raise StorageDenied("the caller's own")

    async with running(world) as service:
        with pytest.raises(StorageDenied):
            await service.import_(broken())
    assert await world.objects() == {}


async def test_a_silent_caller_is_not_waited_for_for_ever() -> None:
    world = World()
    limits = replace(LIMITS, stream_stall_seconds=0.2)
    async with running(world, limits=limits) as service:
        importing = await half_way(service)
        with pytest.raises(OperationStalled, match=r"the caller sent nothing for 0\.2 s"):
            await importing
        with pytest.raises(OperationStalled, match=r"the caller sent no archive within 0\.2 s"):
            await service.import_(held(b"", asyncio.Event()))
    assert await world.objects() == {}


async def test_a_stopped_service_leaves_nothing_either() -> None:
    world = World()
    async with running(world) as service:
        importing = await half_way(service)
    with pytest.raises(BackupError) as caught:
        await importing
    assert caught.value.reason == "OPERATION_INTERRUPTED"
    assert await world.objects() == {}


@pytest.mark.parametrize("number", range(2, WRITES + 2))
async def test_what_a_crash_left_is_incomplete_and_its_name_free_after_a_delete(
    number: int,
) -> None:
    """From one write on the store takes nothing any more, so that nothing can be removed either."""
    world, stores = World(), list[FailingStore]()

    def failing(inner: ObjectStore) -> FailingStore:
        stores.append(FailingStore(inner))
        stores[-1].fail("put", StorageDenied("gone"), at=range(number, 1000))
        stores[-1].fail("delete", StorageDenied("gone"))
        return stores[-1]

    async with running(world, Decorators(backup_store=failing)) as service:
        with pytest.raises(StorageDenied):
            await service.import_(in_chunks(tar_of(below("b", GO))))
        (operation,) = service.operations.list("", 1).items
    assert [(warning.reason, warning.message) for warning in operation.warnings] == [
        ("LEFT_BEHIND", "backup 'b' was written in part and could not be removed: gone; delete it")
    ]
    assert stores[0].injected["delete"] > 0
    assert (stores[0].injected["put"] > 0) is (number <= WRITES)
    async with running(world) as service:
        assert (await service.catalog.get("b")).state is BackupState.INCOMPLETE
        assert (await service.catalog.get_basic("b")).state is BackupState.INCOMPLETE
        await service.delete("b")
        await service.import_(in_chunks(tar_of(below("b", GO))))
        assert (await service.catalog.get("b")).state is BackupState.COMPLETE
    assert await world.objects() == below("backup/b", GO)


# --- beside others


async def test_nothing_else_runs_on_a_backup_that_comes_in() -> None:
    world = World()
    async with running(world) as service:
        importing = await half_way(service)
        (operation,) = service.operations.list("", 1).items
        others: list[Callable[[], Awaitable[Any]]] = [
            service.start_create,
            service.start_restore,
            service.start_delete,
            service.export,
            lambda: service.import_(in_chunks(tar_of(below("b", GO)))),
        ]
        for start in others:
            with pytest.raises(OperationConflict) as caught:
                await start()
            assert caught.value.metadata["operation"] == operation.name
        importing.cancel()
        await asyncio.wait({importing})


async def test_what_goes_out_is_not_deleted_meanwhile_but_may_go_out_twice() -> None:
    world = World()
    async with running(world) as service:
        await service.import_(in_chunks(tar_of(below("b", MANY))))
        export = await service.use_cases.export.start(ExportRequest("b"), CALLER)
        chunks = export.chunks()
        await anext(chunks)
        with pytest.raises(OperationConflict):
            await service.start_delete("b")
        await service.export("b")
        await chunks.aclose()
        last = await service.operations.end_of(export.operation.name)
        assert last.error is not None
        assert last.error.message == "the caller left before the end of the archive"
        await service.delete("b")


async def test_a_reader_that_stands_still_is_not_waited_for_for_ever() -> None:
    world = World()
    limits = replace(LIMITS, stream_stall_seconds=0.1)
    async with running(world, limits=limits) as service:
        await service.import_(in_chunks(tar_of(below("b", MANY))))
        export = await service.use_cases.export.start(ExportRequest("b"), CALLER)
        last = await service.operations.end_of(export.operation.name)
        assert last.error is not None
        assert last.error.message == "the caller took nothing for 0.1 s"
        await service.delete("b")


async def test_an_export_that_is_cancelled_tells_its_reader() -> None:
    world = World()
    async with running(world) as service:
        await service.import_(in_chunks(tar_of(below("b", MANY))))
        export = await service.use_cases.export.start(ExportRequest("b"), CALLER)
        chunks = export.chunks()
        await anext(chunks)
        service.operations.cancel(export.operation.name)
        with pytest.raises(BackupError) as caught:
            async for _ in chunks:
                pass
    assert caught.value.reason == "OPERATION_CANCELLED"


async def test_there_are_only_so_many_streams_and_they_wait_for_no_place() -> None:
    world = World()
    limits = replace(LIMITS, streams=2)
    async with running(world, limits=limits) as service:
        await service.import_(in_chunks(tar_of(below("a", MANY))))
        exports = [await service.use_cases.export.start(ExportRequest("a"), CALLER)]
        importing = await half_way(service)
        assert service.operations.count(OperationState.RUNNING) == 2
        archive = tar_of(below("c", GO))
        for start in (lambda: service.export("a"), lambda: service.import_(in_chunks(archive))):
            with pytest.raises(TooManyOperations, match="2 exports and imports run already"):
                await start()
        importing.cancel()
        await asyncio.wait({importing})
        await exports[0].chunks().aclose()

        async def nothing_runs() -> bool:
            return service.operations.count(OperationState.RUNNING) == 0

        await until(nothing_runs)
        await service.import_(in_chunks(archive))
