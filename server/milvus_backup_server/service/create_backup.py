"""Making a backup: the use case, its checks and the order of its steps."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    Caller,
    CreatePlan,
    Operation,
    OperationKind,
    PlannedCollection,
    Result,
)
from milvus_backup_server.domain.requests import CreateRequest
from milvus_backup_server.domain.selection import Selection
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.backup_run import BackupRun, CheckedCreate
from milvus_backup_server.service.checks import (
    Deadline,
    cluster_storage,
    require_bucket,
    supported_version,
)
from milvus_backup_server.service.claim import refuse_taken_name
from milvus_backup_server.service.concurrency import for_each
from milvus_backup_server.service.context import Environment, Repository
from milvus_backup_server.service.operations import OperationManager
from milvus_backup_server.service.running import OperationRequest, finished
from milvus_backup_server.service.snapshot import select
from milvus_backup_server.service.tracker import Tracker


class CreateBackup:
    """The use case: back up collections of a cluster into a repository."""

    def __init__(
        self, environment: Environment, engine: TransferEngine, operations: OperationManager
    ) -> None:
        self._environment = environment
        self._engine = engine
        self._operations = operations

    async def start(self, request: CreateRequest, caller: Caller) -> Operation:
        """Check a request and begin the operation; with ``validate_only`` return the plan.

        Raises:
            InvalidRequest: A field is wrong.
            CollectionNotFound, DatabaseNotFound: A selected one does not exist.
            BackupAlreadyExists: The name is taken.
            OperationConflict: Another operation works on a backup of that name.
            MilvusVersionUnsupported, BucketNotFound, StorageDenied, MilvusDenied: As they say.
            MilvusUnavailable, StorageUnavailable: Something does not answer.
        """
        request.check()
        known = self._operations.repeated(request.request_id, request)
        if known is not None:
            return known
        name = request.backup_name or generated_name(datetime.now(UTC))
        asked = OperationRequest(
            footprint=Footprint(OperationKind.CREATE_BACKUP, name),
            caller=caller,
            original=request,
            request_id=request.request_id,
            labels=request.labels,
            task_id=request.task_id,
        )
        self._operations.refuse_conflict(asked.footprint)
        try:
            checked = await self._check(request, name, asked.name)
        except BackupError:
            # The same call may have come twice, and the first one made what stands in the way.
            known = self._operations.repeated(request.request_id, request)
            if known is None:
                raise
            return known
        if request.validate_only:
            return finished(asked, await self._plan(checked))

        async def body(tracker: Tracker) -> Result:
            return await BackupRun(checked, self._environment, self._engine, tracker).run()

        return self._operations.begin(asked, body)

    async def _check(self, request: CreateRequest, name: str, operation: str) -> CheckedCreate:
        cluster = self._environment.registry.cluster()
        repository = self._environment.registry.repository()
        limits = self._environment.limits
        selection = Selection.parse(request.collections)
        deadline = Deadline(limits.check_seconds)
        async with deadline.asking_milvus(cluster.gateway):
            version, capabilities = await supported_version(cluster.gateway, limits)
            accepted = await cluster.gateway.allocate_timestamp()
            selected = await select(cluster.gateway, selection)
        source = await cluster_storage(cluster, deadline)
        async with deadline.asking_store(repository.storage):
            await self._check_repository(repository, name)
        return CheckedCreate(
            operation=operation,
            task_id=request.task_id,
            backup_name=name,
            selection=selection,
            selected=selected,
            labels=request.labels,
            cluster=cluster,
            source=source,
            repository=repository,
            milvus_version=version,
            capabilities=capabilities,
            accepted=accepted,
            accept_time=datetime.now(UTC),
        )

    async def _check_repository(self, repository: Repository, name: str) -> None:
        if not self._environment.limits.create_bucket:
            await require_bucket(repository.storage, "backup.storage.bucketName")
        if await repository.storage.store.bucket_exists():
            await refuse_taken_name(repository.storage.store, repository.layout(name))

    async def _plan(self, checked: CheckedCreate) -> CreatePlan:
        planned: dict[CollectionName, PlannedCollection] = {}

        async def describe(name: CollectionName) -> None:
            segments, partitions = await asyncio.gather(
                checked.cluster.gateway.list_segments(name),
                checked.cluster.gateway.list_partitions(name),
            )
            planned[name] = PlannedCollection(
                source=name,
                partition_count=len(partitions),
                segment_count=len(segments),
                row_count=sum(segment.rows for segment in segments),
            )

        await for_each(
            checked.selected.collections, describe, concurrent=self._environment.limits.collections
        )
        target = checked.repository.storage.store.location
        return CreatePlan(
            backup_name=checked.backup_name,
            collections=tuple(planned[name] for name in checked.selected.collections),
            server_side_copy=checked.source.store.location.same_endpoint(target),
        )


def generated_name(now: datetime) -> str:
    """Return the name that the Go tool gives a backup without one."""
    return f"backup_{now:%Y_%m_%d_%H_%M_%S}_{now.microsecond * 1000}"
