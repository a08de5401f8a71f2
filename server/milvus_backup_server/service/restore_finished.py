"""Restores that have finished, for the time until everybody who asks knows it.

A restore removes its journal at its end. Should the service end before the operation is recorded as
succeeded, it counts as interrupted, and a resume finds here that nothing is left to do.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Final

from milvus_backup_server.domain.errors import BackupError, ObjectNotFound
from milvus_backup_server.domain.layout import finished_restores_directory
from milvus_backup_server.domain.manifest import canonical_json, load_json
from milvus_backup_server.domain.operations import RestoreResult
from milvus_backup_server.domain.value_codec import decode, encode
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.operation_fates import begun
from milvus_backup_server.service.restore_journal import RestoreJournal

KEPT: Final = timedelta(days=90)
"""Far longer than an interrupted operation is remembered by default.

One that would be resumed without this note restored again, over what was written since.
"""


class FinishedRestores:
    """The results of finished restores in one repository.

    Args:
        storage: Of the repository.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._directory = finished_restores_directory(storage.root)

    async def result(self, operation: str) -> RestoreResult | None:
        """Return what a restore made; None if it has not finished, or long ago."""
        try:
            data = await self._storage.store.get(self._key(operation))
        except ObjectNotFound:
            return None
        result: RestoreResult = decode(RestoreResult, load_json(data, self._key(operation)))
        return result

    async def may_be_forgotten(self, operation: str) -> bool:
        """Tell whether a restore is so old that it may have finished although nothing says so any more."""
        time = begun(operation)
        return time is not None and await self._storage.store.now() - time > KEPT

    async def note(self, operation: str, result: RestoreResult) -> None:
        """Write down that a restore has finished."""
        data = canonical_json(encode(RestoreResult, result))
        await self._storage.store.put(self._key(operation), data)

    async def tidy(self) -> None:
        """Forget those that finished long ago, with what may be left of their journals.

        A store that does not let us is no obstacle.
        """
        store = self._storage.store
        with contextlib.suppress(BackupError):
            page = await store.list_page(self._directory)
            if not page.objects:
                return
            now = await store.now()
            for item in page.objects:
                if item.modified is not None and now - item.modified > KEPT:
                    name = item.key.removeprefix(self._directory).removesuffix(".json")
                    await RestoreJournal(self._storage, name).remove()
                    await store.delete([item.key])

    def _key(self, operation: str) -> str:
        return f"{self._directory}{operation}.json"
