"""One log on local disk: its Parquet data, a batch of rows at a time. The place of pyarrow."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from google.protobuf.message import DecodeError

from milvus_backup_server.adapters.binlog.envelope import MAGIC, read_envelope
from milvus_backup_server.domain.errors import BackupCorrupt

Table: TypeAlias = Any
"""A record batch of pyarrow, which comes without types."""

PARQUET_MAGIC = b"PAR1"
_BATCH_BYTES = 4 << 20
_MOST_ROWS = 512  # a value that is repeated takes next to nothing in the file
_FIELD_ID_KEY = b"PARQUET:field_id"
_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    RecursionError,
    struct.error,
    DecodeError,
    pa.ArrowException,
    OSError,
)


class LogFile:
    """A log that was fetched: column groups as they are, others within their events.

    Args:
        path: Where it is.
        key: What it is called in the store, for messages.

    Attributes:
        field_id: The field whose column it holds, -1 in delta logs; None for column groups.

    Raises:
        BackupCorrupt: It cannot be read.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._key = key
        self.field_id: int | None = None
        with readable(key):
            self._map = pa.memory_map(str(path)) if path.stat().st_size else pa.BufferReader(b"")
            self._parts = self._opened(self._map.read_buffer())

    def batches(self) -> Iterator[Table]:
        """Yield record batches of at most about 4 MiB, none of them empty.

        Raises:
            BackupCorrupt: It cannot be read.
        """
        with readable(self._key):
            for part in self._parts:
                rows = _rows_at_once(part.metadata)
                yield from (found for found in part.iter_batches(rows) if found.num_rows)

    def close(self) -> None:
        """Let go of the file."""
        for part in self._parts:
            part.close(force=True)
        self._map.close()

    def _opened(self, data: Table) -> list[Table]:
        view = memoryview(data)
        if bytes(view[: len(MAGIC)]) == PARQUET_MAGIC:
            return [_parquet(data)]
        envelope = read_envelope(view)
        self.field_id = envelope.field_id
        return [_parquet(data.slice(begin, end - begin)) for begin, end in envelope.payloads]


@contextmanager
def readable(key: str) -> Iterator[None]:
    """Raise what the content of a log gives rise to as BackupCorrupt."""
    try:
        yield
    except _DAMAGE as error:
        raise corrupt(key, error) from error


def corrupt(key: str, why: object) -> BackupCorrupt:
    """Return the error for a log that cannot be read."""
    return BackupCorrupt(f"the log {key} cannot be read: {str(why)[:200]}", key=key)


def field_ids(batch: Table) -> list[int | None]:
    """Return the field id of each column of a column group; None where nothing tells.

    Lists have their id not where other columns have it.
    """
    ids = ((column.metadata or {}).get(_FIELD_ID_KEY) for column in batch.schema)
    return [int(number) if number else None for number in ids]


def _parquet(data: Table) -> Table:
    return pq.ParquetFile(pa.BufferReader(data))


def _rows_at_once(metadata: Table) -> int:
    total = sum(metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups))
    row_bytes: int = max(1, total // max(1, metadata.num_rows))
    return max(1, min(_MOST_ROWS, _BATCH_BYTES // row_bytes))
