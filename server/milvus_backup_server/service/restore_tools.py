"""What restores are made with, whoever needs one: a caller, or a verification that compares its rows."""

from __future__ import annotations

from collections.abc import Callable

from milvus_backup_server.domain.faults import Faults
from milvus_backup_server.domain.operations import RestorePlan, RestoreResult
from milvus_backup_server.domain.requests import RestoreRequest
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.catalog import Catalog
from milvus_backup_server.service.context import Environment
from milvus_backup_server.service.importing import ImportQueue
from milvus_backup_server.service.restore_checks import RestoreChecks
from milvus_backup_server.service.restore_end import Ending, EndParts, RestoreEnd
from milvus_backup_server.service.restore_journal import RestoreJournal
from milvus_backup_server.service.restore_run import RestoreRun
from milvus_backup_server.service.restore_undo import RestoreUndo
from milvus_backup_server.service.restore_work import CheckedRestore
from milvus_backup_server.service.tracker import Tracker
from milvus_backup_server.service.unwritten import UnwrittenRestore


class RestoreTools:
    """Checks, runs and undoes restores; all share one queue of imports.

    Args:
        environment: Where, and how much at one time.
        catalog: Knows the backups.
        engine: What copies objects.
    """

    def __init__(self, environment: Environment, catalog: Catalog, engine: TransferEngine) -> None:
        self._checks = RestoreChecks(environment, catalog)
        self._queue = ImportQueue(environment.registry.cluster().gateway, environment.limits)
        self._environment = environment
        self._engine = engine

    async def check(
        self, request: RestoreRequest, operation: str, *, renaming: bool = False
    ) -> tuple[CheckedRestore, RestorePlan, Faults]:
        """Make the checks of a request; see ``RestoreChecks``."""
        return await self._checks.check(request, operation, renaming=renaming)

    def journal(self, operation: str, attempt: int = 1, *, kept: bool = True) -> RestoreJournal:
        """Return the journal of an operation that restores; ``kept`` as there."""
        storage = self._environment.registry.repository().storage
        return RestoreJournal(storage, operation, attempt, kept=kept)

    async def run(
        self,
        checked: CheckedRestore,
        tracker: Tracker,
        journal: RestoreJournal,
        ending: Callable[[EndParts], Ending] = RestoreEnd,
    ) -> RestoreResult:
        """Restore, or do what the journal does not say is done; see ``RestoreRun``."""
        run = RestoreRun(
            checked,
            self._environment,
            self._engine,
            self._queue,
            tracker=tracker,
            journal=journal,
            ending=ending,
        )
        return await run.run()

    async def undo(
        self,
        operation: str,
        journal: RestoreJournal,
        tracker: Tracker,
        unwritten: UnwrittenRestore | None = None,
    ) -> None:
        """Remove what an interrupted restore made, by its journal; see ``RestoreUndo``."""
        environment = self._environment
        undo = RestoreUndo(
            environment.registry.cluster(),
            self._queue,
            environment.limits,
            operation=operation,
            journal=journal,
            unwritten=unwritten,
        )
        await undo.run(tracker)

    async def undo_forgotten(self, operation: str) -> None:
        """Remove what a restore made that was interrupted so long ago that it is not on record any more.

        Raises:
            BackupError: As of ``RestoreUndo``; or the first thing that could not be removed, or stays.
        """
        journal, tracker = self.journal(operation, attempt=2), Tracker(lambda: None)
        await journal.load()
        await self.undo(operation, journal, tracker)
        for warning in tracker.warnings:
            raise warning
