"""One operation's record while it runs here: written when it changes, given up when another takes it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import get_args

from milvus_backup_server.domain.errors import (
    BackupError,
    BucketNotFound,
    ObjectAlreadyExists,
    ObjectChanged,
    OperationInterrupted,
    StorageDenied,
    StorageRefused,
)
from milvus_backup_server.domain.operation_record import (
    OperationDetails,
    OperationRecord,
    Owner,
    taken_over,
)
from milvus_backup_server.domain.operations import SHOWN_COLLECTIONS, OperationState
from milvus_backup_server.domain.requests import Request
from milvus_backup_server.domain.verification import SHOWN_PROBLEMS, VerifyResult
from milvus_backup_server.ports.operation_log import OperationLog, Stored
from milvus_backup_server.service.running import Running

_RETRY_SECONDS_AT_MOST = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordingLimits:
    """Waits of the recording; all in seconds.

    Attributes:
        heartbeat: Between two signs of life while operations are at work.
        lost_after: Without a sign of life for so long an owner counts as ended, and its operations as
            interrupted. Several heartbeats, so that a slow store does not look like a crash.
        progress: Between two writings of an operation whose state is the same.
        details: Between two writings of the collections of one that has many.
        retry: After a writing that failed; twice as long after each further one.
        ask: How long a look at the log may take that can be done without, and a writing between others.
        accept: How long an operation may wait to be recorded before it begins all the same.
        close: How long a stop waits for the last writings.
    """

    heartbeat: float = 5.0
    lost_after: float = 30.0
    progress: float = 5.0
    details: float = 60.0
    retry: float = 2.0
    ask: float = 1.0
    accept: float = 10.0
    close: float = 2.0

    @property
    def look(self) -> float:
        """How long a look at the log may take at work: the wait for it and the beat need theirs, too."""
        return self.lost_after / 3


def record_of(running: Running, owner: Owner, *, accepted: bool = True) -> OperationRecord:
    """Return an operation that runs here as it is stored."""
    request = running.request.original
    snapshot = running.snapshot()
    if isinstance(snapshot.result, VerifyResult):
        shown = snapshot.result.problems[:SHOWN_PROBLEMS]
        snapshot = replace(snapshot, result=replace(snapshot.result, problems=shown))
    return OperationRecord(
        operation=snapshot,
        footprint=running.request.footprint,
        request=request if isinstance(request, get_args(Request)) else None,
        owner=owner,
        attempt=running.attempt,
        accepted=accepted,
        written=datetime.now(UTC),
        gc_leases=running.tracker.gc_leases,
    )


def details_of(running: Running) -> OperationDetails | None:
    """Return what of an operation is too long for its record; None if nothing is."""
    tracker, result = running.tracker, running.snapshot().result
    collections = tracker.collections(0, tracker.count())
    problems = result.problems if isinstance(result, VerifyResult) else ()
    if len(collections) <= SHOWN_COLLECTIONS and len(problems) <= SHOWN_PROBLEMS:
        return None
    return OperationDetails(collections, problems)


class Recorder:
    """Writes one operation's record until the operation has ended.

    Args:
        running: The operation.
        log: Where to.
        owner: We.
        limits: Waits.
        stored: The record as it was written last; None if it could not be written yet.
        alive: Gives the owner's sign of life, unless it is given already.
        done: Called when nothing more is to be written.
    """

    def __init__(
        self,
        running: Running,
        log: OperationLog,
        owner: Owner,
        limits: RecordingLimits,
        stored: Stored | None,
        *,
        alive: Callable[[], Awaitable[None]],
        done: Callable[[str], None],
    ) -> None:
        self.running = running
        self._log = log
        self._owner = owner
        self._limits = limits
        self._stored = stored
        self._alive = alive
        self._done = done
        self._writing = asyncio.Lock()
        self._details_time = 0.0
        self._indexed = stored is not None
        self._retry_seconds = limits.retry
        self._written = -1 if stored is None else stored.record.operation.revision
        self.task = asyncio.create_task(self._run(), name=f"record of {running.name}")

    async def _run(self) -> None:
        try:
            while not self.running.lost and not await self._write_next():
                pass
        finally:
            self._done(self.running.name)

    async def _write_next(self) -> bool:
        """Wait for a change and write it; True if it was the last one."""
        await self._change_due()
        try:
            async with self._writing:
                return await self._write()
        except BackupError as error:
            _log.warning("operation %s cannot be recorded: %s", self.running.name, error.message)
            if self._is_hopeless(error):
                return True
            await asyncio.sleep(self._retry_seconds)
            self._retry_seconds = min(2 * self._retry_seconds, _RETRY_SECONDS_AT_MOST)
            return False

    def _is_hopeless(self, error: BackupError) -> bool:
        """Tell whether nobody is misled, now or later, when an operation that ended has no record."""
        refused = isinstance(error, BucketNotFound | StorageDenied | StorageRefused)
        return refused and self._stored is None and self.running.state.ends_watch

    async def _change_due(self) -> None:
        running = self.running
        await running.changed.wait_beyond(self._written)
        if self._stored is None or self._stored.record.operation.state is not running.state:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.progress):
                await running.stepped.wait_beyond(running.stepped.version)

    async def _write(self) -> bool:
        running = self.running
        record = record_of(running, self._owner)
        ended = record.operation.state.ends_watch
        await self._write_details(at_once=ended)
        try:
            if self._stored is None:
                await self._alive()  # others must not take it for one that nobody owns
                self._stored = await self._log.create(record)
            else:
                self._stored = await self._log.replace(record, self._stored.version)
        except (ObjectAlreadyExists, ObjectChanged) as error:
            await self._read_again()
            if self._stored is None and isinstance(error, ObjectAlreadyExists):
                self.running.lose()  # what is there cannot be read: a newer service wrote it
            return self.running.lost
        await self._index()
        self._retry_seconds = self._limits.retry
        self._written = record.operation.revision
        return ended

    async def _index(self) -> None:
        """Let the request id of an operation that could not be recorded at once tell of it from now on."""
        request_id = self.running.request.request_id
        if request_id and not self._indexed:
            await self._log.take_request_id(request_id, self.running.name)
        self._indexed = True

    async def _write_details(self, *, at_once: bool) -> None:
        now = asyncio.get_running_loop().time()
        if not at_once and now - self._details_time < self._limits.details:
            return
        self._details_time = now
        details = details_of(self.running)
        if details is not None:
            await self._log.write_details(self.running.name, details)

    async def check(self, version: str) -> None:
        """Look at the record if its version is not the one that was written last."""
        if self._writing.locked() or self._stored is None or self._stored.version == version:
            return
        async with self._writing:
            await self._read_again()

    async def write_now(self) -> None:
        """Write the operation as it is, if the store takes it soon; else it follows as every change does."""
        with contextlib.suppress(BackupError, TimeoutError):
            async with asyncio.timeout(self._limits.ask), self._writing:
                await self._write()

    async def require(self) -> None:
        """Raise OperationInterrupted if another service has taken the operation over."""
        async with self._writing:
            await self._read_again()
        if self.running.lost:
            raise OperationInterrupted(taken_over(self.running.name))

    async def _read_again(self) -> None:
        """See what another one wrote: a request to cancel, or that the operation is its own now."""
        found = await self._log.read(self.running.name)
        if found is None:  # somebody removed it: it is written anew
            self._stored, self._written = None, -1
            return
        if not found.record.held_by(self._owner, self.running.attempt):
            _log.error("operation was taken over by another service: %s", self.running.name)
            self.running.lose()
            return
        self._stored = found
        if found.record.cancel_requested and self.running.state is not OperationState.CANCELLING:
            self.running.cancel()
