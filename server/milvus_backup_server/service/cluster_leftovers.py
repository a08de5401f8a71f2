"""What restores left behind in Milvus and in its bucket.

Other services, with repositories of their own, may restore into the same Milvus: what is of an operation
of which neither a record nor a note is here is told of, and left alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from milvus_backup_server.domain.layout import join, restore_journal_directory
from milvus_backup_server.domain.leftovers import Leftover, LeftoverKind, LeftoverState
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.names import is_temporary_name, temporary_owner
from milvus_backup_server.service.context import Cluster, Storage
from milvus_backup_server.service.objects import (
    abort_uploads,
    delete_prefix,
    list_children,
    list_objects,
)
from milvus_backup_server.service.operation_fates import FOREIGN, UNREADABLE, Fate, Fates
from milvus_backup_server.service.repository_leftovers import Found, size_of
from milvus_backup_server.service.staging import STAGING_DIRECTORY
from milvus_backup_server.service.unwritten import UnwrittenRestore

_BY_JOURNAL: Final = (Fate.FORGOTTEN, Fate.UNSETTLED)


class ClusterLeftovers:
    """Looks through one Milvus. Nothing that is younger than ``before`` counts as left behind.

    Args:
        cluster: The Milvus.
        fates: What became of operations.
        before: By the clock of the store.
        undo: Undoes an interrupted restore by its journal.
        unwritten: Returns what is on record of a restore that has ended; None if nothing is.
    """

    def __init__(
        self,
        cluster: Cluster,
        fates: Fates,
        before: datetime,
        undo: Callable[[str], Awaitable[None]],
        unwritten: Callable[[str], Awaitable[UnwrittenRestore | None]],
    ) -> None:
        self._cluster = cluster
        self._fates = fates
        self._before = before
        self._undo = undo
        self._unwritten = unwritten
        self._undone: set[str] = set()

    async def collections(self) -> AsyncIterator[Found]:
        """Yield collections under temporary names."""
        gateway = self._cluster.gateway
        for database in await gateway.list_databases():
            for name in await gateway.list_collections(database):
                if not is_temporary_name(name.name):
                    continue
                operation = temporary_owner(name.name)
                item = Leftover(LeftoverKind.COLLECTION, str(name), operation)
                doubt = partial(self._doubt, operation, name)
                found = await self._judged(item, partial(self._drop, operation, name), doubt)
                if found is not None:
                    yield found

    async def _doubt(self, operation: str, name: CollectionName) -> str:
        """Return why a collection of a restore that has ended, and left no notes, must not be removed."""
        restore = await self._unwritten(operation)
        return await restore.doubt(self._cluster.gateway, name) if restore is not None else ""

    async def staging(self) -> AsyncIterator[Found]:
        """Yield the directories of copies in Milvus's bucket, with uploads into them."""
        storage = self._cluster.storage
        if storage is None or not await storage.store.bucket_exists():
            return
        root = join(storage.root, STAGING_DIRECTORY) + "/"
        async for prefix in list_children(storage.store, root):
            operation = prefix.removeprefix(root).rstrip("/")
            size = await size_of(list_objects(storage.store, prefix))
            item = Leftover(LeftoverKind.STAGING, prefix, operation, size.objects, size.bytes)
            found = await self._judged(item, partial(self._clear, operation, storage, prefix))
            if found is not None and size.older_than(self._before):
                yield found

    async def _judged(
        self,
        item: Leftover,
        remove: Callable[[], Awaitable[object]],
        doubt: Callable[[], Awaitable[str]] | None = None,
    ) -> Found | None:
        """Return what is to be done about a leftover; ``doubt`` tells why it stays where nothing is noted."""
        if not self._fates.is_old(item.operation):
            return None
        fate = await self._fates.over(item.operation, restore_journal_directory)
        if fate in _BY_JOURNAL:
            return Found(item, partial(self._undo_whole, item.operation, remove))
        if fate is Fate.ALIVE or item.operation in self._undone:
            return None
        if fate is Fate.ENDED:
            note = await doubt() if doubt is not None else ""
        else:
            note = UNREADABLE if fate is Fate.UNREADABLE else FOREIGN
        if not note:
            return Found(item, remove)
        return Found(replace(item, state=LeftoverState.KEPT, note=note), None)

    async def _undo_whole(self, operation: str, remove: Callable[[], Awaitable[object]]) -> None:
        """Undo a whole restore: what has a temporary name still may be all that is left of a collection.

        What its notes do not name goes too where the restore has ended: a service that slept meanwhile,
        and noted something behind that end, may have made it.
        """
        fate = await self._fates.over(operation, restore_journal_directory)
        if fate in _BY_JOURNAL:  # still
            self._undone.add(operation)
            await self._undo(operation)
            if fate is Fate.UNSETTLED:
                await remove()

    async def _is_over(self, operation: str) -> bool:
        return await self._fates.over(operation, restore_journal_directory) is Fate.ENDED

    async def _drop(self, operation: str, name: CollectionName) -> None:
        if await self._is_over(operation) and not await self._doubt(operation, name):  # still
            await self._cluster.gateway.drop_collection(name)

    async def _clear(self, operation: str, storage: Storage, prefix: str) -> None:
        if await self._is_over(operation):
            await abort_uploads(storage.store, prefix)
            await delete_prefix(storage.store, prefix)
