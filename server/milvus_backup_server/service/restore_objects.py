"""The objects of a backed-up collection: which there should be, and whether they are right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from milvus_backup_server.domain.errors import BackupCorrupt, ObjectChanged, ObjectNotFound
from milvus_backup_server.domain.layout import BackupLayout, parse_backup_key
from milvus_backup_server.domain.manifest import ManifestObject, dump_line
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.domain.operations import Amount
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.concurrency import task_group
from milvus_backup_server.service.memory import ByteBudget
from milvus_backup_server.service.objects import list_objects, md5_of_object
from milvus_backup_server.service.reconcile import reconcile
from milvus_backup_server.service.spool import Spool
from milvus_backup_server.service.tracker import Tracker


@dataclass(slots=True)
class Verified:
    """What a verification found.

    Attributes:
        strays: Partitions in whose directories other objects lie too.
        content_checked: Objects whose content was read and compared.
        size_checked: Objects compared by presence and size alone.
    """

    strays: set[int] = field(default_factory=set)
    content_checked: int = 0
    size_checked: int = 0


class ObjectVerifier:
    """Compares the objects of collections with what was recorded.

    Args:
        store: The repository's store.
        layout: Keys of the backup.
        tracker: Where progress goes.
        part_bytes: Bytes read by one request.
        concurrent: Objects read at one time.
        memory: Where their bytes count.
    """

    def __init__(
        self,
        store: ObjectStore,
        layout: BackupLayout,
        tracker: Tracker,
        *,
        part_bytes: int,
        concurrent: int,
        memory: ByteBudget | None = None,
    ) -> None:
        self._memory = memory
        self._store = store
        self._layout = layout
        self._tracker = tracker
        self._part_bytes = part_bytes
        self._concurrent = concurrent

    async def verify(
        self,
        collection_id: int,
        wanted: AsyncIterator[ManifestObject],
        verified: Spool,
        *,
        content: bool,
    ) -> Verified:
        """Compare a collection's objects, and write those that are right into ``verified``.

        Args:
            collection_id: Its id at the source.
            wanted: What was recorded, in the order of keys; without ETags where they were not.
            verified: Gets a line per object, with the ETag that it has now.
            content: Whether to read content where a hash is recorded.

        Raises:
            BackupCorrupt: An object is missing, has another size or other content, or lies where it
                would be
                imported without belonging there.
        """
        found = Verified()
        present = self._present(collection_id)
        queue: asyncio.Queue[tuple[ManifestObject, ObjectInfo] | None] = asyncio.Queue(
            self._concurrent
        )
        directories = _Directories()
        async with task_group() as tasks:
            for _ in range(self._concurrent):
                tasks.create_task(self._work(queue, found, content=content))
            async for pair in reconcile(wanted, present, self._layout.directory):
                if pair.wanted is None:
                    directories.note_stray(pair.present, self._layout)
                    continue
                item = _require(pair.wanted, pair.present)
                directories.note_wanted(pair.wanted.key)
                await verified.append(_line(pair.wanted, item))
                await queue.put((pair.wanted, item))
            for _ in range(self._concurrent):
                await queue.put(None)
        await verified.flush()
        found.strays = directories.strays()
        return found

    async def _work(
        self,
        queue: asyncio.Queue[tuple[ManifestObject, ObjectInfo] | None],
        found: Verified,
        *,
        content: bool,
    ) -> None:
        while (item := await queue.get()) is not None:
            wanted, present = item
            if wanted.hash and content:
                await self._compare(wanted, present)
                found.content_checked += 1
            else:
                found.size_checked += 1
            self._tracker.advance(Amount(bytes=wanted.size, objects=1))

    async def _compare(self, wanted: ManifestObject, present: ObjectInfo) -> None:
        try:
            md5 = await md5_of_object(
                self._store, present, self._part_bytes, wanted.hash, memory=self._memory
            )
        except (ObjectNotFound, ObjectChanged) as error:
            raise _damaged(wanted.key, "changed while it was read") from error
        if md5 != wanted.hash:
            raise _damaged(wanted.key, "has other content than was recorded")

    async def _present(self, collection_id: int) -> AsyncIterator[ObjectInfo]:
        insert, delta = self._layout.collection_data(collection_id)
        for prefix in (delta, insert):
            async for item in list_objects(self._store, prefix):
                yield item


async def sorted_objects(objects: Iterable[tuple[str, int]]) -> AsyncIterator[ManifestObject]:
    """Yield objects that the Go tool's metadata names, in the order of keys; no hash is known of them."""
    for key, size in sorted(objects):
        yield ManifestObject(key=key, size=size)


def _require(wanted: ManifestObject, present: ObjectInfo | None) -> ObjectInfo:
    if present is None:
        raise _damaged(wanted.key, "is missing")
    if present.size != wanted.size:
        raise _damaged(wanted.key, f"has {present.size} bytes instead of {wanted.size}")
    return present


class _Directories:
    """Which directories imports would read, and what lies there without belonging to the backup."""

    def __init__(self) -> None:
        self._wanted: set[str] = set()
        self._strays: dict[str, str] = {}

    def note_wanted(self, key: str) -> None:
        self._wanted.add(_group_directory(key))

    def note_stray(self, present: ObjectInfo | None, layout: BackupLayout) -> None:
        if present is not None:
            key = present.key.removeprefix(layout.directory)
            self._strays.setdefault(_group_directory(key), key)

    def strays(self) -> set[int]:
        """Return the partitions that have strays beside their groups; strays inside a group are an error."""
        partitions: set[int] = set()
        for directory, key in self._strays.items():
            log = parse_backup_key(key)
            # Without groups the directory of the partition is what is imported.
            partition = directory.rpartition("/")[0]
            if log is None or directory in self._wanted or partition in self._wanted:
                raise _damaged(key, "does not belong to the backup, but would be imported")
            partitions.add(log.partition_id)
        return partitions


def _group_directory(key: str) -> str:
    """Return the smallest directory that an import of a log's group would read."""
    log = parse_backup_key(key)
    parts = key.split("/")
    below_group = 2 if log is None or log.is_delta else 3
    return "/".join(parts[:-below_group])


def _line(wanted: ManifestObject, present: ObjectInfo) -> bytes:
    return dump_line(
        ManifestObject(key=wanted.key, size=wanted.size, etag=present.etag, hash=wanted.hash)
    )


def _damaged(key: str, how: str) -> BackupCorrupt:
    return BackupCorrupt(f"{key} {how}", key=key)
