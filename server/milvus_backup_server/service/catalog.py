"""What backups there are: read from the store each time, joined with the operations that run here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime

from milvus_backup_server.domain.backups import (
    Backup,
    BackupCollectionSummary,
    BackupState,
    Page,
)
from milvus_backup_server.domain.completeness import backup_state
from milvus_backup_server.domain.descriptions import (
    of_go_tool,
    of_manifest,
    oldest,
    unreadable,
    with_verifications,
)
from milvus_backup_server.domain.errors import BackupCorrupt, BackupNotFound, BackupNotRestorable
from milvus_backup_server.domain.layout import CONTENT_DIRECTORIES
from milvus_backup_server.domain.manifest import ManifestHead
from milvus_backup_server.domain.names import is_backup_name
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.domain.operations import SHOWN_COLLECTIONS, OperationKind
from milvus_backup_server.domain.places import Place
from milvus_backup_server.domain.rbac import RbacCounts
from milvus_backup_server.domain.requests import check_backup_name
from milvus_backup_server.domain.summaries import summary_of_manifest, summary_of_record
from milvus_backup_server.service.backup_reader import BackupAside, BackupReader
from milvus_backup_server.service.checks import Deadline
from milvus_backup_server.service.concurrency import for_each
from milvus_backup_server.service.context import Environment, Repository
from milvus_backup_server.service.meta_files import StoredMeta
from milvus_backup_server.service.objects import list_children
from milvus_backup_server.service.operation_directory import OperationDirectory
from milvus_backup_server.service.verification_records import VerificationRecords

_READ_AT_ONCE = 16
_LOOKED_AT = 500
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_ACTIVE_STATES = {
    OperationKind.CREATE_BACKUP: BackupState.CREATING,
    OperationKind.DELETE_BACKUP: BackupState.DELETING,
    OperationKind.IMPORT_BACKUP: BackupState.CREATING,
}


class Catalog:
    """Lists and describes the backups of a repository, that of the settings unless another is given."""

    def __init__(
        self,
        environment: Environment,
        operations: OperationDirectory,
        repository: Repository | None = None,
    ) -> None:
        self._environment = environment
        self._operations = operations
        self._repository = repository or environment.registry.repository()

    @property
    def place(self) -> Place:
        """Where its backups lie."""
        return self._repository.place

    def of(self, repository: Repository) -> Catalog:
        """Return the catalog of another repository."""
        return Catalog(self._environment, self._operations, repository)

    def at(self, place: Place) -> Catalog:
        """Return the catalog of a place.

        Raises:
            InvalidRequest: It is none, or not allowed.
        """
        return self.of(self._environment.registry.repository_at(place))

    async def get(self, name: str) -> Backup:
        """Return a backup with its first collections.

        Raises:
            InvalidRequest: No backup can have that name.
            BackupNotFound: Nothing of that name is in the repository.
        """
        basic = await self.get_basic(name)
        if basic.state not in (BackupState.COMPLETE, BackupState.LEGACY):
            return basic
        try:
            return await self._with_collections(basic)
        except (BackupCorrupt, BackupNotRestorable) as error:
            return unreadable(basic, error)

    async def _with_collections(self, basic: Backup) -> Backup:
        reader = self.reader(basic.name)
        files = await reader.files()
        head = await reader.head(files)
        basic = replace(basic, meta_size_bytes=await reader.size())
        if head is None:
            return await _whole_of_go_tool(basic, reader, files)
        return await _whole_of_manifest(basic, reader, head)

    async def get_basic(self, name: str) -> Backup:
        """Return a backup without its collections; errors as in ``get``."""
        return await self._found(name, may_be_damaged=True)

    async def get_sound(self, name: str) -> Backup:
        """Return a backup without its collections, for who is about to use it; errors as in ``get``.

        Raises:
            BackupCorrupt: Its head is missing or damaged.
        """
        return await self._found(name, may_be_damaged=False)

    async def _found(self, name: str, *, may_be_damaged: bool) -> Backup:
        check_backup_name(name)
        found = await self._describe(name, may_be_damaged=may_be_damaged)
        if found is None:
            raise BackupNotFound(name)
        return found

    async def find(self, id_: str) -> Backup | None:
        """Return the backup whose metadata has an id, the newest if several have it; None if none."""
        found: list[Backup] = []
        after = ""
        while True:
            page = await self.list(after, _LOOKED_AT, full=False)
            found += (backup for backup in page.items if id_ and backup.id == id_)
            after = page.next_key
            if not after:
                return max(found, key=_begin, default=None)

    async def list(self, after: str, limit: int, *, full: bool) -> Page[Backup]:
        """Return a page of backups by name, beginning behind ``after``."""
        names = sorted(name for name in await self._names() if name > after)
        shown = names[:limit]
        found: dict[str, Backup] = {}

        async def describe(name: str) -> None:
            backup = await (self._full(name) if full else self._describe(name))
            if backup is not None:
                found[name] = backup

        await for_each(shown, describe, concurrent=_READ_AT_ONCE)
        more = shown[-1] if len(names) > limit else ""
        return Page(tuple(found[name] for name in shown if name in found), more)

    async def collections(
        self, name: str, offset: int, limit: int
    ) -> Page[BackupCollectionSummary]:
        """Return a page of a backup's collections in the order of its metadata.

        Raises:
            BackupNotFound: Nothing of that name is in the repository.
            BackupCorrupt: The metadata is damaged.
        """
        basic = await self.get_basic(name)
        if basic.state not in (BackupState.COMPLETE, BackupState.LEGACY):
            return Page(())
        items: list[BackupCollectionSummary] = []
        async for item in self.summaries(name, skip=offset):
            if len(items) == limit:
                return Page(tuple(items), str(offset + limit))
            items.append(item)
        return Page(tuple(items))

    async def summaries(self, name: str, skip: int = 0) -> AsyncIterator[BackupCollectionSummary]:
        """Yield what is shown of a backup's collections but the first ``skip``."""
        reader = self.reader(name)
        files = await reader.files()
        head = await reader.head(files)
        if head is not None:
            async for line in reader.manifest_collections(head, skip):
                yield summary_of_manifest(line)
            return
        async for record in reader.collections(files):
            if skip > 0:
                skip -= 1
            else:
                yield summary_of_record(record)

    def reader(self, name: str) -> BackupReader:
        """Return what reads a backup's metadata."""
        repository = self._repository
        part_bytes = self._environment.limits.part_bytes
        layout = repository.layout(name)
        return BackupReader(StoredMeta(repository.storage.store, layout, part_bytes))

    def _asking(self) -> AbstractAsyncContextManager[None]:
        deadline = Deadline(self._environment.limits.check_seconds)
        return deadline.asking_store(self._repository.storage)

    async def _names(self) -> set[str]:
        names = set(await self._operations.active_backups(self._repository.place))
        storage = self._repository.storage
        root = f"{storage.root}/" if storage.root else ""
        async with self._asking():
            if not await storage.store.bucket_exists():
                return names
            async for prefix in list_children(storage.store, root):
                name = prefix.removeprefix(root).rstrip("/")
                if is_backup_name(name):
                    names.add(name)
        return names

    async def _full(self, name: str) -> Backup | None:
        try:
            return await self.get(name)
        except BackupNotFound:
            return None

    async def _describe(self, name: str, *, may_be_damaged: bool = True) -> Backup | None:
        place = self._repository.place
        active = (await self._operations.active_backups(place)).get(name)
        found = await self._stored(name, may_be_damaged=may_be_damaged)
        if active is None:
            return found
        begun = Backup(name, BackupState.CREATING, place=place)
        return replace(found or begun, state=_ACTIVE_STATES[active])

    async def _stored(self, name: str, *, may_be_damaged: bool) -> Backup | None:
        reader = self.reader(name)
        async with self._asking():
            if not await self._repository.storage.store.bucket_exists():
                return None
            files = await reader.files()
            if not files and not await self._has_data(name):
                return None
            state, note = backup_state(files)
            backup = Backup(name, state, notes=(note,) if note else (), place=self.place)
            if state is BackupState.INCOMPLETE:
                return replace(backup, create_time=oldest(files))
            try:
                found, verified = await asyncio.gather(
                    _with_heads(backup, reader, files),
                    VerificationRecords(self._repository).read(name),
                )
                return with_verifications(found, verified)
            except (BackupCorrupt, BackupNotRestorable) as error:
                if isinstance(error, BackupCorrupt) and not may_be_damaged:
                    raise
                return unreadable(backup, error)

    async def _has_data(self, name: str) -> bool:
        """Tell a torso of the Go tool from a directory that is somebody else's.

        Its root may be Milvus's own, whose directories are no backups.
        """
        store, layout = self._repository.storage.store, self._repository.layout(name)
        for directory in CONTENT_DIRECTORIES:
            if (await store.list_page(layout.key(directory), limit=1)).objects:
                return True
        return False


async def _with_heads(
    backup: Backup, reader: BackupReader, files: Mapping[str, ObjectInfo]
) -> Backup:
    info, head = await asyncio.gather(reader.info(files), reader.head(files))
    if head is not None:
        return of_manifest(backup, info, head)
    return of_go_tool(backup, info, files)


async def _whole_of_manifest(backup: Backup, reader: BackupReader, head: ManifestHead) -> Backup:
    shown: list[BackupCollectionSummary] = []
    async for line in reader.manifest_collections(head):  # to the end, where its hash is compared
        if len(shown) < SHOWN_COLLECTIONS:
            shown.append(summary_of_manifest(line))
    return replace(backup, collections=tuple(shown), databases=head.databases, rbac=head.rbac)


async def _whole_of_go_tool(
    backup: Backup, reader: BackupReader, files: Mapping[str, ObjectInfo]
) -> Backup:
    shown: list[BackupCollectionSummary] = []
    count = rows = 0
    aside = BackupAside()
    async for record in reader.collections(files, aside):
        item = summary_of_record(record)
        count += 1
        rows += item.row_count
        if len(shown) < SHOWN_COLLECTIONS:
            shown.append(item)
    return replace(
        backup,
        collections=tuple(shown),
        collection_count=count,
        row_count=rows,
        databases=tuple(aside.databases),
        rpc_channel=aside.rpc_channel,
        rbac=None if aside.rbac is None else RbacCounts.of(aside.rbac),
    )


def _begin(backup: Backup) -> datetime:
    return backup.create_time or _LONG_AGO
