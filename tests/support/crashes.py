"""A service that dies at its k-th mutation: what it holds in memory is gone, and it cleans up nothing.

Every change that a service makes goes through its ports. From the moment of its death on every call
of a port raises `ServiceDead`, which no code of the service may catch, so whatever it still tries
reaches neither a store nor Milvus.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.operations import Operation
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.operations import OperationLimits
from tests.support.faults import KillSwitch, ServiceDead
from tests.support.gateways import GatewayDecorator
from tests.support.running_service import Decorators
from tests.support.service import Service, World, running

T = TypeVar("T")

Act = Callable[[Service], Awaitable[Operation]]
"""Begins the operation in whose course the service dies."""

STORE_CHANGES = frozenset(
    {
        "abort_upload",
        "complete_upload",
        "copy",
        "copy_part",
        "create_bucket",
        "delete",
        "put",
        "start_upload",
        "upload_part",
    }
)
MILVUS_CHANGES = frozenset(
    {
        "add_field",
        "alter_alias",
        "alter_properties",
        "create_alias",
        "create_collection",
        "create_database",
        "create_index",
        "create_partition",
        "drop_alias",
        "drop_collection",
        "drop_database",
        "drop_index",
        "flush",
        "flush_all",
        "load_collection",
        "pause_gc",
        "rename_collection",
        "restore_rbac",
        "resume_gc",
        "submit_import",
    }
)


class MortalStore(StoreDecorator):
    """Passes requests on as long as the service lives; a killed deletion of many does half of it."""

    def __init__(self, inner: ObjectStore, switch: KillSwitch) -> None:
        super().__init__(inner)
        self._switch = switch

    async def delete(self, keys: Sequence[str]) -> None:
        if self._switch.is_next and not self._switch.after:
            await self._inner.delete(keys[1::2])
        await super().delete(keys)

    async def _request(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        return await _alive(self._switch, method, call, changes=method in STORE_CHANGES)


class MortalGateway(GatewayDecorator):
    """Passes calls on as long as the service lives."""

    def __init__(self, inner: MilvusGateway, switch: KillSwitch) -> None:
        super().__init__(inner)
        self._switch = switch

    async def _call(self, method: str, subject: str, call: Callable[[], Awaitable[T]]) -> T:
        changes = method in MILVUS_CHANGES
        return await _alive(self._switch, f"{method} {subject}", call, changes=changes)


class MortalRecords(StoreDecorator):
    """Passes the writing of records on as long as the service lives; they are not counted."""

    def __init__(self, inner: ObjectStore, switch: KillSwitch) -> None:
        super().__init__(inner)
        self._switch = switch

    async def _request(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        return await _alive(self._switch, method, call, changes=False)


async def _alive(
    switch: KillSwitch, name: str, call: Callable[[], Awaitable[T]], *, changes: bool
) -> T:
    if switch.dead:
        raise ServiceDead
    return await (switch.around(name, call) if changes else call())


@asynccontextmanager
async def mortal(
    world: World, switch: KillSwitch, records: ObjectStore | None = None
) -> AsyncIterator[Service]:
    """Run a service that the switch kills; the block ends when it is dead, whatever it was doing."""
    around = Decorators(
        gateway=lambda inner: MortalGateway(inner, switch),
        milvus_store=lambda inner: MortalStore(inner, switch),
        backup_store=lambda inner: MortalStore(inner, switch),
    )
    limits = OperationLimits(concurrent=4, cleanup_seconds=1)
    log = None if records is None else MortalRecords(records, switch)
    async with _buried():
        try:
            async with running(world, around, operations=limits, records=log) as service:
                yield service
        except ServiceDead:
            pass
        except BaseExceptionGroup as group:
            if group.split(ServiceDead)[1] is not None:
                raise


@asynccontextmanager
async def _buried() -> AsyncIterator[None]:
    """End all tasks that begin in the block, and ask none of them how it died."""
    loop, tasks = asyncio.get_running_loop(), list[asyncio.Task[Any]]()

    def begin(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        tasks.append(asyncio.Task(work, loop=loop, **options))
        return tasks[-1]

    loop.set_task_factory(begin)
    try:
        yield
    finally:
        loop.set_task_factory(None)
        if tasks:  # spools are removed by threads, which no cancel ends
            await asyncio.wait(tasks, timeout=1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def mutations(world: World, act: Act) -> list[str]:
    """Do something to its end, and return the mutations that it takes."""
    switch = KillSwitch(at=0)
    async with mortal(world, switch) as service:
        await service.end(await act(service))
    return switch.seen


async def die(
    world: World, act: Act, at: int, *, after: bool, records: ObjectStore | None = None
) -> bool:
    """Begin something in a service that dies before or after its k-th mutation.

    Returns whether it came so far: what runs at the same time may need one more or less.
    """
    dead = asyncio.Event()
    switch = KillSwitch(at=at, after=after, kill=dead.set)
    async with mortal(world, switch, records) as service:
        ending = asyncio.ensure_future(_to_its_end(service, act))
        dying = asyncio.ensure_future(dead.wait())
        await asyncio.wait({ending, dying}, return_when=asyncio.FIRST_COMPLETED)
        for task in (ending, dying):
            task.cancel()
        await asyncio.wait({ending, dying})
    return switch.dead


async def _to_its_end(service: Service, act: Act) -> None:
    await service.end(await act(service))
