"""Imports that an interrupted run issued: Milvus reads their objects, and fills a collection, until they end."""

from __future__ import annotations

import contextlib

from milvus_backup_server.domain.errors import BackupError, ImportFailed, NotFound
from milvus_backup_server.domain.milvus import (
    CollectionName,
    ImportJob,
    ImportOptions,
    ImportSource,
)
from milvus_backup_server.domain.restore_journal import ImportEntry, TargetEntry
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.importing import Import, ImportLost, ImportQueue
from milvus_backup_server.service.restore_journal import RestoreJournal
from milvus_backup_server.service.tracker import Tracker


class OpenImports:
    """Waits for them before what they fill is removed; those that a run has come to are over by then.

    Args:
        queue: Where they are waited for.
        journal: What was written down of them.
        tracker: Where it is shown what is waited for.
    """

    def __init__(self, queue: ImportQueue, journal: RestoreJournal, tracker: Tracker) -> None:
        self._queue = queue
        self._journal = journal
        self._tracker = tracker
        self._targets: dict[CollectionName, CollectionName] = {}

    def adopt(self) -> None:
        """Take down which collections imports of an earlier run fill."""
        self._targets = {it.place: it.target for it in self._journal.targets() if it.open}

    async def end_in(self, place: CollectionName) -> None:
        """Wait until none of them fills a collection, whatever its outcome.

        One that does not move any more, or of which Milvus does not tell, becomes a warning. Who is
        stopped here has to wait once more before the collection is removed.
        """
        target = self._targets.get(place)
        entry = self._journal.target(target) if target is not None else None
        if entry is not None and entry.place == place:
            await self._end_all(entry)
        self._targets.pop(place, None)

    async def end_unwritten(
        self, gateway: MilvusGateway, place: CollectionName, prefix: str = ""
    ) -> None:
        """Wait until no import that Milvus lists fills a collection, where nothing is written down.

        Args:
            gateway: Where.
            place: The collection.
            prefix: Of what they read, where others may import into it too. Milvus 2.4 and later list
                jobs without what they read: there all count.
        """
        with contextlib.suppress(NotFound):
            for job in await gateway.list_imports(place):
                ours = not any(job.files) or any(prefix in file for file in job.files)
                if ours and not job.ended:
                    built = TargetEntry(
                        database=place.database, name=place.name, temporary=place.name
                    )
                    await self._end(built, ImportEntry(partition=job.partition, job=job.job_id))

    async def _end_all(self, entry: TargetEntry) -> None:
        # Where a list of jobs does not tell what they read, one is not to be taken for another.
        self._queue.remember(entry.place, (it.job for it in entry.imports if it.job))
        try:
            for item in entry.open:
                await self._end(entry, item)
        finally:
            self._queue.forget(entry.place)

    async def _end(self, entry: TargetEntry, item: ImportEntry) -> None:
        sources = [ImportSource(path) for path in item.paths]
        wanted = Import(entry.place, entry.target, item.partition, sources, ImportOptions())
        try:
            await self._queue.rejoin(wanted, item.job, _Shown(self._tracker, entry))
        except (ImportFailed, ImportLost, NotFound):
            pass
        except BackupError as error:
            self._tracker.warn(error)
        finally:
            self._tracker.wait_for("")


class _Shown:
    """Shows an import that is waited for."""

    def __init__(self, tracker: Tracker, entry: TargetEntry) -> None:
        self._tracker = tracker
        self._target = entry.target

    async def issuing(self) -> None:
        """It was issued before."""

    def is_wanted(self) -> bool:
        """It was issued before."""
        return True

    async def not_taken(self) -> None:
        """It was issued before."""

    async def issued(self, job_id: str) -> None:
        """It was issued before."""

    def seen(self, job: ImportJob) -> None:
        """Show it."""
        self._tracker.wait_for(
            f"import job {job.job_id} of Milvus into {self._target} "
            f"({job.state.value}, {job.progress} %)"
        )

    def waits_for_end(self) -> bool:
        """Who stops this wait is interrupted once more."""
        return False
