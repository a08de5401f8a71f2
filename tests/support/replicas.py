"""Several services on one store, each with a log of its own: what they see of one another's operations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.operation_log import StoreOperationLog
from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.operation_record import OperationRecord, Owner
from milvus_backup_server.domain.operations import (
    Caller,
    DeleteResult,
    Operation,
    OperationKind,
    OperationState,
    Result,
)
from milvus_backup_server.domain.requests import DeleteRequest, Request
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.ports.operation_log import Retention
from milvus_backup_server.service.journal import Journal
from milvus_backup_server.service.operation_directory import OperationDirectory
from milvus_backup_server.service.operations import OperationLimits, OperationManager
from milvus_backup_server.service.recording import RecordingLimits
from milvus_backup_server.service.resuming import Continuation, OperationControl, Resumer
from milvus_backup_server.service.running import Body, OperationRequest
from milvus_backup_server.service.tracker import Tracker

QUICK = RecordingLimits(
    heartbeat=0.05, lost_after=1.0, progress=0.05, retry=0.05, ask=2.0, accept=5.0, close=2.0
)
DELETE = OperationKind.DELETE_BACKUP
_SECONDS = 60.0


def asked(
    backup: str = "b",
    kind: OperationKind = DELETE,
    *,
    request: Request | None = None,
    request_id: str = "",
    task_id: str = "",
) -> OperationRequest:
    """Return what begins an operation."""
    return OperationRequest(
        footprint=Footprint(kind, backup),
        caller=Caller("me"),
        original=request or DeleteRequest(backup),
        request_id=request_id,
        task_id=task_id,
    )


@dataclass
class Work:
    """A body that works until it is let go, and notes how it was stopped."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    trackers: list[Tracker] = field(default_factory=list)
    stopped: list[bool] = field(default_factory=list)

    async def __call__(self, tracker: Tracker) -> Result:
        """Work; ``stopped`` tells of each stop whether it was a cancel."""
        self.trackers.append(tracker)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.stopped.append(tracker.cancel_requested)
            raise
        return DeleteResult(7)


async def at_once(_: Tracker) -> Result:
    """Do nothing."""
    return DeleteResult(1)


@dataclass(frozen=True)
class Replica:
    """One service."""

    owner: Owner
    log: StoreOperationLog
    journal: Journal
    manager: OperationManager
    directory: OperationDirectory
    control: OperationControl

    async def begin(self, request: OperationRequest, body: Body) -> str:
        """Begin an operation and return its name."""
        return (await self.manager.begin(request, body)).name

    async def becomes(self, name: str, *states: OperationState) -> Operation:
        """Wait until this service tells that an operation is in one of these states."""
        async with asyncio.timeout(_SECONDS):
            while True:
                operation = await self.directory.get(name)
                if operation.state in states:
                    return operation
                await asyncio.sleep(0.01)

    async def on_record(self, name: str, state: OperationState) -> OperationRecord:
        """Wait until the log has an operation in a state."""
        async with asyncio.timeout(_SECONDS):
            while True:
                found = await self.log.read(name)
                if found is not None and found.record.operation.state is state:
                    return found.record
                await asyncio.sleep(0.01)


class Replicas:
    """Services that come and go over one store."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.server = MemoryServer()
        self.store: ObjectStore = self.server.store("backups")
        self._stack = stack
        self._count = 0

    async def start(
        self,
        *,
        store: ObjectStore | None = None,
        limits: RecordingLimits = QUICK,
        operations: OperationLimits | None = None,
        resumers: dict[OperationKind, Resumer] | None = None,
        retention: Retention | None = None,
    ) -> Replica:
        """Start a service that runs until the test ends."""
        self._count += 1
        owner = Owner(f"{self._count:016x}", "host", self._count)
        log = StoreOperationLog(store or self.store, "root", retention)
        journal = await self._stack.enter_async_context(Journal(log, owner, limits))
        bounds = operations or OperationLimits(concurrent=4, cleanup_seconds=0.2)
        manager = await self._stack.enter_async_context(OperationManager(bounds, journal))
        directory = OperationDirectory(manager, journal)
        control = OperationControl(manager, directory, journal, resumers or {})
        return Replica(owner, log, journal, manager, directory, control)

    async def gone(self, below: str) -> None:
        """Wait until nothing lies there."""
        while True:
            if not await self.keys(below):
                return
            await asyncio.sleep(0.01)

    async def keys(self, below: str = "") -> list[str]:
        """Return what lies in the store, without the root."""
        page = await self.store.list_page(f"root/.milvus-backup/{below}")
        return [item.key.removeprefix("root/.milvus-backup/") for item in page.objects]


@asynccontextmanager
async def replicas() -> AsyncIterator[Replicas]:
    """Open a store for services."""
    async with AsyncExitStack() as stack:
        yield Replicas(stack)


async def crash(replica: Replica) -> None:
    """End a service as SIGKILL does: nothing is cleaned up, nothing more is written."""
    journal = replica.journal
    tasks = {recorder.task for recorder in journal.recorders.values()} | journal.tasks
    tasks |= {journal.heart.task} if journal.heart.task else set()
    while tasks:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        tasks = set(journal.tasks)  # what an ending recorder had begun
    journal.recorders.clear()
    journal.heart.task = None


def resuming(work: Body, undo: Body | None = None) -> Resumer:
    """Return a resumer that goes on with a body."""

    async def resumer(_: OperationRecord) -> Continuation:
        return Continuation(work, undo)

    return resumer
