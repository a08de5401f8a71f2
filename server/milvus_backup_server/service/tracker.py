"""What an operation's body tells about its progress, and the snapshot that watchers get."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypedDict, Unpack

from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.gc_lease import GcLease
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    SHOWN_COLLECTIONS,
    SHOWN_WARNINGS,
    Amount,
    CollectionProgress,
    CollectionState,
    Phase,
    PhaseProgress,
    Progress,
)

_RATE_WINDOW_SECONDS = 10.0
_SHOWN_FIRST = (
    CollectionState.FAILED,
    CollectionState.RUNNING,
    CollectionState.STOPPED,
    CollectionState.PENDING,
    CollectionState.SUCCEEDED,
)


@dataclass(frozen=True, slots=True)
class Totals:
    """What a phase has to do; None where it is not known yet."""

    bytes: int | None = None
    objects: int | None = None
    segments: int | None = None
    rows: int | None = None


class CollectionChanges(TypedDict, total=False):
    """What a body tells of one collection; what is not given stays as it was."""

    state: CollectionState
    error: BackupError
    bytes_done: int
    bytes_total: int
    row_count: int
    moment: int | None


async def _nothing_to_do() -> None:
    pass


class Tracker:
    """Collects the progress of one operation.

    The body calls the methods below as it works; each tells ``changed``. Nothing here waits, and a
    snapshot costs the same whatever the number of collections.

    Args:
        changed: Called after each change.

    Attributes:
        cancel_requested: The caller cancelled the operation: the body removes what it made. A body
            that is stopped without this was interrupted.
        require_owner: Await it before something that cannot be taken back: it raises
            OperationInterrupted where another service has taken the operation over meanwhile, because
            this one slept or was cut off. Then nothing may be finished or cleaned up.
        record_now: Await it where whoever comes after a crash must know of something: the operation's
            record is written at once, unless the store does not take it soon. Then it follows later.
        gc_leases: Pauses of Milvus's garbage collection that are to be given back.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.cancel_requested = False
        self.require_owner: Callable[[], Awaitable[None]] = _nothing_to_do
        self.record_now: Callable[[], Awaitable[None]] = _nothing_to_do
        self.gc_leases: tuple[GcLease, ...] = ()
        self._changed = changed
        self._phases: dict[Phase, PhaseProgress] = {}
        self._present: Phase | None = None
        self._waiting_for = ""
        self._rate = _Rate()
        self._collections: dict[CollectionName, CollectionProgress] = {}
        self._known_as: dict[CollectionName, CollectionName] = {}
        self._by_state: dict[CollectionState, dict[CollectionName, None]] = {
            state: {} for state in CollectionState
        }
        self._warnings: list[BackupError] = []
        self._warning_count = 0

    # --- what the body says

    def enter(self, phase: Phase, totals: Totals | None = None) -> None:
        """Begin a phase, or go back to one; the phase before it ends."""
        now = datetime.now(UTC)
        self._end_present(now)
        known = self._phases.get(phase) or PhaseProgress(phase, now)
        self._phases[phase] = replace(known, end_time=None)
        self._present = phase
        self._rate = _Rate()
        if totals is not None:
            self.set_totals(totals)
        self._changed()

    def set_totals(self, totals: Totals) -> None:
        """State what the present phase has to do."""
        if self._present is None:
            return
        self._phases[self._present] = replace(
            self._phases[self._present],
            bytes_total=totals.bytes,
            objects_total=totals.objects,
            segments_total=totals.segments,
            rows_total=totals.rows,
        )
        self._changed()

    def advance(self, done: Amount, collection: CollectionName | None = None) -> None:
        """Add work done to the present phase, and its bytes to a collection."""
        if self._present is not None:
            known = self._phases[self._present]
            self._phases[self._present] = replace(known, done=known.done + done)
            self._rate.add(max(done.bytes, 0))  # what is taken back did move
        if collection is not None:
            known_collection = self._collections[self._known_as.get(collection, collection)]
            self.collection(collection, bytes_done=known_collection.bytes_done + done.bytes)
        self._changed()

    def set_gc_leases(self, leases: tuple[GcLease, ...]) -> None:
        """State which pauses of the garbage collection are held now."""
        self.gc_leases = leases
        self._changed()

    def wait_for(self, what: str) -> None:
        """State what outside of this service is waited for; empty when the wait is over."""
        if what != self._waiting_for:
            self._waiting_for = what
            self._changed()

    def warn(self, warning: BackupError) -> None:
        """Record something that went wrong without stopping the operation."""
        self._warning_count += 1
        if len(self._warnings) < SHOWN_WARNINGS:
            self._warnings.append(warning)
        self._changed()

    def raise_cancelled(self, error: BaseException) -> None:
        """Turn what failed while the operation was being cancelled, and was cleaned up, into a warning.

        Raises:
            CancelledError: The error is one for callers.
        """
        if isinstance(error, BackupError):
            self.warn(error)
            raise asyncio.CancelledError from error

    def add_collections(self, collections: Iterable[CollectionProgress]) -> None:
        """State which collections the operation works on; one with a target is known by that.

        One that is known by a name already begins anew under it.
        """
        for item in collections:
            name = item.target or item.source
            if name in self._known_as:
                name = self._known_as[name]
                item = replace(item, target=None)  # noqa: PLW2901 its other name is nobody's business
            if name in self._collections:
                del self._by_state[self._collections[name].state][name]
            self._collections[name] = item
            self._by_state[item.state][name] = None
        self._changed()

    def know_as(self, name: CollectionName, other: CollectionName) -> None:
        """Let a collection be told of by another name from now on, which nobody sees."""
        self._known_as[other] = name

    def collection(self, source: CollectionName, **changes: Unpack[CollectionChanges]) -> None:
        """Change fields of a collection's progress."""
        source = self._known_as.get(source, source)
        before = self._collections[source]
        after = replace(before, **changes)
        self._collections[source] = after
        if after.state is not before.state:
            self._collections[source] = _timed(after)
            del self._by_state[before.state][source]
            self._by_state[after.state][source] = None
        self._changed()

    def stop_collections(self, *, undone: bool) -> None:
        """Mark what has not ended as STOPPED; with ``undone`` also what was done and taken back."""
        done = (CollectionState.SUCCEEDED,) if undone else ()
        for state in (CollectionState.PENDING, CollectionState.RUNNING, *done):
            for source in list(self._by_state[state]):
                self.collection(source, state=CollectionState.STOPPED)

    def finish(self) -> None:
        """End the present phase."""
        self._end_present(datetime.now(UTC))
        self._waiting_for = ""
        self._changed()

    # --- what watchers see

    @property
    def warnings(self) -> tuple[BackupError, ...]:
        """The oldest warnings."""
        return tuple(self._warnings)

    @property
    def warning_count(self) -> int:
        """All warnings so far."""
        return self._warning_count

    def count(self, state: CollectionState | None = None) -> int:
        """Return how many collections are in a state, or how many there are."""
        return len(self._collections if state is None else self._by_state[state])

    def shown_collections(self) -> tuple[CollectionProgress, ...]:
        """Return the collections that an operation carries: failed and running ones first."""
        shown: list[CollectionProgress] = []
        for state in _SHOWN_FIRST:
            for source in self._by_state[state]:
                if len(shown) == SHOWN_COLLECTIONS:
                    return tuple(shown)
                shown.append(self._collections[source])
        return tuple(shown)

    def collections(self, offset: int, limit: int) -> tuple[CollectionProgress, ...]:
        """Return a page of all collections in the operation's order."""
        return tuple(list(self._collections.values())[offset : offset + limit])

    def progress(self) -> Progress:
        """Return how far the operation is."""
        rate = self._rate.per_second()
        return Progress(
            phases=self._ordered_phases(),
            bytes_per_second=int(rate),
            remaining_seconds=self._remaining(rate),
            waiting_for=self._waiting_for,
        )

    def _ordered_phases(self) -> tuple[PhaseProgress, ...]:
        others = [item for phase, item in self._phases.items() if phase is not self._present]
        present = [] if self._present is None else [self._phases[self._present]]
        return (*others, *present)

    def _remaining(self, rate: float) -> float | None:
        if self._present is None or rate <= 0:
            return None
        present = self._phases[self._present]
        if present.bytes_total is None or present.end_time is not None:
            return None
        return max(present.bytes_total - present.done.bytes, 0) / rate

    def _end_present(self, now: datetime) -> None:
        if self._present is not None and self._phases[self._present].end_time is None:
            self._phases[self._present] = replace(self._phases[self._present], end_time=now)


def _timed(changed: CollectionProgress) -> CollectionProgress:
    """Return a collection whose state has just changed with the time of that."""
    now = datetime.now(UTC)
    if changed.state is CollectionState.PENDING:
        return replace(changed, start_time=None, end_time=None)
    if changed.state is CollectionState.RUNNING:
        return replace(changed, start_time=changed.start_time or now, end_time=None)
    return replace(changed, end_time=now)


class _Rate:
    """Bytes per second over the last seconds, in steps of a tenth of the window."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._steps: deque[tuple[float, int]] = deque()
        self._sum = 0

    def add(self, count: int) -> None:
        now = time.monotonic()
        step = _RATE_WINDOW_SECONDS / 10
        if self._steps and now - self._steps[-1][0] < step:
            begun, before = self._steps[-1]
            self._steps[-1] = (begun, before + count)
        else:
            self._steps.append((now, count))
        self._sum += count
        self._forget(now)

    def per_second(self) -> float:
        now = time.monotonic()
        self._forget(now)
        span = min(now - self._started, _RATE_WINDOW_SECONDS)
        return self._sum / span if span > 0 else 0.0

    def _forget(self, now: float) -> None:
        while self._steps and now - self._steps[0][0] > _RATE_WINDOW_SECONDS:
            self._sum -= self._steps.popleft()[1]
