"""The port to the contents of Milvus's logs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from milvus_backup_server.domain.binlogs import Delete, RowBatch, SegmentLogs
from milvus_backup_server.domain.records import CollectionSchema
from milvus_backup_server.ports.object_store import ObjectStore


class BinlogReader(Protocol):
    """Decodes logs, whatever storage version wrote them.

    One log of each column is on local disk and one batch of rows in memory at a time. Close the
    generators (``contextlib.aclosing``): then nothing stays on disk.

    Both methods raise ObjectNotFound for a log that is not there, BackupCorrupt for one that cannot
    be read, WorkSpaceUnavailable when the local disk does not take it.
    """

    def rows(
        self,
        store: ObjectStore,
        logs: SegmentLogs,
        schema: CollectionSchema,
        *,
        fields: Sequence[str] | None = None,
    ) -> AsyncGenerator[RowBatch, None]:
        """Yield the rows of a segment as they were inserted, deleted ones included.

        Fields that were added to the collection after the segment was written have their default
        value, or null.

        Args:
            store: Where the logs are.
            logs: The logs of the segment; its delta logs are not read.
            schema: Of the collection.
            fields: Names of the fields to decode, all if None; keys and timestamps come always.
        """
        ...

    def deletes(
        self, store: ObjectStore, keys: Sequence[str]
    ) -> AsyncGenerator[Sequence[Delete], None]:
        """Yield the deletes in delta logs, with repeated ones."""
        ...
