"""A restore that was interrupted: how it goes on, or is undone."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from milvus_backup_server.domain.errors import (
    BackupError,
    LeftBehind,
    OperationNotResumable,
)
from milvus_backup_server.domain.operations import RestoreResult
from milvus_backup_server.domain.requests import RestoreRequest
from milvus_backup_server.service.checks import Deadline
from milvus_backup_server.service.context import Environment
from milvus_backup_server.service.restore_finished import FinishedRestores
from milvus_backup_server.service.restore_journal import RestoreJournal
from milvus_backup_server.service.restore_tools import RestoreTools
from milvus_backup_server.service.restore_work import CheckedRestore
from milvus_backup_server.service.tracker import Tracker
from milvus_backup_server.service.unwritten import UnwrittenRestore


class InterruptedRestore:
    """A restore whose service ended, or gave up, before its end.

    Args:
        environment: Where, and for how long things are waited for.
        tools: What it restores with.
        request: What was asked for.
        operation: Its name.
        attempt: Of the operation, counted from 1.
        unwritten: What is known of it where it has no journal.
    """

    def __init__(
        self,
        environment: Environment,
        tools: RestoreTools,
        *,
        request: RestoreRequest,
        operation: str,
        attempt: int,
        unwritten: UnwrittenRestore,
    ) -> None:
        self._attempt = attempt
        self._unwritten = unwritten
        self._cluster = environment.registry.cluster()
        self._storage = environment.registry.repository().storage
        self._limits = environment.limits
        self._tools = tools
        self._request = request
        self._operation = operation
        self._finished = FinishedRestores(self._storage)
        self._checked: CheckedRestore | None = None

    async def check(self) -> None:
        """Check that it can go on.

        Raises:
            OperationNotResumable: It filled collections that existed before, or may have finished; or
                it was replacing some, and nothing is written down of that.
            TargetAlreadyExists: Somebody made a collection that it would make.
            BackupError: Anything else that a restore is refused for.
        """
        if self._request.options.skip_create_collections:
            raise OperationNotResumable(
                "the restore filled collections that existed before, and what it imported into them is "
                "in them: cancel it, look at them, and restore again",
                subject=self._operation,
            )
        async with Deadline(self._limits.check_seconds).asking_store(self._storage):
            if await self._finished.result(self._operation) is not None:
                return
            head = await self._tools.journal(self._operation).read_head()
            if head is None and await self._finished.may_be_forgotten(self._operation):
                raise OperationNotResumable(
                    "the restore began so long ago that it may have finished, and nothing tells: cancel "
                    "it, look at its collections, and restore again what is missing",
                    subject=self._operation,
                )
        if head is None:
            await self._require_no_doubts()
        renaming = head is not None and head.renaming
        self._checked, _, _ = await self._tools.check(
            self._request, self._operation, renaming=renaming
        )

    async def _require_no_doubts(self) -> None:
        gateway = self._cluster.gateway
        async for name in self._unwritten.collections(gateway):
            doubt = await self._unwritten.doubt(gateway, name)
            if doubt:
                raise OperationNotResumable(
                    f"the store took no journal of the restore, and {name} is there: {doubt}; then "
                    "cancel it, and restore again what is missing",
                    subject=self._operation,
                )

    async def go_on(self, tracker: Tracker) -> RestoreResult:
        """Do what is left, and return what was made in all.

        Raises:
            BackupNotRestorable: The backup, or the settings, were changed since it was interrupted.
            BackupError: As a restore.
        """
        try:
            result = await self._result()
            if result is not None:
                return result
            checked, journal = await self._prepared()
        except asyncio.CancelledError:
            if tracker.cancel_requested:  # before there is a run that takes back what was made
                await self.undo(tracker)
            raise
        return await self._tools.run(checked, tracker, journal)

    async def _prepared(self) -> tuple[CheckedRestore, RestoreJournal]:
        if self._checked is None:
            await self.check()
        assert self._checked is not None  # noqa: S101 it has not finished
        journal = await self._journal()
        if journal.renaming:  # what is replaced may be gone already
            return replace(self._checked, present=journal.replaced()), journal
        return self._checked, journal

    async def undo(self, tracker: Tracker) -> None:
        """Remove what it made, but collections that have their final names.

        Raises:
            MilvusUnavailable, StorageUnavailable: Nothing is removed then.
        """
        if await self._result() is not None:
            text = "the restore had finished: its collections are whole and stay"
            tracker.warn(LeftBehind(text, subject=self._operation))
            return
        await self._tools.undo(
            self._operation, await self._journal(), tracker, unwritten=self._unwritten
        )

    async def _result(self) -> RestoreResult | None:
        """Return what was made if it had finished; it did not come to remove its journal then."""
        result = await self._finished.result(self._operation)
        if result is not None:
            with contextlib.suppress(BackupError):  # it is removed when the result is forgotten
                await self._tools.journal(self._operation).remove()
        return result

    async def _journal(self) -> RestoreJournal:
        journal = self._tools.journal(self._operation, self._attempt)
        await journal.load()
        return journal
