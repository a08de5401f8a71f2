"""The import of one collection of a backup into a collection that a restore built for it."""

from __future__ import annotations

from milvus_backup_server.domain.errors import RowCountMismatch
from milvus_backup_server.domain.milvus import (
    CollectionName,
    ImportJob,
    ImportOptions,
    ImportSource,
)
from milvus_backup_server.domain.operations import Amount
from milvus_backup_server.domain.records import CollectionBackupInfo, PartitionBackupInfo
from milvus_backup_server.domain.restore_plan import ImportUnit, import_units, row_count
from milvus_backup_server.service.bucket_proof import BucketProof, prove_bucket
from milvus_backup_server.service.building import Built
from milvus_backup_server.service.context import WorkLimits
from milvus_backup_server.service.importing import Import, ImportLost, ImportQueue
from milvus_backup_server.service.restore_source import SourceObjects
from milvus_backup_server.service.restore_work import CheckedRestore, RestoreCounts
from milvus_backup_server.service.tracker import Tracker


class CollectionImport:
    """Imports collections unit by unit, and compares what Milvus says it imported.

    Args:
        checked: The restore.
        limits: How large a job may be.
        queue: Where jobs are issued.
        tracker: Where progress and warnings go.
        counts: Gets the jobs, and the rows of collections that are whole.
    """

    def __init__(
        self,
        checked: CheckedRestore,
        limits: WorkLimits,
        queue: ImportQueue,
        tracker: Tracker,
        counts: RestoreCounts,
    ) -> None:
        self._checked = checked
        self._limits = limits
        self._queue = queue
        self._tracker = tracker
        self._counts = counts
        self._proved = False

    async def run(self, record: CollectionBackupInfo, objects: SourceObjects, built: Built) -> None:
        """Import everything of a collection.

        Raises:
            ImportFailed, OperationStalled: As they say.
            ImportLost: The collection must be built anew; its progress is taken back.
            RowCountMismatch: Milvus imported another number of rows than there should be.
        """
        credit = _Credit(self._tracker, built.target)
        try:
            for partition in record.partition_backups:
                for unit in self._units(record, partition, objects):
                    await self._import_unit(built, unit, objects.moment, credit)
        except ImportLost:
            credit.take_back()
            raise
        _check_rows(record, objects, built, credit.given.rows)
        self._counts.rows += credit.given.rows

    def _units(
        self, record: CollectionBackupInfo, partition: PartitionBackupInfo, objects: SourceObjects
    ) -> list[ImportUnit]:
        # Staged copies are made object by object, so nothing else lies beside them.
        alone = self._checked.place.staged or partition.partition_id not in objects.strays
        return import_units(
            record.collection_id, partition, whole=alone, job_bytes=self._limits.import_job_bytes
        )

    async def _import_unit(
        self, built: Built, unit: ImportUnit, moment: int | None, credit: _Credit
    ) -> None:
        place = self._checked.place
        source = ImportSource(place.path(unit.insert), place.path(unit.delta) if unit.delta else "")
        options = ImportOptions(moment=moment)
        wanted = Import(built.temporary, built.target, unit.partition, source, options)
        before = credit.given.bytes

        def seen(job: ImportJob) -> None:
            self._tracker.wait_for(
                f"import job {job.job_id} of Milvus into {built.target} "
                f"({job.state.value}, {job.progress} %)"
            )
            credit.reach(before + unit.bytes * job.progress // 100)

        self._tracker.wait_for(f"a turn to import into {built.target}")
        try:
            job = await self._queue.run(wanted, seen)
        finally:
            self._tracker.wait_for("")
        await self._check_unit(built, unit, job, moment)
        self._counts.jobs += 1
        self._proved = self._proved or job.rows > 0
        credit.reach(before + unit.bytes, rows=job.rows)

    async def _check_unit(
        self, built: Built, unit: ImportUnit, job: ImportJob, moment: int | None
    ) -> None:
        """Find out that Milvus read nothing: it ends such a job as if all were well.

        That happens when it uses another bucket than the settings say. It may also be right: all
        rows may be deleted, or later than the moment. Rows that Milvus did import prove the bucket,
        because our directories are nowhere else; so do objects of Milvus's own.
        """
        if job.rows or not unit.rows or self._proved:
            return
        proof = await prove_bucket(self._checked.cluster.gateway, self._checked.milvus)
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


class _Credit:
    """The progress that the import of one collection was given."""

    def __init__(self, tracker: Tracker, target: CollectionName) -> None:
        self._tracker = tracker
        self._target = target
        self.given = Amount()

    def reach(self, size: int, *, rows: int = 0) -> None:
        """Give what is missing to so many bytes, and further rows."""
        self._give(Amount(bytes=size - self.given.bytes, rows=rows))

    def take_back(self) -> None:
        """Take everything back."""
        self._give(-self.given)

    def _give(self, amount: Amount) -> None:
        self.given += amount
        self._tracker.advance(amount, self._target)


def _check_rows(
    record: CollectionBackupInfo, objects: SourceObjects, built: Built, imported: int
) -> None:
    """Compare the rows that Milvus says it imported with those that there must be."""
    rows = row_count(record, objects.moment)
    if not rows.fits(imported):
        raise RowCountMismatch(
            f"Milvus imported {imported} rows of {built.source}; the backup holds {rows}",
            subject=str(built.source),
            imported=imported,
            recorded=rows.most,
        )
