"""The work of an export: what there is, whether it is whole, and then all of it in the order of writing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from milvus_backup_server.domain.archive import META, is_part, writing_order
from milvus_backup_server.domain.errors import (
    BackupCorrupt,
    NotABackup,
    ObjectChanged,
    ObjectNotFound,
)
from milvus_backup_server.domain.layout import CLAIM
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.domain.operations import Amount, ExportResult, Phase
from milvus_backup_server.domain.tar import END, encode_header, padding
from milvus_backup_server.service.archive_check import ArchiveCheck
from milvus_backup_server.service.backup_reader import BackupReader
from milvus_backup_server.service.concurrency import in_order
from milvus_backup_server.service.context import Repository, WorkLimits
from milvus_backup_server.service.meta_files import StoredMeta
from milvus_backup_server.service.object_index import IndexedObject, ObjectIndex
from milvus_backup_server.service.objects import list_objects, read_chunks
from milvus_backup_server.service.pipe import Pipe
from milvus_backup_server.service.spool import SpoolDirectory
from milvus_backup_server.service.streams import ARCHIVE_BYTES
from milvus_backup_server.service.tracker import Totals, Tracker

CHUNK_BYTES = 512 * 1024
"""Size of the chunks of an archive but the last."""

_SMALL_BYTES = 1 << 20
_READ_AHEAD = 8
_ADDED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class CheckedExport:
    """An export that may begin.

    Attributes:
        create_time: The time that the entries of the archive bear.
    """

    backup_name: str
    repository: Repository
    create_time: datetime | None


class ExportRun:
    """One run of an export.

    Args:
        checked: What to send.
        pipe: Takes the archive; closed at the end, whatever that is.
        limits: How much is read at one time.
        tracker: Where progress goes.
    """

    def __init__(
        self, checked: CheckedExport, pipe: Pipe, limits: WorkLimits, tracker: Tracker
    ) -> None:
        self._name = checked.backup_name
        self._store = checked.repository.storage.store
        self._layout = checked.repository.layout(checked.backup_name)
        self._mtime = int(checked.create_time.timestamp()) if checked.create_time else 0
        self._limits = limits
        self._tracker = tracker
        self._pipe = pipe
        self._archive = _Chunks(pipe)

    async def run(self) -> ExportResult:
        """Send the archive and tell what was sent."""
        try:
            async with (
                self._limits.memory.hold(ARCHIVE_BYTES),
                SpoolDirectory() as spools,
                ObjectIndex(spools.path()) as index,
            ):
                self._tracker.enter(Phase.LISTING)
                await self._list_data(index)
                meta = await self._list_meta()
                self._tracker.enter(Phase.CHECKING)
                await self._check(index)
                return await self._send(index, meta)
        finally:
            self._pipe.close()

    async def _list_data(self, index: ObjectIndex) -> None:
        batch: list[IndexedObject] = []
        async for item in self._listed(self._layout.data_directory):
            batch.append(item)
            if len(batch) == _ADDED_AT_ONCE:
                await index.add(batch)
                batch = []
        await index.add(batch)

    async def _list_meta(self) -> list[IndexedObject]:
        found = [item async for item in self._listed(self._layout.meta_directory)]
        files = [item for item in found if item.key != META + CLAIM]
        return sorted(files, key=lambda item: writing_order(item.key.removeprefix(META)))

    async def _listed(self, prefix: str) -> AsyncIterator[IndexedObject]:
        async for item in list_objects(self._store, prefix):
            key = item.key.removeprefix(self._layout.directory)
            if not is_part(key):
                raise NotABackup(
                    f"{item.key} is no part of a backup: an archive of it could not be imported",
                    subject=self._name,
                )
            yield IndexedObject(key, item.size, item.etag)

    async def _check(self, index: ObjectIndex) -> None:
        reader = BackupReader(StoredMeta(self._store, self._layout, self._limits.part_bytes))
        await ArchiveCheck(reader, index).run(await reader.files())

    # --- sending

    async def _send(self, index: ObjectIndex, meta: list[IndexedObject]) -> ExportResult:
        objects, size = await index.totals()
        objects, size = objects + len(meta), size + sum(item.size for item in meta)
        self._tracker.enter(Phase.SENDING, Totals(bytes=size, objects=objects))
        async with aclosing(in_order(_both(index, meta), self._read, ahead=_READ_AHEAD)) as read:
            async for item, data in read:
                await self._send_object(item, data)
        await self._archive.write(END)
        await self._archive.flush()
        await self._pipe.drain()
        return ExportResult(objects, size, self._archive.size)

    async def _send_object(self, item: IndexedObject, data: bytes | None) -> None:
        path = f"{self._name}/{item.key}"
        await self._archive.write(encode_header(path, item.size, self._mtime))
        if data is not None:
            await self._send_content(data)
        else:
            async for part in self._parts(item):
                await self._send_content(part)
        await self._archive.write(bytes(padding(item.size)))
        self._tracker.advance(Amount(objects=1))

    async def _send_content(self, data: bytes) -> None:
        await self._archive.write(data)
        self._tracker.advance(Amount(bytes=len(data)))

    async def _read(self, item: IndexedObject) -> tuple[IndexedObject, bytes | None]:
        """Read a small object; a large one is read in parts when it is its turn."""
        if item.size > _SMALL_BYTES:
            return item, None
        return item, b"".join([part async for part in self._parts(item)])

    async def _parts(self, item: IndexedObject) -> AsyncIterator[bytes]:
        info = ObjectInfo(self._layout.key(item.key), item.size, item.etag)
        left = item.size
        try:
            async for part in read_chunks(
                self._store, info.key, self._limits.part_bytes, info=info
            ):
                left -= len(part)
                yield part
        except (ObjectNotFound, ObjectChanged):
            raise _changed(item) from None
        if left:
            raise _changed(item)


class _Chunks:
    """Puts an archive together, and hands it on in chunks of one size.

    Attributes:
        size: Bytes so far.
    """

    def __init__(self, pipe: Pipe) -> None:
        self.size = 0
        self._pipe = pipe
        self._buffer = bytearray()

    async def write(self, data: bytes) -> None:
        """Add bytes."""
        view = memoryview(data)
        while view:
            room = CHUNK_BYTES - len(self._buffer)
            self._buffer += view[:room]
            view = view[room:]
            if len(self._buffer) == CHUNK_BYTES:
                await self.flush()
        self.size += len(data)

    async def flush(self) -> None:
        """Hand on what is left."""
        if self._buffer:
            chunk = bytes(self._buffer)
            self._buffer.clear()
            await self._pipe.put(chunk)


async def _both(index: ObjectIndex, meta: list[IndexedObject]) -> AsyncIterator[IndexedObject]:
    async for item in index.objects():
        yield item
    for item in meta:
        yield item


def _changed(item: IndexedObject) -> BackupCorrupt:
    return BackupCorrupt(f"{item.key} changed while it was exported", key=item.key)
