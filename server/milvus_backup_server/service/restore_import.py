"""The import of one collection of a backup into a collection that a restore built for it."""

from __future__ import annotations

from milvus_backup_server.domain.checkpoints import group_cuts
from milvus_backup_server.domain.errors import RowCountMismatch
from milvus_backup_server.domain.import_units import ImportUnit, import_units, l0_units
from milvus_backup_server.domain.milvus import (
    CollectionName,
    ImportJob,
    ImportOptions,
    ImportSource,
)
from milvus_backup_server.domain.operations import Amount
from milvus_backup_server.domain.records import CollectionBackupInfo
from milvus_backup_server.domain.restore_plan import RowCount, row_count
from milvus_backup_server.service.bucket_proof import BucketProof, prove_bucket
from milvus_backup_server.service.building import Built
from milvus_backup_server.service.concurrency import for_each
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
        self._rest = False

    async def choose_route(self) -> None:
        """Find out whether Milvus's REST API can be used, if this version takes imports there.

        Where it cannot, jobs go through gRPC, each with one segment; that becomes a warning.
        """
        self._rest = self._checked.capabilities.rest_import
        fault = await self._checked.cluster.gateway.rest_fault() if self._rest else None
        if fault is not None:
            self._rest = False
            text = f"{fault.message}; each segment is imported by a job of its own through gRPC"
            self._tracker.warn(type(fault)(text, **fault.metadata))

    async def run(self, record: CollectionBackupInfo, objects: SourceObjects, built: Built) -> None:
        """Import everything of a collection: all rows, then the deletes in L0 segments.

        It is cut at its moment or, if asked for, at its checkpoints.

        Raises:
            ImportFailed, OperationStalled: As they say.
            ImportLost: The collection must be built anew; its progress is taken back.
            RowCountMismatch: Milvus imported another number of rows than there should be.
        """
        credit = _Credit(self._tracker, built.target)
        rules = self._limits.import_rules(self._checked.capabilities, rest=self._rest)
        # Staged copies are made object by object, so nothing else lies beside them.
        strays = () if self._checked.place.staged else objects.strays
        cuts = self._cuts(record, objects)
        parallel = self._limits.import_jobs if self._checked.capabilities.parallel_import else 1

        async def work(unit: ImportUnit) -> None:
            await self._import_unit(built, unit, objects.moment or unit.cut, credit)

        try:
            for units in (
                import_units(record, rules, strays, cuts),
                l0_units(record, rules, cuts),
            ):
                await for_each(units, work, concurrent=min(parallel, len(units)))
        except ImportLost:
            credit.take_back()
            raise
        finally:
            self._queue.forget(built.temporary)
        _check_rows(built, row_count(record, cut=bool(cuts or objects.moment)), credit.given.rows)
        self._counts.rows += credit.given.rows

    def _cuts(self, record: CollectionBackupInfo, objects: SourceObjects) -> dict[int, int]:
        """Return where groups are cut; a moment needs no checkpoints."""
        options = self._checked.request.options
        if objects.moment is not None or options.meta_only:
            return {}
        return group_cuts(record) if options.truncate_to_checkpoints else {}

    async def _import_unit(
        self, built: Built, unit: ImportUnit, moment: int | None, credit: _Credit
    ) -> None:
        given = 0

        def reach(size: int) -> None:
            nonlocal given
            credit.give(Amount(bytes=size - given))
            given = size

        def seen(job: ImportJob) -> None:
            self._tracker.wait_for(
                f"import job {job.job_id} of Milvus into {built.target} "
                f"({job.state.value}, {job.progress} %)"
            )
            reach(unit.bytes * job.progress // 100)

        self._tracker.wait_for(f"a turn to import into {built.target}")
        try:
            job = await self._queue.run(self._job(built, unit, moment), seen)
        finally:
            self._tracker.wait_for("")
        await self._check_unit(built, unit, job, moment)
        self._counts.jobs += 1
        self._proved = self._proved or job.rows > 0
        reach(unit.bytes)
        credit.give(Amount(rows=0 if unit.l0 else job.rows))

    def _job(self, built: Built, unit: ImportUnit, moment: int | None) -> Import:
        place = self._checked.place
        sources = [
            ImportSource(
                place.path(it.insert) if it.insert else "", place.path(it.delta) if it.delta else ""
            )
            for it in unit.sources
        ]
        options = ImportOptions(
            moment=moment, l0=unit.l0, storage_version=unit.storage_version, rest=self._rest
        )
        parallel = self._checked.capabilities.parallel_import
        return Import(
            built.temporary, built.target, unit.partition, sources, options, parallel=parallel
        )

    async def _check_unit(
        self, built: Built, unit: ImportUnit, job: ImportJob, moment: int | None
    ) -> None:
        """Find out that Milvus read nothing: it ends such a job as if all were well.

        That happens when it uses another bucket than the settings say. It may also be right: all
        rows may be deleted, or later than the moment. Rows that Milvus did import prove the bucket,
        because our directories are nowhere else; so do objects of Milvus's own.
        """
        # Milvus 2.4 and later look at the directories before they take a job.
        if job.rows or not unit.rows or self._proved or self._checked.capabilities.rest_import:
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
        if proof is BucketProof.WRONG or (moment is None and not unit.has_delta):
            raise error
        self._tracker.warn(error)


class _Credit:
    """The progress that the import of one collection was given."""

    def __init__(self, tracker: Tracker, target: CollectionName) -> None:
        self._tracker = tracker
        self._target = target
        self.given = Amount()

    def take_back(self) -> None:
        """Take everything back."""
        self.give(-self.given)

    def give(self, amount: Amount) -> None:
        """Give further progress."""
        self.given += amount
        self._tracker.advance(amount, self._target)


def _check_rows(built: Built, rows: RowCount, imported: int) -> None:
    """Compare the rows that Milvus says it imported with those that there must be."""
    if not rows.fits(imported):
        raise RowCountMismatch(
            f"Milvus imported {imported} rows of {built.source}; the backup holds {rows}",
            subject=str(built.source),
            imported=imported,
            recorded=rows.most,
        )
