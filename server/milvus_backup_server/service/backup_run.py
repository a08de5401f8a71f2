"""The work of a create, from the flush to the file that makes the backup complete.

The order of the steps is the promise: nothing is written before everything is planned; the claim
comes first and ``full_meta.json`` last; each collection's objects are those of one moment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from milvus_backup_server.domain.errors import BackupError, SourceStorageMismatch, Unavailable
from milvus_backup_server.domain.faults import Faults
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    Amount,
    CollectionProgress,
    CollectionState,
    CreateResult,
    Phase,
)
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.bulk_flush import BulkFlush
from milvus_backup_server.service.cluster_records import ClusterRecords, read_cluster_records
from milvus_backup_server.service.collection_marks import CollectionMarks
from milvus_backup_server.service.collection_plan import CollectionPlan, PlanStale
from milvus_backup_server.service.collection_planner import CollectionPlanner, never_still
from milvus_backup_server.service.concurrency import for_each
from milvus_backup_server.service.context import Environment, WorkLimits
from milvus_backup_server.service.copying import CollectionCopier
from milvus_backup_server.service.create_options import not_paused
from milvus_backup_server.service.create_work import CheckedCreate, backup_info, manifest_head
from milvus_backup_server.service.earlier_run import EarlierRun
from milvus_backup_server.service.flushing import Flushing
from milvus_backup_server.service.gc_pause import GcPause
from milvus_backup_server.service.held_name import HeldName
from milvus_backup_server.service.late_writes import LateWrites
from milvus_backup_server.service.metadata_writer import MetadataWriter
from milvus_backup_server.service.plan_journal import PlanJournal
from milvus_backup_server.service.running import WorkInterrupted
from milvus_backup_server.service.snapshot import Snapshots, select
from milvus_backup_server.service.spool import Spool, SpoolDirectory
from milvus_backup_server.service.tracker import Totals, Tracker


class BackupRun:
    """One run of a create: the first one, or one that goes on where an earlier one was interrupted.

    Args:
        checked: What to back up.
        environment: Limits and our version.
        engine: What moves the objects.
        tracker: Where progress goes.
        resumed: An earlier run of the same operation may have left something.
    """

    def __init__(
        self,
        checked: CheckedCreate,
        environment: Environment,
        engine: TransferEngine,
        tracker: Tracker,
        *,
        resumed: bool = False,
    ) -> None:
        self._checked = checked
        self._environment = environment
        self._limits = environment.limits
        self._tracker = tracker
        self._resumed = resumed
        self._layout = checked.repository.layout(checked.backup_name)
        self._target = checked.repository.storage
        repository = checked.repository
        self._name = HeldName(repository, self._layout, checked.operation, environment)
        self._journal = PlanJournal(repository.records, checked.operation, environment.limits)
        self._earlier = EarlierRun(
            self._target.store, self._layout, self._limits.part_bytes, self._name.require
        )
        self._snapshots = Snapshots(
            checked.cluster.gateway, checked.capabilities, environment.limits
        )
        self._flushing = _flushing(checked, self._snapshots, environment.limits, tracker)
        self._planner = CollectionPlanner(
            self._snapshots,
            self._flushing,
            checked.source,
            checked.selection,
            copies=checked.strategy.copies,
            replans=environment.limits.replans,
        )
        self._copier = CollectionCopier(
            checked.source,
            self._target,
            self._layout,
            engine=engine,
            tracker=tracker,
            require_name=self._name.require,
        )
        self._selected = checked.selected
        self._gc = GcPause(
            checked.cluster,
            checked.capabilities,
            checked.operation,
            tracker,
            checked.pausing,
        )
        self._marks = CollectionMarks(tracker)
        self._plans: dict[CollectionName, CollectionPlan] = {}
        self._manifests: dict[CollectionName, Spool] = {}

    async def run(self) -> CreateResult:
        """Make the backup and return what it holds.

        Cancelled on request it removes what it wrote; interrupted or failed it leaves an incomplete
        backup and the plan, with which another run goes on. So it does when a collection fails: the
        others are whole then, and stay; only where that was allowed the backup is complete without it.

        Raises:
            WorkInterrupted: Something outside does not answer; another run can go on.
        """
        try:
            async with SpoolDirectory() as spools:
                result = await self._make(spools)
            if not self._marks.failed:
                with contextlib.suppress(BackupError):  # the backup is whole: a sweep removes it
                    await self._journal.remove()
            return result
        except BaseException as error:  # also a cancel that comes while the spools are removed
            if self._tracker.cancel_requested:
                await self.give_up()
                self._tracker.raise_cancelled(error)
            if isinstance(error, Unavailable):
                raise WorkInterrupted(error) from error
            raise
        finally:
            await self._gc.end()

    async def give_up(self) -> None:
        """Remove everything that this run and earlier ones of the operation wrote.

        Raises:
            BackupNameLost: Another writer took the name meanwhile.
            LeftBehind: It could not be removed.
        """
        if self._resumed and not self._name.held:
            await self._name.take_over()
        await self._name.clean_up(self._tracker, self._journal.remove)

    async def _make(self, spools: SpoolDirectory) -> CreateResult:
        self._tracker.enter(Phase.PLANNING)
        if self._resumed and await self._name.take_over():
            done = await self._earlier.finished()
            if done is not None:
                self._tracker.add_collections(done.collections)
                return done.result
            await self._recall(spools)
        else:
            await self._plan(spools)
            await self._name.take()
            await self._write_plan()
        records = await read_cluster_records(
            self._checked.cluster.gateway,
            self._checked.capabilities,
            self._selected.databases,
            rbac=self._checked.rbac,
            warn=self._tracker.warn,
        )
        await self._copy(spools)
        return await self._write(spools, records)

    # --- going on

    async def _recall(self, spools: SpoolDirectory) -> None:
        """Take up the plan of the earlier run; one that was not finished is made anew."""
        await self._earlier.hide()
        recalled = await self._journal.recall(spools)
        if recalled is None:
            await self._name.clear(self._tracker)
            await self._plan(spools)
            await self._write_plan()
            return
        self._selected, self._flushing.flush_all = recalled.selected, recalled.flush_all
        self._add_collections()
        await self._gc.begin(self._selected.collections)
        await self._earlier.look()
        await self._for_each(lambda name: self._recall_one(name, recalled.plans.get(name), spools))

    async def _recall_one(
        self, name: CollectionName, plan: CollectionPlan | None, spools: SpoolDirectory
    ) -> None:
        if plan is None:
            plan = await self._planner.plan_again(name, spools)
            # For what the copies that stand were made is not known any more.
            await self._discard(plan.collection_id)
            await self._journal.write_one(self._name.generation, plan)
        self._note_plan(plan)
        lines = await self._earlier.whole(plan, spools)
        if lines is not None:
            self._manifests[name] = lines

    # --- planning: nothing is written

    async def _write_plan(self) -> None:
        await self._journal.write(
            self._name.generation, self._selected, self._plans, self._flushing.flush_all
        )

    async def _plan(self, spools: SpoolDirectory) -> None:
        self._tracker.enter(Phase.PLANNING)
        if self._checked.pause_gc and not self._checked.capabilities.gc_pause:
            self._tracker.warn(not_paused(self._checked.milvus_version))
        # The operation may have waited for its turn, and collections come and go meanwhile.
        faults = Faults()
        self._selected = await select(
            self._checked.cluster.gateway, self._checked.selection, faults
        )
        faults.raise_all()
        self._add_collections()
        await self._gc.begin(self._selected.collections)
        if self._checked.strategy.flushes:
            await self._snapshots.wait_past(self._checked.accepted)
        self._tracker.enter(Phase.FLUSHING)
        flushes = await self._flushing.all(self._selected.collections, self._each)

        async def plan(name: CollectionName) -> None:
            self._note_plan(await self._planner.plan(name, flushes[name], spools))

        self._tracker.enter(Phase.LISTING)
        await self._for_each(plan)
        self._require_some()

    def _add_collections(self) -> None:
        names = self._selected.collections
        self._tracker.add_collections(CollectionProgress(source=name) for name in names)

    def _note_plan(self, plan: CollectionPlan) -> None:
        self._plans[plan.snapshot.name] = plan
        self._tracker.collection(
            plan.snapshot.name,
            bytes_done=0,
            bytes_total=plan.amount.bytes,
            row_count=plan.amount.rows,
            moment=plan.snapshot.moment or None,
        )

    # --- copying

    async def _copy(self, spools: SpoolDirectory) -> None:
        self._tracker.enter(Phase.COPYING, self._totals())
        await self._for_each(lambda name: self._copy_one(name, spools))
        self._require_some()

    async def _copy_one(self, name: CollectionName, spools: SpoolDirectory) -> None:
        await self._name.require()
        self._tracker.collection(name, state=CollectionState.RUNNING)
        if name in self._manifests:  # whole since the earlier run
            self._tracker.advance(self._plans[name].amount, name)
            return
        for attempt in range(self._limits.replans + 1):
            try:
                await self._copier.copy(self._plans[name], again=self._resumed or attempt > 0)
            except PlanStale:
                await self._plan_again(name, spools)
            else:
                amount = self._plans[name].amount
                self._tracker.advance(Amount(segments=amount.segments, rows=amount.rows))
                return
        raise never_still(name)

    async def _plan_again(self, name: CollectionName, spools: SpoolDirectory) -> None:
        """Replace a plan whose objects vanished by one of a new moment."""
        old = self._plans[name]
        self._tracker.advance(-old.copied)
        new = await self._planner.plan_again(name, spools)
        self._note_plan(new)
        self._tracker.set_totals(self._totals())
        await self._copier.replace(old, new)
        await self._journal.write_one(self._name.generation, new)
        old.remove()

    def _totals(self) -> Totals:
        whole = sum((plan.amount for plan in self._plans.values()), Amount())
        return Totals(whole.bytes, whole.objects, whole.segments, whole.rows)

    # --- checking and writing

    async def _write(self, spools: SpoolDirectory, records: ClusterRecords) -> CreateResult:
        writer = MetadataWriter(
            self._target.store,
            self._layout,
            spools,
            generation=self._name.generation,
            part_bytes=self._limits.part_bytes,
        )
        self._tracker.enter(Phase.CHECKING, self._totals())
        await self._for_each(lambda name: self._check_one(name, writer, spools))
        self._require_some()
        if self._marks.failed and not self._checked.allow_partial:
            return self._unfinished()
        self._tracker.enter(Phase.WRITING_METADATA)
        await self._discard_failed()
        for name in self._left:
            await writer.add(self._plans[name], self._manifests[name], self._checked.backup_id)
        if self._resumed:
            await self._earlier.remove(self._name.generation)
        info = backup_info(self._checked, records, self._flushing.flush_all)
        head = manifest_head(self._checked, records, self._marks.failed, self._environment.version)
        await writer.commit(info, head, self._name.require)
        return CreateResult(
            collection_count=writer.written.collections,
            object_count=writer.written.objects,
            size_bytes=writer.written.bytes,
            row_count=writer.written.rows,
            server_side_copy_count=sum(plan.server_side for plan in self._plans.values()),
            rbac=records.rbac_counts,
        )

    async def _check_one(
        self, name: CollectionName, writer: MetadataWriter, spools: SpoolDirectory
    ) -> None:
        plan = self._plans[name]
        if name in self._manifests:  # whole since the earlier run
            self._tracker.advance(Amount(bytes=plan.amount.bytes, objects=plan.amount.objects))
        else:
            self._manifests[name] = spools.spool()
            await self._copier.check(plan, self._manifests[name])
        await self._name.require()
        await writer.upload_objects(plan, self._manifests[name])
        self._tracker.collection(name, state=CollectionState.SUCCEEDED)

    # --- what fails

    @property
    def _left(self) -> list[CollectionName]:
        """The collections that have not failed."""
        return [name for name in self._selected.collections if name not in self._marks.failed]

    async def _for_each(self, work: Callable[[CollectionName], Awaitable[None]]) -> None:
        await for_each(
            self._left,
            lambda name: self._each(name, work(name)),
            concurrent=self._limits.collections,
        )

    async def _each(self, name: CollectionName, work: Awaitable[None]) -> None:
        """Await the work on one collection, and mark the collection when it fails."""
        await self._marks.trying([name], work)

    def _require_some(self) -> None:
        """Raise what a collection failed with if that leaves nothing worth going on for."""
        self._marks.require_some(self._left)
        if not any(self._plans[name].amount.objects for name in self._left):
            for error in self._marks.failed.values():
                if isinstance(error, SourceStorageMismatch):
                    raise error  # nothing at all was found where Milvus's objects should be

    async def _discard_failed(self) -> None:
        """Remove what was copied of collections that failed: a complete backup holds nothing else."""
        for name in self._marks.failed:
            if name in self._plans:
                await self._discard(self._plans[name].collection_id)

    async def _discard(self, collection_id: int) -> None:
        """Remove what was copied of a collection, and first what says that it is whole."""
        await self._earlier.forget(collection_id)
        await self._copier.discard(collection_id)

    def _unfinished(self) -> CreateResult:
        """Return what stands of a backup that is not complete, because collections failed."""
        plans = [self._plans[name] for name in self._left]
        whole = sum((plan.amount for plan in plans), Amount())
        return CreateResult(
            collection_count=len(plans),
            object_count=whole.objects,
            size_bytes=whole.bytes,
            row_count=whole.rows,
            server_side_copy_count=sum(plan.server_side for plan in plans),
        )


def _flushing(
    checked: CheckedCreate, snapshots: Snapshots, limits: WorkLimits, tracker: Tracker
) -> Flushing:
    gateway = checked.cluster.gateway
    late = LateWrites(gateway, checked.source, checked.accepted, limits.copied_seconds)
    bulk = BulkFlush(gateway, late, limits) if checked.capabilities.flush_all else None
    return Flushing(
        gateway, snapshots, late, checked.strategy, limits, bulk=bulk, warn=tracker.warn
    )
