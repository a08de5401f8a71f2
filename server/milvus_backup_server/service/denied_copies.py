"""The warning that a store refuses to copy by itself."""

from __future__ import annotations

from milvus_backup_server.domain.errors import StorageDenied
from milvus_backup_server.domain.objects import TransferOutcome
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.tracker import Tracker


class DeniedCopies:
    """Warns once that bytes pass through the service although they need not.

    Args:
        source: The store that is read.
        target: The store that would copy.
        setting: The setting with the target's login.
        tracker: Gets the warning.
    """

    def __init__(self, source: Storage, target: Storage, setting: str, tracker: Tracker) -> None:
        self._source = source.store.location.bucket
        self._target = target.store.location.bucket
        self._setting = setting
        self._tracker = tracker
        self._warned = False

    def note(self, outcome: TransferOutcome) -> None:
        """Look at what became of a job."""
        if not outcome.copy_denied or self._warned:
            return
        self._warned = True
        self._tracker.warn(
            StorageDenied(
                f"the store may not copy from bucket {self._source!r} to {self._target!r} by itself, so "
                f"the bytes pass through this service: the credentials of {self._setting} may not read "
                f"bucket {self._source!r}",
                subject=self._source,
            )
        )
