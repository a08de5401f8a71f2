"""Removing a backup in the reverse order of writing, so that it is never listed as complete without being so."""

from __future__ import annotations

from collections.abc import Callable

from milvus_backup_server.domain.layout import BACKUP_META, CLAIM, FULL_META, BackupLayout
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.objects import abort_uploads, list_objects

_BATCH = 1000

Removed = Callable[[int], None]
"""Is told how many objects were removed by each step."""


async def remove_backup(
    store: ObjectStore, layout: BackupLayout, removed: Removed = lambda _: None
) -> int:
    """Remove everything in a backup's directory and return the number of objects.

    First ``full_meta.json``, by which it is complete, and ``backup_meta.json``, by which the Go
    tool lists it; then the data, then the rest, the claim last.
    """
    heads = [layout.meta(FULL_META), layout.meta(BACKUP_META)]
    claim = layout.meta(CLAIM)
    await abort_uploads(store, layout.directory)
    count = 0
    for key in heads:
        count += await _remove_one(store, key, removed)
    count += await _remove_prefix(store, layout.data_directory, "", removed)
    count += await _remove_prefix(store, layout.directory, claim, removed)
    return count + await _remove_one(store, claim, removed)


async def _remove_one(store: ObjectStore, key: str, removed: Removed) -> int:
    if await store.head(key) is None:
        return 0
    await store.delete([key])
    removed(1)
    return 1


async def _remove_prefix(store: ObjectStore, prefix: str, keep: str, removed: Removed) -> int:
    count = 0
    batch: list[str] = []
    async for item in list_objects(store, prefix):
        if item.key != keep:
            batch.append(item.key)
        if len(batch) == _BATCH:
            count += await _remove_batch(store, batch, removed)
            batch = []
    return count + await _remove_batch(store, batch, removed)


async def _remove_batch(store: ObjectStore, batch: list[str], removed: Removed) -> int:
    if batch:
        await store.delete(batch)
        removed(len(batch))
    return len(batch)
