"""From a collection's flush to what will be copied of it."""

from __future__ import annotations

from milvus_backup_server.domain.errors import SourceInconsistent, SourceStorageMismatch
from milvus_backup_server.domain.milvus import CollectionName, Flush
from milvus_backup_server.domain.selection import Selection
from milvus_backup_server.service.collection_plan import (
    CollectionPlan,
    CollectionSnapshot,
    PlanStale,
)
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.flushing import Flushing
from milvus_backup_server.service.listing import plan_collection
from milvus_backup_server.service.snapshot import Snapshots
from milvus_backup_server.service.spool import SpoolDirectory


class CollectionPlanner:
    """Plans collections of one Milvus.

    Args:
        snapshots: Takes descriptions.
        flushing: Takes moments.
        source: Milvus's storage.
        selection: Says which partitions are wanted.
        copies: Whether objects are copied at all.
        replans: How often a collection is planned anew when its objects vanish.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        flushing: Flushing,
        source: Storage,
        selection: Selection,
        *,
        copies: bool,
        replans: int,
    ) -> None:
        self._snapshots = snapshots
        self._flushing = flushing
        self._source = source
        self._selection = selection
        self._copies = copies
        self._replans = replans

    async def plan(
        self, name: CollectionName, flush: Flush, spools: SpoolDirectory
    ) -> CollectionPlan:
        """Return what to copy for a flush, or for a later one if its objects vanish meanwhile.

        Raises:
            SourceStorageMismatch, SourceInconsistent: As in ``plan_collection``; also if the objects
                vanish again and again.
        """
        chosen = self._selection.partitions.get(name)
        for _ in range(self._replans + 1):
            snapshot = await self._snapshots.describe(name, flush, chosen)
            try:
                return await self._list(snapshot, spools)
            except PlanStale:
                pass
            except (SourceStorageMismatch, SourceInconsistent):
                # Segments that Milvus replaced while they were listed look the same.
                again = await self._snapshots.describe(name, flush, chosen)
                if again.segments == snapshot.segments:
                    raise
            flush = await self._flushing.one(name)
        raise never_still(name)

    async def plan_again(self, name: CollectionName, spools: SpoolDirectory) -> CollectionPlan:
        """Return what to copy for a new moment."""
        return await self.plan(name, await self._flushing.one(name), spools)

    async def _list(self, snapshot: CollectionSnapshot, spools: SpoolDirectory) -> CollectionPlan:
        if self._copies:
            return await plan_collection(snapshot, self._source, spools)
        return CollectionPlan(snapshot, delta=spools.spool(), insert=spools.spool())


def never_still(name: CollectionName) -> SourceInconsistent:
    """Return the error for a collection whose objects vanish faster than they are copied."""
    return SourceInconsistent(
        f"objects of {name} vanished again and again while they were being copied",
        subject=str(name),
    )
