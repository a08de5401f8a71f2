"""Removing a backup in the reverse order of writing, so that it is never listed as complete without being so."""

from __future__ import annotations

from collections.abc import Callable

from milvus_backup_server.domain.errors import NotABackup
from milvus_backup_server.domain.layout import (
    BACKUP_META,
    CLAIM,
    CONTENT_DIRECTORIES,
    FULL_META,
    BackupLayout,
)
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.claim import require_claim
from milvus_backup_server.service.objects import abort_uploads, delete_prefix

Removed = Callable[[int], None]
"""Is told how many objects were removed by each step."""


async def refuse_foreign(store: ObjectStore, layout: BackupLayout) -> None:
    """Raise NotABackup if a directory holds anything that no backup does."""
    page = await store.list_page(layout.directory, delimiter=True)
    names = [prefix.removeprefix(layout.directory) for prefix in page.prefixes]
    foreign = [name for name in names if name not in CONTENT_DIRECTORIES]
    foreign += [item.key.removeprefix(layout.directory) for item in page.objects]
    if foreign:
        raise NotABackup(
            f"{layout.directory} holds {foreign[0]!r}, which is no part of a backup: it is left "
            "alone",
            subject=layout.name,
        )


class BackupRemoval:
    """Removes one backup.

    The claim is read again before each batch, so that what a successor wrote under the name is left
    alone.

    Args:
        store: The repository's store.
        layout: Keys of the backup.
        claim: The claim that stood when it was decided to remove the backup, as it was; None if
            there was none.
        removed: Is told how many objects each step removed.
    """

    def __init__(
        self,
        store: ObjectStore,
        layout: BackupLayout,
        claim: bytes | None,
        removed: Removed = lambda _: None,
    ) -> None:
        self._store = store
        self._layout = layout
        self._claim = claim
        self._removed = removed

    async def run(self, *, keep_claim: bool = False) -> int:
        """Remove everything in the directory and return the number of objects.

        First ``full_meta.json``, by which the backup is complete, and ``backup_meta.json``, by
        which the Go tool lists it; then the data, then the rest, the claim last. With
        ``keep_claim`` the name stays taken.

        Raises:
            BackupNameLost: Another writer took the name meanwhile.
        """
        layout, claim = self._layout, self._layout.meta(CLAIM)
        await require_claim(self._store, layout, self._claim)
        await abort_uploads(self._store, layout.directory)
        count = await self._remove_one(layout.meta(FULL_META))
        count += await self._remove_one(layout.meta(BACKUP_META))
        count += await self._remove_prefix(layout.data_directory, "")
        count += await self._remove_prefix(layout.directory, claim)
        if keep_claim or self._claim is None:
            return count
        return count + await self._remove_one(claim)

    async def _remove_one(self, key: str) -> int:
        if await self._store.head(key) is None:
            return 0
        return await self._remove([key])

    async def _remove_prefix(self, prefix: str, keep: str) -> int:
        return await delete_prefix(self._store, prefix, keep=keep, delete=self._remove)

    async def _remove(self, keys: list[str]) -> int:
        if keys:
            await require_claim(self._store, self._layout, self._claim)
            await self._store.delete(keys)
            self._removed(len(keys))
        return len(keys)
