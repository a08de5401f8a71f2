"""``ports.binlogs.BinlogReader`` by pyarrow."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from milvus_backup_server.adapters.binlog.columns import ColumnStream, Fields
from milvus_backup_server.adapters.binlog.deltas import deletes_of
from milvus_backup_server.adapters.binlog.envelope import MAGIC
from milvus_backup_server.adapters.binlog.files import (
    PARQUET_MAGIC,
    LogFile,
    Table,
    corrupt,
    readable,
)
from milvus_backup_server.domain.binlogs import Delete, RowBatch, SegmentLogs
from milvus_backup_server.domain.objects import md5_of_etag
from milvus_backup_server.domain.records import CollectionSchema
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.concurrency import in_thread
from milvus_backup_server.service.objects import (
    feed,
    present_object,
    read_chunks,
    read_until_agreed,
)
from milvus_backup_server.service.spool import Spool, SpoolDirectory

_CHUNK = 4 << 20


class ArrowBinlogReader:
    """``ports.binlogs.BinlogReader``: logs are fetched to local disk and read from there in threads."""

    async def rows(
        self,
        store: ObjectStore,
        logs: SegmentLogs,
        schema: CollectionSchema,
        *,
        fields: Sequence[str] | None = None,
    ) -> AsyncGenerator[RowBatch, None]:
        """Yield the rows of a segment as they were inserted, deleted ones included."""
        wanted = Fields(schema, fields)
        streams = await _streams(store, logs, wanted)
        async with _fetching(store) as fetch:
            try:
                while await _filled(streams, fetch):
                    yield await in_thread(_batch, streams, wanted)
            finally:
                for stream in streams:
                    stream.close()

    async def deletes(
        self, store: ObjectStore, keys: Sequence[str]
    ) -> AsyncGenerator[Sequence[Delete], None]:
        """Yield the deletes in delta logs, with repeated ones."""
        async with _fetching(store) as fetch:
            for key in keys:
                file = await fetch.get(key)
                try:
                    batches = file.batches()
                    while (found := await in_thread(_next_deletes, batches, key)) is not None:
                        yield found
                finally:
                    file.close()


@dataclass(frozen=True, slots=True)
class _Copy:
    """A log on local disk.

    Attributes:
        md5: Of its bytes, in hex.
        etag_md5: What the store says it is; empty if it does not.
    """

    path: Path
    md5: str
    etag_md5: str


class _Fetch:
    """Brings logs to local disk. What is open stays readable although its name is gone."""

    def __init__(self, store: ObjectStore, directory: SpoolDirectory) -> None:
        self._store = store
        self._directory = directory
        self._etags_are_md5 = True  # until two readings of a log agree that they are not

    async def get(self, key: str) -> LogFile:
        copy = await read_until_agreed(
            partial(self._copied, key), self._is_right, lambda it: it.md5
        )
        self._etags_are_md5 = self._etags_are_md5 and self._is_right(copy)
        return await asyncio.to_thread(_opened, copy.path, key)

    def _is_right(self, copy: _Copy) -> bool:
        return not self._etags_are_md5 or copy.etag_md5 in ("", copy.md5)

    async def _copied(self, key: str) -> _Copy:
        info = await present_object(self._store, key)
        path, md5 = self._directory.path(), hashlib.md5(usedforsecurity=False)
        spool = Spool(path)
        async for chunk in read_chunks(self._store, key, _CHUNK, info=info):
            await feed(md5, chunk)
            await spool.append(chunk)
        await spool.flush()
        return _Copy(path, md5.hexdigest(), md5_of_etag(info.etag))


@asynccontextmanager
async def _fetching(store: ObjectStore) -> AsyncIterator[_Fetch]:
    async with SpoolDirectory() as directory:
        yield _Fetch(store, directory)


def _opened(path: Path, key: str) -> LogFile:
    path.touch()  # an empty object gave no bytes to write
    try:
        return LogFile(path, key)
    finally:
        path.unlink()


async def _streams(store: ObjectStore, logs: SegmentLogs, fields: Fields) -> list[ColumnStream]:
    """Return the columns to read.

    The id of a column group may be that of a field: only the first bytes of a log tell which it is.
    """
    columns = {number: keys for number, keys in logs.columns.items() if keys}
    if not columns:
        return []
    first = partial(store.get, next(iter(columns.values()))[0], length=len(PARQUET_MAGIC))
    begin = await read_until_agreed(first, lambda it: it in (PARQUET_MAGIC, MAGIC), lambda it: it)
    grouped = begin == PARQUET_MAGIC
    return [ColumnStream(keys) for at, keys in columns.items() if grouped or fields.needs(at)]


async def _filled(streams: Sequence[ColumnStream], fetch: _Fetch) -> bool:
    """Have every stream hold rows; False when all of them have ended.

    Raises:
        BackupCorrupt: Some of them have ended.
    """
    for stream in streams:
        while not stream.rows and not await in_thread(stream.read):
            if not stream.waiting:
                break
            stream.begin(await fetch.get(stream.waiting.pop()))
    ended = [stream for stream in streams if not stream.rows]
    if ended and len(ended) < len(streams):
        raise corrupt(ended[0].last_key, "it has fewer rows than the other columns")
    return bool(streams) and not ended


def _batch(streams: Sequence[ColumnStream], fields: Fields) -> RowBatch:
    rows = min(stream.rows for stream in streams)
    with readable(streams[0].last_key):
        return fields.batch({at: column for it in streams for at, column in it.take(rows, fields)})


def _next_deletes(batches: Iterator[Table], key: str) -> list[Delete] | None:
    batch = next(batches, None)
    with readable(key):
        return None if batch is None else deletes_of(batch)
