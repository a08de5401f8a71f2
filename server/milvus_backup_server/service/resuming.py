"""Going on with interrupted operations, and cancelling operations wherever they run.

How to register a kind that can be resumed: give its use case a method

    async def resumed(self, record: OperationRecord) -> Continuation

that looks at ``record.request`` (what was asked for), ``record.name`` (the operation's id, which
temporary names and claims carry) and whatever the use case wrote down itself, makes the checks that a
caller can be told about at once (raise a ``BackupError``; nothing may be touched yet, as another service
may still be faster), and returns a ``Continuation`` with the work. Add it in
``resumers.register``. The work begins after the record became ours by compare-and-swap: it may then take
over claims. It reports to its tracker as any body does, beginning with an empty one.

A body that is stopped finds ``tracker.cancel_requested`` unset when it was interrupted: it leaves what its
continuation needs. One that cannot go on now, because something does not answer, and leaves that too,
raises ``WorkInterrupted``. Before something that cannot be taken back, such as a rename or a removal, it
awaits ``fence.require_ours(tracker)``; what writes a backup looks at its claim instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from milvus_backup_server.domain.errors import (
    BackupError,
    ObjectChanged,
    OperationConflict,
    OperationEnded,
    OperationNotFound,
    OperationNotResumable,
    Unavailable,
)
from milvus_backup_server.domain.gc_lease import GcLease
from milvus_backup_server.domain.operation_record import NOBODY, OperationRecord
from milvus_backup_server.domain.operations import (
    Operation,
    OperationKind,
    OperationState,
    Result,
)
from milvus_backup_server.ports.operation_log import Stored
from milvus_backup_server.service.journal import Journal
from milvus_backup_server.service.operation_directory import OperationDirectory
from milvus_backup_server.service.operations import OperationManager
from milvus_backup_server.service.recording import record_of
from milvus_backup_server.service.running import Body
from milvus_backup_server.service.tracker import Tracker

_TRIES: Final = 5
_LOOK_SECONDS: Final = 0.5
_INSTEAD: Final[Mapping[OperationKind, str]] = {
    OperationKind.CREATE_BACKUP: "delete the backup and create it again",
    OperationKind.RESTORE_BACKUP: "restore again",
    OperationKind.DELETE_BACKUP: "delete the backup again",
    OperationKind.EXPORT_BACKUP: "export again: its caller is gone",
    OperationKind.IMPORT_BACKUP: "delete the backup and import again: its caller is gone",
    OperationKind.VERIFY_BACKUP: "verify again",
    OperationKind.SWEEP: "sweep again",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Continuation:
    """How to go on with an interrupted operation.

    Attributes:
        go_on: Does what is still missing, and returns the result of the whole.
        undo: Removes everything that the operation made: runs when it is cancelled instead of resumed.
            Without one an interrupted operation of this kind cannot be cancelled.
        check: Finds out whether it can go on now, before the record becomes ours; raises a
            ``BackupError`` where not. It is not asked before ``undo``, which must need less.
    """

    go_on: Body
    undo: Callable[[Tracker], Awaitable[object]] | None = None
    check: Callable[[], Awaitable[None]] | None = None


Resumer = Callable[[OperationRecord], Awaitable[Continuation]]
"""Finds out how to go on with one; see above."""


@dataclass(frozen=True, slots=True)
class OperationControl:
    """Resumes and cancels.

    Attributes:
        here: What runs in this service.
        directory: All that is on record.
        journal: What is shared with other services; None where nothing is recorded.
        resumers: How to go on, by kind. Kinds that are missing cannot be resumed.
    """

    here: OperationManager
    directory: OperationDirectory
    journal: Journal | None = None
    resumers: dict[OperationKind, Resumer] = field(default_factory=dict)

    async def resume(self, name: str) -> Operation:
        """Go on with an interrupted operation under its own name.

        Raises:
            OperationNotFound: It is not on record.
            OperationNotResumable: It is not interrupted, or its kind cannot be resumed.
            OperationConflict: Another operation is in the way, or another service was faster.
            BackupError: What the resumer of its kind finds in the way.
        """
        stored = await self._interrupted(name)
        resumer = self.resumers.get(stored.record.footprint.kind)
        if resumer is None or stored.record.request is None:
            raise _not_resumable(stored.record)
        await self.here.refuse_conflict(stored.record.footprint)
        continuation = await resumer(stored.record)
        if continuation.check is not None:
            await continuation.check()
        return await self._restart(stored, OperationState.PENDING, continuation.go_on)

    async def resume_all(self) -> None:
        """Resume what was interrupted, as a service does at its start where the settings ask for it.

        What a service was at that was killed seems to be at work for some time. So what is not over is
        looked at again until its owner has given no sign of life for too long, or lives. Where all came
        down together, the stores and Milvus may come up later than this service: they are waited for.
        """
        left = {operation.name for operation in await self._unfinished()}
        ends = asyncio.get_running_loop().time() + self._proof_of_life_seconds
        told: set[str] = set()
        while left:
            unfinished = [it for it in await self._unfinished() if it.name in left]
            interrupted = [it for it in unfinished if it.state is OperationState.INTERRUPTED]
            waiting = {it.name for it in interrupted if not await self._resume_now(it, told)}
            left = {it.name for it in unfinished if it not in interrupted} | waiting
            if asyncio.get_running_loop().time() > ends:
                left = waiting
            await asyncio.sleep(_LOOK_SECONDS if left else 0)

    async def _unfinished(self) -> Sequence[Operation]:
        """Return what is not over, as soon as the store tells."""
        told = False
        while True:
            try:
                return await self.directory.unfinished()
            except BackupError as error:
                if not told:
                    _log.warning("what was interrupted is not known yet: %s", error.message)
                told = True
            await asyncio.sleep(_LOOK_SECONDS)

    @property
    def _proof_of_life_seconds(self) -> float:
        limits = self.journal.limits if self.journal else None
        return limits.lost_after + limits.heartbeat if limits else 0.0

    async def _resume_now(self, operation: Operation, told: set[str]) -> bool:
        """Resume an operation if it can be; False if that should be tried again."""
        if operation.kind not in self.resumers:
            return True
        try:
            await self.resume(operation.name)
        except BackupError as error:
            if operation.name not in told:
                _log.warning("%s is not resumed: %s", operation.name, error.message)
            told.add(operation.name)
            return not isinstance(error, Unavailable)
        return True

    async def cancel(self, name: str) -> Operation:
        """Ask an operation to stop and to remove what it made, wherever it runs; returns at once.

        Raises:
            OperationNotFound: It is not on record.
            OperationEnded: It has ended.
            OperationConflict: The service that runs it could not be told.
        """
        running = self.directory.running(name)
        if running is not None and not running.state.ends_watch:
            if running.attempt == 1 or running.state is not OperationState.PENDING:
                return self.here.cancel(name)
            # It waits for its turn to go on, so nothing would remove what it made before.
            running.interrupt()
            await running.ended.wait()
        operation = await self.directory.get(name)
        if operation.state is OperationState.INTERRUPTED:
            return await self._undo(name)
        if operation.state.ends_watch:
            raise _ended(operation)
        return await self._ask_owner(name)

    async def _ask_owner(self, name: str) -> Operation:
        """Leave word in the record: its owner looks there with every heartbeat."""
        assert self.journal is not None  # noqa: S101 else it would run here
        for _ in range(_TRIES):
            stored = await self.directory.stored(name)
            if stored is None:
                raise OperationNotFound(name)
            if not stored.record.active:
                raise _ended(stored.record.operation)
            asked = replace(stored.record, cancel_requested=True)
            with contextlib.suppress(ObjectChanged):  # its owner has just written
                await self.journal.log.replace(asked, stored.version)
                return await self.directory.get(name)
        raise OperationConflict(
            f"operation {name} could not be told to stop, as its record changes all the time: ask again",
            operation=name,
        )

    async def _undo(self, name: str) -> Operation:
        stored = await self._interrupted(name)
        resumer = self.resumers.get(stored.record.footprint.kind)
        if resumer is None or stored.record.request is None:
            raise _ended(stored.record.operation)
        undo = (await resumer(stored.record)).undo
        if undo is None:
            raise _ended(stored.record.operation)

        async def body(tracker: Tracker) -> Result:
            await undo(tracker)
            raise asyncio.CancelledError

        return await self._restart(stored, OperationState.CANCELLING, body)

    async def undoes(self, name: str) -> bool:
        """Tell whether an interrupted operation can take back what it made."""
        try:
            stored = await self._interrupted(name)
        except (OperationNotFound, OperationNotResumable):
            return False
        resumer = self.resumers.get(stored.record.footprint.kind)
        if resumer is None or stored.record.request is None:
            return False
        return (await resumer(stored.record)).undo is not None

    async def supersede(self, name: str) -> None:
        """End an interrupted operation as cancelled because what it made is being removed by another.

        So do those that retry it. Nothing happens to one that is not on record, or not interrupted.
        """
        for each in (name, *await self.directory.retries_of(name)):
            await self._supersede_one(each)

    async def _supersede_one(self, name: str) -> None:
        try:
            stored = await self._interrupted(name)
        except (OperationNotFound, OperationNotResumable):
            return

        async def body(_: Tracker) -> Result:
            raise asyncio.CancelledError

        await self._restart(stored, OperationState.CANCELLING, body)

    async def forget_gc_lease(self, name: str, lease: GcLease) -> None:
        """Note that a pause of the garbage collection was given back for an operation."""
        stored = await self.directory.stored(name)
        if self.journal is None or stored is None or stored.record.active:
            return
        kept = tuple(it for it in stored.record.gc_leases if it != lease)
        with contextlib.suppress(ObjectChanged):  # somebody goes on with it, and knows better
            await self.journal.log.replace(replace(stored.record, gc_leases=kept), stored.version)

    async def _interrupted(self, name: str) -> Stored:
        """Return the record of an interrupted operation."""
        running = self.directory.running(name)
        if running is not None and not running.state.ends_watch:
            raise _not_interrupted(running.snapshot())
        if self.journal is not None:
            await self.journal.written(name)
        stored = await self.directory.stored(name)
        if stored is None and running is not None:  # it could not be recorded
            owner = self.journal.owner if self.journal else NOBODY
            stored = Stored(record_of(running, owner), "")
        if stored is None:
            raise OperationNotFound(name)
        if stored.record.operation.state is not OperationState.INTERRUPTED:
            raise _not_interrupted(stored.record.operation)
        return stored

    async def _restart(self, stored: Stored, state: OperationState, work: Body) -> Operation:
        before = stored.record
        operation = replace(
            before.operation,
            state=state,
            error=None,
            end_time=None,
            revision=before.operation.revision + 1,
        )
        running = self.directory.running(before.name)
        if running is not None and not running.state.ends_watch:  # somebody was faster
            raise _not_interrupted(running.snapshot())
        record = replace(
            before, operation=operation, attempt=before.attempt + 1, cancel_requested=False
        )
        if self.journal is None:
            return self.here.restart(record, None, work)
        record = replace(record, owner=self.journal.owner)
        taken = await self.journal.take_over(stored, record)
        return self.here.restart(record, taken, work)


def _not_interrupted(operation: Operation) -> OperationNotResumable:
    state = operation.state.value.replace("_", " ")
    text = "it runs" if not operation.state.ends_watch else "begin a new one"
    return OperationNotResumable(
        f"operation {operation.name} is {state}, not interrupted: {text}",
        subject=operation.name,
        state=operation.state.value,
    )


def _not_resumable(record: OperationRecord) -> OperationNotResumable:
    kind = record.footprint.kind
    return OperationNotResumable(
        f"operation {record.name} cannot be resumed: {_INSTEAD.get(kind, 'begin a new one')}",
        subject=record.name,
        kind=kind.value,
    )


def _ended(operation: Operation) -> OperationEnded:
    return OperationEnded(
        f"operation {operation.name} has ended: {operation.state.value}",
        subject=operation.name,
        state=operation.state.value,
    )
