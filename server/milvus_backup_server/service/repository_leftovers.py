"""What was left behind in a repository: half backups, plans of operations that ended, uploads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.completeness import backup_state
from milvus_backup_server.domain.errors import BackupCorrupt, NotABackup
from milvus_backup_server.domain.layout import (
    CLAIM,
    CONTENT_DIRECTORIES,
    BackupLayout,
    join,
    plan_directory,
    restore_journal_directory,
)
from milvus_backup_server.domain.leftovers import Leftover, LeftoverKind, LeftoverState
from milvus_backup_server.domain.names import is_backup_name
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.domain.places import HOME
from milvus_backup_server.service.claim import parse_claim, read_claim
from milvus_backup_server.service.context import Repository
from milvus_backup_server.service.objects import delete_prefix, list_children, list_objects
from milvus_backup_server.service.operation_directory import OperationDirectory
from milvus_backup_server.service.operation_fates import FOREIGN, Fate, Fates
from milvus_backup_server.service.removal import BackupRemoval, refuse_foreign

_RECORDED_DEAD = (Fate.ENDED, Fate.UNSETTLED)
_DEAD = (*_RECORDED_DEAD, Fate.FORGOTTEN)


@dataclass(frozen=True, slots=True)
class Found:
    """A leftover, and what removes it; None if it is to be left alone."""

    item: Leftover
    remove: Callable[[], Awaitable[object]] | None


@dataclass(frozen=True, slots=True)
class Size:
    """What lies below a prefix."""

    objects: int = 0
    bytes: int = 0
    newest: datetime | None = None

    def with_object(self, item: ObjectInfo) -> Size:
        """Count one more."""
        times = [it for it in (self.newest, item.modified) if it is not None]
        return Size(self.objects + 1, self.bytes + item.size, max(times, default=None))

    def older_than(self, time: datetime) -> bool:
        """Tell whether nothing was written since then; False where the store does not tell."""
        return self.newest is not None and self.newest < time


async def size_of(objects: AsyncIterator[ObjectInfo]) -> Size:
    """Sum a listing up."""
    size = Size()
    async for item in objects:
        size = size.with_object(item)
    return size


class RepositoryLeftovers:
    """Looks through one repository. Nothing that is younger than ``before`` counts as left behind.

    Args:
        repository: Where.
        directory: What is on record of operations.
        before: By the clock of the store.
    """

    def __init__(
        self, repository: Repository, directory: OperationDirectory, before: datetime
    ) -> None:
        self._repository = repository
        self._storage = repository.storage
        self._store = repository.storage.store
        self._directory = directory
        self._fates = Fates(directory, repository.records, before)
        self._before = before

    async def backups(self) -> AsyncIterator[Found]:
        """Yield the incomplete backups whose claim is of an operation that has ended."""
        root = f"{join(self._storage.root)}/" if join(self._storage.root) else ""
        names = [
            key.removeprefix(root).rstrip("/") async for key in list_children(self._store, root)
        ]
        for name in filter(is_backup_name, names):
            found = await self._backup(self._repository.layout(name))
            if found is not None:
                yield found

    async def _backup(self, layout: BackupLayout) -> Found | None:
        claim = await self._claim_of_torso(layout)
        if claim is None:
            return None
        operation, data = claim
        fate = await self._fate(operation)
        foreign = fate is Fate.UNKNOWN and self._fates.is_old(operation)
        if fate not in _DEAD and not foreign:
            return None
        size = await size_of(list_objects(self._store, layout.directory))
        if not size.older_than(self._before):
            return None

        async def remove() -> None:
            fate = await self._fate(operation)
            if fate not in _DEAD:
                return
            if fate in _RECORDED_DEAD:  # that no retry goes by it
                records = self._repository.records
                await delete_prefix(records.store, plan_directory(records.root, operation))
            await BackupRemoval(self._store, layout, data).run()

        place = self._repository.place
        subject = layout.name if place == HOME else f"{place}/{layout.name}"
        item = Leftover(LeftoverKind.BACKUP, subject, operation, size.objects, size.bytes)
        if foreign:
            return Found(replace(item, state=LeftoverState.KEPT, note=FOREIGN), None)
        return Found(item, remove)

    async def _claim_of_torso(self, layout: BackupLayout) -> tuple[str, bytes] | None:
        """Return whose an incomplete backup is; None for any other, and for what others work on."""
        prefix = layout.meta_directory
        files = [
            item.key.removeprefix(prefix)
            async for item in list_objects(self._store, prefix, delimiter=True)
        ]
        if CLAIM not in files or backup_state(files)[0] is not BackupState.INCOMPLETE:
            return None
        if layout.name in await self._directory.active_backups(self._repository.place):
            return None
        try:
            await refuse_foreign(self._store, layout)
            data = await read_claim(self._store, layout)
            return None if data is None else (parse_claim(data).operation, data)
        except (BackupCorrupt, NotABackup):
            return None

    async def _fate(self, operation: str) -> Fate:
        """Return what became of an operation that writes here.

        It is UNKNOWN, though it is old, where it may be of a service that has its records elsewhere.
        """
        if self._repository.home is not None:
            # Services that record elsewhere may write into a place, too.
            return await self._fates.over(operation, plan_directory)
        fate = await self._fates.of(operation)
        # All services of this repository record here, and keep records for some time only.
        forgotten = fate is Fate.UNKNOWN and self._fates.is_old(operation)
        return Fate.FORGOTTEN if forgotten else fate

    async def _is_dead(self, operation: str) -> bool:
        """Tell whether an operation that writes here needs nothing any more."""
        return await self._fate(operation) in _DEAD

    async def notes(self) -> AsyncIterator[Found]:
        """Yield what operations noted and nobody needs: plans of creates, journals of restores.

        They lie in the repository of the settings, for all places.
        """
        for directory in (plan_directory, restore_journal_directory):
            async for found in self._notes(directory(self._storage.root, "")):
                yield found

    async def _notes(self, root: str) -> AsyncIterator[Found]:
        async for prefix in list_children(self._store, root):
            operation = prefix.removeprefix(root).rstrip("/")
            if not await self._is_dead(operation):
                continue
            size = await size_of(list_objects(self._store, prefix))
            if size.older_than(self._before):
                yield Found(
                    Leftover(LeftoverKind.PLAN, prefix, operation, size.objects, size.bytes),
                    partial(delete_prefix, self._store, prefix),
                )

    async def uploads(self) -> AsyncIterator[Found]:
        """Yield uploads into backups that nobody works on."""
        root = f"{join(self._storage.root)}/" if join(self._storage.root) else ""
        uploads = await self._store.list_uploads(root)
        # After the uploads: theirs are not among them.
        busy = await self._directory.active_backups(self._repository.place)
        for upload in uploads:
            name, _, rest = upload.key.removeprefix(root).partition("/")
            ours = is_backup_name(name) and rest.startswith(CONTENT_DIRECTORIES)
            if ours and name not in busy and await self._is_of_a_dead(name):
                yield Found(
                    Leftover(LeftoverKind.UPLOAD, upload.key),
                    partial(self._store.abort_upload, upload),
                )

    async def _is_of_a_dead(self, name: str) -> bool:
        """Tell whether a backup has a claim of ours, by which nobody writes now."""
        try:
            data = await read_claim(self._store, self._repository.layout(name))
            operation = "" if data is None else parse_claim(data).operation
        except BackupCorrupt:
            return False
        return await self._is_dead(operation) or await self._fates.interrupted(operation)
