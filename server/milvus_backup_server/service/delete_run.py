"""The work of a delete: first a note of what is removed, then the backup, then the note."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from milvus_backup_server.domain.errors import (
    BackupCorrupt,
    BackupError,
    LeftBehind,
    ObjectNotFound,
    OperationInterrupted,
    StorageRefused,
    StorageUnavailable,
    Unavailable,
)
from milvus_backup_server.domain.layout import BACKUP_META, FULL_META, plan_directory
from milvus_backup_server.domain.manifest import canonical_json, load_json
from milvus_backup_server.domain.names import is_operation_name
from milvus_backup_server.domain.operations import Amount, DeleteResult, Phase
from milvus_backup_server.domain.value_codec import NotDecodable, decode, encode
from milvus_backup_server.service.claim import lost, parse_claim, read_claim
from milvus_backup_server.service.context import Repository, WorkLimits
from milvus_backup_server.service.plan_journal import PlanJournal
from milvus_backup_server.service.removal import BackupRemoval
from milvus_backup_server.service.running import WorkInterrupted
from milvus_backup_server.service.tracker import Tracker
from milvus_backup_server.service.verification_records import VerificationRecords

_NOTE = "delete.json"
_FORMAT_VERSION = 1
_ANY_BYTES = "latin-1"  # a damaged claim may be no UTF-8


@dataclass(frozen=True, slots=True)
class _Doomed:
    """What tells the backup that is removed from a later one of its name.

    Attributes:
        claim: The claim as it stood; None if there was none, as in backups of the Go tool.
        full_meta: ETag of ``full_meta.json``, empty if it was not there.
        backup_meta: The same of ``backup_meta.json``.
    """

    format_version: int
    claim: str | None
    full_meta: str
    backup_meta: str


class DeleteRun:
    """One run of a delete: the first one, or one that goes on where an earlier one was interrupted.

    Args:
        repository: Where the backup is.
        backup_name: What is removed.
        operation: Who removes it.
        limits: Bounds.
        tracker: Where progress goes.
        supersede: Ends an interrupted operation by its name, that nobody goes on with what is removed.
        resumed: An earlier run of the same operation has begun.
    """

    def __init__(
        self,
        repository: Repository,
        backup_name: str,
        operation: str,
        limits: WorkLimits,
        tracker: Tracker,
        *,
        supersede: Callable[[str], Awaitable[None]],
        resumed: bool = False,
    ) -> None:
        self._repository = repository
        self._store = repository.storage.store
        self._records = repository.records
        self._layout = repository.layout(backup_name)
        self._note_key = plan_directory(repository.records.root, operation) + _NOTE
        self._limits = limits
        self._tracker = tracker
        self._supersede = supersede
        self._resumed = resumed
        self._doomed: _Doomed | None = None

    async def run(self) -> DeleteResult:
        """Remove the backup; a further run of the operation goes on where this one was stopped.

        Raises:
            BackupNameLost: What is there now is another backup.
            OperationInterrupted: An earlier run left no note: it had not begun to remove anything.
            WorkInterrupted: The store does not answer; another run can go on.
        """
        self._tracker.enter(Phase.DELETING)
        try:
            removed = await self._remove_all()
        except asyncio.CancelledError:
            if self._tracker.cancel_requested:
                await self.give_up()
            raise
        except Unavailable as error:
            raise WorkInterrupted(error) from error
        except BackupError:  # no further run would fare better
            await self._forget_note()
            raise
        with contextlib.suppress(BackupError):  # it is tied to a backup that is gone
            await VerificationRecords(self._repository).forget(self._layout.name)
        await self._forget_note()
        return DeleteResult(removed)

    async def give_up(self) -> None:
        """Leave what is left of the backup as it is, and say so: what was removed is gone."""
        begun = self._resumed or self._doomed is not None
        if begun and not await self._is_gone() and not await self._is_whole():
            self._tracker.warn(self._left_behind())
        await self._forget_note()

    async def _is_whole(self) -> bool:
        """Tell whether the file is still there, as it was, that a removal takes first."""
        doomed = self._doomed or await self._read_note()
        complete = doomed.full_meta if doomed else ""
        return bool(complete) and await self._etag(FULL_META) == complete

    async def _remove_all(self) -> int:
        self._doomed = await (self._recall() if self._resumed else self._note())
        return 0 if self._doomed is None else await self._remove(self._doomed)

    async def _note(self) -> _Doomed:
        claim = await read_claim(self._store, self._layout)
        doomed = _Doomed(
            _FORMAT_VERSION,
            None if claim is None else claim.decode(_ANY_BYTES),
            await self._etag(FULL_META),
            await self._etag(BACKUP_META),
        )
        # A store that is full must let go of what it holds: without a note nothing goes on with an
        # interrupted run, and the next delete begins anew.
        with contextlib.suppress(StorageUnavailable, StorageRefused):
            await self._records.store.put(self._note_key, canonical_json(encode(_Doomed, doomed)))
        return doomed

    async def _recall(self) -> _Doomed | None:
        """Return what an earlier run noted; None if there is no note any more, and nothing to remove."""
        doomed = await self._read_note()
        if doomed is None:
            if await self._is_gone():
                return None
            raise OperationInterrupted(
                f"the delete was stopped before anything of backup {self._layout.name!r} was "
                "removed; delete it again"
            )
        for file, etag in ((FULL_META, doomed.full_meta), (BACKUP_META, doomed.backup_meta)):
            if await self._etag(file) not in ("", etag):
                raise lost(self._layout)
        return doomed

    async def _read_note(self) -> _Doomed | None:
        try:
            data = load_json(await self._records.store.get(self._note_key), _NOTE)
            doomed: _Doomed = decode(_Doomed, data)
        except (BackupCorrupt, NotDecodable, ObjectNotFound):
            return None
        return doomed

    async def _forget_note(self) -> None:
        with contextlib.suppress(BackupError, TimeoutError):  # a sweep removes it
            async with asyncio.timeout(self._limits.cleanup_seconds):
                await self._records.store.delete([self._note_key])

    async def _etag(self, file: str) -> str:
        info = await self._store.head(self._layout.meta(file))
        return "" if info is None else info.etag

    async def _remove(self, doomed: _Doomed) -> int:
        claim = None if doomed.claim is None else doomed.claim.encode(_ANY_BYTES)
        if self._resumed and claim is not None and await self._is_gone():
            return 0  # the claim went last
        await self._end_create(claim)
        removal = BackupRemoval(
            self._store,
            self._layout,
            claim,
            removed=lambda number: self._tracker.advance(Amount(objects=number)),
        )
        return await removal.run()

    async def _is_gone(self) -> bool:
        return not (await self._store.list_page(self._layout.directory, limit=1)).objects

    async def _end_create(self, claim: bytes | None) -> None:
        """Let no create go on with what is removed, if its service resumes what was interrupted."""
        try:
            operation = "" if claim is None else parse_claim(claim).operation
        except BackupCorrupt:  # a claim that nobody can read is nobody's
            return
        if is_operation_name(operation):
            await self._supersede(operation)
            await PlanJournal(self._records, operation, self._limits).remove()

    def _left_behind(self) -> LeftBehind:
        name = self._layout.name
        return LeftBehind(f"backup {name!r} is removed in part; delete it again", subject=name)
