"""What lies in a backup's directory without belonging to the backup."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

from milvus_backup_server.domain.errors import BackupCorrupt
from milvus_backup_server.domain.layout import BackupLayout
from milvus_backup_server.domain.verification import Problem, ProblemKind
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.objects import list_children, list_objects
from milvus_backup_server.service.tracker import Tracker
from milvus_backup_server.service.verify_report import VerifyReport

_KINDS = ("insert_log/", "delta_log/")


class ExtrasCheck:
    """Looks around a backup's data and metadata.

    What lies among the data is damage, because the Go tool, Milvus or a later release may import it.
    What lies elsewhere is no part of any restore, and is warned of.

    Args:
        store: The repository's store.
        layout: Keys of the backup.
        report: Gets what lies among the data.
        tracker: Is warned of what lies elsewhere.
    """

    def __init__(
        self, store: ObjectStore, layout: BackupLayout, report: VerifyReport, tracker: Tracker
    ) -> None:
        self._store = store
        self._layout = layout
        self._report = report
        self._tracker = tracker

    async def check_data(self, collection_ids: Collection[int]) -> None:
        """Report what lies among the data, but not in the directories of these collections."""
        root = self._layout.data_directory
        known = {f"{collection}/" for collection in collection_ids}
        await self._report_all(root, _KINDS)
        for kind in _KINDS:
            await self._report_all(root + kind, known)

    async def check_elsewhere(self, meta_files: Collection[str]) -> None:
        """Warn of what lies elsewhere, of a directory once.

        Args:
            meta_files: Names that belong into ``meta/``; directories end in ``/``.
        """
        root, meta = self._layout.directory, self._layout.meta_directory
        async for key in self._others(root, ("meta/", "binlogs/")):
            self._warn(key)
        async for key in self._others(meta, meta_files):
            self._warn(key)

    async def check_object_lists(self, directory: str, files: Collection[str]) -> None:
        """Warn of what lies beside the manifest's lists of objects.

        Args:
            directory: Below ``meta/``, ending in ``/``.
            files: Names in it that belong there.
        """
        async for key in self._others(self._layout.meta(directory), files):
            self._warn(key)

    async def _report_all(self, prefix: str, known: Collection[str]) -> None:
        async for other in self._others(prefix, known):
            async for item in list_objects(self._store, other):
                key = item.key.removeprefix(self._layout.directory)
                message = f"{key} does not belong to the backup"
                self._report.add(Problem(key, ProblemKind.EXTRA, message))

    async def _others(self, prefix: str, known: Collection[str]) -> AsyncIterator[str]:
        """Yield keys and directories right below a prefix whose names are not known."""
        async for child in list_children(self._store, prefix):
            if child.removeprefix(prefix) not in known:
                yield child
        async for item in list_objects(self._store, prefix, delimiter=True):
            if item.key.removeprefix(prefix) not in known:
                yield item.key

    def _warn(self, key: str) -> None:
        relative = key.removeprefix(self._layout.directory)
        text = f"{relative} does not belong to the backup; no restore reads it"
        self._tracker.warn(BackupCorrupt(text, key=relative))
