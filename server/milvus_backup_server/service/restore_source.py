"""What a restore reads of the backup: its metadata, and its objects, verified before Milvus sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from milvus_backup_server.domain.layout import parse_backup_key
from milvus_backup_server.domain.manifest import ManifestCollection, ManifestHead, ManifestObject
from milvus_backup_server.domain.milvus import ALL_PARTITIONS, CollectionName
from milvus_backup_server.domain.records import CollectionBackupInfo
from milvus_backup_server.domain.restore_journal import VerifiedEntry, fingerprint
from milvus_backup_server.domain.restore_mapping import narrowed
from milvus_backup_server.domain.restore_plan import expected_objects, name_of
from milvus_backup_server.service.backup_reader import BackupReader
from milvus_backup_server.service.context import WorkLimits
from milvus_backup_server.service.meta_files import StoredMeta
from milvus_backup_server.service.restore_journal import RestoreJournal
from milvus_backup_server.service.restore_objects import ObjectVerifier, Verified, sorted_objects
from milvus_backup_server.service.restore_work import CheckedRestore, RestoreMarks
from milvus_backup_server.service.spool import Spool, SpoolDirectory
from milvus_backup_server.service.tracker import Tracker


@dataclass(slots=True)
class SourceObjects:
    """What is known about the objects of one collection after its verification.

    Attributes:
        verified: A line for each object that is right.
        strays: Partitions in whose directories other objects lie too.
        replicas: How many times the collection was loaded; 0 if that is not known.
        moment: Hybrid timestamp at which an import cuts; None for no cut.
    """

    verified: Spool
    strays: set[int] = field(default_factory=set)
    moment: int | None = None
    replicas: int = 0


class RestoreSource:
    """The wanted part of the backup, read from its metadata one collection after another."""

    def __init__(
        self,
        checked: CheckedRestore,
        limits: WorkLimits,
        tracker: Tracker,
        marks: RestoreMarks,
        journal: RestoreJournal,
    ) -> None:
        self._checked = checked
        self._journal = journal
        self._tracker = tracker
        self._marks = marks
        store = checked.repository.storage.store
        layout = checked.repository.layout(checked.request.backup_name)
        self._reader = BackupReader(StoredMeta(store, layout, limits.part_bytes))
        self._verifier = ObjectVerifier(
            store,
            layout,
            tracker,
            part_bytes=limits.part_bytes,
            concurrent=limits.objects_read,
            memory=limits.memory,
        )

    async def fingerprint(self) -> str:
        """Return a hash of the backup's metadata: another one means that it is another backup."""
        return fingerprint((await self._reader.files()).values())

    async def records(self) -> AsyncIterator[CollectionBackupInfo]:
        """Yield the wanted collections of the backup, reading its metadata anew."""
        async for record in self._reader.collections(await self._reader.files()):
            name = name_of(record)
            if name in self._checked.targets:
                chosen = self._checked.wanted.sources.partitions.get(name)
                meta_only = self._checked.request.options.meta_only
                yield narrowed(record, chosen, meta_only=meta_only)

    async def verify(self, spools: SpoolDirectory) -> dict[CollectionName, SourceObjects]:
        """Compare all objects of the wanted collections with what was recorded.

        Those of collections whose imports are all done are not needed any more, and left out.

        Returns:
            The collections of which nothing is missing or other than it was, or of which a target has
            everything already.

        Raises:
            BackupCorrupt: The metadata of the backup is damaged.
        """
        manifest = await self._manifest()
        every = {}
        async for record in self.records():
            name = name_of(record)
            line = manifest.get(name)
            objects = SourceObjects(spools.spool())
            if line is not None:
                objects.moment, objects.replicas = line.moment or None, line.replica_count
            targets = self._checked.names(name)
            lacking = [it for it in targets if not self._journal.is_imported(it)]
            right = await self._marks.trying(
                lacking or targets, self._verify_one(record, line, objects)
            )
            if right or len(lacking) < len(targets):
                every[name] = objects
            for target in targets:
                self._tracker.collection(target, moment=objects.moment)
        await self._journal.flush_verified()
        return every

    async def _manifest(self) -> dict[CollectionName, ManifestCollection]:
        """Return our manifest's lines of the wanted collections; none for a backup of the Go tool."""
        head: ManifestHead | None = await self._reader.head(await self._reader.files())
        if head is None:
            return {}
        await self._reader.check_level_files(head)
        lines = {}
        async for line in self._reader.manifest_collections(head):
            name = CollectionName(line.db_name, line.collection_name)
            if name in self._checked.targets:
                lines[name] = replace(line, record={})  # it may be large, and stands elsewhere
        return lines

    async def _verify_one(
        self,
        record: CollectionBackupInfo,
        line: ManifestCollection | None,
        objects: SourceObjects,
    ) -> None:
        """Verify a collection; if its objects are those that an earlier run read, by listing alone."""
        name = name_of(record)
        imported = all(map(self._journal.is_imported, self._checked.names(name)))
        if imported or self._checked.request.options.meta_only:
            return
        known = self._journal.verified(name)
        if known is not None:
            found = await self._compare(record, line, objects, content=False)
            if objects.verified.sha256 == known.sha256:
                objects.strays = found.strays
                return
            objects.verified.clear()
        content = not self._checked.request.skip_content_check
        found = await self._compare(record, line, objects, content=content)
        objects.strays = found.strays
        await self._journal.note_verified(
            VerifiedEntry(
                database=name.database,
                name=name.name,
                sha256=objects.verified.sha256,
                content=found.content_checked,
                size=found.size_checked,
            )
        )

    async def _compare(
        self,
        record: CollectionBackupInfo,
        line: ManifestCollection | None,
        objects: SourceObjects,
        *,
        content: bool,
    ) -> Verified:
        if self._checked.request.options.meta_only:
            return Verified()
        wanted: AsyncIterator[ManifestObject] = (
            sorted_objects(expected_objects(record))
            if line is None
            else _of_partitions(record, self._reader.manifest_objects(line))
        )
        return await self._verifier.verify(
            record.collection_id, wanted, objects.verified, content=content
        )


async def _of_partitions(
    record: CollectionBackupInfo, objects: AsyncIterator[ManifestObject]
) -> AsyncIterator[ManifestObject]:
    """Yield the objects of a collection's partitions, and those that hold for all partitions.

    All are read, so that the check at the end of the list is made.
    """
    kept = {ALL_PARTITIONS, *(partition.partition_id for partition in record.partition_backups)}
    async for item in objects:
        log = parse_backup_key(item.key)
        if log is None or log.partition_id in kept:
            yield item
