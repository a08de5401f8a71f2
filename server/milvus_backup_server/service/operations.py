"""Operations: begun, watched, cancelled, drained.

One manager owns the tasks of all operations. A body's failure is recorded and never cancels a
sibling. Operations are remembered in memory, the ended ones up to a bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from milvus_backup_server.domain.conflicts import Footprint, first_conflict
from milvus_backup_server.domain.errors import (
    BackupError,
    InternalError,
    Obstacle,
    OperationCancelled,
    OperationConflict,
    OperationEnded,
    OperationInterrupted,
    RequestIdReused,
    ServerStopping,
    TooManyOperations,
    Unavailable,
)
from milvus_backup_server.domain.faults import tell_of
from milvus_backup_server.domain.operation_record import OperationRecord, taken_over
from milvus_backup_server.domain.operations import (
    Operation,
    OperationState,
    Result,
)
from milvus_backup_server.ports.operation_log import Stored
from milvus_backup_server.service.concurrency import first_backup_error
from milvus_backup_server.service.journal import Journal, RepeatedElsewhere
from milvus_backup_server.service.known_operations import KnownOperations
from milvus_backup_server.service.running import (
    Body,
    FailedWithResult,
    OperationRequest,
    Running,
    WorkInterrupted,
    request_of,
)
from milvus_backup_server.service.tracker import Tracker

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OperationLimits:
    """Bounds of the manager.

    Attributes:
        concurrent: Operations at work at one time.
        pending: Operations that may wait for a place.
        remembered: Ended operations that are kept in memory.
        remembered_collections: Collections that these have together: one of 10,000 takes some MB.
        cleanup_seconds: How long an interrupted operation may clean up after itself at shutdown.
    """

    concurrent: int = 2
    pending: int = 1000
    remembered: int = 1000
    remembered_collections: int = 100_000
    cleanup_seconds: float = 10.0


class OperationManager(KnownOperations):
    """Runs operations and tells about them. Use as an async context manager."""

    def __init__(
        self, limits: OperationLimits | None = None, journal: Journal | None = None
    ) -> None:
        """Make it.

        Args:
            limits: Its bounds.
            journal: Where operations are recorded beyond the life of the service; None for nowhere.
        """
        self._limits = limits or OperationLimits()
        super().__init__(self._limits.remembered, self._limits.remembered_collections)
        self._places = asyncio.Semaphore(self._limits.concurrent)
        self._journal = journal
        self._interrupts = False

    async def __aenter__(self) -> Self:
        """Begin to accept operations."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Interrupt what still runs and wait for it."""
        await self.drain(0)

    # --- begin

    async def begin(self, request: OperationRequest, body: Body) -> Operation:
        """Accept an operation and return its first snapshot; the body runs when there is a place.

        Raises:
            ServerStopping: No new operations are accepted.
            RequestIdReused: As in ``repeated``.
            OperationConflict: Another operation, of this service or another one, is in the way.
            TooManyOperations: Too many wait already.
        """
        self._refuse_stopping()
        known = await self._repeated_here(request.request_id, request.original)
        if known is not None:
            return known
        self._refuse_conflict_here(request.footprint)
        self._refuse_many()
        running = Running(request, self._note_change)
        self._register(running)
        try:
            if self._journal is not None:
                await self._journal.accept(running)
        except RepeatedElsewhere as repeat:
            self._unregister(running)
            return _same(repeat.record, request.original)
        except BaseException:
            self._unregister(running)
            raise
        task = self._launch(running, body)
        if running.state is OperationState.CANCELLING:  # it was cancelled before it was accepted
            task.cancel()
        return running.snapshot()

    def restart(
        self, record: OperationRecord, stored: Stored | None, continuation: Body
    ) -> Operation:
        """Go on with an operation that was interrupted and is ours now.

        Args:
            record: As it is to be shown until it begins.
            stored: As it is in the log; None if it is in none.
            continuation: What goes on with it.
        """
        cancelling = record.operation.state is OperationState.CANCELLING
        # Who cancels what was interrupted may hold a place itself, as a sweep does.
        request = replace(request_of(record), at_once=cancelling)
        running = Running(request, self._note_change, record)
        if cancelling:
            running.begin_cancelling()
        self._ended.pop(running.name, None)
        self._register(running)
        if self._journal is not None:
            self._journal.follow(running, stored)
        self._launch(running, _once_more(continuation))
        return running.snapshot()

    def _launch(self, running: Running, body: Body) -> asyncio.Task[None]:
        running.accepted.set()
        task = running.task = asyncio.create_task(self._run(running, body), name=running.name)
        task.add_done_callback(lambda _: self._end_unstarted(running))
        if self._interrupts:  # it was accepted before the stop, and is launched behind it
            running.interrupt()
        return task

    async def repeated(self, request_id: str, request: object) -> Operation | None:
        """Return the operation that a ``request_id`` began; None for a new or empty id.

        Raises:
            RequestIdReused: It came with another request.
        """
        if not request_id:
            return None
        here = await self._repeated_here(request_id, request)
        if here is not None or self._journal is None:
            return here
        record = await self._journal.repeat_of(request_id)
        return None if record is None else _same(record, request)

    async def _repeated_here(self, request_id: str, request: object) -> Operation | None:
        while (known := self._by_request.get(request_id)) is not None:
            if known.request.original != request:
                raise _reused(request_id, known.name)
            if known.accepted.is_set():
                return known.snapshot()
            await known.accepted.wait()  # it may be withdrawn yet
        return None

    def _refuse_stopping(self) -> None:
        if self.stopping.is_set():
            raise ServerStopping("the service is stopping and accepts no operations")

    def _refuse_many(self) -> None:
        if len(self._active()) >= self._limits.concurrent + self._limits.pending:
            raise TooManyOperations(
                f"{self._limits.pending} operations wait already", pending=self._limits.pending
            )

    async def refuse_conflict(self, footprint: Footprint) -> None:
        """Refuse an operation with this footprint before anything else is looked at.

        Raises:
            ServerStopping: No new operations are accepted.
            OperationConflict: Another operation is in the way.
        """
        self._refuse_stopping()
        self._refuse_conflict_here(footprint)
        if self._journal is not None:
            await self._journal.refuse_conflict(footprint)

    def _refuse_conflict_here(self, footprint: Footprint) -> None:
        active = ((item.name, item.request.footprint) for item in self._active())
        other = first_conflict(active, footprint)
        if other:
            raise OperationConflict(
                f"operation {other} is in the way; wait for it or cancel it",
                operation=other,
                backup=footprint.backup_name,
            )

    # --- run

    def _end_unstarted(self, running: Running) -> None:
        """End an operation whose task was cancelled before its first step, so that its code never ran."""
        if not running.state.ends_watch:
            running.stop(_reason_of_stop(running))
            self._forget_old()

    async def _run(self, running: Running, body: Body) -> None:
        try:
            async with contextlib.nullcontext() if running.request.at_once else self._places:
                running.start()
                running.succeed(await body(running.tracker))
        except asyncio.CancelledError:
            running.stop(_reason_of_stop(running))
        except Exception as error:  # noqa: BLE001 whatever it is, the operation must end in it
            _end_in(running, error)
        finally:
            self._forget_old()

    # --- cancel

    def cancel(self, name: str) -> Operation:
        """Ask an operation to stop; returns at once. Asking again is no error.

        Raises:
            OperationEnded: It has ended.
        """
        running = self._find(name)
        if running.state.ends_watch:
            raise OperationEnded(
                f"operation {name} has ended: {running.state.value}",
                subject=name,
                state=running.state.value,
            )
        running.cancel()
        return running.snapshot()

    # --- stop

    async def drain(self, grace: float) -> None:
        """Accept no more, give what runs ``grace`` seconds to end, then interrupt it.

        Every watch gets the last state and ends.
        """
        self.stopping.set()
        self.any_end.notify()
        self.any_change.notify()
        await _ended(self._active(), grace)
        self._interrupts = True
        for item in self._active():
            if item.state is not OperationState.CANCELLING:  # that one cleans up already
                item.interrupt()
        await _ended(self._active(), self._limits.cleanup_seconds)
        for item in self._active():
            item.interrupt()
        await _ended(self._active(), self._limits.cleanup_seconds)
        for item in self._active():
            _log.error("operation did not stop in time and is left as it is: %s", item.name)


def _once_more(continuation: Body) -> Body:
    """Return what is interrupted once more, whatever its kind, where something does not answer."""

    async def body(tracker: Tracker) -> Result:
        try:
            return await continuation(tracker)
        except Unavailable as error:
            raise WorkInterrupted(error) from error

    return body


def _end_in(running: Running, error: Exception) -> None:
    """Note how an operation ended whose body raised an error."""
    if running.lost:
        running.stop(_reason_of_stop(running))
    elif isinstance(error, WorkInterrupted):
        running.stop(error.error)
    elif isinstance(error, FailedWithResult):
        running.fail(error.error, error.result)
    else:
        found = first_backup_error(error)
        if found is None:
            _log.error("operation failed by a fault of ours: %s", running.name, exc_info=error)
        running.fail(found or InternalError())


async def _ended(running: Sequence[Running], seconds: float | None) -> None:
    """Wait until operations have ended, but no longer than ``seconds``."""
    tasks = [item.task for item in running if item.task is not None]
    if tasks and seconds != 0:
        await asyncio.wait(tasks, timeout=seconds)


def _same(record: OperationRecord, request: object) -> Operation:
    """Return an operation of another service, or of an earlier one, if it is of the same request."""
    if record.request != request:
        raise _reused(record.operation.request_id, record.name)
    return record.shown()


def _reused(request_id: str, operation: str) -> RequestIdReused:
    error = RequestIdReused(
        f"request_id {request_id!r} was used for another request ({operation}); take a new one",
        request_id=request_id,
        operation=operation,
        field="request_id",
    )
    tell_of(error, (Obstacle("request_id", error.reason, operation, error.message),))
    return error


def _reason_of_stop(running: Running) -> BackupError:
    if running.lost:
        return OperationInterrupted(taken_over(running.name))
    if running.state is OperationState.CANCELLING and not running.interrupted:
        return OperationCancelled("cancelled on request")
    return OperationInterrupted("the service was stopped before the operation's end")
