"""An interrupted restore that is cancelled instead of resumed: what it made goes."""

from __future__ import annotations

import contextlib

from milvus_backup_server.domain.errors import ImportFailed, NotFound
from milvus_backup_server.domain.milvus import ImportJob, ImportOptions, ImportSource
from milvus_backup_server.domain.operations import CollectionProgress, Phase
from milvus_backup_server.domain.restore_journal import ImportEntry, TargetEntry
from milvus_backup_server.service.building import CollectionBuilder
from milvus_backup_server.service.checks import Deadline, cluster_storage
from milvus_backup_server.service.context import Cluster, WorkLimits
from milvus_backup_server.service.importing import Import, ImportLost, ImportQueue
from milvus_backup_server.service.replacing import Replacements, replacing
from milvus_backup_server.service.restore_end import CleanUp
from milvus_backup_server.service.restore_journal import RestoreJournal
from milvus_backup_server.service.restore_rbac import added_before, tell_of_added
from milvus_backup_server.service.staging import StagedCopies, staging_place
from milvus_backup_server.service.tracker import Tracker


class RestoreUndo:
    """Removes what an interrupted restore made; of the backup it needs nothing.

    Collections that have their final names stay, with a warning: they are whole, and somebody may use
    them since.

    Args:
        cluster: Where it restored to.
        queue: Where the import that may still run is waited for.
        limits: How long.
        operation: The restore.
        journal: What it wrote down, loaded.
    """

    def __init__(
        self,
        cluster: Cluster,
        queue: ImportQueue,
        limits: WorkLimits,
        *,
        operation: str,
        journal: RestoreJournal,
    ) -> None:
        self._cluster = cluster
        self._gateway = cluster.gateway
        self._queue = queue
        self._limits = limits
        self._operation = operation
        self._journal = journal

    async def run(self, tracker: Tracker) -> None:
        """Remove it; what cannot be removed becomes a warning that names it.

        Raises:
            MilvusUnavailable, StorageUnavailable: Nothing is removed then.
        """
        await self._gateway.version()
        milvus = await cluster_storage(self._cluster, Deadline(self._limits.check_seconds))
        entries = list(self._journal.targets())
        tracker.add_collections(CollectionProgress(it.source, it.target) for it in entries)
        tracker.enter(Phase.CLEANING_UP)
        for entry in entries:
            for item in entry.open:
                await self._wait_for(entry, item, tracker)
        builder = CollectionBuilder(
            self._gateway, self._operation, tracker, self._limits, self._journal
        )
        builder.adopt()
        replacements = Replacements(
            self._gateway, self._journal.replaced(), builder, tracker, self._limits
        )
        replacements.adopt(replacing(self._journal))
        copies = StagedCopies(milvus, staging_place(milvus, self._operation))
        clean_up = CleanUp(builder, replacements, copies, tracker=tracker, journal=self._journal)
        tell_of_added(added_before(self._journal), tracker)
        await clean_up.run(renamed=False)

    async def _wait_for(self, entry: TargetEntry, item: ImportEntry, tracker: Tracker) -> None:
        """Wait until an import has ended, whatever its outcome: Milvus reads its objects until then."""
        sources = [ImportSource(path) for path in item.paths]
        wanted = Import(entry.place, entry.target, item.partition, sources, ImportOptions())
        with contextlib.suppress(ImportFailed, ImportLost, NotFound):
            await self._queue.rejoin(wanted, item.job, _Shown(tracker, entry))
        tracker.wait_for("")


class _Shown:
    """Shows an import that is waited for."""

    def __init__(self, tracker: Tracker, entry: TargetEntry) -> None:
        self._tracker = tracker
        self._target = entry.target

    async def issuing(self) -> None:
        """It was issued before."""

    def is_wanted(self) -> bool:
        """It was issued before."""
        return True

    async def not_taken(self) -> None:
        """It was issued before."""

    async def issued(self, job_id: str) -> None:
        """It was issued before."""

    def seen(self, job: ImportJob) -> None:
        """Show it."""
        self._tracker.wait_for(
            f"import job {job.job_id} of Milvus into {self._target} "
            f"({job.state.value}, {job.progress} %)"
        )

    def waits_for_end(self) -> bool:
        """Who stops this wait is interrupted once more."""
        return False
