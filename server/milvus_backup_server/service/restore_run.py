"""The work of a restore: everything is verified first, built under temporary names, and renamed at the end.

Collections are read from the backup's metadata one after another, so memory holds one of them at a
time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from milvus_backup_server.domain.capabilities import Capabilities
from milvus_backup_server.domain.errors import BackupError, LeftBehind, RowCountMismatch
from milvus_backup_server.domain.layout import parse_backup_key
from milvus_backup_server.domain.manifest import ManifestCollection, ManifestHead, ManifestObject
from milvus_backup_server.domain.milvus import (
    ALL_PARTITIONS,
    CollectionName,
    ImportJob,
    ImportOptions,
    ImportSource,
)
from milvus_backup_server.domain.operations import (
    Amount,
    CollectionProgress,
    CollectionState,
    Phase,
    PlannedCollection,
    RestoreResult,
)
from milvus_backup_server.domain.records import CollectionBackupInfo, PartitionBackupInfo
from milvus_backup_server.domain.renaming import Target
from milvus_backup_server.domain.requests import RestoreRequest
from milvus_backup_server.domain.restore_mapping import MappedDatabase, Wanted, narrowed
from milvus_backup_server.domain.restore_plan import (
    ImportUnit,
    expected_objects,
    has_deletes,
    import_units,
    name_of,
)
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.backup_reader import BackupReader
from milvus_backup_server.service.bucket_proof import BucketProof, prove_bucket
from milvus_backup_server.service.building import Built, CollectionBuilder
from milvus_backup_server.service.context import Cluster, Environment, Repository, Storage
from milvus_backup_server.service.importing import Import, ImportQueue
from milvus_backup_server.service.meta_files import StoredMeta
from milvus_backup_server.service.restore_objects import ObjectVerifier, Verified, sorted_objects
from milvus_backup_server.service.spool import Spool, SpoolDirectory
from milvus_backup_server.service.staging import ImportPlace, Staging
from milvus_backup_server.service.tracker import Totals, Tracker

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CheckedRestore:
    """A restore whose request passed every check.

    Attributes:
        wanted: The request's selections and names.
        targets: Where each wanted collection goes, by its name in the backup.
        plan: What the plan says of each collection and target.
        new_databases: Databases to make.
        capabilities: What the target can do.
        place: From where Milvus imports.
    """

    operation: str
    request: RestoreRequest
    wanted: Wanted
    targets: Mapping[CollectionName, tuple[Target, ...]]
    plan: tuple[PlannedCollection, ...]
    new_databases: tuple[MappedDatabase, ...]
    capabilities: Capabilities
    cluster: Cluster
    milvus: Storage
    repository: Repository
    place: ImportPlace


@dataclass(slots=True)
class _Counts:
    jobs: int = 0
    rows: int = 0
    content: int = 0
    size: int = 0


@dataclass(slots=True)
class _Objects:
    """What is known about the objects of one collection after its verification."""

    verified: Spool
    strays: set[int] = field(default_factory=set)
    moment: int | None = None


class RestoreRun:
    """One run of a restore."""

    def __init__(
        self,
        checked: CheckedRestore,
        environment: Environment,
        engine: TransferEngine,
        queue: ImportQueue,
        tracker: Tracker,
    ) -> None:
        self._checked = checked
        self._limits = environment.limits
        self._tracker = tracker
        self._queue = queue
        self._gateway = checked.cluster.gateway
        source = checked.repository.storage
        layout = checked.repository.layout(checked.request.backup_name)
        self._reader = BackupReader(StoredMeta(source.store, layout, environment.limits.part_bytes))
        self._builder = CollectionBuilder(
            self._gateway, checked.operation, tracker, environment.limits
        )
        self._staging = Staging(
            source, layout, checked.milvus, checked.place, engine=engine, tracker=tracker
        )
        self._verifier = ObjectVerifier(
            source.store,
            layout,
            tracker,
            content=not checked.request.skip_content_check,
            part_bytes=environment.limits.part_bytes,
            concurrent=environment.limits.objects_read,
        )
        self._objects: dict[CollectionName, _Objects] = {}
        self._sources = {item.target: item.source for item in checked.plan if item.target}
        self._counts = _Counts()
        self._built: list[Built] = []
        self._import_totals = Totals(
            bytes=sum(item.size_bytes for item in checked.plan),
            rows=sum(item.row_count for item in checked.plan),
        )
        sources = {item.source: item.size_bytes for item in checked.plan}
        self._source_totals = Totals(bytes=sum(sources.values()))

    async def run(self) -> RestoreResult:
        """Restore and return what was made; failed or stopped it takes away what it made."""
        self._tracker.add_collections(
            CollectionProgress(
                source=item.source,
                target=item.target,
                bytes_total=item.size_bytes,
                row_count=item.row_count,
            )
            for item in self._checked.plan
        )
        try:
            async with SpoolDirectory() as spools:
                await self._verify(spools)
                await self._import()
                await self._finish()
        except BaseException as error:  # also a cancel that comes while the spools are removed
            await self._clean_up()
            if self._tracker.cancel_requested:
                self._tracker.raise_cancelled(error)
            raise
        return RestoreResult(
            collection_count=len(self._built),
            import_job_count=self._counts.jobs,
            row_count=self._counts.rows,
            content_checked_count=self._counts.content,
            size_checked_count=self._counts.size,
            staged_object_count=self._staging.count,
        )

    # --- verify

    async def _verify(self, spools: SpoolDirectory) -> None:
        self._tracker.enter(Phase.VERIFYING, self._source_totals)
        manifest = await self._manifest()
        async for record in self._records():
            name = name_of(record)
            line = manifest.get(name)
            objects = _Objects(spools.spool(), moment=line.moment or None if line else None)
            targets = self._targets(name)
            found = await self._failing(targets, self._verify_one(record, line, objects))
            objects.strays = found.strays
            self._objects[name] = objects
            self._counts.content += found.content_checked
            self._counts.size += found.size_checked
            for target in targets:
                self._tracker.collection(target, moment=objects.moment)

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
        objects: _Objects,
    ) -> Verified:
        wanted: AsyncIterator[ManifestObject] = (
            sorted_objects(expected_objects(record))
            if line is None
            else _of_partitions(record, self._reader.manifest_objects(line))
        )
        return await self._verifier.verify(record.collection_id, wanted, objects.verified)

    async def _records(self) -> AsyncIterator[CollectionBackupInfo]:
        """Yield the wanted collections of the backup, reading its metadata anew."""
        async for record in self._reader.collections(await self._reader.files()):
            name = name_of(record)
            if name in self._checked.targets:
                yield narrowed(record, self._checked.wanted.sources.partitions.get(name))

    # --- import

    async def _import(self) -> None:
        await self._builder.create_databases(
            self._checked.new_databases,
            with_properties=self._checked.capabilities.database_properties,
        )
        async for record in self._records():
            name = name_of(record)
            await self._failing(self._targets(name), self._stage(name))
            for target in self._checked.targets[name]:
                await self._failing([target.name], self._import_one(record, target))
            await self._staging.clear()
            self._objects[name].verified.remove()

    async def _stage(self, name: CollectionName) -> None:
        for target in self._targets(name):
            self._tracker.collection(target, state=CollectionState.RUNNING)
        if self._checked.place.staged:
            self._tracker.enter(Phase.STAGING, self._source_totals)
            await self._staging.fill(self._objects[name].verified)
        self._tracker.enter(Phase.IMPORTING, self._import_totals)

    async def _import_one(self, record: CollectionBackupInfo, target: Target) -> None:
        name = name_of(record)
        objects = self._objects[name]
        built = await self._builder.create(name, target, record)
        rows = 0
        for partition in record.partition_backups:
            for unit in self._units(record, partition, objects):
                rows += await self._import_unit(built, unit, objects.moment)
        await self._check_rows(record, objects, built, rows)
        self._built.append(built)
        if self._checked.request.restore_indexes:
            # Not of all collections at once at the end: Milvus 2.3 loses the notice of an index
            # that is made right after another collection's, and builds it half a minute later.
            await self._builder.create_indexes(built)

    def _targets(self, name: CollectionName) -> list[CollectionName]:
        return [target.name for target in self._checked.targets[name]]

    def _units(
        self, record: CollectionBackupInfo, partition: PartitionBackupInfo, objects: _Objects
    ) -> list[ImportUnit]:
        # Staged copies are made object by object, so nothing else lies beside them.
        alone = self._checked.place.staged or partition.partition_id not in objects.strays
        return import_units(
            record.collection_id, partition, whole=alone, job_bytes=self._limits.import_job_bytes
        )

    async def _import_unit(self, built: Built, unit: ImportUnit, moment: int | None) -> int:
        prefix = self._checked.place.prefix
        source = ImportSource(prefix + unit.insert, prefix + unit.delta if unit.delta else "")
        options = ImportOptions(moment=moment)
        wanted = Import(built.temporary, built.target, unit.partition, source, options)
        credited = 0

        def seen(job: ImportJob) -> None:
            nonlocal credited
            self._tracker.wait_for(
                f"import job {job.job_id} of Milvus into {built.target} "
                f"({job.state.value}, {job.progress} %)"
            )
            done = unit.bytes * job.progress // 100
            self._tracker.advance(Amount(bytes=done - credited), built.target)
            credited = done

        self._tracker.wait_for(f"a turn to import into {built.target}")
        try:
            job = await self._queue.run(wanted, seen)
        finally:
            self._tracker.wait_for("")
        await self._check_unit(built, unit, job, moment)
        self._counts.jobs += 1
        self._counts.rows += job.rows
        self._tracker.advance(Amount(bytes=unit.bytes - credited, rows=job.rows), built.target)
        return job.rows

    async def _check_unit(
        self, built: Built, unit: ImportUnit, job: ImportJob, moment: int | None
    ) -> None:
        """Find out that Milvus read nothing: it ends such a job as if all were well.

        That happens when it uses another bucket than the settings say. It may also be right: all
        rows may be deleted, or later than the moment. Rows that Milvus did import prove the bucket,
        because our directories are nowhere else; so do objects of Milvus's own.
        """
        if job.rows or not unit.rows or self._counts.rows:
            return
        proof = await prove_bucket(self._gateway, self._checked.milvus)
        if proof is BucketProof.RIGHT:
            return
        error = RowCountMismatch(
            f"Milvus imported nothing of {built.source}, which has up to {unit.rows} rows in "
            f"partition {unit.partition!r}: either all of them are deleted or later than the "
            "moment, or milvus.storage is not the bucket that Milvus uses",
            subject=str(built.source),
            imported=0,
            recorded=unit.rows,
        )
        if proof is BucketProof.WRONG or (moment is None and not unit.delta):
            raise error
        self._tracker.warn(error)

    async def _check_rows(
        self, record: CollectionBackupInfo, objects: _Objects, built: Built, imported: int
    ) -> None:
        """Compare the rows that Milvus says it imported with those of the segments.

        The sum over the segments is an upper bound as soon as there are deletes or rows later than
        the moment; otherwise it must be met.
        """
        recorded = sum(s.num_of_rows for p in record.partition_backups for s in p.segment_backups)
        exact = objects.moment is None and not has_deletes(record)
        if imported > recorded or (exact and imported != recorded):
            raise RowCountMismatch(
                f"Milvus imported {imported} rows of {built.source}; the backup holds "
                f"{'' if exact else 'at most '}{recorded}",
                subject=str(built.source),
                imported=imported,
                recorded=recorded,
            )

    # --- end

    async def _finish(self) -> None:
        self._tracker.enter(Phase.FINISHING)
        for built in self._built:
            await self._failing([built.target], self._builder.require_free(built))
        for built in self._built:
            await self._failing([built.target], self._builder.rename(built))
            self._tracker.collection(built.target, state=CollectionState.SUCCEEDED)

    async def _clean_up(self) -> None:
        self._tracker.enter(Phase.CLEANING_UP)
        await self._builder.roll_back(renamed=self._tracker.cancel_requested)
        try:
            await self._staging.clear()
        except BackupError as error:
            where = f"{self._checked.milvus.store.location.bucket}/{self._checked.place.prefix}"
            text = f"copies below {where} could not be removed and remain: {error.message}"
            self._tracker.warn(LeftBehind(text, subject=where))

    async def _failing(self, targets: Sequence[CollectionName], work: Awaitable[T]) -> T:
        """Await the work on collections, known by their targets, and mark them when it fails."""
        try:
            return await work
        except BackupError as error:
            for target in targets:
                self._tracker.collection(target, state=CollectionState.FAILED, error=error)
            error.metadata.setdefault("collection", str(self._sources[targets[0]]))
            raise


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
