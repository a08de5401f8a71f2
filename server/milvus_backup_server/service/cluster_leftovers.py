"""What restores left behind in Milvus and in its bucket.

Other services, with repositories of their own, may restore into the same Milvus: what is of an operation
that is not on record here is told of, and left alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

from milvus_backup_server.domain.layout import join
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
from milvus_backup_server.service.operation_fates import Fate, Fates, begun
from milvus_backup_server.service.repository_leftovers import Found, size_of
from milvus_backup_server.service.staging import STAGING_DIRECTORY

_FOREIGN = "its operation is not on record here: it may be another service's"


class ClusterLeftovers:
    """Looks through one Milvus. Nothing that is younger than ``before`` counts as left behind."""

    def __init__(self, cluster: Cluster, fates: Fates, before: datetime) -> None:
        self._cluster = cluster
        self._fates = fates
        self._before = before

    async def collections(self) -> AsyncIterator[Found]:
        """Yield collections under temporary names."""
        gateway = self._cluster.gateway
        for database in await gateway.list_databases():
            for name in await gateway.list_collections(database):
                if not is_temporary_name(name.name):
                    continue
                operation = temporary_owner(name.name)
                item = Leftover(LeftoverKind.COLLECTION, str(name), operation)
                found = await self._judged(item, partial(self._drop, operation, name))
                if found is not None:
                    yield found

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
        self, item: Leftover, remove: Callable[[], Awaitable[object]]
    ) -> Found | None:
        time = begun(item.operation)
        if time is None or time >= self._before:
            return None
        fate = await self._fates.of(item.operation)
        if fate is Fate.ENDED:
            return Found(item, remove)
        if fate is Fate.ALIVE:
            return None
        return Found(replace(item, state=LeftoverState.KEPT, note=_FOREIGN), None)

    async def _drop(self, operation: str, name: CollectionName) -> None:
        if await self._fates.of(operation) is Fate.ENDED:  # still
            await self._cluster.gateway.drop_collection(name)

    async def _clear(self, operation: str, storage: Storage, prefix: str) -> None:
        if await self._fates.of(operation) is Fate.ENDED:
            await abort_uploads(storage.store, prefix)
            await delete_prefix(storage.store, prefix)
