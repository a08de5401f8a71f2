"""Verifying the metadata of a backup of the Go tool: it has no hashes, so what can be said is little."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from functools import partial

from milvus_backup_server.domain.errors import BackupCorrupt, StorageUnavailable
from milvus_backup_server.domain.layout import BACKUP_META, FULL_META, LEVEL_FILES
from milvus_backup_server.domain.manifest import ManifestObject
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.domain.records import CollectionBackupInfo
from milvus_backup_server.domain.restore_plan import expected_objects, name_of
from milvus_backup_server.domain.summaries import segments
from milvus_backup_server.domain.verification import BackupIdentity, ProblemKind, VerifyBasis
from milvus_backup_server.service.backup_reader import BackupReader
from milvus_backup_server.service.restore_objects import sorted_objects
from milvus_backup_server.service.verify_metadata import (
    CollectionObjects,
    FileDigest,
    FilesCheck,
    KnownCollection,
    again_if_damaged,
)
from milvus_backup_server.service.verify_report import VerifyReport

_ALSO_WRITTEN = ("channel_cp_meta.json",)
"""By releases 0.4.x; no restore needs it."""

_NOTE = (
    "made by the Go tool, which records paths and sizes and no hashes: other bytes of the same size are "
    "found only by the store's own ETag, which is silent if they were written through the store"
)


class GoToolMetadata:
    """The metadata of a backup of the Go tool; attributes as in BackupMetadata.

    Args:
        reader: Reads the backup's metadata.
        files: What lies right below ``meta/``.
        check: Reads files and notes which are wrong.
        report: Gets notes.
    """

    basis = VerifyBasis.METADATA

    def __init__(
        self,
        reader: BackupReader,
        files: Mapping[str, ObjectInfo],
        check: FilesCheck,
        report: VerifyReport,
    ) -> None:
        self.identity: BackupIdentity | None = None
        self.collections: tuple[KnownCollection, ...] | None = None
        self.files = frozenset({FULL_META, *LEVEL_FILES, *_ALSO_WRITTEN})
        self._reader = reader
        self._standing = files
        self._check = check
        report.notes.append(_NOTE)

    async def verify(self) -> None:
        """Read every file, and what the backup has."""
        whole = FULL_META in self._standing
        digests = {
            file: await self._check.digest(file, _agrees)
            for file in (*LEVEL_FILES, *([FULL_META] if whole else []))
        }
        for file, found in digests.items():
            if self._check.etags_are_md5 and found is not None and not _agrees(found):
                self._check.note(
                    file, ProblemKind.CONTENT, "has other content than the store's own ETag says"
                )
        await self._read_head()
        await self._read_collections(FULL_META if whole else LEVEL_FILES[0])

    async def objects(self) -> AsyncIterator[CollectionObjects]:
        """Yield the collections, each with its objects."""
        if self.collections is None:
            return
        try:
            async for record in self._reader.collections(self._standing):
                yield CollectionObjects(
                    name_of(record), record.collection_id, partial(_objects, record)
                )
        except BackupCorrupt as error:  # it was whole before: that is no damage of the backup
            raise StorageUnavailable(
                f"the metadata arrives damaged or changed meanwhile: {error.message}"
            ) from error

    def object_lists(self) -> Mapping[str, Collection[str]]:
        """There are none."""
        return {}

    async def _read_head(self) -> None:
        try:
            info = await again_if_damaged(lambda: self._reader.info(self._standing))
        except BackupCorrupt as error:
            await self._check.note_damaged(BACKUP_META, error)
        else:
            self.identity = BackupIdentity(info.id) if info.id else None

    async def _read_collections(self, file: str) -> None:
        async def read() -> tuple[KnownCollection, ...]:
            records = self._reader.collections(self._standing)
            return tuple([_known(record) async for record in records])

        try:
            self.collections = await again_if_damaged(read)
        except BackupCorrupt as error:
            await self._check.note_damaged(error.metadata.get("file", file), error)


def _agrees(file: FileDigest) -> bool:
    return file.etag_md5 in ("", file.md5)


async def _objects(record: CollectionBackupInfo) -> AsyncIterator[ManifestObject]:
    return sorted_objects(dict(expected_objects(record)).items())


def _known(record: CollectionBackupInfo) -> KnownCollection:
    sizes = dict(expected_objects(record))
    rows = (segment.num_of_rows for segment in segments(record) if not segment.is_l0)
    return KnownCollection(
        name_of(record),
        record.collection_id,
        objects=len(sizes),
        bytes=sum(sizes.values()),
        rows=sum(rows),
    )
