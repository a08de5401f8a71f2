"""The work of an import: the name first, then the data as it comes, checked, ``full_meta.json`` last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from milvus_backup_server.domain.archive import META, ArchivePaths, writing_order
from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.completeness import backup_state
from milvus_backup_server.domain.errors import (
    ArchiveInvalid,
    BackupCorrupt,
    BackupNameLost,
    BackupNotRestorable,
    LeftBehind,
    ObjectAlreadyExists,
)
from milvus_backup_server.domain.layout import FULL_META, manifest_generation
from milvus_backup_server.domain.operations import Amount, ImportResult, Phase
from milvus_backup_server.domain.tar import TarEntry
from milvus_backup_server.service.archive_check import ArchiveCheck, Checked
from milvus_backup_server.service.archive_reader import ArchiveReader
from milvus_backup_server.service.backup_reader import BackupReader
from milvus_backup_server.service.claim import lost
from milvus_backup_server.service.concurrency import for_each, task_group
from milvus_backup_server.service.context import Environment, Repository
from milvus_backup_server.service.held_name import HeldName
from milvus_backup_server.service.meta_files import SpooledMeta
from milvus_backup_server.service.object_index import IndexedObject, ObjectIndex
from milvus_backup_server.service.objects import md5_of, write_chunks
from milvus_backup_server.service.spool import Spool, SpoolDirectory
from milvus_backup_server.service.streams import ARCHIVE_BYTES
from milvus_backup_server.service.tracker import Tracker

_SMALL_BYTES = 1 << 20
_WRITERS = 8
_MAX_META_FILES = 100_000
_FROM_HERE_IN_ORDER = 2
"""Of ``writing_order``: what comes before is written many files at a time."""


@dataclass(frozen=True, slots=True)
class CheckedImport:
    """An import that may begin."""

    operation: str
    backup_name: str
    repository: Repository


class ImportRun:
    """One run of an import.

    Data objects are written as they come, many small ones at a time. The metadata is kept on local
    disk until everything that it names was compared, so that nothing lists the backup before it is
    whole. Whatever ends it before removes what it wrote.

    Args:
        checked: What to make.
        chunks: The archive.
        environment: Limits, and what gives generations.
        tracker: Where progress goes.
    """

    def __init__(
        self,
        checked: CheckedImport,
        chunks: AsyncIterable[bytes],
        environment: Environment,
        tracker: Tracker,
    ) -> None:
        self._backup_name = checked.backup_name
        self._archive = ArchiveReader(chunks)
        self._limits = environment.limits
        self._tracker = tracker
        self._storage = checked.repository.storage
        self._layout = checked.repository.layout(checked.backup_name)
        self._name = HeldName(checked.repository, self._layout, checked.operation, environment)
        self._meta: dict[str, Spool] = {}
        self._meta_bytes = 0

    async def run(self) -> ImportResult:
        """Make the backup and return what it holds."""
        try:
            return await self._make()
        except BaseException as error:  # also a cancel that comes while the spools are removed
            await self._give_up()
            if self._tracker.cancel_requested:
                self._tracker.raise_cancelled(error)
            raise

    async def _make(self) -> ImportResult:
        try:
            async with self._limits.memory.hold(ARCHIVE_BYTES), SpoolDirectory() as spools:
                await self._name.take()
                async with ObjectIndex(spools.path()) as index:
                    await self._receive(spools, index)
                    checked = await self._check(index)
                    objects, size = await index.totals()
                await self._write()
        finally:
            await self._archive.close()
        return ImportResult(
            collection_count=checked.collections,
            object_count=objects,
            size_bytes=size,
            row_count=checked.rows,
            content_checked_count=checked.content,
            size_checked_count=checked.sizes,
        )

    async def _give_up(self) -> None:
        try:
            await self._name.clean_up(self._tracker)
        except BackupNameLost:
            pass  # what is there now is another's
        except LeftBehind as warning:
            self._tracker.warn(warning)

    # --- receiving

    async def _receive(self, spools: SpoolDirectory, index: ObjectIndex) -> None:
        self._tracker.enter(Phase.RECEIVING)
        paths = ArchivePaths()
        small: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue(1)
        async with task_group() as tasks:
            for _ in range(_WRITERS):
                tasks.create_task(self._write_small(small, index))
            async for entry in self._archive.entries():
                key = paths.place(entry)
                if key.startswith(META):
                    await self._hold(key.removeprefix(META), entry, spools)
                elif key:
                    await self._take(key, entry, index, small)
            for _ in range(_WRITERS):
                await small.put(None)

    async def _hold(self, file: str, entry: TarEntry, spools: SpoolDirectory) -> None:
        if file in self._meta:
            raise _twice(entry)
        if len(self._meta) == _MAX_META_FILES:
            raise ArchiveInvalid(f"the archive has more than {_MAX_META_FILES} metadata files")
        self._meta_bytes += entry.size
        if self._meta_bytes > self._limits.archive_metadata_bytes:
            raise ArchiveInvalid(
                f"the archive's metadata is larger than {self._limits.archive_metadata_bytes >> 20} MiB, "
                "which is what this service keeps on disk (service.limits.archiveMetadataMiB)"
            )
        spool = self._meta[file] = spools.spool()
        async for piece in self._archive.content(entry):
            await spool.append(piece)
        await spool.flush()
        self._tracker.advance(Amount(bytes=entry.size, objects=1))

    async def _take(
        self,
        key: str,
        entry: TarEntry,
        index: ObjectIndex,
        small: asyncio.Queue[tuple[str, bytes] | None],
    ) -> None:
        if await index.add([IndexedObject(key, entry.size)]):
            raise _twice(entry)
        content = self._archive.content(entry)
        if entry.size <= _SMALL_BYTES:
            await small.put((key, b"".join([piece async for piece in content])))
            return
        part_bytes = self._limits.part_bytes
        with self._alone():
            written = await write_chunks(
                self._storage.store, self._layout.key(key), content, part_bytes, instead_of=""
            )
        await index.note_md5(key, written.md5)
        self._tracker.advance(Amount(bytes=entry.size, objects=1))

    async def _write_small(
        self, small: asyncio.Queue[tuple[str, bytes] | None], index: ObjectIndex
    ) -> None:
        while (item := await small.get()) is not None:
            key, data = item
            with self._alone():
                await self._storage.store.put(self._layout.key(key), data, if_absent=True)
            await index.note_md5(key, await md5_of(data))
            self._tracker.advance(Amount(bytes=len(data), objects=1))

    # --- checking and writing

    async def _check(self, index: ObjectIndex) -> Checked:
        self._tracker.enter(Phase.CHECKING)
        reader = BackupReader(SpooledMeta(self._meta))
        files = await reader.files()
        state, why = backup_state(files)
        if state not in (BackupState.COMPLETE, BackupState.LEGACY):
            raise BackupCorrupt(f"the archive holds no whole backup: {why}")
        info = await reader.info(files)
        if info.format:
            raise BackupNotRestorable(
                f"the archive holds a backup of format {info.format[:100]!r}, which this service "
                "does not restore",
                subject=self._backup_name,
            )
        return await ArchiveCheck(reader, index).run(files)

    async def _write(self) -> None:
        self._tracker.enter(Phase.WRITING_METADATA)
        ordered = sorted(self._meta, key=writing_order)
        first = [file for file in ordered if writing_order(file)[0] < _FROM_HERE_IN_ORDER]
        await for_each(first, self._upload, concurrent=_WRITERS)
        await self._name.require()
        for file in ordered[len(first) :]:
            if file == FULL_META:
                await self._name.require()
            await self._upload(file)
        if not any(manifest_generation(file) is not None for file in ordered):
            # A backup of the Go tool has no claim; beside one it would be an incomplete one of ours.
            await self._name.release()

    async def _upload(self, file: str) -> None:
        with self._alone():
            await write_chunks(
                self._storage.store,
                self._layout.meta(file),
                self._meta[file].chunks(),
                self._limits.part_bytes,
                instead_of="",
            )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Tell by what is there already that others have taken the name while we slept."""
        try:
            yield
        except ObjectAlreadyExists as error:
            raise lost(self._layout) from error


def _twice(entry: TarEntry) -> ArchiveInvalid:
    return ArchiveInvalid(f"the archive has {entry.path!r} twice", entry=entry.path)
