"""Reading a backup's metadata: ours and the Go tool's, whole or as level files, always in a stream."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from milvus_backup_server.domain.errors import BackupCorrupt
from milvus_backup_server.domain.layout import (
    BACKUP_META,
    CLAIM,
    COLLECTION_META,
    FULL_META,
    LEVEL_FILES,
    PARTITION_META,
    SEGMENT_META,
    manifest_collections_file,
    manifest_file,
    manifest_generation,
    manifest_objects_file,
)
from milvus_backup_server.domain.manifest import (
    FULL_META_KEY,
    ManifestCollection,
    ManifestHead,
    ManifestObject,
    full_meta_suffix,
    load_json,
    parse_head,
    parse_link,
)
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.domain.records import (
    BackupInfo,
    CollectionBackupInfo,
    DatabaseBackupInfo,
    PartitionBackupInfo,
    RbacMeta,
    SegmentBackupInfo,
)
from milvus_backup_server.service.json_stream import TailHash, json_items
from milvus_backup_server.service.meta_files import MetaFiles, damaged_file
from milvus_backup_server.service.objects import feed

_TAIL_BYTES = 1024
_LINES_AT_ONCE = 500
_SEGMENTS_AT_ONCE = 200
_COLLECTION = "collection"
_LINK = "link"
_DATABASE = "database"
_RPC_CHANNEL = "rpc channel"
_RBAC = "rbac"
_PATHS = {"collection_backups.item": _COLLECTION, FULL_META_KEY: _LINK}
_PATHS_ASIDE = {
    "database_backups.item": _DATABASE,
    "rpc_channel_info": _RPC_CHANNEL,
    "rbac_meta": _RBAC,
}


@dataclass(slots=True)
class BackupAside:
    """What ``full_meta.json`` tells beside the collections; filled while it is read.

    Attributes:
        rbac: None if it tells nothing of users, roles and grants.
    """

    databases: list[DatabaseBackupInfo] = field(default_factory=list)
    rpc_channel: Mapping[str, Any] = field(default_factory=dict)
    rbac: RbacMeta | None = None

    def note(self, label: str, value: Any) -> None:
        """Keep a value."""
        if label == _DATABASE:
            self.databases.append(DatabaseBackupInfo.from_json(value, FULL_META))
        elif label == _RBAC:
            self.rbac = RbacMeta.from_json(value, FULL_META)
        elif isinstance(value, Mapping):
            self.rpc_channel = value


class BackupReader:
    """The metadata of one backup.

    Args:
        files: Where its files are.
    """

    def __init__(self, files: MetaFiles) -> None:
        self._files = files

    async def files(self) -> dict[str, ObjectInfo]:
        """Return what lies right below ``meta/``, by name."""
        return await self._files.listed()

    async def size(self) -> int:
        """Return the bytes of all metadata, those of the manifest's object lists included."""
        return sum(item.size for item in (await self._files.listed(deep=True)).values())

    async def info(self, files: Mapping[str, ObjectInfo]) -> BackupInfo:
        """Return the head of the Go tool's metadata from the small file that holds nothing else.

        Raises:
            BackupCorrupt: It is missing or damaged.
        """
        if BACKUP_META not in files:
            raise BackupCorrupt(f"{BACKUP_META} is missing", file=BACKUP_META)
        data = await self._files.read(BACKUP_META)
        return BackupInfo.from_json(load_json(data, BACKUP_META), BACKUP_META)

    async def head(self, files: Mapping[str, ObjectInfo]) -> ManifestHead | None:
        """Return the head of the manifest; None if the backup has none, as the Go tool's.

        Raises:
            BackupNotRestorable: It is of a newer version.
            BackupCorrupt: It is damaged, there are several, or a backup of ours has none.
        """
        names = [name for name in files if manifest_generation(name) is not None]
        if not names and CLAIM in files:
            raise BackupCorrupt("the manifest is missing", file="manifest")
        if len(names) > 1:
            raise BackupCorrupt("there are several manifests", file=names[0])
        return await self._head(names[0]) if names else None

    async def _head(self, name: str) -> ManifestHead:
        head = parse_head(await self._files.read(name), name)
        if name != manifest_file(head.generation):
            raise BackupCorrupt(f"{name} is the manifest of another generation", file=name)
        _require_name(head.collections_file, manifest_collections_file(head.generation), name)
        return head

    async def collections(
        self, files: Mapping[str, ObjectInfo], aside: BackupAside | None = None
    ) -> AsyncIterator[CollectionBackupInfo]:
        """Yield the collections with partitions and segments, one after another.

        The last one is followed by the check that the file is the one that the manifest was written
        for, so that a reader who reads to the end has read what was written.

        Args:
            files: What ``files`` returned.
            aside: Gets what else is told; each of it makes the reading slower.

        Raises:
            BackupCorrupt: The metadata is damaged.
        """
        if FULL_META not in files:
            async for collection in self._joined_levels():
                yield collection
            return
        tail = TailHash(_TAIL_BYTES)
        link: Any = None
        paths = _PATHS if aside is None else _PATHS | _PATHS_ASIDE
        chunks = tail.through(self._files.chunks(FULL_META))
        async for label, value in json_items(chunks, paths, FULL_META):
            if label == _LINK:
                link = value
            elif label == _COLLECTION:
                yield await _collection(value)
            elif aside is not None:
                aside.note(label, value)
        head = await self.head(files)
        if link is not None or head is not None:
            await self._check_link(link, tail, head)

    async def manifest_collections(
        self, head: ManifestHead, skip: int = 0
    ) -> AsyncIterator[ManifestCollection]:
        """Yield the collections of our manifest but the first ``skip``; check its hash at the end."""
        file = head.collections_file
        number = 0
        async for line in self._checked_lines(file, head.files.get(file, "")):
            number += 1
            if number > skip:
                collection = ManifestCollection.from_json(_parse_line(line, file), file)
                own = manifest_objects_file(head.generation, collection.collection_id)
                _require_name(collection.objects_file, own, file)
                yield collection

    async def manifest_objects(
        self, collection: ManifestCollection
    ) -> AsyncIterator[ManifestObject]:
        """Yield the objects of a collection of our manifest, and check the file's hash at the end."""
        file = collection.objects_file
        async for line in self._checked_lines(file, collection.objects_sha256):
            yield ManifestObject.from_json(_parse_line(line, file), file)

    async def check_level_files(self, head: ManifestHead) -> None:
        """Raise BackupCorrupt unless the level files are those that the manifest was written for."""
        for file in LEVEL_FILES:
            digest = hashlib.sha256()
            async for chunk in self._files.chunks(file):
                await feed(digest, chunk)
            if digest.hexdigest() != head.files.get(file):
                raise damaged_file(file)

    async def _check_link(self, link: Any, tail: TailHash, head: ManifestHead | None) -> None:
        name, sha256 = parse_link(link)
        if head is None:
            raise BackupCorrupt("the manifest is missing", file="manifest")
        _require_name(name, manifest_file(head.generation), FULL_META)
        if hashlib.sha256(await self._files.read(name)).hexdigest() != sha256:
            raise damaged_file(name)
        if tail.sha256_with(full_meta_suffix(name, sha256), b"}") != head.files.get(FULL_META):
            raise damaged_file(FULL_META)

    async def _joined_levels(self) -> AsyncIterator[CollectionBackupInfo]:
        segments: dict[tuple[int, int], list[SegmentBackupInfo]] = {}
        async for value in self._infos(SEGMENT_META):
            segment = SegmentBackupInfo.from_json(value, SEGMENT_META)
            segments.setdefault((segment.collection_id, segment.partition_id), []).append(segment)
        partitions: dict[int, list[PartitionBackupInfo]] = {}
        async for value in self._infos(PARTITION_META):
            partition = PartitionBackupInfo.from_json(value, PARTITION_META)
            own = segments.pop((partition.collection_id, partition.partition_id), [])
            partitions.setdefault(partition.collection_id, []).append(
                replace(partition, segment_backups=tuple(own))
            )
        async for value in self._infos(COLLECTION_META):
            collection = CollectionBackupInfo.from_json(value, COLLECTION_META)
            own_partitions = partitions.pop(collection.collection_id, [])
            yield replace(collection, partition_backups=tuple(own_partitions))
        if segments or partitions:
            ids = [*(it for it, _ in segments), *partitions]
            raise BackupCorrupt(
                f"the level files do not fit together: parts of collection {ids[0]} belong nowhere",
                collection_id=ids[0],
            )

    async def _infos(self, file: str) -> AsyncIterator[Any]:
        async for _, value in json_items(self._files.chunks(file), {"infos.item": file}, file):
            yield value

    async def _checked_lines(self, file: str, sha256: str) -> AsyncIterator[bytes]:
        digest = hashlib.sha256()
        rest = b""
        async for chunk in self._files.chunks(file):
            await feed(digest, chunk)
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            for number, line in enumerate(lines):
                if number % _LINES_AT_ONCE == 0:  # a reader may work on them without ever waiting
                    await asyncio.sleep(0)
                yield line
        if rest or digest.hexdigest() != sha256:
            raise damaged_file(file)


async def _collection(value: Any) -> CollectionBackupInfo:
    """Decode a collection of ``full_meta.json``, a large one beside the event loop."""
    if _segment_count(value) < _SEGMENTS_AT_ONCE:
        return CollectionBackupInfo.from_json(value, FULL_META)
    return await asyncio.to_thread(CollectionBackupInfo.from_json, value, FULL_META)


def _segment_count(value: Any) -> int:
    """Return the number of segments in JSON whose shape is not known yet."""
    partitions = value.get("partition_backups") if isinstance(value, dict) else None
    lists = (
        partition.get("segment_backups")
        for partition in (partitions if isinstance(partitions, list) else ())
        if isinstance(partition, dict)
    )
    return sum(len(segments) for segments in lists if isinstance(segments, list))


def _parse_line(line: bytes, file: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise damaged_file(file) from None


def _require_name(found: str, own: str, file: str) -> None:
    """Raise BackupCorrupt unless a name in a file is the one that it is written with."""
    if found != own:  # before it becomes part of a key
        raise BackupCorrupt(f"{file} names {found[:100]!r} in the place of {own}", file=file)
