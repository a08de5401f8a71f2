"""The rows that a collection has: those of its segments that are not deleted, at a moment or at the end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from milvus_backup_server.domain.binlogs import Delete, Key, RowBatch, SegmentLogs, columns_of
from milvus_backup_server.domain.records import (
    CollectionBackupInfo,
    CollectionSchema,
    PartitionBackupInfo,
    SegmentBackupInfo,
)
from milvus_backup_server.domain.restore_plan import segment_objects
from milvus_backup_server.ports.binlogs import BinlogReader
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.concurrency import in_thread
from milvus_backup_server.service.scratch import ScratchDatabase

_DELTAS = "binlogs/delta_log/"
_NO_CUT = (1 << 63) - 1
_KEYS_AT_ONCE = 500
_PUT = "INSERT INTO deletes VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET at = max(at, excluded.at)"


class DeleteIndex(ScratchDatabase):
    """The last delete of each key.

    Args:
        moment: Deletes after this hybrid timestamp do not count; None counts all.
    """

    def __init__(self, moment: int | None = None) -> None:
        super().__init__("CREATE TABLE deletes (key PRIMARY KEY, at) WITHOUT ROWID")
        self._moment = _NO_CUT if moment is None else moment

    def add(self, deletes: Sequence[Delete]) -> None:
        """Note deletes; of several of one key the last counts."""
        pairs = [(item.key, item.timestamp) for item in deletes if item.timestamp <= self._moment]
        self._put(_PUT, pairs)

    def deleted_at(self, keys: Sequence[Key]) -> dict[Key, int]:
        """Return when keys were deleted, those of them that were."""
        found: dict[Key, int] = {}
        for begin in range(0, len(keys), _KEYS_AT_ONCE):
            some = keys[begin : begin + _KEYS_AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"SELECT key, at FROM deletes WHERE key IN ({marks})"  # noqa: S608 - marks alone
            found.update(self._database.execute(query, some))
        return found


async def live_rows(
    reader: BinlogReader,
    store: ObjectStore,
    logs: SegmentLogs,
    schema: CollectionSchema,
    *,
    deletes: Sequence[DeleteIndex] = (),
    moment: int | None = None,
    fields: Sequence[str] | None = None,
) -> AsyncGenerator[RowBatch, None]:
    """Yield the rows of one segment that are not deleted, as an import of Milvus leaves them.

    Args:
        reader: Decodes the logs.
        store: Where they are.
        logs: The segment's logs; its own delta logs count.
        schema: Of the collection.
        deletes: Of L0 segments that hold for this one too.
        moment: Rows and deletes after it do not count; None counts all.
        fields: Names of the fields to decode, all if None.
    """
    with DeleteIndex(moment) as own:
        await note_deletes(reader, store, logs.deltas, own)
        indexes = (own, *deletes)
        async with aclosing(reader.rows(store, logs, schema, fields=fields)) as batches:
            async for batch in batches:
                alive = await in_thread(_alive, batch, indexes, moment)
                if alive:
                    yield batch.keep(alive)


async def note_deletes(
    reader: BinlogReader, store: ObjectStore, keys: Sequence[str], index: DeleteIndex
) -> None:
    """Add the deletes in delta logs to an index."""
    async with aclosing(reader.deletes(store, keys)) as batches:
        async for batch in batches:
            await in_thread(index.add, batch)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRows:
    """The rows of one backup, as a restore gives them.

    Attributes:
        reader: Decodes the logs.
        store: Where the backup is.
        directory: Of the backup, ending in ``/``.
        moment: Rows and deletes after it do not count; None counts all.
        fields: Names of the fields to decode, all if None.
    """

    reader: BinlogReader
    store: ObjectStore
    directory: str
    moment: int | None = None
    fields: Sequence[str] | None = None

    async def of_collection(self, record: CollectionBackupInfo) -> AsyncGenerator[RowBatch, None]:
        """Yield the rows of a collection; its metadata must be sound."""
        async with self.opened(record) as opened:
            for partition in record.partition_backups:
                async with aclosing(opened.of_partition(partition)) as batches:
                    async for batch in batches:
                        yield batch

    @asynccontextmanager
    async def opened(self, record: CollectionBackupInfo) -> AsyncIterator[CollectionRows]:
        """Read the deletes that hold for a whole collection, for the time of a block."""
        with DeleteIndex(self.moment) as everywhere:
            opened = CollectionRows(self, record, everywhere)
            await opened.note(record.l0_segments, everywhere)
            yield opened


class CollectionRows:
    """The rows of one collection of a backup, partition by partition; see ``BackupRows.opened``."""

    def __init__(
        self, backup: BackupRows, record: CollectionBackupInfo, everywhere: DeleteIndex
    ) -> None:
        self._backup = backup
        self._record = record
        self._everywhere = everywhere

    async def of_partition(self, partition: PartitionBackupInfo) -> AsyncGenerator[RowBatch, None]:
        """Yield the rows of a partition."""
        segments, backup = partition.segment_backups, self._backup
        with DeleteIndex(backup.moment) as inside:
            await self.note([it for it in segments if it.is_l0], inside)
            for segment in segments:
                if segment.is_l0:
                    continue
                rows = live_rows(
                    backup.reader,
                    backup.store,
                    self._logs(segment),
                    self._record.schema or CollectionSchema(),
                    deletes=(inside, self._everywhere),
                    moment=backup.moment,
                    fields=backup.fields,
                )
                async with aclosing(rows) as batches:
                    async for batch in batches:
                        yield batch

    async def note(self, segments: Iterable[SegmentBackupInfo], index: DeleteIndex) -> None:
        """Add the deletes of L0 segments to an index."""
        for segment in segments:
            logs = self._logs(segment)
            await note_deletes(self._backup.reader, self._backup.store, logs.deltas, index)

    def _logs(self, segment: SegmentBackupInfo) -> SegmentLogs:
        directory = self._backup.directory
        found = segment_objects(self._record.collection_id, segment.partition_id, segment)
        keys = [f"{directory}{key}" for key, _ in found]
        deltas = [key for key in keys if key.startswith(f"{directory}{_DELTAS}")]
        inserts = keys[: len(keys) - len(deltas)]
        return SegmentLogs(columns_of(inserts), deltas)


def _alive(batch: RowBatch, indexes: Sequence[DeleteIndex], moment: int | None) -> list[int]:
    last = _NO_CUT if moment is None else moment
    ends = [index.deleted_at(batch.keys) for index in indexes]
    return [
        number
        for number, (key, written) in enumerate(zip(batch.keys, batch.timestamps, strict=True))
        if written <= last and all(end.get(key, 0) <= written for end in ends)
    ]
