"""Rows that go into collections which exist: nothing is made under a temporary name, nothing taken back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from milvus_backup_server.domain.errors import LeftBehind, TargetUnfit
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.records import CollectionBackupInfo, IndexInfo
from milvus_backup_server.domain.restore_journal import TargetEntry
from milvus_backup_server.domain.restore_plan import name_of
from milvus_backup_server.domain.target_collection import TargetCollection
from milvus_backup_server.service.building import Built
from milvus_backup_server.service.fence import require_ours
from milvus_backup_server.service.importing import ImportLost
from milvus_backup_server.service.restore_import import CollectionImport
from milvus_backup_server.service.restore_journal import RestoreJournal
from milvus_backup_server.service.restore_source import SourceObjects
from milvus_backup_server.service.restore_work import CheckedRestore
from milvus_backup_server.service.tracker import Tracker

_IN_PART: Final = "what was made in it or imported into it by then stays"


class CollectionFiller:
    """Imports into collections that exist.

    Args:
        checked: The restore.
        importer: Imports.
        tracker: Where it is told what stays after a failure.
        journal: Is told of each step; it is not kept, as what exists cannot be built anew.
    """

    def __init__(
        self,
        checked: CheckedRestore,
        importer: CollectionImport,
        tracker: Tracker,
        journal: RestoreJournal,
    ) -> None:
        self._checked = checked
        self._gateway = checked.cluster.gateway
        self._importer = importer
        self._tracker = tracker
        self._journal = journal
        self._filled: list[CollectionName] = []

    async def fill(
        self,
        target: CollectionName,
        wanted: TargetCollection,
        record: CollectionBackupInfo,
        objects: SourceObjects,
    ) -> None:
        """Import everything, then make the indexes.

        Raises:
            TargetUnfit: It is not the collection that was compared with the backup.
        """
        described = await self._gateway.describe_collection(target)
        if described.collection_id != self._checked.present[target].collection_id:
            raise TargetUnfit(
                f"collection {target} is another one than when the restore began",
                subject=str(target),
            )
        source = name_of(record)
        await self._journal.begin_target(
            TargetEntry(
                database=target.database,
                name=target.name,
                source_database=source.database,
                source_name=source.name,
                temporary=target.name,
                collection_id=described.collection_id,
            )
        )
        built = Built(source, target, target, described.collection_id)
        try:
            await self._fill(built, wanted, record, objects)
        except BaseException:
            self._tell_of(target, _IN_PART)
            raise
        self._filled.append(target)
        await self._journal.note_whole(target)

    def tell(self) -> None:
        """Tell of all that was filled, as the restore as a whole does not succeed."""
        for target in self._filled:
            self._tell_of(target, "everything was imported into it, and stays")

    async def _fill(
        self,
        built: Built,
        wanted: TargetCollection,
        record: CollectionBackupInfo,
        objects: SourceObjects,
    ) -> None:
        there = {partition.name for partition in await self._gateway.list_partitions(built.target)}
        for partition in wanted.partitions:
            if partition not in there:
                await self._gateway.create_partition(built.target, partition)
        try:
            await self._importer.run(record, objects, built)
        except ImportLost as lost:  # a part of the rows may be in it: it is not imported again
            raise lost.error from lost
        await self._make_indexes(built.target, wanted.indexes)

    async def _make_indexes(self, target: CollectionName, indexes: Sequence[IndexInfo]) -> None:
        if self._checked.request.options.drop_existing_indexes:
            for index in await self._gateway.list_indexes(target):
                await require_ours(self._tracker)
                await self._gateway.drop_index(target, index)
        for index in indexes:
            await self._gateway.create_index(target, index)

    def _tell_of(self, target: CollectionName, what: str) -> None:
        self._tracker.warn(stays(target, what))


def stays(target: CollectionName, what: str = _IN_PART) -> LeftBehind:
    """Return the warning of a collection that existed before, and was filled."""
    return LeftBehind(f"{target} existed before: {what}", subject=str(target))
