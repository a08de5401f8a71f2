"""The work of a restore: everything is verified first, built under temporary names, and renamed at the end.

Collections are read from the backup's metadata one after another, so memory holds one of them at a
time. The steps are modules of their own: ``restore_source`` verifies, ``restore_import`` imports one
collection, ``restore_end`` finishes or cleans up. What is done is written into the journal before and
after each step, so that an interrupted restore is continued by the same code: it leaves out what the
journal says is done.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from milvus_backup_server.domain.errors import BackupError, OperationInterrupted, Unavailable
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    CollectionProgress,
    CollectionState,
    Phase,
    RestoreResult,
)
from milvus_backup_server.domain.records import CollectionBackupInfo
from milvus_backup_server.domain.renaming import Target
from milvus_backup_server.domain.restore_journal import FORMAT_VERSION, RestoreHead, require_same
from milvus_backup_server.domain.restore_mapping import MappedDatabase
from milvus_backup_server.domain.restore_plan import name_of, row_count
from milvus_backup_server.domain.target_collection import TargetCollection, target_collection
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.building import Built, CollectionBuilder
from milvus_backup_server.service.context import Environment, WorkLimits
from milvus_backup_server.service.fence import require_ours
from milvus_backup_server.service.filling import CollectionFiller
from milvus_backup_server.service.function_checks import FunctionChecks
from milvus_backup_server.service.importing import ImportLost, ImportQueue
from milvus_backup_server.service.open_imports import OpenImports
from milvus_backup_server.service.replacing import Replacements, replacing
from milvus_backup_server.service.restore_end import CleanUp, Ending, EndParts, RestoreEnd
from milvus_backup_server.service.restore_finished import FinishedRestores
from milvus_backup_server.service.restore_import import CollectionImport
from milvus_backup_server.service.restore_journal import RestoreJournal
from milvus_backup_server.service.restore_rbac import RbacRestore
from milvus_backup_server.service.restore_source import RestoreSource, SourceObjects
from milvus_backup_server.service.restore_work import CheckedRestore, RestoreMarks
from milvus_backup_server.service.running import WorkInterrupted
from milvus_backup_server.service.serving import Served, TargetServing
from milvus_backup_server.service.spool import SpoolDirectory
from milvus_backup_server.service.staging import StagedCopies, Staging
from milvus_backup_server.service.tracker import Totals, Tracker

_ATTEMPTS = 3
"""How often a collection is built until an import that Milvus lost fails the restore."""


class RestoreRun:
    """One run of a restore, or of what an interrupted one left to do.

    Args:
        checked: The restore.
        environment: Where, and how much at one time.
        engine: What copies objects.
        queue: Where imports are issued.
        tracker: Where progress goes.
        journal: Loaded where an earlier run is continued.
        ending: What becomes of the collections.
    """

    def __init__(
        self,
        checked: CheckedRestore,
        environment: Environment,
        engine: TransferEngine,
        queue: ImportQueue,
        *,
        tracker: Tracker,
        journal: RestoreJournal,
        ending: Callable[[EndParts], Ending] = RestoreEnd,
    ) -> None:
        limits = environment.limits
        repository = checked.repository
        self._checked = checked
        self._tracker = tracker
        self._journal = journal
        self._resumed = journal.begun
        self._finished = FinishedRestores(repository.records)
        self._marks = RestoreMarks(checked, tracker)
        self._builder = _builder(checked, limits, queue, tracker, journal)
        self._copies = StagedCopies(checked.milvus, checked.place, tracker)
        self._staging = Staging(
            repository.storage,
            repository.layout(checked.request.backup_name),
            checked.milvus,
            checked.place,
            engine=engine,
            tracker=tracker,
        )
        self._source = RestoreSource(checked, limits, tracker, self._marks, journal)
        self._importer = CollectionImport(checked, limits, queue, tracker, journal)
        self._rbac = RbacRestore(checked, tracker, journal)
        self._filler = CollectionFiller(checked, self._importer, tracker, journal)
        gateway = checked.cluster.gateway
        switchable = checked.capabilities.function_checks
        self._function_checks = FunctionChecks(gateway, switchable=switchable)
        self._replacements = Replacements(gateway, checked.present, self._builder, tracker, limits)
        self._end = ending(
            EndParts(
                self._builder,
                self._replacements,
                TargetServing(gateway, tracker, limits),
                self._finished,
                checked.operation,
                tracker,
                self._marks,
                journal,
            )
        )
        self._clean_up = CleanUp(
            self._builder, self._replacements, self._copies, tracker=tracker, journal=journal
        )
        self._import_totals = Totals(
            bytes=sum(item.size_bytes for item in checked.plan),
            rows=sum(item.row_count for item in checked.plan),
        )
        self._source_totals = _source_totals(checked)

    async def run(self) -> RestoreResult:
        """Restore and return what was made.

        A collection that cannot be restored does not keep the others from it, as long as what it failed
        with concerns it alone.

        Failed or cancelled it takes away what it made. Interrupted, by a stop of the service or by
        something outside that does not answer, it leaves what was made to those who resume.

        Raises:
            WorkInterrupted: Something outside does not answer; the restore can be resumed.
        """
        self._tracker.add_collections(
            CollectionProgress(
                source=item.source,
                target=item.target,
                bytes_total=item.size_bytes,
                row_count=item.row_count,
            )
            for item in self._checked.plan
        )
        if self._resumed:  # from here on a cancel takes it away
            self._builder.adopt()
            self._replacements.adopt(replacing(self._journal))
        try:
            async with SpoolDirectory() as spools:
                return await self._work(spools)
        except BaseException as error:  # also a cancel that comes while the spools are removed
            if self._can_be_resumed(error):
                if isinstance(error, Unavailable):
                    raise WorkInterrupted(error) from error
                raise
            await require_ours(self._tracker)
            self._filler.tell()
            self._rbac.tell()
            await self._take_away()
            if self._tracker.cancel_requested:
                self._tracker.raise_cancelled(error)
            raise

    async def _take_away(self) -> None:
        """Clean up; who cancels a restore that has failed wants no less, and has it begin once more."""
        cancelled = self._tracker.cancel_requested
        try:
            await self._clean_up.run(renamed=cancelled)
        except asyncio.CancelledError:
            if cancelled or not self._tracker.cancel_requested:
                raise
            await self._clean_up.run(renamed=cancelled)

    def _can_be_resumed(self, error: BaseException) -> bool:
        if isinstance(error, OperationInterrupted):  # another service goes on with it
            return True
        passing = isinstance(error, asyncio.CancelledError | Unavailable | WorkInterrupted)
        return passing and self._journal.lasting and not self._tracker.cancel_requested

    async def _work(self, spools: SpoolDirectory) -> RestoreResult:
        if self._resumed:
            await self._builder.forget_missing()
        await self._build(spools)
        if self._resumed:
            await self._builder.drop_others(map(Built.of, self._journal.whole()))
            await self._tidy(self._copies.clear())
        if self._rbac.added is not None:
            # Where all failed no users are to be left behind.
            failed = self._marks.failed
            self._marks.require_some([it for it in self._checked.plan if it.target not in failed])
        await self._rbac.run()
        return await self._end.finish(
            resumed=self._resumed, staged=self._staging.count, rbac=self._rbac.added
        )

    async def _build(self, spools: SpoolDirectory) -> None:
        databases = await self._begin()
        self._tracker.enter(self._end.looks, self._source_totals)
        objects = await self._source.verify(spools)
        self._marks.require_some(objects)
        await self._importer.choose_route()
        await self._builder.create_databases(
            databases, with_properties=self._checked.capabilities.database_properties
        )
        async for record in self._source.records():
            verified = objects.get(name_of(record))
            if verified is not None:
                await self._restore(record, verified)

    async def _begin(self) -> list[MappedDatabase]:
        """Write down what is to be made, and return the databases of it."""
        backup, place = await self._source.fingerprint(), self._checked.import_from
        before = self._journal.head
        if before is not None:
            require_same(before, backup=backup, place=place)
        missing = await self._builder.missing(self._checked.new_databases)
        made = dict.fromkeys(before.databases if before is not None else ())
        made |= dict.fromkeys(database.name for database in missing)
        head = before or RestoreHead(backup=backup, place=place)
        # That names are being given stays known; an older service must not go on from here.
        head = replace(head, databases=tuple(made), format_version=FORMAT_VERSION)
        await self._finished.tidy()
        if head != before:
            await self._journal.begin(head)
        if self._journal.refusal is not None:
            self._tracker.warn(self._journal.refusal)
        return missing

    async def _restore(self, record: CollectionBackupInfo, objects: SourceObjects) -> None:
        """Restore a collection of the backup into each of its targets."""
        name = name_of(record)
        left = [it for it in self._checked.names(name) if it not in self._marks.failed]
        lacking = [it for it in left if not self._journal.is_imported(it)]
        await self._marks.trying(lacking or left, self._stage(record, objects, left))
        for target in self._checked.targets[name]:
            if target.name not in self._marks.failed:
                into = self._restore_into(target, record, objects)
                await self._marks.trying([target.name], into)
            if target.name in self._marks.failed:
                await self._builder.drop_failed(target.name)  # its rows need not wait for the end
        await self._tidy(self._copies.clear_of(record.collection_id))
        objects.verified.remove()

    async def _tidy(self, removal: Awaitable[None]) -> None:
        """Await that copies are removed which are not needed any more; a store may refuse it."""
        try:
            await removal
        except Unavailable:
            raise
        except BackupError as error:
            self._copies.warn(error)

    async def _stage(
        self,
        record: CollectionBackupInfo,
        objects: SourceObjects,
        names: Sequence[CollectionName],
    ) -> None:
        for target in names:
            self._tracker.collection(target, state=CollectionState.RUNNING)
        if self._checked.place.staged and not all(map(self._journal.is_imported, names)):
            self._tracker.enter(Phase.STAGING, self._source_totals)
            await self._staging.fill(objects.verified, record.collection_id, reuse=self._resumed)
        self._tracker.enter(Phase.IMPORTING, self._import_totals)

    async def _restore_into(
        self, target: Target, record: CollectionBackupInfo, objects: SourceObjects
    ) -> None:
        request = self._checked.request
        options = request.options
        wanted = target_collection(record, target, options, indexes=request.restore_indexes)
        wanted = self._end.shaped(record, wanted)
        cut = options.truncate_to_checkpoints or objects.moment is not None
        served = Served.of(wanted, row_count(record, cut=cut), replicas=objects.replicas)
        if options.skip_create_collections:
            self._end.remember(target.name, replace(served, rows=None))
            await self._filler.fill(target.name, wanted, record, objects)
            return
        self._end.remember(target.name, served)
        if not self._journal.is_imported(target.name):
            await self._import_whole(target.name, wanted, record, objects)
        entry = self._journal.require_target(target.name)
        if not entry.whole:
            # Not of all collections at once at the end: Milvus 2.3 loses the notice of an index
            # that is made right after another collection's, and builds it half a minute later.
            await self._builder.create_indexes(Built.of(entry), wanted.indexes)
            await self._function_checks.put_back(entry.place, wanted)
            await self._journal.note_whole(target.name)
        await self._end.whole(Built.of(entry), record, objects.moment)

    async def _import_whole(
        self,
        target: CollectionName,
        wanted: TargetCollection,
        record: CollectionBackupInfo,
        objects: SourceObjects,
    ) -> None:
        """Import everything, into a collection made anew where Milvus lost an import."""
        built = await self._builder.continued(target)
        for attempt in itertools.count(1):
            if built is None:
                made = self._function_checks.without(wanted)
                built = await self._builder.create(name_of(record), target, made)
            try:
                return await self._importer.run(record, objects, built)
            except ImportLost as lost:
                if attempt == _ATTEMPTS:
                    raise lost.error from lost
                self._tracker.warn(_built_anew(lost.error, built))
                await self._builder.drop(built.temporary)
                built = None
        return None


def _builder(
    checked: CheckedRestore,
    limits: WorkLimits,
    queue: ImportQueue,
    tracker: Tracker,
    journal: RestoreJournal,
) -> CollectionBuilder:
    return CollectionBuilder(
        checked.cluster.gateway,
        checked.operation,
        tracker,
        limits,
        journal=journal,
        imports=OpenImports(queue, journal, tracker),
    )


def _source_totals(checked: CheckedRestore) -> Totals:
    """Return what is read of the backup; a collection with several targets counts once."""
    sizes = {item.source: item.size_bytes for item in checked.plan}
    return Totals(bytes=sum(sizes.values()))


def _built_anew(error: BackupError, built: Built) -> BackupError:
    """Return an error as a warning."""
    text = f"{error.message}; {built.target} is built anew"
    return type(error)(text, **error.metadata)
