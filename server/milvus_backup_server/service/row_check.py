"""The rows of a restored collection beside those of the backup's logs, partition by partition.

Memory is bounded: rows are summed up by hash in groups of keys. Only where the sums differ are the rows of
those groups read once more and compared one by one, on local disk.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from milvus_backup_server.domain.binlogs import Key, RowBatch
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import Amount
from milvus_backup_server.domain.records import (
    CollectionBackupInfo,
    CollectionSchema,
    PartitionBackupInfo,
)
from milvus_backup_server.domain.row_form import RowForm, RowSums, UnfitRows
from milvus_backup_server.domain.target_collection import has_partition_key
from milvus_backup_server.domain.verification import SHOWN_KEYS, RowDifference
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.concurrency import in_thread
from milvus_backup_server.service.row_differences import RowDifferences
from milvus_backup_server.service.rows import BackupRows, CollectionRows
from milvus_backup_server.service.scratch import keeping
from milvus_backup_server.service.tracker import Tracker

_FIRST_PAGE = 128
_LARGEST_PAGE = 8192
"""Rows of one query; Milvus takes 16,384."""

_PAGE_BYTES = 4 << 20

Rows = Callable[[], AsyncGenerator[RowBatch, None]]
Take = Callable[[Sequence[Key], Sequence[bytes]], None]


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison found.

    Attributes:
        rows: Rows of the backup.
        differences: None where they are the same.
    """

    rows: int
    differences: tuple[tuple[PartitionBackupInfo | None, RowDifference], ...]


class RowCheck:
    """Compares one collection.

    Args:
        backup: Reads the backup's rows.
        record: The collection.
        gateway: Where it was restored.
        place: Under which name; loaded.
        tracker: Where progress goes.
        source: What the tracker calls it.
    """

    def __init__(
        self,
        backup: BackupRows,
        record: CollectionBackupInfo,
        gateway: MilvusGateway,
        place: CollectionName,
        *,
        tracker: Tracker,
        source: CollectionName,
    ) -> None:
        schema = record.schema or CollectionSchema()
        self.form = RowForm(schema)
        self._backup = replace(backup, fields=self.form.fields)
        self._record = record
        self._gateway = gateway
        self._place = place
        self._tracker = tracker
        self._source = source
        self._key = next((it.name for it in schema.fields if it.is_primary_key), "")
        self._rows = 0

    async def run(self) -> Compared:
        """Compare all rows.

        Raises:
            BackupCorrupt: A log cannot be decoded.
            WorkSpaceUnavailable: The local disk does not take it.
        """
        with keeping("keys of rows"):
            return await self._run()

    async def _run(self) -> Compared:
        async with self._backup.opened(self._record) as opened:
            differences = [item async for item in self._by_partition(opened)]
        if not differences:
            counted = await self._gateway.count_rows(self._place)
            if counted is not None and counted != self._rows:
                more = counted - self._rows
                found = RowDifference(missing=max(-more, 0), extra=max(more, 0))
                differences.append((None, found))
        return Compared(self._rows, tuple(differences))

    async def _by_partition(
        self, opened: CollectionRows
    ) -> AsyncGenerator[tuple[PartitionBackupInfo | None, RowDifference], None]:
        if has_partition_key(self._record.schema):
            found = await self._compare("", lambda: _all(opened, self._record.partition_backups))
            if found is not None:
                yield None, found
            return
        for partition in self._record.partition_backups:
            rows = _of(opened, partition)
            found = await self._compare(partition.partition_name, rows)
            if found is not None:
                yield partition, found

    async def _compare(self, partition: str, backup: Rows) -> RowDifference | None:
        def restored() -> AsyncGenerator[RowBatch, None]:
            return self._restored(partition)

        wanted, there, unfit = RowSums(), RowSums(), UnfitRows(SHOWN_KEYS)
        await self._take(backup, wanted.add, unfit)
        await self._take(restored, there.add)
        self._rows += wanted.rows
        found = RowDifference(partition=partition)
        if buckets := wanted.differing(there):
            with RowDifferences(buckets) as differences:
                await self._take(backup, differences.want)
                await self._take(restored, differences.find)
                found = await in_thread(differences.result, partition)
        found = replace(
            found,
            unfit=unfit.count,
            unfit_keys=tuple(unfit.keys),
            unfit_fields=tuple(unfit.fields),
        )
        return found if found.any else None

    async def _take(self, rows: Rows, take: Take, unfit: UnfitRows | None = None) -> None:
        """Read rows, and count those that are asked whether they fit: the first time that the backup is read."""
        async with aclosing(rows()) as batches:
            async for batch in batches:
                await in_thread(self._hash, batch, take, unfit)
                if unfit is not None:
                    self._tracker.advance(Amount(rows=len(batch)))

    def _hash(self, batch: RowBatch, take: Take, unfit: UnfitRows | None) -> None:
        take(batch.keys, self.form.digests(batch, unfit))

    async def _restored(self, partition: str) -> AsyncGenerator[RowBatch, None]:
        """Yield what Milvus answers, in pages of about 4 MiB."""
        after: Key | None = None
        limit = _FIRST_PAGE
        while True:
            page = await self._gateway.query_rows(
                self._place,
                self.form.fields,
                key=self._key,
                partition=partition,
                after=after,
                limit=limit,
            )
            if not page.keys:
                return
            yield page
            after = page.keys[-1]
            limit = next_limit(limit, len(page.keys), self.form.size(page))


def next_limit(limit: int, rows: int, size: int) -> int:
    """Return how many rows to ask for next, so that a page has about 4 MiB.

    A page may have fewer rows than its limit, and in Milvus 2.3 as many of each segment.

    Args:
        limit: Of the page before.
        rows: That it had.
        size: Their bytes.
    """
    fitting = _PAGE_BYTES * min(rows, limit) // max(size, 1)
    return max(1, min(fitting, 2 * limit, _LARGEST_PAGE))


def _of(opened: CollectionRows, partition: PartitionBackupInfo) -> Rows:
    return lambda: opened.of_partition(partition)


async def _all(
    opened: CollectionRows, partitions: Sequence[PartitionBackupInfo]
) -> AsyncGenerator[RowBatch, None]:
    for partition in partitions:
        async with aclosing(opened.of_partition(partition)) as batches:
            async for batch in batches:
                yield batch
