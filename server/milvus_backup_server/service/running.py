"""One operation while it is known: its state, its task, and how its changes are told."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.errors import BackupError, OperationCancelled, OperationInterrupted
from milvus_backup_server.domain.leftovers import SweepResult
from milvus_backup_server.domain.operation_record import OperationRecord
from milvus_backup_server.domain.operations import (
    Caller,
    CollectionState,
    Operation,
    OperationState,
    Result,
)
from milvus_backup_server.domain.verification import VerifyResult
from milvus_backup_server.service.tracker import Tracker

_log = logging.getLogger(__name__)

_SHARED_SECONDS = 0.05
"""For so long a state is told to all who watch an operation, though it may have changed again."""

Body = Callable[[Tracker], Awaitable[Result]]
"""The work of an operation. It reports to the tracker, cleans up after itself, and returns what it made."""


def new_operation_name() -> str:
    """Return a fresh name that sorts by time and may be part of a Milvus name."""
    return f"{datetime.now(UTC):%Y%m%dt%H%M%S}_{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class OperationRequest:
    """What begins an operation.

    Attributes:
        footprint: What it touches.
        caller: Who asked.
        original: The request as it came, compared when its ``request_id`` comes again.
        name: The operation's name; made here so that the body can use it.
        task_id: A name that the caller gave it; others may have the same.
        at_once: It does not wait for a place: its caller is sending or waiting already.
        retry_of: The operation that it repeats, if any.
    """

    footprint: Footprint
    caller: Caller
    original: object
    request_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    name: str = field(default_factory=new_operation_name)
    task_id: str = ""
    at_once: bool = False
    retry_of: str = ""


def request_of(record: OperationRecord) -> OperationRequest:
    """Return what began an operation that is on record."""
    operation = record.operation
    return OperationRequest(
        footprint=record.footprint,
        caller=operation.caller,
        original=record.request,
        request_id=operation.request_id,
        labels=operation.labels,
        name=operation.name,
        task_id=operation.task_id,
        retry_of=operation.retry_of,
    )


class FailedWithResult(Exception):
    """What a body raises that failed and has a result all the same: a verification that found damage."""

    def __init__(self, error: BackupError, result: Result) -> None:
        super().__init__(error.message)
        self.error = error
        self.result = result


class WorkInterrupted(Exception):
    """What a body raises that cannot go on now, and left everything to those who resume it.

    The operation is INTERRUPTED then, with the reason and what can be done about it.

    Args:
        cause: What does not answer, or is full.
    """

    def __init__(self, cause: BackupError) -> None:
        text = f"{cause.message}; what was done so far stays: resume the operation, or cancel it"
        super().__init__(text)
        self.error = OperationInterrupted(text, **{**cause.metadata, "cause": cause.reason})


class Broadcast:
    """Counts changes and wakes everyone who waits for one. Costs nothing while nobody waits."""

    def __init__(self) -> None:
        self.version = 0
        self._waiting: dict[asyncio.Future[None], None] = {}

    def notify(self) -> None:
        """Tell that something changed."""
        self.version += 1
        waiting, self._waiting = self._waiting, {}
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait_beyond(self, version: int) -> None:
        """Wait until the count is larger than ``version``."""
        while self.version <= version:
            future = asyncio.get_running_loop().create_future()
            self._waiting[future] = None
            try:
                await future
            finally:  # who gave up waiting must not stay here until the next change
                self._waiting.pop(future, None)


class Running:
    """An operation from its acceptance on.

    Args:
        request: What began it.
        notify: Called with the operation after each change, besides the watchers of this operation.
        before: How it was when it was interrupted, if this goes on with it.

    Attributes:
        accepted: Set when it is known whether it begins at all, or is withdrawn.
        stepped: Tells of changes of the state alone.
        attempt: As in OperationRecord.
        lost: Another service has taken it over: nothing that happens here counts any more.
    """

    def __init__(
        self,
        request: OperationRequest,
        notify: Callable[[Running], None],
        before: OperationRecord | None = None,
    ) -> None:
        self.request = request
        self.accepted = asyncio.Event()
        self.stepped = Broadcast()
        self.attempt = 1 if before is None else before.attempt
        self.lost = False
        self.name = request.name
        self.state = OperationState.PENDING
        self.task: asyncio.Task[None] | None = None
        self.tracker = Tracker(self._note_change)
        self.changed = Broadcast()
        self.ended = asyncio.Event()
        self.interrupted = False
        self._notify = notify
        self.create_time = datetime.now(UTC)
        if before is not None:
            self.create_time = before.operation.create_time
            self.changed.version = before.operation.revision + 1
            self.tracker.gc_leases = before.gc_leases
        self._start_time: datetime | None = None
        self._end_time: datetime | None = None
        self._error: BackupError | None = None
        self._result: Result | None = None
        self._shared: Operation | None = None
        self._shared_until = 0.0

    def start(self) -> None:
        """Note that the work begins."""
        self._start_time = datetime.now(UTC)
        if self.state is OperationState.PENDING:
            self.state = OperationState.RUNNING
        self._log("operation begins")
        self._note_step()

    def succeed(self, result: Result) -> None:
        """Note that it ended as asked, or in part, if collections failed meanwhile."""
        self._result = result
        failed = self.tracker.count(CollectionState.FAILED)
        self._end(OperationState.PARTIALLY_SUCCEEDED if failed else OperationState.SUCCEEDED)

    def fail(self, error: BackupError, result: Result | None = None) -> None:
        """Note that it ended in an error; one that came while it was being cancelled says so."""
        if self.state is OperationState.CANCELLING:
            self.tracker.warn(error)
            error = OperationCancelled(
                "cancelled on request, but not everything could be cleaned up: see the warnings"
            )
            self.stop(error)
            return
        self._error = error
        self._result = result
        self._end(OperationState.FAILED)

    def stop(self, reason: BackupError) -> None:
        """Note that it was cancelled or interrupted."""
        self._error = reason
        cancelled = isinstance(reason, OperationCancelled)
        self._end(OperationState.CANCELLED if cancelled else OperationState.INTERRUPTED)

    def cancel(self) -> None:
        """Ask the body to stop; once is enough, and what has ended stays as it ended."""
        if self.state is OperationState.CANCELLING or self.state.ends_watch:
            return
        self.begin_cancelling()
        if self.task is not None:
            self.task.cancel()

    def begin_cancelling(self) -> None:
        """Note that what it made is to be removed."""
        self.state = OperationState.CANCELLING
        self.tracker.cancel_requested = True
        self._note_step()

    def lose(self) -> None:
        """Stop the body because another service has taken the operation over."""
        self.lost = True
        if self.task is not None:
            self.task.cancel()

    def interrupt(self) -> None:
        """Stop the body, or its clean-up, because the service stops."""
        self.interrupted = True
        if self.task is not None:
            self.task.cancel()

    def snapshot(self) -> Operation:
        """Return the operation as it is now."""
        tracker = self.tracker
        return Operation(
            name=self.name,
            kind=self.request.footprint.kind,
            state=self.state,
            backup_name=self.request.footprint.backup_name,
            create_time=self.create_time,
            caller=self.request.caller,
            start_time=self._start_time,
            end_time=self._end_time,
            progress=tracker.progress(),
            warnings=tracker.warnings,
            warning_count=tracker.warning_count,
            error=self._error,
            result=self._result,
            collections=tracker.shown_collections(),
            collection_count=tracker.count(),
            succeeded_count=tracker.count(CollectionState.SUCCEEDED),
            failed_count=tracker.count(CollectionState.FAILED),
            labels=self.request.labels,
            request_id=self.request.request_id,
            task_id=self.request.task_id,
            retry_of=self.request.retry_of,
            revision=self.changed.version,
            place=self.request.footprint.place,
        )

    def shared_snapshot(self, beyond: int) -> Operation:
        """Return the operation as it is now, or was a moment ago: the same value to many who watch it.

        Args:
            beyond: A revision. One that was a moment ago is later than this, and the last state is
                never held back.
        """
        now, shared = time.monotonic(), self._shared
        if shared is not None and now < self._shared_until:
            newest = shared.revision == self.changed.version
            if newest or (shared.revision > beyond and not self.ended.is_set()):
                return shared
        self._shared, self._shared_until = self.snapshot(), now + _SHARED_SECONDS
        return self._shared

    def _end(self, state: OperationState) -> None:
        # A cancelled operation has taken back everything, also what was done.
        self.tracker.stop_collections(undone=state is OperationState.CANCELLED)
        self.tracker.finish()
        self._end_time = datetime.now(UTC)
        self.state = state
        self.ended.set()
        self._log("operation ended", **self._outcome())
        self._note_step()

    def _outcome(self) -> dict[str, object]:
        begun = self._start_time or self.create_time
        seconds = ((self._end_time or begun) - begun).total_seconds()
        facts: dict[str, object] = {"state": self.state.value, "seconds": round(seconds, 3)}
        if self._error is not None:
            facts |= {"reason": self._error.reason, "error": self._error.message}
        if self._result is not None:
            facts["result"] = _logged(self._result)
        return facts

    def _log(self, event: str, **facts: object) -> None:
        footprint = self.request.footprint
        about = {"operation": self.name, "kind": footprint.kind.value}
        _log.info(event, extra={**about, "backup": footprint.backup_name, **facts})

    def _note_step(self) -> None:
        self.stepped.notify()
        self._note_change()

    def _note_change(self) -> None:
        self.changed.notify()
        self._notify(self)


def finished(request: OperationRequest, result: Result) -> Operation:
    """Return a finished operation that was never stored: the answer to ``validate_only``."""
    snapshot = Running(request, lambda _: None).snapshot()
    return replace(
        snapshot,
        state=OperationState.SUCCEEDED,
        start_time=snapshot.create_time,
        end_time=datetime.now(UTC),
        result=result,
    )


def _logged(result: Result) -> dict[str, object]:
    """Return what the log tells of a result: of a verification no single problems, which may be many."""
    if isinstance(result, VerifyResult):
        kinds = {kind.name.lower(): count for kind, count in result.by_kind.items()}
        return {"level": result.level.value, "problems": kinds, **asdict(result.counts)}
    if isinstance(result, SweepResult):
        return {"applied": result.applied, **result.counts}
    return asdict(result)
