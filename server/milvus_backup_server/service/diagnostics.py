"""Telling what the service is, and whether what it depends on works."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from milvus_backup_server.domain.capabilities import (
    TESTED_RANGE,
    Capabilities,
    capabilities_of,
)
from milvus_backup_server.domain.diagnostics import (
    CheckItem,
    CheckState,
    ClusterInfo,
    ServerInfo,
    StoreInfo,
)
from milvus_backup_server.domain.errors import BackupError, SourceStorageMismatch
from milvus_backup_server.domain.layout import SERVICE_DIRECTORY, join, source_directories
from milvus_backup_server.domain.milvus import CollectionName, MilvusVersion
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.checks import cluster_storage, require_bucket, within
from milvus_backup_server.service.context import Cluster, Environment, Storage
from milvus_backup_server.service.operations import OperationManager

_COLLECTIONS_TRIED = 20
_WORKING = (OperationState.RUNNING, OperationState.CANCELLING)

_Check = Callable[[], Awaitable[CheckItem]]


class Diagnostics:
    """Tries Milvus and the stores, and describes the service."""

    def __init__(self, environment: Environment, operations: OperationManager) -> None:
        self._environment = environment
        self._operations = operations
        self._started = datetime.now(UTC)

    async def check(self) -> tuple[CheckItem, ...]:
        """Try everything that backups and restores need, and tell how each trial ended.

        Writes one object into the repository and removes it again; nothing else is changed.
        """
        cluster = self._environment.registry.cluster()
        repository = self._environment.registry.repository().storage
        items = [
            await self._try("milvus", lambda: _check_milvus(cluster.gateway)),
            await self._try("milvus_version", lambda: self._check_version(cluster.gateway)),
            await self._try("milvus_storage", lambda: _check_storage(cluster)),
        ]
        items.append(await self._after(items, "milvus_objects", lambda: _check_objects(cluster)))
        items.append(await self._try("backup_storage", lambda: self._check_repository(repository)))
        write: _Check = lambda: _check_write(repository)  # noqa: E731 named for the call below
        items.append(await self._after(items[-1:], "backup_storage_write", write))
        items.append(await self._try("transfer", lambda: _check_transfer(cluster, repository)))
        return tuple(items)

    async def server_info(self) -> ServerInfo:
        """Describe the service; Milvus may be down."""
        repository = self._environment.registry.repository().storage
        return ServerInfo(
            version=self._environment.version,
            start_time=self._started,
            cluster=await self._cluster_info(self._environment.registry.cluster()),
            repository=_store_info(repository),
            running_operations=sum(self._operations.count(state) for state in _WORKING),
            pending_operations=self._operations.count(OperationState.PENDING),
        )

    async def _cluster_info(self, cluster: Cluster) -> ClusterInfo:
        version, error = "", None
        try:
            async with within(self._environment.limits.check_seconds):
                version = await cluster.gateway.version()
        except BackupError as found:
            error = found
        capabilities = capabilities_of(MilvusVersion.parse(version))
        return ClusterInfo(
            name=cluster.name,
            address=cluster.gateway.address,
            milvus_version=version,
            error=error,
            supported=self._supports(capabilities) and error is None,
            capabilities=capabilities.names(),
            storage=_store_info(cluster.storage) if cluster.storage else None,
        )

    def _supports(self, capabilities: Capabilities) -> bool:
        return capabilities.tested or self._environment.limits.allow_untested_versions

    async def _check_version(self, gateway: MilvusGateway) -> CheckItem:
        version = await gateway.version()
        capabilities = capabilities_of(MilvusVersion.parse(version))
        text = f"Milvus {version}; tested: {TESTED_RANGE}"
        if capabilities.tested:
            return CheckItem("milvus_version", CheckState.OK, text)
        state = CheckState.WARNING if self._supports(capabilities) else CheckState.FAILED
        return CheckItem("milvus_version", state, f"{text}; this version is outside of it")

    async def _check_repository(self, repository: Storage) -> CheckItem:
        where = _where(repository)
        if await repository.store.bucket_exists():
            return CheckItem("backup_storage", CheckState.OK, f"{where} answers")
        if self._environment.limits.create_bucket:
            text = f"{where} does not exist; the first create makes it"
            return CheckItem("backup_storage", CheckState.WARNING, text)
        await require_bucket(repository, "backup.storage.bucketName")
        raise AssertionError

    async def _after(self, before: list[CheckItem], name: str, check: _Check) -> CheckItem:
        """Try something that makes sense only if all before it works."""
        if any(item.state is not CheckState.OK for item in before):
            return CheckItem(name, CheckState.SKIPPED, "something before it does not work")
        return await self._try(name, check)

    async def _try(self, name: str, check: _Check) -> CheckItem:
        try:
            async with within(self._environment.limits.check_seconds):
                return await check()
        except BackupError as error:
            return CheckItem(name, CheckState.FAILED, error.message, error)


async def _check_milvus(gateway: MilvusGateway) -> CheckItem:
    databases = await gateway.list_databases()
    text = f"{gateway.address} answers; {len(databases)} databases"
    return CheckItem("milvus", CheckState.OK, text)


async def _check_storage(cluster: Cluster) -> CheckItem:
    storage = await cluster_storage(cluster)
    await storage.store.list_page(f"{storage.root}/" if storage.root else "", limit=1)
    return CheckItem("milvus_storage", CheckState.OK, f"{_where(storage)} answers")


async def _check_objects(cluster: Cluster) -> CheckItem:
    """Read one object that Milvus has flushed: it proves bucket and root path to be the right ones."""
    storage = await cluster_storage(cluster)
    name = await _with_rows(cluster.gateway)
    if name is None:
        text = "Milvus has no flushed rows yet, so bucket and root path could not be proved"
        return CheckItem("milvus_objects", CheckState.WARNING, text)
    description = await cluster.gateway.describe_collection(name)
    prefix, _ = source_directories(storage.root, description.collection_id)
    page = await storage.store.list_page(prefix, limit=1)
    if not page.objects:
        raise SourceStorageMismatch(
            f"Milvus has flushed rows of {name}, but {_where(storage)} has no objects of it: "
            "milvus.storage.bucketName or milvus.storage.rootPath is not what Milvus uses",
            subject=str(name),
            bucket=storage.store.location.bucket,
            prefix=prefix,
        )
    await storage.store.get(page.objects[0].key, length=1)
    return CheckItem("milvus_objects", CheckState.OK, f"read {page.objects[0].key} of {name}")


async def _with_rows(gateway: MilvusGateway) -> CollectionName | None:
    """Return a collection with flushed rows, looking at the first few only."""
    tried = 0
    for database in await gateway.list_databases():
        for name in await gateway.list_collections(database):
            if any(segment.rows for segment in await gateway.list_segments(name)):
                return name
            tried += 1
            if tried == _COLLECTIONS_TRIED:
                return None
    return None


async def _check_write(repository: Storage) -> CheckItem:
    key = join(repository.root, SERVICE_DIRECTORY, f"check_{secrets.token_hex(8)}")
    await repository.store.put(key, b"milvus-backup check", if_absent=True)
    await repository.store.delete([key])
    return CheckItem("backup_storage_write", CheckState.OK, "wrote and removed a probe object")


async def _check_transfer(cluster: Cluster, repository: Storage) -> CheckItem:
    if cluster.storage is None:
        return CheckItem("transfer", CheckState.SKIPPED, "Milvus's object store is not configured")
    ours, milvus = repository.store.location, cluster.storage.store.location
    if ours == milvus:
        text = "same bucket: the store copies by itself, restores import in place"
    elif ours.same_endpoint(milvus):
        text = "same endpoint: the store copies by itself, restores stage into Milvus's bucket"
    else:
        text = (
            "different stores: bytes pass through this service, restores stage into Milvus's bucket"
        )
    return CheckItem("transfer", CheckState.OK, text)


def _store_info(storage: Storage) -> StoreInfo:
    return StoreInfo(storage.store.location, storage.root)


def _where(storage: Storage) -> str:
    location = storage.store.location
    bucket = f"{location.endpoint}/{location.bucket}" if location.endpoint else location.bucket
    return f"{bucket}/{storage.root}" if storage.root else bucket
