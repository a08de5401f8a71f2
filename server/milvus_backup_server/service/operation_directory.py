"""All operations that are on record: those of this service, of others, and of earlier ones.

What runs here is told from memory. Of the rest the log tells: what another service runs, as it was
written last; what no living service owns any more, as interrupted; and what has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from milvus_backup_server.domain.backups import Page, page_of
from milvus_backup_server.domain.errors import (
    BackupError,
    OperationNotFound,
    ServerStopping,
    StorageUnavailable,
)
from milvus_backup_server.domain.gc_lease import GcLease
from milvus_backup_server.domain.names import is_operation_name
from milvus_backup_server.domain.operation_record import OperationRecord
from milvus_backup_server.domain.operations import (
    CollectionProgress,
    Operation,
    OperationKind,
    OperationState,
)
from milvus_backup_server.domain.places import HOME, Place
from milvus_backup_server.domain.requests import CreateRequest
from milvus_backup_server.domain.verification import Problem, VerifyResult
from milvus_backup_server.ports.operation_log import Stored
from milvus_backup_server.service.concurrency import merged
from milvus_backup_server.service.journal import Journal
from milvus_backup_server.service.known_operations import KnownOperations
from milvus_backup_server.service.operation_entries import (
    Entry,
    Filter,
    OperationPage,
    behind,
    entry_here,
)
from milvus_backup_server.service.running import Running

_POLL_SECONDS = 1.0
_INTERRUPTED = frozenset({OperationState.INTERRUPTED})
_ALL: Final = Filter()


class OperationDirectory:
    """Finds, lists and watches operations.

    Args:
        here: What this service remembers.
        journal: What it shares with others; None where nothing is recorded.
    """

    def __init__(self, here: KnownOperations, journal: Journal | None = None) -> None:
        self._here = here
        self._journal = journal

    # --- one

    async def get(self, name: str) -> Operation:
        """Return an operation.

        Raises:
            OperationNotFound: It is not on record.
            StorageUnavailable: It is not of this service, and the store does not answer.
        """
        running = self.running(name)
        if running is not None and _certain(running):
            return running.snapshot()
        stored = await self._stored_or_known(name, running)
        if stored is not None:
            return self._shown(stored.record)
        if running is None:
            raise OperationNotFound(name)
        return running.snapshot()

    def running(self, name: str) -> Running | None:
        """Return an operation that this service runs or ran."""
        return self._here.known.get(name)

    async def _stored_or_known(self, name: str, running: Running | None) -> Stored | None:
        """Read a record that may tell more than the memory; without one the store must answer."""
        try:
            stored = await self.stored(name)
        except BackupError:
            if running is None:
                raise
            return None
        newer = stored is not None and (running is None or stored.record.attempt > running.attempt)
        return stored if newer else None

    async def stored(self, name: str) -> Stored | None:
        """Return the record of an operation as it is now: interrupted if its owner has vanished.

        Raises:
            StorageUnavailable: The store does not answer in time.
        """
        journal = self._journal
        if journal is None or not is_operation_name(name):
            return None
        async with self._asking(journal):
            found = await journal.log.read(name)
            if found is None or not found.record.accepted:
                return None
            living = await self._living([found.record])
            if journal.judged(found.record, living) is not found.record:
                # The owner may have ended in peace since the record was read.
                found = await journal.log.read(name) or found
                journal.settle()
            return Stored(journal.judged(found.record, living), found.version)

    async def is_unreadable(self, name: str) -> bool:
        """Tell whether a record of an operation is there that is not to be read: newer, or damaged.

        Raises:
            StorageUnavailable: The store does not answer in time.
        """
        if self._journal is None:
            return False
        log = self._journal.log
        async with self._asking(self._journal):
            return name in await log.versions() and await log.read(name) is None

    async def find(self, id_: str, kinds: frozenset[OperationKind] = frozenset()) -> Operation:
        """Return the operation of that name, or the newest that the caller gave that ``task_id``.

        Raises:
            OperationNotFound: There is none, or none of these kinds.
            StorageUnavailable: As in ``get``.
        """
        try:
            return await self.get(self._here.find(id_, kinds).name)
        except OperationNotFound:
            if self._journal is None or not id_:
                raise
        for record in reversed(await self._records()):
            operation = record.operation
            if id_ in {operation.name, operation.task_id} and (
                not kinds or operation.kind in kinds
            ):
                return self._shown_whole(record)
        raise OperationNotFound(id_)

    async def interrupted(self) -> Sequence[Operation]:
        """Return the operations that wait to be resumed, the oldest first.

        Raises:
            StorageUnavailable: The records cannot be read.
        """
        entries = self._merged(await self._records())
        return [entry.show() for entry in reversed(entries) if entry.state in _INTERRUPTED]

    async def unfinished(self) -> Sequence[Operation]:
        """Return the operations that have not ended and are not at work here, the oldest first.

        They wait to be resumed, or seem to be at work in another service.

        Raises:
            StorageUnavailable: The records cannot be read.
        """
        return [
            entry.show()
            for entry in reversed(self._merged(await self._records()))
            if not entry.state.final and not self._is_at_work_here(entry.name)
        ]

    async def gc_leases(self) -> list[tuple[str, GcLease]]:
        """Return pauses of the garbage collection that nobody gives back, each with its operation.

        Raises:
            StorageUnavailable: The store does not answer in time.
        """
        now = datetime.now(UTC)
        return [
            (record.name, lease)
            for record in await self._records()
            if not record.active
            for lease in record.gc_leases
            if lease.runs_at(now)
        ]

    async def retries_of(self, name: str) -> Sequence[str]:
        """Return the operations, not over, that go on with what a create left as its retries.

        Raises:
            StorageUnavailable: The records cannot be read.
        """
        there = ((it.name, it.operation.state, it.request) for it in await self._records())
        here = ((it.name, it.state, it.request.original) for it in self._here.known.values())
        found = {it for it, state, request in (*there, *here) if _retries(state, request, name)}
        return sorted(found)

    def _is_at_work_here(self, name: str) -> bool:
        running = self.running(name)
        return running is not None and not running.state.ends_watch

    # --- many

    async def list(self, after: str, limit: int, wanted: Filter = _ALL) -> OperationPage:
        """Return a page of operations, newest first, beginning behind the one named ``after``.

        A store that does not answer takes only those from the list that this service does not remember.
        """
        found: list[Operation] = []
        entries, error = await self._entries()
        for entry in behind(entries, after):
            if not entry.passes(wanted):
                continue
            if len(found) == limit:
                return OperationPage(tuple(found), found[-1].name, error)
            found.append(entry.show())
        return OperationPage(tuple(found), records_error=error)

    async def _entries(self) -> tuple[Sequence[Entry], BackupError | None]:
        """Return all operations, newest first, and why those on record are missing, if they are."""
        try:
            return self._merged(await self._records()), None
        except BackupError as error:
            return self._merged(()), error

    def _merged(self, records: Sequence[OperationRecord]) -> Sequence[Entry]:
        found = {record.name: self._entry(record) for record in records}
        attempts = {record.name: record.attempt for record in records}
        for running in self._here.known.values():
            if _certain(running) or attempts.get(running.name, 0) <= running.attempt:
                found[running.name] = entry_here(running)
        return sorted(found.values(), key=lambda entry: (entry.create_time, entry.name))[::-1]

    async def _records(self) -> Sequence[OperationRecord]:
        """Return all accepted records, interrupted where their owner has vanished."""
        if self._journal is None:
            return ()
        async with self._asking(self._journal):
            records = await self._journal.log.all()
            living = await self._living(records)
            judged = [self._journal.judged(record, living) for record in records]
            if any(now is not then for now, then in zip(judged, records, strict=True)):
                self._journal.settle()
            return judged

    async def _living(self, records: Sequence[OperationRecord]) -> frozenset[str]:
        """Return which services are alive, as far as these records need it."""
        assert self._journal is not None  # noqa: S101 the records are of it
        ours = self._journal.owner.instance
        if any(record.active and record.owner.instance != ours for record in records):
            return await self._journal.living()
        return frozenset({ours})

    def _entry(self, record: OperationRecord) -> Entry:
        operation = record.operation
        return Entry(
            operation.create_time,
            operation.name,
            operation.kind,
            operation.backup_name,
            record.footprint.place,
            record.shown().state,
            lambda: self._shown_whole(record),
        )

    def _shown_whole(self, record: OperationRecord) -> Operation:
        if record.operation.state.final and self._journal is not None:
            record = self._journal.log.whole(record)
        return self._shown(record)

    def _shown(self, record: OperationRecord) -> Operation:
        if not record.active or self._journal is None:
            return record.shown()
        if record.owner.instance == self._journal.owner.instance:
            return record.shown()
        return replace(record.shown(), owner=str(record.owner))

    async def active_backups(self, place: Place = HOME) -> dict[str, OperationKind]:
        """Return the backups of a place that operations change now, here or elsewhere, with what they do."""
        found: dict[str, OperationKind] = {}
        if self._journal is not None:
            # Whoever asks reads the store next, with a deadline and an error of its own.
            with contextlib.suppress(BackupError, TimeoutError):
                async with asyncio.timeout(self._journal.limits.ask):
                    for record in await self._journal.of_others():
                        if record.accepted and record.footprint.changes(place):
                            found[record.footprint.backup_name] = record.footprint.kind
        return found | self._here.active_backups(place)

    async def places(self) -> frozenset[Place]:
        """Return where the backups lie that operations on record are of."""
        entries, _ = await self._entries()
        return frozenset(entry.place for entry in entries)

    # --- what an operation does not carry

    async def collections(self, name: str, offset: int, limit: int) -> Page[CollectionProgress]:
        """Return a page of an operation's collections in its own order; errors as in ``get``."""
        running = self.running(name)
        if running is not None and not running.lost:
            return self._here.collections(name, offset, limit)
        operation = await self.get(name)
        details = await self._journal.log.read_details(name) if self._journal else None
        items = details.collections if details else ()
        return page_of(items or operation.collections, offset, limit)

    async def problems(self, name: str, offset: int, limit: int) -> Page[Problem]:
        """Return a page of what a verification found; errors as in ``get``."""
        operation = await self.get(name)
        result = operation.result
        found = result.problems if isinstance(result, VerifyResult) else ()
        if self.running(name) is None and self._journal is not None and found:
            details = await self._journal.log.read_details(name)
            found = (details.problems if details else ()) or found
        return page_of(found, offset, limit)

    # --- watch

    async def watch(self, name: str, min_interval: float) -> AsyncGenerator[Operation, None]:
        """Yield an operation now and after changes, at most one per ``min_interval`` seconds, up to its last state.

        Of an operation that runs elsewhere the states come as they are recorded.

        Raises:
            OperationNotFound: It is not on record.
            ServerStopping: This service stops, and the operation is not its own.
        """
        if self._runs_here(name):
            async for operation in self._here.watch(name, min_interval):
                yield operation
            return
        async for operation in self._poll(name, min_interval):
            yield operation

    def _runs_here(self, name: str) -> bool:
        running = self.running(name)
        return running is not None and _certain(running)

    async def _poll(self, name: str, min_interval: float) -> AsyncGenerator[Operation, None]:
        sent: Operation | None = None
        while True:
            operation = await self.get(name)
            if operation != sent:
                sent = operation
                yield operation
            if operation.state.ends_watch:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(min_interval, _POLL_SECONDS)):
                    await self._here.stopping.wait()
                raise ServerStopping("the service is stopping")

    async def watch_many(
        self, names: Sequence[str], min_interval: float
    ) -> AsyncGenerator[Operation, None]:
        """Yield each of many operations as ``watch`` does; without names all of this service, until it stops.

        Raises:
            OperationNotFound: One of the names is not on record.
            ServerStopping: The service stops and nothing is left to follow.
        """
        here = [name for name in names if self._runs_here(name)]
        elsewhere = [name for name in names if not self._runs_here(name)]
        for name in elsewhere:
            await self.get(name)
        sources = [self._poll(name, min_interval) for name in elsewhere]
        if here or not names:
            sources.append(self._here.watch_many(here, min_interval))
        async for operation in merged(sources):
            yield operation

    @contextlib.asynccontextmanager
    async def _asking(self, journal: Journal) -> AsyncIterator[None]:
        seconds = journal.limits.accept
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise StorageUnavailable(
                f"the store with the operations' records did not answer within {seconds:g} s"
            ) from None


def _retries(state: OperationState, request: object, first: str) -> bool:
    known_by = request.first_try if isinstance(request, CreateRequest) else ""
    return known_by == first and not state.final


def _certain(running: Running) -> bool:
    """Tell whether the memory has the last word: nobody else can have gone on with it."""
    return not running.lost and running.state is not OperationState.INTERRUPTED
