"""Whether the objects of a backup are those that its metadata names, each with its size and content."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from milvus_backup_server.domain.errors import BackupCorrupt
from milvus_backup_server.domain.manifest import HERE, ManifestHead, ManifestObject
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.domain.restore_plan import expected_objects
from milvus_backup_server.domain.summaries import summary_of_record
from milvus_backup_server.service.backup_reader import BackupReader
from milvus_backup_server.service.object_index import IndexedObject, ObjectIndex

_AT_ONCE = 500


@dataclass(slots=True)
class Checked:
    """What was compared; ``content`` counts objects whose hash was, ``sizes`` the others."""

    collections: int = 0
    rows: int = 0
    content: int = 0
    sizes: int = 0


class ArchiveCheck:
    """Compares the objects of one backup with its metadata; all of that is read.

    Args:
        reader: The metadata.
        index: The objects, those that come with a hash compared by content.
    """

    def __init__(self, reader: BackupReader, index: ObjectIndex) -> None:
        self._reader = reader
        self._index = index
        self._checked = Checked()

    async def run(self, files: Mapping[str, ObjectInfo]) -> Checked:
        """Compare them.

        Raises:
            BackupCorrupt: An object is missing or another than was recorded, or the metadata does
                not agree with itself.
            BackupNotRestorable: The manifest is of a newer version.
        """
        head = await self._reader.head(files)
        if head is None:
            await self._by_records(files)
        else:
            await self._by_manifest(files, head)
        return self._checked

    async def _by_manifest(self, files: Mapping[str, ObjectInfo], head: ManifestHead) -> None:
        await self._reader.check_level_files(head)
        async for line in self._reader.manifest_collections(head):
            self._checked.collections += 1
            self._checked.rows += line.row_count
            async for batch in _batches(self._reader.manifest_objects(line)):
                await self._require(batch)
        async for _ in self._reader.collections(files):
            pass  # at its end the hashes are compared
        stray = await self._index.unwanted()
        if stray:
            raise _damaged(stray, "is not in the manifest")

    async def _by_records(self, files: Mapping[str, ObjectInfo]) -> None:
        async for record in self._reader.collections(files):
            self._checked.collections += 1
            self._checked.rows += summary_of_record(record).row_count
            wanted = (ManifestObject(key=key, size=size) for key, size in expected_objects(record))
            for batch in _slices(wanted):
                await self._require(batch)

    async def _require(self, wanted: Sequence[ManifestObject]) -> None:
        present = await self._index.want([item.key for item in wanted])
        for item, found in zip(wanted, present, strict=True):
            self._compare(item, found)

    def _compare(self, wanted: ManifestObject, found: IndexedObject | None) -> None:
        if wanted.location != HERE:
            raise _damaged(wanted.key, "is said to lie in another place")
        if found is None:
            raise _damaged(wanted.key, "is missing")
        if found.size != wanted.size:
            raise _damaged(wanted.key, f"has {found.size} bytes instead of {wanted.size}")
        if not (wanted.hash and found.md5):
            self._checked.sizes += 1
        elif found.md5 == wanted.hash:
            self._checked.content += 1
        else:
            raise _damaged(wanted.key, "has other content than was recorded")


async def _batches(items: AsyncIterator[ManifestObject]) -> AsyncIterator[list[ManifestObject]]:
    batch: list[ManifestObject] = []
    async for item in items:
        batch.append(item)
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _slices(items: Iterable[ManifestObject]) -> Iterable[list[ManifestObject]]:
    left = iter(items)
    while batch := list(itertools.islice(left, _AT_ONCE)):
        yield batch


def _damaged(key: str, how: str) -> BackupCorrupt:
    return BackupCorrupt(f"{key} {how}", key=key)
