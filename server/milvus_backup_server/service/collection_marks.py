"""How the collections of one operation fare: one that fails does not keep the others from their end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence, Sized

from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.failures import concerns_all
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import CollectionState
from milvus_backup_server.service.tracker import Tracker


class CollectionMarks:
    """Notes which collections failed.

    Args:
        tracker: Where the notes go; collections are named as it knows them.
        source: Returns what an error calls a collection.

    Attributes:
        failed: What each collection that failed did so with, in the order of that.
    """

    def __init__(self, tracker: Tracker, source: Callable[[CollectionName], str] = str) -> None:
        self._tracker = tracker
        self._source = source
        self.failed: dict[CollectionName, BackupError] = {}

    async def trying(self, names: Sequence[CollectionName], work: Awaitable[None]) -> bool:
        """Await the work on collections, and mark them when it fails.

        Returns:
            Whether it succeeded.

        Raises:
            BackupError: It failed in a way that concerns all collections.
        """
        try:
            await work
        except BackupError as error:
            of_all = concerns_all(error)
            for name in names:
                self.failed[name] = error
                self._tracker.collection(name, state=CollectionState.FAILED, error=error)
            error.metadata.setdefault("collection", self._source(names[0]))
            if of_all:
                raise
            return False
        return True

    def require_some(self, left: Sized) -> None:
        """Raise what the first collection failed with unless some collections are left."""
        if self.failed and not left:
            raise next(iter(self.failed.values()))
