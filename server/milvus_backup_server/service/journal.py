"""The operations of this service in the log that it shares with others.

An operation is announced before it begins: a record that is not accepted yet. Then the others' records
are read. Of two services that announce operations which are in each other's way each sees the other's,
as both write before they read; the one whose operation has the larger name withdraws.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Container, Iterable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

from milvus_backup_server.domain.conflicts import Footprint, Verdict, verdict
from milvus_backup_server.domain.errors import (
    BackupError,
    ObjectAlreadyExists,
    ObjectChanged,
    OperationConflict,
)
from milvus_backup_server.domain.operation_record import OperationRecord, Owner
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.ports.operation_log import OperationLog, Stored
from milvus_backup_server.service.concurrency import for_each
from milvus_backup_server.service.heart import Heart
from milvus_backup_server.service.recording import Recorder, RecordingLimits, record_of
from milvus_backup_server.service.running import Running
from milvus_backup_server.service.settling import Settling

_TURN_SECONDS: Final = 0.1

_log = logging.getLogger(__name__)


class RepeatedElsewhere(Exception):
    """The request id came to another service first."""

    def __init__(self, record: OperationRecord) -> None:
        super().__init__(record.name)
        self.record = record


class Journal:
    """Records what runs here. Use as an async context manager, around the manager of the operations.

    Args:
        log: What is shared.
        owner: We.
        limits: Waits.
    """

    def __init__(
        self, log: OperationLog, owner: Owner, limits: RecordingLimits | None = None
    ) -> None:
        self.log = log
        self.owner = owner
        self.limits = limits or RecordingLimits()
        self.recorders: dict[str, Recorder] = {}
        # How often: of two calls that go on with the same operation one comes too late, and leaves.
        self._starting: Counter[str] = Counter()
        self.heart = Heart(
            log,
            owner,
            self.limits.heartbeat,
            needed=self._has_work,
            look=self._look,
            look_seconds=self.limits.look,
        )
        self.tasks: set[asyncio.Task[None]] = set()
        self._settling = Settling(log, owner, living=self.living, at_work=self._is_at_work)
        self._settles = False

    async def __aenter__(self) -> Self:
        """Begin; nothing is written before the first operation."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is still to be written, and tell that this service has ended."""
        try:
            async with asyncio.timeout(self.limits.close):
                recorders = [recorder.task for recorder in self.recorders.values()]
                await asyncio.gather(*recorders, return_exceptions=True)
                await asyncio.gather(*self.tasks, return_exceptions=True)
                await self.heart.stop()
        except TimeoutError:
            _log.warning("the store does not take the last records of operations")
        left = [*(recorder.task for recorder in self.recorders.values()), *self.tasks]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    # --- begin

    async def accept(self, running: Running) -> None:
        """Record an operation before it begins.

        It begins all the same where the store takes no records, or none now: they follow when it does.

        Raises:
            OperationConflict: An operation of another service is in the way.
            RepeatedElsewhere: Its request id belongs to an operation of another service.
        """
        stored: Stored | None = None
        self._starting[running.name] += 1
        try:
            async with asyncio.timeout(self.limits.accept):
                stored = await self._announce(running)
        except (OperationConflict, RepeatedElsewhere, asyncio.CancelledError):
            self.leave(running.name)
            self._later(self.log.remove(running.name))
            raise
        except BackupError as error:
            _log.warning("operation %s is not recorded: %s", running.name, error.message)
        except TimeoutError:
            _log.warning("operation %s is not recorded: the store is too slow", running.name)
        self.follow(running, stored)

    async def _announce(self, running: Running) -> Stored:
        await self.heart.start()
        while True:
            stored = await self.log.create(record_of(running, self.owner, accepted=False))
            await self._take_turn(running.name, running.request.footprint)
            await self._take_request_id(running.request.request_id, running.name)
            # Others remove what is not accepted yet when they take us for dead, because we slept. What
            # is in the way may have begun since.
            with contextlib.suppress(ObjectChanged):
                return await self.log.replace(record_of(running, self.owner), stored.version)

    async def _take_turn(self, name: str, footprint: Footprint) -> None:
        while True:
            in_the_way = [
                record
                for record in await self.of_others()
                if verdict(record.footprint, footprint) is Verdict.ABORTED
            ]
            if not in_the_way:
                return
            for record in in_the_way:
                if record.accepted or record.name < name:
                    raise conflict(record, footprint)
            # What is left withdraws as soon as it sees us.
            await asyncio.sleep(_TURN_SECONDS)

    async def of_others(self) -> Sequence[OperationRecord]:
        """Return what other services, that are alive, have announced or at work."""
        records = [
            item.record
            for item in await self.log.recent()
            if item.record.active and item.record.owner.instance != self.owner.instance
        ]
        if not records:
            return ()
        living = await self.living()
        return [record for record in records if record.owner.instance in living]

    async def refuse_conflict(self, footprint: Footprint) -> None:
        """Raise OperationConflict if an operation of another service is in the way, as far as is known.

        A store that does not answer is no obstacle yet: an operation looks again when it begins.
        """
        others: Sequence[OperationRecord] = ()
        with contextlib.suppress(BackupError, TimeoutError):
            async with asyncio.timeout(self.limits.ask):
                others = await self.of_others()
        _refuse(others, footprint)

    async def _take_request_id(self, request_id: str, name: str) -> None:
        if not request_id:
            return
        holder = await self.log.take_request_id(request_id, name)
        while holder != name:
            record = await self._accepted(holder)
            if record is not None:
                raise RepeatedElsewhere(record)
            holder = await self.log.take_request_id(request_id, name, instead_of=holder)

    async def repeat_of(self, request_id: str) -> OperationRecord | None:
        """Return the operation of the log that a request id belongs to; None if it is not known.

        As in ``refuse_conflict`` a store that does not answer is no obstacle yet.
        """
        with contextlib.suppress(BackupError, TimeoutError):
            async with asyncio.timeout(self.limits.ask):
                name = await self.log.operation_of(request_id)
                return await self._accepted(name) if name else None
        return None

    async def _accepted(self, name: str) -> OperationRecord | None:
        """Return an operation once it is accepted; None if it never was, and will not be."""
        while (found := await self.log.read(name)) is not None:
            living = await self.living()
            judged = self.judged(found.record, living)
            if judged.accepted:
                return judged
            if not judged.active:
                return None
            await asyncio.sleep(_TURN_SECONDS)
        return None

    async def living(self) -> frozenset[str]:
        """Return the services that give signs of life; we are one."""
        limit = timedelta(seconds=self.limits.lost_after)
        return await self.log.living(limit) | {self.owner.instance}

    def judged(self, record: OperationRecord, living: Container[str]) -> OperationRecord:
        """Return a record as it is, where these services are alive: interrupted if nobody works on it."""
        return self._settling.judged(record, living)

    async def written(self, name: str) -> None:
        """Wait until the last state of an operation that ended here is on record, for some seconds."""
        recorder = self.recorders.get(name)
        if recorder is not None:
            await asyncio.wait({recorder.task}, timeout=self.limits.ask)

    # --- while it runs

    def follow(self, running: Running, stored: Stored | None) -> None:
        """Write the record of an operation from now on until it ends."""
        recorder = Recorder(
            running,
            self.log,
            self.owner,
            self.limits,
            stored,
            alive=self.heart.start,
            done=self._finish,
        )
        self.recorders[running.name] = recorder
        self.leave(running.name)
        running.tracker.require_owner = recorder.require
        running.tracker.record_now = recorder.write_now

    async def take_over(self, stored: Stored, record: OperationRecord) -> Stored:
        """Make an interrupted operation ours: of several services one succeeds.

        Args:
            stored: As it was read.
            record: As it is to be: with us as its owner, and the next attempt.

        Raises:
            OperationConflict: Another service was faster, or began what is in its way.
            BackupError: The store does not take it.
        """
        self._starting[record.name] += 1  # until ``follow``
        try:
            await self.heart.start()
            if stored.version:
                taken = await self._replace_interrupted(stored, record)
            else:
                taken = await self.log.create(record)
            # Who begins something writes first and looks then, as we do here: one of two sees the other.
            _refuse(await self.of_others(), record.footprint)
            return taken
        except (ObjectChanged, ObjectAlreadyExists):
            self.leave(record.name)
            raise OperationConflict(
                f"another service goes on with operation {record.name}",
                operation=record.name,
                backup=record.footprint.backup_name,
            ) from None
        except BaseException as error:
            self.leave(record.name)
            handed_back = self._later(self._settling.hand_back(stored.record, record))
            if isinstance(error, BackupError):  # who was told of it finds it as it was
                await asyncio.wait({handed_back}, timeout=self.limits.ask)
            raise

    async def _replace_interrupted(self, stored: Stored, record: OperationRecord) -> Stored:
        try:
            return await self.log.replace(record, stored.version)
        except ObjectChanged:
            # Whoever looks at it may write down that it is interrupted, which changes nothing for us.
            found = await self.log.read(record.name)
            if found is None or not _only_written_down(stored.record, found.record):
                raise
            return await self.log.replace(record, found.version)

    def leave(self, name: str) -> None:
        """Forget an operation that was to begin here and does not."""
        self._starting -= Counter((name,))

    async def _look(self) -> None:
        """Look at the records of what runs here: others ask in them for a cancel, or take them over."""
        if not self.recorders:
            return
        versions = await self.log.versions()

        async def check(recorder: Recorder) -> None:
            await recorder.check(versions.get(recorder.running.name, ""))

        await for_each(list(self.recorders.values()), check, concurrent=4)

    def _has_work(self) -> bool:
        return bool(self.recorders or self._starting)

    def _is_at_work(self, name: str) -> bool:
        return name in self.recorders or name in self._starting

    def _finish(self, name: str) -> None:
        self.recorders.pop(name, None)
        self._later(self._tidy())

    async def _tidy(self) -> None:
        await self.log.tidy()
        await self._settle()

    def settle(self) -> None:
        """Have written down what became of operations that nobody works on, as far as the store lets us."""
        if not self._settles:
            self._settles = True
            self._later(self._settle())

    async def _settle(self) -> None:
        try:
            await self._settling.run()
        finally:
            self._settles = False

    def _later(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.create_task(_quiet(work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task


def _only_written_down(before: OperationRecord, now: OperationRecord) -> bool:
    interrupted = now.operation.state is OperationState.INTERRUPTED
    return interrupted and now.held_by(before.owner, before.attempt)


async def _quiet(work: Awaitable[None]) -> None:
    with contextlib.suppress(BackupError):
        await work


def _refuse(others: Iterable[OperationRecord], footprint: Footprint) -> None:
    for record in others:
        if verdict(record.footprint, footprint) is Verdict.ABORTED:
            raise conflict(record, footprint)


def conflict(record: OperationRecord, footprint: Footprint) -> OperationConflict:
    """Return the error for an operation of another service that is in the way."""
    return OperationConflict(
        f"operation {record.name} of another service ({record.owner}) is in the way; wait for it or "
        "cancel it",
        operation=record.name,
        backup=footprint.backup_name,
        owner=str(record.owner),
    )
