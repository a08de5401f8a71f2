"""Comparing a collection's objects with what was recorded of them, and going on after what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from milvus_backup_server.domain.errors import (
    BackupError,
    ObjectChanged,
    ObjectNotFound,
    StorageDenied,
    StorageRefused,
    StorageUnavailable,
)
from milvus_backup_server.domain.layout import BackupLayout, parse_backup_key
from milvus_backup_server.domain.manifest import ManifestObject
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.domain.operations import Amount
from milvus_backup_server.domain.verification import (
    Problem,
    ProblemKind,
    Sample,
    VerifyLevel,
    etag_problem,
    expected_md5,
    listing_problem,
)
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.concurrency import for_each_of
from milvus_backup_server.service.context import WorkLimits
from milvus_backup_server.service.objects import list_objects, md5_of_object
from milvus_backup_server.service.reconcile import Pair, reconcile
from milvus_backup_server.service.tracker import Tracker
from milvus_backup_server.service.verify_report import VerifyReport

_MOST_UNREADABLE = 100
"""More of them are a fault of the store: each may have cost the whole patience with a request."""


class ObjectsCheck:
    """Verifies the data objects of one backup.

    Args:
        store: The repository's store.
        layout: Keys of the backup.
        report: Gets what is wrong.
        tracker: Where progress goes.
        level: How thoroughly.
        sample: What is read where the level reads.
        limits: Bounds of the work.
        reading: Held while an object is read; all verifications share it.
    """

    def __init__(
        self,
        store: ObjectStore,
        layout: BackupLayout,
        report: VerifyReport,
        tracker: Tracker,
        *,
        level: VerifyLevel,
        sample: Sample,
        limits: WorkLimits,
        reading: asyncio.Semaphore,
    ) -> None:
        self.etags_are_md5 = False
        self._store = store
        self._layout = layout
        self._report = report
        self._tracker = tracker
        self._reads = level.reads
        self._sample = sample
        self._limits = limits
        self._reading = reading
        self._unreadable = 0

    async def check(
        self,
        name: CollectionName,
        collection_id: int,
        wanted: AsyncIterator[ManifestObject],
        *,
        was_read: bool = False,
    ) -> None:
        """Verify a collection.

        Args:
            name: Its name, for the report.
            collection_id: Its id at the source.
            wanted: What was recorded, in the order of keys.
            was_read: Its content was compared before: what is listed is enough.

        Raises:
            StorageUnavailable, StorageDenied, StorageRefused: The store cannot be read at all.
        """

        async def judge(pair: Pair) -> None:
            await self._judge(name, pair, reads=self._reads and not was_read)

        present = self._present(name, collection_id)
        pairs = reconcile(wanted, present, self._layout.directory)
        await for_each_of(pairs, judge, concurrent=self._limits.objects_read)

    async def _present(self, name: CollectionName, collection_id: int) -> AsyncIterator[ObjectInfo]:
        """Yield what is there and may belong to the collection, in the order of keys.

        Stores differ in the order of names that are no log's.
        """
        insert, delta = self._layout.collection_data(collection_id)
        for prefix in (delta, insert):
            async for item in list_objects(self._store, prefix):
                if parse_backup_key(self._relative(item)) is not None:
                    yield item
                else:
                    await self._judge(name, Pair(None, item), reads=False)

    async def _judge(self, name: CollectionName, pair: Pair, *, reads: bool) -> None:
        wanted, present = pair.wanted, pair.present
        found = listing_problem(wanted, present)
        if wanted is None or present is None or found is not None:
            self._note_listed(wanted)
        elif reads and wanted.key in self._sample:
            found = await self._read(wanted, present)
        else:
            found = etag_problem(wanted, present)
            self._note_listed(wanted)
        if found is not None:
            key = wanted.key if wanted else self._relative(present)
            kind, how = found
            self._report.add(Problem(key, kind, f"{key} {how}", name))
        if wanted is not None:
            read = wanted.size if self._reads and self._sample.whole else 0
            self._tracker.advance(Amount(bytes=read, objects=1), name)

    def _note_listed(self, wanted: ManifestObject | None) -> None:
        if wanted is not None:
            self._report.count(listed=1, size_bytes=wanted.size)

    async def _read(
        self, wanted: ManifestObject, present: ObjectInfo
    ) -> tuple[ProblemKind, str] | None:
        expected = expected_md5(wanted, present, etags_are_md5=self.etags_are_md5)
        way = "hash_checked" if wanted.hash else "etag_checked" if expected else "read"
        self._report.count(size_bytes=wanted.size, **{way: 1})
        try:
            async with self._reading:
                md5 = await md5_of_object(
                    self._store,
                    present,
                    self._limits.part_bytes,
                    expected,
                    memory=self._limits.memory,
                )
        except ObjectNotFound:
            return ProblemKind.MISSING, "vanished while it was verified"
        except ObjectChanged:
            return ProblemKind.CONTENT, "changed while it was verified"
        except (StorageUnavailable, StorageDenied, StorageRefused) as error:
            await self._require_store(error)
            return ProblemKind.UNREADABLE, f"cannot be read: {error.message}"
        self._report.count(read_bytes=wanted.size)
        if expected and md5 != expected:
            whose = "than was recorded" if wanted.hash else "than the store's own ETag says"
            return ProblemKind.CONTENT, f"has other content {whose}"
        return None if wanted.hash else etag_problem(wanted, present)

    async def _require_store(self, error: BackupError) -> None:
        """Raise an error unless it is one of single objects."""
        self._unreadable += 1
        if self._unreadable > _MOST_UNREADABLE:
            raise error
        await self._store.list_page(self._layout.directory, limit=1)

    def _relative(self, item: ObjectInfo | None) -> str:
        return "" if item is None else item.key.removeprefix(self._layout.directory)
