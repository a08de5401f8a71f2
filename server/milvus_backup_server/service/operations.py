"""Operations: begun, watched, cancelled, drained.

One manager owns the tasks of all operations. A body's failure is recorded and never cancels a
sibling. Operations are remembered in memory, the ended ones up to a bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from milvus_backup_server.domain.backups import Page
from milvus_backup_server.domain.conflicts import READERS, Footprint, first_conflict
from milvus_backup_server.domain.errors import (
    BackupError,
    InternalError,
    OperationCancelled,
    OperationConflict,
    OperationEnded,
    OperationInterrupted,
    OperationNotFound,
    RequestIdReused,
    ServerStopping,
    TooManyOperations,
)
from milvus_backup_server.domain.operations import (
    CollectionProgress,
    Operation,
    OperationKind,
    OperationState,
)
from milvus_backup_server.service.concurrency import first_backup_error
from milvus_backup_server.service.running import (
    Body,
    Broadcast,
    FailedWithResult,
    OperationRequest,
    Running,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OperationLimits:
    """Bounds of the manager.

    Attributes:
        concurrent: Operations at work at one time.
        pending: Operations that may wait for a place.
        remembered: Ended operations that are kept.
        cleanup_seconds: How long an interrupted operation may clean up after itself at shutdown.
    """

    concurrent: int = 2
    pending: int = 1000
    remembered: int = 1000
    cleanup_seconds: float = 10.0


class OperationManager:
    """Runs operations and tells about them. Use as an async context manager."""

    def __init__(self, limits: OperationLimits | None = None) -> None:
        self._limits = limits or OperationLimits()
        self._places = asyncio.Semaphore(self._limits.concurrent)
        self._known: dict[str, Running] = {}
        self._by_request: dict[str, Running] = {}
        self._any_change = Broadcast()
        self._any_end = Broadcast()
        self._ended: dict[str, Running] = {}
        self._stopping = False

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

    def begin(self, request: OperationRequest, body: Body) -> Operation:
        """Accept an operation and return its first snapshot; the body runs when there is a place.

        Raises:
            ServerStopping: No new operations are accepted.
            RequestIdReused: As in ``repeated``.
            OperationConflict: Another operation is in the way.
            TooManyOperations: Too many wait already.
        """
        self._refuse_stopping()
        known = self.repeated(request.request_id, request.original)
        if known is not None:
            return known
        self.refuse_conflict(request.footprint)
        if len(self._active()) >= self._limits.concurrent + self._limits.pending:
            raise TooManyOperations(
                f"{self._limits.pending} operations wait already", pending=self._limits.pending
            )
        running = Running(request, self._note_change)
        self._known[running.name] = running
        if request.request_id:
            self._by_request[request.request_id] = running
        running.task = asyncio.create_task(self._run(running, body), name=running.name)
        running.task.add_done_callback(lambda _: self._end_unstarted(running))
        return running.snapshot()

    def repeated(self, request_id: str, request: object) -> Operation | None:
        """Return the operation that a ``request_id`` began; None for a new or empty id.

        Raises:
            RequestIdReused: It came with another request.
        """
        known = self._by_request.get(request_id) if request_id else None
        if known is None:
            return None
        if known.request.original != request:
            raise RequestIdReused(
                f"request_id {request_id!r} was used for another request ({known.name})",
                request_id=request_id,
                operation=known.name,
            )
        return known.snapshot()

    def _refuse_stopping(self) -> None:
        if self._stopping:
            raise ServerStopping("the service is stopping and accepts no operations")

    def refuse_conflict(self, footprint: Footprint) -> None:
        """Refuse an operation with this footprint before anything else is looked at.

        Raises:
            ServerStopping: No new operations are accepted.
            OperationConflict: Another operation is in the way.
        """
        self._refuse_stopping()
        active = ((item.name, item.request.footprint) for item in self._active())
        other = first_conflict(active, footprint)
        if other:
            raise OperationConflict(
                f"operation {other} is in the way; wait for it or cancel it",
                operation=other,
                backup=footprint.backup_name,
            )

    # --- run

    def _note_change(self, running: Running) -> None:
        self._any_change.notify()
        if running.state.ends_watch:
            self._ended.setdefault(running.name, running)
            self._any_end.notify()

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
        except BackupError as error:
            running.fail(error)
        except FailedWithResult as failed:
            running.fail(failed.error, failed.result)
        except Exception as error:  # noqa: BLE001 whatever it is, the operation must end in it
            found = first_backup_error(error)
            if found is None:
                _log.exception("operation failed by a fault of ours: %s", running.name)
            running.fail(found or InternalError())
        finally:
            self._forget_old()

    def _forget_old(self) -> None:
        """Forget those that ended first, beyond the bound."""
        while len(self._ended) > self._limits.remembered:
            item = self._ended.pop(next(iter(self._ended)))
            self._known.pop(item.name, None)
            self._by_request.pop(item.request.request_id, None)

    # --- look

    def get(self, name: str) -> Operation:
        """Return an operation; OperationNotFound if it is not known."""
        return self._find(name).snapshot()

    def find(self, id_: str, kinds: frozenset[OperationKind] = frozenset()) -> Operation:
        """Return the operation of that name, or the newest that the caller gave that ``task_id``.

        Raises:
            OperationNotFound: There is none, or none of these kinds.
        """
        named = self._known.get(id_)
        given = (item for item in reversed(self._known.values()) if item.request.task_id == id_)
        for item in (*([named] if named else []), *(given if id_ else [])):
            if not kinds or item.request.footprint.kind in kinds:
                return item.snapshot()
        raise OperationNotFound(id_)

    async def end_of(self, name: str) -> Operation:
        """Wait until an operation has ended, in whatever way, and return it; errors as in ``get``."""
        running = self._find(name)
        await running.ended.wait()
        return running.snapshot()

    def list(
        self,
        after: str,
        limit: int,
        backup_name: str = "",
        kinds: frozenset[OperationKind] = frozenset(),
        states: frozenset[OperationState] = frozenset(),
    ) -> Page[Operation]:
        """Return a page of operations, newest first, beginning behind the one named ``after``."""
        found: list[Operation] = []
        for item in self._behind(after):
            if not _matches(item, backup_name, kinds, states):
                continue
            if len(found) == limit:
                return Page(tuple(found), found[-1].name)
            found.append(item.snapshot())
        return Page(tuple(found))

    def _behind(self, after: str) -> Sequence[Running]:
        """Return the operations older than the one named, newest first; all without a name."""
        names = list(reversed(self._known))
        if after in self._known:
            names = names[names.index(after) + 1 :]
        elif after:  # forgotten meanwhile; names begin with the second in which they were made
            names = [
                name for name in names if name.split("_")[0] <= after.split("_", maxsplit=1)[0]
            ]
        return [self._known[name] for name in names]

    def collections(self, name: str, offset: int, limit: int) -> Page[CollectionProgress]:
        """Return a page of an operation's collections in its own order."""
        tracker = self._find(name).tracker
        items = tracker.collections(offset, limit)
        behind = offset + len(items)
        return Page(items, str(behind) if behind < tracker.count() else "")

    def count(self, state: OperationState) -> int:
        """Return how many operations are in a state."""
        return sum(item.state is state for item in self._known.values())

    def active_backups(self) -> dict[str, OperationKind]:
        """Return the backups that operations change now, with what they do."""
        return {
            item.request.footprint.backup_name: item.request.footprint.kind
            for item in self._active()
            if item.request.footprint.kind not in READERS
        }

    def _active(self) -> Sequence[Running]:
        return [item for item in self._known.values() if not item.state.ends_watch]

    def _find(self, name: str) -> Running:
        try:
            return self._known[name]
        except KeyError:
            raise OperationNotFound(name) from None

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

    # --- watch

    async def watch(self, name: str, min_interval: float) -> AsyncGenerator[Operation, None]:
        """Yield an operation now and after changes, at most one per ``min_interval`` seconds, up to its last state.

        Raises:
            OperationNotFound: It is not known.
        """
        running = self._find(name)
        while True:
            snapshot = running.snapshot()
            yield snapshot
            if snapshot.state.ends_watch:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(running.ended.wait(), min_interval)
            await running.changed.wait_beyond(snapshot.revision)

    async def watch_many(
        self, names: Sequence[str], min_interval: float
    ) -> AsyncIterator[Operation]:
        """Yield each of many operations as ``watch`` does; without names all, until the service stops.

        Raises:
            OperationNotFound: One of the names is not known.
            ServerStopping: The service stops and nothing is left to follow.
        """
        wanted = {name: self._find(name) for name in names}
        sent: dict[str, int] = {}
        while True:
            version, ends = self._any_change.version, self._any_end.version
            present = wanted or dict(self._known)
            for name, item in present.items():
                if sent.get(name) != item.changed.version:
                    snapshot = item.snapshot()
                    sent[name] = snapshot.revision
                    yield snapshot
            for name in sent.keys() - present.keys():
                del sent[name]
            if not _has_unsent(wanted or self._known, sent):
                if wanted and all(item.state.ends_watch for item in wanted.values()):
                    return
                if self._stopping and not self._active():
                    raise ServerStopping("the service is stopping")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._any_end.wait_beyond(ends), min_interval)
            await self._any_change.wait_beyond(version)

    # --- stop

    async def drain(self, grace: float) -> None:
        """Accept no more, give what runs ``grace`` seconds to end, then interrupt it.

        Every watch gets the last state and ends.
        """
        self._stopping = True
        self._any_end.notify()
        self._any_change.notify()
        await _ended(self._active(), grace)
        for item in self._active():
            if item.state is not OperationState.CANCELLING:  # that one cleans up already
                item.interrupt()
        await _ended(self._active(), self._limits.cleanup_seconds)
        for item in self._active():
            item.interrupt()
        await _ended(self._active(), self._limits.cleanup_seconds)
        for item in self._active():
            _log.error("operation did not stop in time and is left as it is: %s", item.name)


def _has_unsent(present: Mapping[str, Running], sent: Mapping[str, int]) -> bool:
    """Tell whether something changed while a watcher took its time."""
    return any(sent.get(name) != item.changed.version for name, item in present.items())


async def _ended(running: Sequence[Running], seconds: float | None) -> None:
    """Wait until operations have ended, but no longer than ``seconds``."""
    tasks = [item.task for item in running if item.task is not None]
    if tasks and seconds != 0:
        await asyncio.wait(tasks, timeout=seconds)


def _reason_of_stop(running: Running) -> BackupError:
    if running.state is OperationState.CANCELLING and not running.interrupted:
        return OperationCancelled("cancelled on request")
    return OperationInterrupted("the service was stopped before the operation's end")


def _matches(
    item: Running,
    backup_name: str,
    kinds: frozenset[OperationKind],
    states: frozenset[OperationState],
) -> bool:
    footprint = item.request.footprint
    return (
        (not backup_name or footprint.backup_name == backup_name)
        and (not kinds or footprint.kind in kinds)
        and (not states or item.state in states)
    )
