"""The work of a restore: everything is verified first, built under temporary names, and renamed at the end.

Collections are read from the backup's metadata one after another, so memory holds one of them at a
time. The steps are modules of their own: ``restore_source`` verifies, ``restore_import`` imports one
collection, ``restore_end`` finishes or cleans up.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    CollectionProgress,
    CollectionState,
    Phase,
    RestoreResult,
)
from milvus_backup_server.domain.records import CollectionBackupInfo
from milvus_backup_server.domain.renaming import Target
from milvus_backup_server.domain.restore_plan import name_of, row_count
from milvus_backup_server.domain.target_collection import TargetCollection, target_collection
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.building import Built, CollectionBuilder
from milvus_backup_server.service.context import Environment
from milvus_backup_server.service.filling import CollectionFiller
from milvus_backup_server.service.importing import ImportLost, ImportQueue
from milvus_backup_server.service.restore_end import RestoreEnd
from milvus_backup_server.service.restore_import import CollectionImport
from milvus_backup_server.service.restore_source import RestoreSource, SourceObjects
from milvus_backup_server.service.restore_work import CheckedRestore, RestoreCounts, RestoreMarks
from milvus_backup_server.service.serving import Served
from milvus_backup_server.service.spool import SpoolDirectory
from milvus_backup_server.service.staging import Staging
from milvus_backup_server.service.tracker import Totals, Tracker

_ATTEMPTS = 3
"""How often a collection is built until an import that Milvus lost fails the restore."""


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
        limits = environment.limits
        repository = checked.repository
        self._checked = checked
        self._tracker = tracker
        self._counts = RestoreCounts()
        self._marks = RestoreMarks(checked, tracker)
        self._builder = CollectionBuilder(
            checked.cluster.gateway, checked.operation, tracker, limits
        )
        self._staging = Staging(
            repository.storage,
            repository.layout(checked.request.backup_name),
            checked.milvus,
            checked.place,
            engine=engine,
            tracker=tracker,
        )
        self._source = RestoreSource(checked, limits, tracker, self._marks, self._counts)
        self._importer = CollectionImport(checked, limits, queue, tracker, self._counts)
        self._filler = CollectionFiller(checked, self._importer, tracker)
        self._end = RestoreEnd(
            checked, self._builder, self._staging, tracker, self._marks, limits=limits
        )
        self._built: list[Built] = []
        self._import_totals = Totals(
            bytes=sum(item.size_bytes for item in checked.plan),
            rows=sum(item.row_count for item in checked.plan),
        )
        sources = {item.source: item.size_bytes for item in checked.plan}
        self._source_totals = Totals(bytes=sum(sources.values()))

    async def run(self) -> RestoreResult:
        """Restore and return what was made; failed or stopped it takes away what it made.

        A collection that cannot be restored does not keep the others from it, as long as what it failed
        with concerns it alone.
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
        try:
            async with SpoolDirectory() as spools:
                await self._work(spools)
        except BaseException as error:  # also a cancel that comes while the spools are removed
            self._filler.tell()
            await self._end.clean_up()
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

    async def _work(self, spools: SpoolDirectory) -> None:
        self._tracker.enter(Phase.VERIFYING, self._source_totals)
        objects = await self._source.verify(spools)
        self._marks.require_some(objects)
        await self._builder.create_databases(
            self._checked.new_databases,
            with_properties=self._checked.capabilities.database_properties,
        )
        await self._importer.choose_route()
        async for record in self._source.records():
            verified = objects.get(name_of(record))
            if verified is not None:
                await self._restore(record, verified)
        self._built = await self._end.finish(self._built)

    async def _restore(self, record: CollectionBackupInfo, objects: SourceObjects) -> None:
        """Restore a collection of the backup into each of its targets."""
        name = name_of(record)
        staged = await self._marks.trying(self._checked.names(name), self._stage(name, objects))
        for target in self._checked.targets[name] if staged else ():
            into = self._restore_into(target, record, objects)
            if not await self._marks.trying([target.name], into):
                await self._builder.drop_others(self._built)  # its rows need not wait for the end
        await self._staging.clear()
        objects.verified.remove()

    async def _stage(self, name: CollectionName, objects: SourceObjects) -> None:
        for target in self._checked.names(name):
            self._tracker.collection(target, state=CollectionState.RUNNING)
        if self._checked.place.staged:
            self._tracker.enter(Phase.STAGING, self._source_totals)
            await self._staging.fill(objects.verified)
        self._tracker.enter(Phase.IMPORTING, self._import_totals)

    async def _restore_into(
        self, target: Target, record: CollectionBackupInfo, objects: SourceObjects
    ) -> None:
        request = self._checked.request
        wanted = target_collection(record, target, request.options, indexes=request.restore_indexes)
        options = request.options
        cut = options.truncate_to_checkpoints or objects.moment is not None
        served = Served.of(wanted, row_count(record, cut=cut), replicas=objects.replicas)
        if options.skip_create_collections:
            self._end.remember(target.name, replace(served, rows=None))
            built = await self._filler.fill(target.name, wanted, record, objects)
        else:
            self._end.remember(target.name, served)
            built = await self._import_whole(target.name, wanted, record, objects)
            # Not of all collections at once at the end: Milvus 2.3 loses the notice of an index that
            # is made right after another collection's, and builds it half a minute later.
            await self._builder.create_indexes(built)
        self._built.append(built)

    async def _import_whole(
        self,
        target: CollectionName,
        wanted: TargetCollection,
        record: CollectionBackupInfo,
        objects: SourceObjects,
    ) -> Built:
        """Import everything, into a collection made anew where Milvus lost an import."""
        for attempt in itertools.count(1):
            built = await self._builder.create(name_of(record), target, wanted)
            try:
                await self._importer.run(record, objects, built)
            except ImportLost as lost:
                if attempt == _ATTEMPTS:
                    raise lost.error from lost
                self._tracker.warn(_built_anew(lost.error, built))
                await self._builder.drop(built)
            else:
                return built
        raise AssertionError  # the loop ends by itself


def _built_anew(error: BackupError, built: Built) -> BackupError:
    """Return an error as a warning."""
    text = f"{error.message}; {built.target} is built anew"
    return type(error)(text, **error.metadata)
