"""Writing a backup's metadata: the Go tool's files, streamed, and our manifest.

The files are put together on local disk first, because the manifest holds their hashes and is
written before them. The last one, ``full_meta.json``, makes the backup complete.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from milvus_backup_server.domain.errors import ObjectAlreadyExists, ObjectChanged
from milvus_backup_server.domain.layout import (
    BACKUP_META,
    COLLECTION_META,
    FULL_META,
    LEVEL_FILES,
    PARTITION_META,
    SEGMENT_META,
    BackupLayout,
    manifest_collections_file,
    manifest_file,
    manifest_objects_file,
)
from milvus_backup_server.domain.manifest import (
    ManifestHead,
    canonical_json,
    dump_line,
    full_meta_suffix,
)
from milvus_backup_server.domain.records import BackupInfo
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.claim import lost
from milvus_backup_server.service.collection_plan import CollectionPlan
from milvus_backup_server.service.collection_records import CollectionRecords, summary
from milvus_backup_server.service.objects import write_chunks
from milvus_backup_server.service.spool import Spool, SpoolDirectory

_INFOS = b'{"infos":['
_END = b"]}"


@dataclass(slots=True)
class Written:
    """What stands in the metadata so far."""

    collections: int = 0
    objects: int = 0
    bytes: int = 0
    rows: int = 0


class MetadataWriter:
    """Builds the metadata of one backup, collection by collection.

    Args:
        store: The repository's store.
        layout: Keys of the backup.
        spools: Where the files are put together.
        generation: The generation of the claim.
        part_bytes: Bytes written by one request.
    """

    def __init__(
        self,
        store: ObjectStore,
        layout: BackupLayout,
        spools: SpoolDirectory,
        *,
        generation: int,
        part_bytes: int,
    ) -> None:
        self._store = store
        self._layout = layout
        self._generation = generation
        self._part_bytes = part_bytes
        self._spools = spools
        self._files = {
            name: _List(spools) for name in (COLLECTION_META, PARTITION_META, SEGMENT_META)
        }
        self._full = _List(spools)
        self._collections = spools.spool()
        self.written = Written()

    async def upload_objects(self, plan: CollectionPlan, manifest: Spool) -> None:
        """Write a collection's manifest lines to the store."""
        await self._upload(self._objects_file(plan), manifest)

    async def add(self, plan: CollectionPlan, manifest: Spool, operation: str) -> None:
        """Add a collection to every other file; collections stand in the order of these calls."""
        records = CollectionRecords(plan, operation)
        record = records.without_segments()
        line = replace(
            summary(plan, record),
            objects_file=self._objects_file(plan),
            objects_sha256=manifest.sha256,
            object_count=plan.amount.objects,
        )
        await self._collections.append(dump_line(line))
        await self._files[COLLECTION_META].add(canonical_json(record.to_json()))
        async for partition in records.partitions():
            await self._files[PARTITION_META].add(canonical_json(partition.to_json()))
        async for segment in records.data_segments():
            await self._files[SEGMENT_META].add(canonical_json(segment.to_json()))
        await self._full.add_pieces(records.tree())
        self.written.collections += 1
        self.written.objects += plan.amount.objects
        self.written.bytes += plan.amount.bytes
        self.written.rows += plan.amount.rows

    async def commit(
        self, info: BackupInfo, head: ManifestHead, require_name: Callable[[], Awaitable[None]]
    ) -> None:
        """Write everything that is left, ``full_meta.json`` last.

        Args:
            info: The head of the Go tool's files; its size is filled in.
            head: The head of the manifest; hashes and totals are filled in.
            require_name: Asked before what could not be told from a successor's: raises if the name
                is not ours any more.
        """
        info = replace(info, size=self.written.bytes)
        level = await self._level_files(info)
        full = await self._full_meta(info)
        collections_file = manifest_collections_file(self._generation)
        await self._upload(collections_file, self._collections)
        hashes = {name: spool.sha256 for name, spool in level.items()}
        hashes[collections_file] = self._collections.sha256
        hashes[FULL_META] = full.sha256
        # What stands while the name is still ours is what we may replace: whoever sleeps behind the
        # look at the claim finds other files, and replaces none of a successor's.
        standing = await self._standing()
        await require_name()
        name, digest = await self._write_head(head, collections_file, hashes)
        for file in LEVEL_FILES:
            await self._replace(file, level[file].chunks(), standing)
        await require_name()
        await self._replace(FULL_META, _linked(full, full_meta_suffix(name, digest)), standing)

    async def _standing(self) -> Mapping[str, str]:
        """Return the ETags of the files of earlier tries by key."""
        page = await self._store.list_page(self._layout.meta_directory, delimiter=True)
        return {item.key: item.etag for item in page.objects}

    async def _replace(
        self, name: str, chunks: AsyncIterator[bytes], standing: Mapping[str, str]
    ) -> None:
        key = self._layout.meta(name)
        known = standing.get(key, "")
        try:
            await write_chunks(self._store, key, chunks, self._part_bytes, instead_of=known)
        except (ObjectAlreadyExists, ObjectChanged) as error:
            raise lost(self._layout) from error

    def _objects_file(self, plan: CollectionPlan) -> str:
        return manifest_objects_file(self._generation, plan.snapshot.description.collection_id)

    async def _level_files(self, info: BackupInfo) -> dict[str, Spool]:
        level: dict[str, Spool] = {}
        for name, items in self._files.items():
            level[name] = await items.close(_INFOS, _END)
        level[BACKUP_META] = self._spools.spool()
        head = BackupInfo(
            id=info.id, name=info.name, size=info.size, milvus_version=info.milvus_version
        )
        await level[BACKUP_META].append(canonical_json(head.to_json()))
        return level

    async def _full_meta(self, info: BackupInfo) -> Spool:
        values = info.to_json()
        before = {key: values.pop(key) for key in ("id", "state_code", "name") if key in values}
        opening = canonical_json(before)[:-1] + b',"collection_backups":['
        return await self._full.close(opening, b"]," + canonical_json(values)[1:])

    async def _write_head(
        self, head: ManifestHead, collections_file: str, hashes: dict[str, str]
    ) -> tuple[str, str]:
        whole = replace(
            head,
            generation=self._generation,
            collections_file=collections_file,
            files=hashes,
            collection_count=self.written.collections,
            object_count=self.written.objects,
            size=self.written.bytes,
            row_count=self.written.rows,
        )
        name = manifest_file(self._generation)
        data = dump_line(whole)
        await self._store.put(self._layout.meta(name), data)
        return name, hashlib.sha256(data).hexdigest()

    async def _upload(self, name: str, spool: Spool) -> None:
        await self._write(name, spool.chunks())

    async def _write(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        await write_chunks(self._store, self._layout.meta(name), chunks, self._part_bytes)


class _List:
    """A JSON list that is put together item by item."""

    def __init__(self, spools: SpoolDirectory) -> None:
        self._spools = spools
        self._items = spools.spool()

    async def add(self, item: bytes) -> None:
        await self._separate()
        await self._items.append(item)

    async def add_pieces(self, pieces: AsyncIterator[bytes]) -> None:
        """Add one item that comes in pieces."""
        await self._separate()
        async for piece in pieces:
            await self._items.append(piece)

    async def close(self, opening: bytes, end: bytes) -> Spool:
        """Return a spool with the list between ``opening`` and ``end``."""
        whole = self._spools.spool()
        await whole.append(opening)
        async for chunk in self._items.chunks():
            await whole.append(chunk)
        await whole.append(end)
        await whole.flush()
        self._items.remove()
        return whole

    async def _separate(self) -> None:
        if self._items.size:
            await self._items.append(b",")


async def _linked(full: Spool, suffix: bytes) -> AsyncIterator[bytes]:
    """Yield ``full_meta.json`` with our key in place of its last brace."""
    last = b""
    async for chunk in full.chunks():
        if last:
            yield last
        last = chunk
    yield last[:-1] + suffix
