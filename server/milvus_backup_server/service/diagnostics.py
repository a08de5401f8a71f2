"""Telling what the service is, and whether what it depends on works."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from milvus_backup_server.domain.capabilities import Capabilities, capabilities_of
from milvus_backup_server.domain.diagnostics import (
    CheckItem,
    ClusterInfo,
    ServerInfo,
    StoreInfo,
)
from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.milvus import MilvusVersion
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.checks import Deadline
from milvus_backup_server.service.context import Cluster, Environment, Storage
from milvus_backup_server.service.operations import OperationManager
from milvus_backup_server.service.place_checks import check_places
from milvus_backup_server.service.preflight import Preflight
from milvus_backup_server.service.preflight_stores import StoreChecks

_WORKING = (OperationState.RUNNING, OperationState.CANCELLING)


class Diagnostics:
    """Tries Milvus and the stores, and describes the service."""

    def __init__(
        self, environment: Environment, engine: TransferEngine, operations: OperationManager
    ) -> None:
        self._environment = environment
        self._engine = engine
        self._operations = operations
        self._started = datetime.now(UTC)

    async def check(self) -> tuple[CheckItem, ...]:
        """Try everything that backups and restores need, and tell how each trial ended."""
        registry, limits = self._environment.registry, self._environment.limits
        stores = Preflight(registry.cluster(), registry.repository(), self._engine, limits)
        found, places = await asyncio.gather(stores.run(), check_places(registry, limits))
        return (*found, *places)

    async def shared_store(self) -> CheckItem | None:
        """Try whether several services may share the backups' store; None if that cannot be tried now."""
        repository = self._environment.registry.repository().storage
        limits = self._environment.limits
        deadline = Deadline(limits.check_seconds)
        stores = StoreChecks(repository, self._engine, deadline, create_bucket=limits.create_bucket)
        try:
            async with deadline.asking_store(repository):
                exists = await repository.store.bucket_exists()
            return await stores.conditional_writes() if exists else None
        except BackupError:
            return None

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
        found = ClusterInfo(
            name=cluster.name,
            address=cluster.gateway.address,
            storage=_store_info(cluster.storage) if cluster.storage else None,
        )
        try:
            async with Deadline(self._environment.limits.check_seconds).asking_milvus(
                cluster.gateway
            ):
                version = await cluster.gateway.version()
        except BackupError as error:
            return replace(found, error=error)
        capabilities = capabilities_of(MilvusVersion.parse(version))
        return replace(
            found,
            milvus_version=version,
            supported=self._supports(capabilities),
            capabilities=capabilities.names(),
        )

    def _supports(self, capabilities: Capabilities) -> bool:
        return capabilities.tested or self._environment.limits.allow_untested_versions


def _store_info(storage: Storage) -> StoreInfo:
    return StoreInfo(storage.store.location, storage.root)
