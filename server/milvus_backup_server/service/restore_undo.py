"""An interrupted restore that is cancelled instead of resumed: what it made goes."""

from __future__ import annotations

from milvus_backup_server.domain.errors import LeftBehind
from milvus_backup_server.domain.operations import CollectionProgress, Phase
from milvus_backup_server.service.building import CollectionBuilder
from milvus_backup_server.service.checks import Deadline, cluster_storage
from milvus_backup_server.service.context import Cluster, WorkLimits
from milvus_backup_server.service.filling import stays
from milvus_backup_server.service.importing import ImportQueue
from milvus_backup_server.service.open_imports import OpenImports
from milvus_backup_server.service.replacing import Replacements, replacing
from milvus_backup_server.service.restore_end import CleanUp
from milvus_backup_server.service.restore_journal import RestoreJournal
from milvus_backup_server.service.restore_rbac import added_before, tell_of_added
from milvus_backup_server.service.staging import StagedCopies, staging_place
from milvus_backup_server.service.tracker import Tracker
from milvus_backup_server.service.unwritten import UnwrittenRestore


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
        unwritten: What is known of it where it has no journal.
    """

    def __init__(
        self,
        cluster: Cluster,
        queue: ImportQueue,
        limits: WorkLimits,
        *,
        operation: str,
        journal: RestoreJournal,
        unwritten: UnwrittenRestore | None = None,
    ) -> None:
        self._cluster = cluster
        self._gateway = cluster.gateway
        self._queue = queue
        self._limits = limits
        self._operation = operation
        self._journal = journal
        self._unwritten = unwritten

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
        imports = OpenImports(self._queue, self._journal, tracker)
        builder = CollectionBuilder(
            self._gateway,
            self._operation,
            tracker,
            self._limits,
            journal=self._journal,
            imports=imports,
        )
        builder.adopt()
        replacements = Replacements(
            self._gateway, self._journal.replaced(), builder, tracker, self._limits
        )
        replacements.adopt(replacing(self._journal))
        place = staging_place(milvus, self._operation)
        if self._unwritten is not None and not self._journal.begun:
            for target in self._unwritten.filled:
                tracker.warn(stays(target))
                await imports.end_unwritten(self._gateway, target, place.prefix)
            await self._adopt_unwritten(self._unwritten, imports, builder, tracker)
        copies = StagedCopies(milvus, place, tracker)
        clean_up = CleanUp(builder, replacements, copies, tracker=tracker, journal=self._journal)
        tell_of_added(added_before(self._journal), tracker)
        await clean_up.run(renamed=False)

    async def _adopt_unwritten(
        self,
        restore: UnwrittenRestore,
        imports: OpenImports,
        builder: CollectionBuilder,
        tracker: Tracker,
    ) -> None:
        async for name in restore.collections(self._gateway):
            doubt = await restore.doubt(self._gateway, name)
            if doubt:
                tracker.warn(LeftBehind(f"{name} stays: {doubt}", subject=str(name)))
            else:
                await imports.end_unwritten(self._gateway, name)
                builder.adopt_unwritten(name)
