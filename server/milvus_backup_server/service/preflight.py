"""Trying everything that backups and restores need, before they need it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from milvus_backup_server.domain.capabilities import TESTED_RANGE, capabilities_of
from milvus_backup_server.domain.diagnostics import CheckItem, CheckState
from milvus_backup_server.domain.errors import BackupError, SourceStorageMismatch
from milvus_backup_server.domain.layout import source_directories
from milvus_backup_server.domain.milvus import CollectionName, MilvusVersion
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.bucket_proof import collections_with_rows, nothing_of
from milvus_backup_server.service.checks import Deadline, cluster_storage
from milvus_backup_server.service.context import Cluster, Repository, Storage, WorkLimits
from milvus_backup_server.service.preflight_stores import StoreChecks, staging_place, where
from milvus_backup_server.service.staging import imports_in_place

_LARGEST_READ = 1 << 20
"""Of an object of Milvus; of a larger one only so many bytes are read."""


class Preflight:
    """The checks of one cluster and one repository, all within one deadline.

    Probe objects are written into the repository, and where restores stage objects into Milvus's
    bucket, and removed again; nothing else is changed.

    Args:
        cluster: The Milvus and its store.
        repository: Where backups lie.
        engine: What moves objects.
        limits: Waits, and what the settings allow.
    """

    def __init__(
        self, cluster: Cluster, repository: Repository, engine: TransferEngine, limits: WorkLimits
    ) -> None:
        self._cluster = cluster
        self._gateway = cluster.gateway
        self._repository = repository.storage
        self._limits = limits
        self._deadline = Deadline(limits.check_seconds)
        self._stores = StoreChecks(
            repository.storage, engine, self._deadline, create_bucket=limits.create_bucket
        )
        self._found: ObjectInfo | None = None

    async def run(self) -> tuple[CheckItem, ...]:
        """Make the checks and tell how each ended."""
        milvus, storage, backup = await asyncio.gather(
            self._check_milvus(), _tried("milvus_storage", self._storage), self._check_repository()
        )
        objects, staging = await asyncio.gather(
            _after([*milvus, storage], "milvus_objects", self._objects, despite_warnings=True),
            _after([storage], "staging_write", self._staging),
        )
        reached, written, _ = backup
        transfer = await _after([storage, reached, written, staging], "transfer", self._transfer)
        restore = await _after([storage], "restore", self._restore)
        return (*milvus, storage, objects, *backup, staging, transfer, restore)

    # --- Milvus

    async def _check_milvus(self) -> list[CheckItem]:
        reached = await _tried("milvus", self._answers)
        version = await _after([reached], "milvus_version", self._version)
        return [reached, version, await _after([reached], "milvus_permissions", self._permissions)]

    async def _answers(self) -> CheckItem:
        async with self._deadline.asking_milvus(self._gateway):
            databases = await self._gateway.list_databases()
        text = f"{self._gateway.address} answers; {len(databases)} databases"
        return CheckItem("milvus", CheckState.OK, text)

    async def _version(self) -> CheckItem:
        async with self._deadline.asking_milvus(self._gateway):
            version = await self._gateway.version()
        capabilities = capabilities_of(MilvusVersion.parse(version))
        able = f"; capabilities: {', '.join(capabilities.names())}" if capabilities.names() else ""
        text = f"Milvus {version}; tested: {TESTED_RANGE}"
        if capabilities.tested:
            return CheckItem("milvus_version", CheckState.OK, text + able)
        allowed = self._limits.allow_untested_versions
        state = CheckState.WARNING if allowed else CheckState.FAILED
        return CheckItem("milvus_version", state, f"{text}; this version is outside of it{able}")

    async def _permissions(self) -> CheckItem:
        """Ask what a create asks, of one collection; what would change something is not tried."""
        async with self._deadline.asking_milvus(self._gateway):
            await self._gateway.allocate_timestamp()
            name = await self._any_collection()
            if name is not None:
                await self._describe(name)
        asked = f"may describe {name}" if name else "may list collections, of which there are none"
        text = f"{asked}; whether we may flush, create and import shows only when it is done"
        return CheckItem("milvus_permissions", CheckState.OK, text)

    async def _any_collection(self) -> CollectionName | None:
        for database in await self._gateway.list_databases():
            for name in await self._gateway.list_collections(database):
                return name
        return None

    async def _describe(self, name: CollectionName) -> None:
        await asyncio.gather(
            self._gateway.describe_collection(name),
            self._gateway.list_partitions(name),
            self._gateway.list_indexes(name),
            self._gateway.list_segments(name),
            self._gateway.load_state(name),
        )

    # --- Milvus's store

    @property
    def _milvus(self) -> Storage:
        assert self._cluster.storage is not None  # noqa: S101 its check comes first
        return self._cluster.storage

    async def _storage(self) -> CheckItem:
        storage = await cluster_storage(self._cluster, self._deadline)
        async with self._deadline.asking_store(storage):
            await storage.store.list_page(f"{storage.root}/" if storage.root else "", limit=1)
        return CheckItem("milvus_storage", CheckState.OK, f"{where(storage)} answers")

    async def _objects(self) -> CheckItem:
        """Read an object that Milvus flushed: bucket and root path are the right ones."""
        storage = self._milvus
        missing: SourceStorageMismatch | None = None
        async with self._deadline.asking_milvus(self._gateway):
            async for name in collections_with_rows(self._gateway):
                description = await self._gateway.describe_collection(name)
                prefix, _ = source_directories(storage.root, description.collection_id)
                self._found = await self._smallest(storage, prefix)
                if self._found is not None:
                    return await self._read(storage, self._found, name)
                missing = missing or nothing_of(name, storage, prefix)
        if missing is not None:
            raise missing
        text = "Milvus has no flushed rows yet: bucket and root path could not be proved"
        return CheckItem("milvus_objects", CheckState.WARNING, text)

    async def _smallest(self, storage: Storage, prefix: str) -> ObjectInfo | None:
        async with self._deadline.asking_store(storage):
            page = await storage.store.list_page(prefix)
        return min(page.objects, key=lambda item: item.size, default=None)

    async def _read(self, storage: Storage, item: ObjectInfo, name: CollectionName) -> CheckItem:
        async with self._deadline.asking_store(storage):
            length = min(item.size, _LARGEST_READ)
            data = await storage.store.get(item.key, length=length, if_match=item.etag)
        text = f"read {len(data)} bytes of {item.key} of {name}"
        return CheckItem("milvus_objects", CheckState.OK, text)

    # --- the repository, and both together

    async def _check_repository(self) -> list[CheckItem]:
        reached = await _tried("backup_storage", self._stores.bucket)
        written = await _after([reached], "backup_storage_write", self._stores.write)
        conditional = await _after(
            [reached, written], "conditional_writes", self._stores.conditional_writes
        )
        return [reached, written, conditional]

    async def _staging(self) -> CheckItem:
        if imports_in_place(self._repository, self._milvus):
            text = "not needed: restores import in place"
            return CheckItem("staging_write", CheckState.OK, text)
        return await self._stores.staging_write(self._milvus)

    async def _transfer(self) -> CheckItem:
        staged = not imports_in_place(self._repository, self._milvus)
        return await self._stores.transfer(self._milvus, self._found, staged=staged)

    async def _restore(self) -> CheckItem:
        if imports_in_place(self._repository, self._milvus):
            text = "in place: Milvus imports the backups from where they lie in its own bucket"
        else:
            place = staging_place(self._milvus)
            text = f"staged: objects are copied to {place}, imported and removed"
        return CheckItem("restore", CheckState.OK, text)


async def _tried(name: str, check: Callable[[], Awaitable[CheckItem]]) -> CheckItem:
    try:
        return await check()
    except BackupError as error:
        return CheckItem(name, CheckState.FAILED, error.message, error)


async def _after(
    before: Sequence[CheckItem],
    name: str,
    check: Callable[[], Awaitable[CheckItem]],
    *,
    despite_warnings: bool = False,
) -> CheckItem:
    """Try something that makes sense only if all before it works."""
    enough = {CheckState.OK, CheckState.WARNING} if despite_warnings else {CheckState.OK}
    failed = [item.name for item in before if item.state not in enough]
    if not failed:
        return await _tried(name, check)
    return CheckItem(name, CheckState.SKIPPED, f"not tried: {failed[0]} is not ok")
