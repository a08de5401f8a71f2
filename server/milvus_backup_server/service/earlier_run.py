"""What an earlier run of a create left in the backup's directory."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from milvus_backup_server.domain.error_codec import error_of
from milvus_backup_server.domain.errors import BackupCorrupt, ObjectChanged, ObjectNotFound
from milvus_backup_server.domain.layout import (
    BACKUP_META,
    FULL_META,
    BackupLayout,
    manifest_directory,
)
from milvus_backup_server.domain.manifest import (
    ManifestCollection,
    ManifestMissing,
    ManifestObject,
)
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    CollectionProgress,
    CollectionState,
    CreateResult,
)
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.backup_reader import BackupReader
from milvus_backup_server.service.collection_plan import CollectionPlan
from milvus_backup_server.service.meta_files import StoredMeta
from milvus_backup_server.service.objects import list_objects, read_chunks
from milvus_backup_server.service.spool import Spool, SpoolDirectory

_MANIFEST = "manifest."
_OBJECTS_FILE = re.compile(r"manifest\.(\d+)/(\d+)\.jsonl")
_DELETE_BATCH = 1000


@dataclass(frozen=True, slots=True)
class FinishedBackup:
    """A backup that an earlier run had finished; ``collections`` are also those that it lacks."""

    result: CreateResult
    collections: tuple[CollectionProgress, ...]


class EarlierRun:
    """The metadata of a backup that is not finished.

    Args:
        store: The repository's store.
        layout: Keys of the backup.
        part_bytes: Bytes read by one request.
        require_name: Asked directly before anything is removed: raises if the backup's name is not
            ours any more.
    """

    def __init__(
        self,
        store: ObjectStore,
        layout: BackupLayout,
        part_bytes: int,
        require_name: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._layout = layout
        self._part_bytes = part_bytes
        self._require_name = require_name
        self._lists: dict[int, tuple[int, str]] = {}

    async def finished(self) -> FinishedBackup | None:
        """Return what the backup holds if nothing was left to do; None if it is not complete."""
        files = StoredMeta(self._store, self._layout, self._part_bytes)
        reader = BackupReader(files)
        found = await reader.files()
        head = await reader.head(found) if FULL_META in found else None
        if head is None:
            return None
        collections = [_done(line) async for line in reader.manifest_collections(head)]
        result = CreateResult(
            collection_count=head.collection_count,
            object_count=head.object_count,
            size_bytes=head.size,
            row_count=head.row_count,
            server_side_copy_count=0,
            rbac=head.rbac,
        )
        return FinishedBackup(result, (*collections, *map(_failed, head.missing)))

    async def hide(self) -> None:
        """Remove the file by which the Go tool lists the backup: what stands under it will change."""
        key = self._layout.meta(BACKUP_META)
        if await self._store.head(key) is not None:
            await self._delete([key])

    async def look(self) -> None:
        """Find the lists of objects that were written for collections that are whole."""
        async for collection_id, generation, name in self._object_lists():
            file = (generation, name)
            self._lists[collection_id] = max(file, self._lists.get(collection_id, file))

    async def whole(self, plan: CollectionPlan, spools: SpoolDirectory) -> Spool | None:
        """Return the manifest's lines of a collection that was checked against this plan.

        None if it was not, or was planned anew since: then its copies must be looked at.
        """
        if plan.collection_id not in self._lists:
            return None
        _, name = self._lists[plan.collection_id]
        lines = spools.spool()
        key = self._layout.meta(name)
        try:
            async for chunk in read_chunks(self._store, key, self._part_bytes):
                await lines.append(chunk)
            await lines.flush()
            return lines if await _lists_the_plan(lines, plan) else None
        except (BackupCorrupt, ObjectChanged, ObjectNotFound, ValueError):
            return None

    async def forget(self, collection_id: int) -> None:
        """Remove the lists of a collection whose copies are about to be removed.

        A list without the copies that it names would count as whole.
        """
        await self._delete(
            [
                self._layout.meta(name)
                async for listed, _, name in self._object_lists()
                if listed == collection_id
            ]
        )
        self._lists.pop(collection_id, None)

    async def remove(self, generation: int) -> None:
        """Remove the manifests of all generations but one."""
        own = manifest_directory(generation)
        keys = [
            self._layout.meta(name)
            async for name in self._manifest_files()
            if not name.startswith(own)
        ]
        await self._delete(keys)

    async def _delete(self, keys: Sequence[str]) -> None:
        for begin in range(0, len(keys), _DELETE_BATCH):
            await self._require_name()
            await self._store.delete(keys[begin : begin + _DELETE_BATCH])

    async def _object_lists(self) -> AsyncIterator[tuple[int, int, str]]:
        """Yield collection, generation and name of each list of objects."""
        async for name in self._manifest_files():
            found = _OBJECTS_FILE.fullmatch(name)
            if found is not None:
                yield int(found[2]), int(found[1]), name

    async def _manifest_files(self) -> AsyncIterator[str]:
        prefix = self._layout.meta(_MANIFEST)
        async for item in list_objects(self._store, prefix):
            yield item.key.removeprefix(self._layout.meta_directory)


async def _lists_the_plan(lines: Spool, plan: CollectionPlan) -> bool:
    """Tell whether a manifest's lines are those of the objects planned."""
    planned = plan.objects()
    async for line in lines.read_lines():
        listed = ManifestObject.from_json(json.loads(line))
        wanted = await anext(planned, None)
        if wanted is None or _copied(wanted) != _copied(listed):
            return False
    return await anext(planned, None) is None


def _done(line: ManifestCollection) -> CollectionProgress:
    return CollectionProgress(
        source=CollectionName(line.db_name, line.collection_name),
        state=CollectionState.SUCCEEDED,
        bytes_done=line.size,
        bytes_total=line.size,
        row_count=line.row_count,
        moment=line.moment or None,
    )


def _failed(item: ManifestMissing) -> CollectionProgress:
    return CollectionProgress(
        source=CollectionName(item.db_name, item.collection_name),
        state=CollectionState.FAILED,
        error=error_of(item.reason, item.message),
    )


def _copied(item: ManifestObject) -> tuple[str, str, str, int]:
    return item.key, item.source_key, item.source_etag, item.size
