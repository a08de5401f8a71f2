"""The import of one collection of a backup into a collection that a restore built for it."""

from __future__ import annotations

from collections.abc import Sequence

from milvus_backup_server.domain.checkpoints import group_cuts
from milvus_backup_server.domain.errors import (
    BackupError,
    ImportFailed,
    ImportOutcomeUnknown,
    MilvusRefused,
    RowCountMismatch,
    Unavailable,
)
from milvus_backup_server.domain.failures import finds_nothing
from milvus_backup_server.domain.import_units import (
    ImportApi,
    ImportUnit,
    import_units,
    l0_units,
)
from milvus_backup_server.domain.milvus import ImportJob, ImportOptions, ImportSource, SegmentLevel
from milvus_backup_server.domain.operations import Amount
from milvus_backup_server.domain.records import CollectionBackupInfo
from milvus_backup_server.domain.restore_journal import ImportEntry
from milvus_backup_server.domain.restore_plan import RowCount, row_count
from milvus_backup_server.service.bucket_proof import BucketProof, prove_bucket
from milvus_backup_server.service.building import Built
from milvus_backup_server.service.concurrency import for_each
from milvus_backup_server.service.context import WorkLimits
from milvus_backup_server.service.import_steps import (
    Credit,
    ForgottenImport,
    ImportStep,
    ImportWatcher,
)
from milvus_backup_server.service.importing import Import, ImportForgotten, ImportLost, ImportQueue
from milvus_backup_server.service.restore_journal import RestoreJournal
from milvus_backup_server.service.restore_source import SourceObjects
from milvus_backup_server.service.restore_work import CheckedRestore
from milvus_backup_server.service.tracker import Tracker


class CollectionImport:
    """Imports collections unit by unit, and compares what Milvus says it imported.

    Args:
        checked: The restore.
        limits: How large a job may be.
        queue: Where jobs are issued.
        tracker: Where progress and warnings go.
        journal: Is told of each job before and after, and knows those of an earlier run.
    """

    def __init__(
        self,
        checked: CheckedRestore,
        limits: WorkLimits,
        queue: ImportQueue,
        tracker: Tracker,
        journal: RestoreJournal,
    ) -> None:
        self._checked = checked
        self._limits = limits
        self._queue = queue
        self._tracker = tracker
        self._journal = journal
        self._proved = False
        self._rest = False

    async def choose_route(self) -> None:
        """Find out whether Milvus's REST API can be used, if this version takes imports there.

        Where it cannot, jobs go through gRPC, each with one segment; that becomes a warning.

        Raises:
            MilvusUnavailable, MilvusRefused: It cannot, and the settings want it.
        """
        api = self._limits.import_api
        self._rest = self._checked.capabilities.rest_import and api is not ImportApi.GRPC
        fault = await self._checked.cluster.gateway.rest_fault() if self._rest else None
        if fault is not None:
            if api is ImportApi.REST:
                raise fault
            self._rest = False
            text = f"{fault.message}; each segment is imported by a job of its own through gRPC"
            self._tracker.warn(type(fault)(text, **fault.metadata))

    async def run(self, record: CollectionBackupInfo, objects: SourceObjects, built: Built) -> None:
        """Import what is not in a collection yet: all rows, then the deletes in L0 segments.

        It is cut at its moment or, if asked for, at its checkpoints.

        Raises:
            ImportFailed, OperationStalled: As they say.
            ImportLost: The collection must be built anew; its progress is taken back.
            RowCountMismatch: Milvus imported another number of rows than there should be.
        """
        credit = Credit(self._tracker, built.target)
        rules = self._limits.import_rules(self._checked.capabilities, rest=self._rest)
        # Staged copies are made object by object, so nothing else lies beside them.
        strays = () if self._checked.place.staged else objects.strays
        cuts = self._cuts(record, objects)
        units = [*import_units(record, rules, strays, cuts), *l0_units(record, rules, cuts)]
        steps = [
            ImportStep(built.source, unit, self._job(built, unit, objects.moment or unit.cut))
            for unit in units
        ]
        try:
            left = await self._kept(steps, built, credit)
            await self._import_all([it for it in left if not it.unit.l0], built, credit)
            await self._import_all([it for it in left if it.unit.l0], built, credit)
        except ImportLost:
            credit.take_back()
            raise
        finally:
            self._queue.forget(built.temporary)
        _check_rows(built, row_count(record, cut=bool(cuts or objects.moment)), credit.given.rows)
        await self._journal.note_imported(built.target)

    def _cuts(self, record: CollectionBackupInfo, objects: SourceObjects) -> dict[int, int]:
        """Return where groups are cut; a moment needs no checkpoints."""
        options = self._checked.request.options
        if objects.moment is not None or options.meta_only:
            return {}
        return group_cuts(record) if options.truncate_to_checkpoints else {}

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

    # --- what an earlier run did

    async def _kept(
        self, steps: Sequence[ImportStep], built: Built, credit: Credit
    ) -> list[ImportStep]:
        """Wait for the imports that an earlier run issued, and return the steps that are left.

        Raises:
            ImportLost: What is in the collection is not what they should have left.
        """
        target = self._journal.target(built.target)
        known = target.imports if target is not None else ()
        if not known:
            return list(steps)
        wanted = {step.entry.identity: step for step in steps}
        before = {it.identity: it for it in known}
        if not before.keys() <= wanted.keys():
            raise ImportLost(_unlike(built, "its imports were cut in another way"))
        self._queue.remember(built.temporary, (it.job for it in known if it.job))
        left: list[ImportStep] = []
        forgotten: list[ForgottenImport] = []
        for identity, step in wanted.items():
            found = before.get(identity)
            if found is None:
                left.append(step)
            elif found.done:
                credit.give(Amount(bytes=step.unit.bytes, rows=found.rows))
            else:
                await self._rejoin(step, found, credit, forgotten)
        await self._settle(forgotten, built, credit)
        await self._require_rows(built, credit.given.rows)
        return left

    async def _rejoin(
        self,
        step: ImportStep,
        known: ImportEntry,
        credit: Credit,
        forgotten: list[ForgottenImport],
    ) -> None:
        watch = ImportWatcher(step, self._tracker, self._journal, credit)
        try:
            job = await self._queue.rejoin(step.wanted, known.job, watch)
        except ImportForgotten as lost:
            forgotten.append(ForgottenImport.of(step, watch, lost))
            return
        except ImportFailed as error:
            raise ImportLost(error) from error
        finally:
            self._tracker.wait_for("")
        await self._end(step, job, watch)

    async def _require_rows(self, built: Built, rows: int) -> None:
        there = await self._rows_in(built)
        if there != rows:
            text = f"it holds {there} rows where its imports told of {rows}"
            raise ImportLost(_unlike(built, text))

    async def _rows_in(self, built: Built) -> int:
        segments = await self._checked.cluster.gateway.list_segments(built.temporary)
        return sum(it.rows for it in segments if it.level is SegmentLevel.DATA)

    async def _settle(
        self, forgotten: Sequence[ForgottenImport], built: Built, credit: Credit
    ) -> None:
        """Decide by the rows in a collection what became of jobs that Milvus forgot.

        A job leaves all that it should, or nothing, and none leaves more than its segments hold: where
        the collection has the most rows that it can have, every one is done.

        Raises:
            ImportForgotten: It has not; some were deleted, are later than the moment, or never came.
        """
        if not forgotten:
            return
        most = credit.given.rows + sum(it.rows for it in forgotten)
        if await self._rows_in(built) != most:
            raise forgotten[0].lost
        for it in forgotten:
            await it.watch.done(it.job)

    # --- what is left

    async def _import_all(self, steps: Sequence[ImportStep], built: Built, credit: Credit) -> None:
        forgotten: list[ForgottenImport] = []

        async def work(step: ImportStep) -> None:
            try:
                await self._import(step, credit, forgotten)
            except (BackupError, ImportLost) as error:
                credit.over = not isinstance(error, Unavailable)
                raise

        parallel = self._limits.import_jobs if self._checked.capabilities.parallel_import else 1
        await for_each(steps, work, concurrent=min(parallel, len(steps)))
        await self._settle(forgotten, built, credit)

    async def _import(
        self, step: ImportStep, credit: Credit, forgotten: list[ForgottenImport]
    ) -> None:
        watch = ImportWatcher(step, self._tracker, self._journal, credit)
        self._tracker.wait_for(f"a turn to import into {step.wanted.target}")
        try:
            job = await self._queue.run(step.wanted, watch)
        except ImportForgotten as lost:
            forgotten.append(ForgottenImport.of(step, watch, lost))
            return
        except MilvusRefused as error:
            raise self._explained(error) from error
        finally:
            self._tracker.wait_for("")
        await self._end(step, job, watch)

    def _explained(self, error: MilvusRefused) -> MilvusRefused:
        """Say what it means that Milvus finds nothing where every object was found and compared."""
        if not finds_nothing(error):
            return error
        text = (
            f"{error.message}; the objects are in {self._checked.import_from}, so milvus.storage is not "
            "the bucket and root that Milvus uses"
        )
        return MilvusRefused(text, **error.metadata)

    async def _end(self, step: ImportStep, job: ImportJob, watch: ImportWatcher) -> None:
        await self._check_unit(step, job)
        self._proved = self._proved or job.rows > 0
        await watch.done(job)

    async def _check_unit(self, step: ImportStep, job: ImportJob) -> None:
        """Find out that Milvus read nothing: it ends such a job as if all were well.

        That happens when it uses another bucket than the settings say. It may also be right: all
        rows may be deleted, or later than the moment. Rows that Milvus did import prove the bucket,
        because our directories are nowhere else; so do objects of Milvus's own.
        """
        unit, moment = step.unit, step.wanted.options.moment
        # Milvus 2.4 and later look at the directories before they take a job.
        if job.rows or not unit.rows or self._proved or self._checked.capabilities.rest_import:
            return
        proof = await prove_bucket(self._checked.cluster.gateway, self._checked.milvus)
        if proof is BucketProof.RIGHT:
            return
        error = RowCountMismatch(
            f"Milvus imported nothing of {step.source}, which has up to {unit.rows} rows in "
            f"partition {unit.partition!r}: either all of them are deleted or later than the "
            "moment, or milvus.storage is not the bucket that Milvus uses",
            subject=str(step.source),
            imported=0,
            recorded=unit.rows,
        )
        if proof is BucketProof.WRONG or (moment is None and not unit.has_delta):
            raise error
        self._tracker.warn(error)


def _check_rows(built: Built, rows: RowCount, imported: int) -> None:
    """Compare the rows that Milvus says it imported with those that there must be."""
    if not rows.fits(imported):
        raise RowCountMismatch(
            f"Milvus imported {imported} rows of {built.source}; the backup holds {rows}",
            subject=str(built.source),
            imported=imported,
            recorded=rows.most,
        )


def _unlike(built: Built, how: str) -> ImportOutcomeUnknown:
    """Return why what an earlier run left cannot be continued."""
    text = f"what the interrupted restore left of {built.target} cannot be continued: {how}"
    return ImportOutcomeUnknown(text, target=str(built.target))
