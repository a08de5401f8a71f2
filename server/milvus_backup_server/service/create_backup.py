"""Making a backup: the use case, its checks and the order of its steps."""

from __future__ import annotations

from datetime import UTC, datetime

from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.errors import BackupAlreadyExists, BackupError, Unavailable
from milvus_backup_server.domain.faults import Faults
from milvus_backup_server.domain.operations import (
    Caller,
    CreatePlan,
    Operation,
    OperationKind,
    Result,
)
from milvus_backup_server.domain.rbac import RbacCounts
from milvus_backup_server.domain.requests import CreateRequest
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.backup_run import BackupRun
from milvus_backup_server.service.checks import (
    Deadline,
    cluster_storage,
    require_bucket,
    supported_version,
)
from milvus_backup_server.service.claim import is_left_by, refuse_taken_name
from milvus_backup_server.service.context import Environment, Repository
from milvus_backup_server.service.create_options import gc_pausing, option_faults
from milvus_backup_server.service.create_plan import CreatePlanner
from milvus_backup_server.service.create_work import CheckedCreate
from milvus_backup_server.service.operations import OperationManager
from milvus_backup_server.service.planning import planned_operation
from milvus_backup_server.service.running import OperationRequest
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
        known = await self._operations.repeated(request.request_id, request)
        if known is not None:
            return known
        repository = self._environment.registry.repository_at(request.place)
        name = request.backup_name or generated_name(datetime.now(UTC))
        asked = OperationRequest(
            footprint=Footprint(OperationKind.CREATE_BACKUP, name, place=repository.place),
            caller=caller,
            original=request,
            request_id=request.request_id,
            labels=request.labels,
            task_id=request.task_id,
            retry_of=request.retry_of,
        )
        await self._operations.refuse_conflict(asked.footprint)
        try:
            checked, faults = await self._check(request, repository, name, asked.name)
        except Unavailable:
            raise
        except BackupError:
            # The same call may have come twice, and the first one made what stands in the way.
            known = await self._operations.repeated(request.request_id, request)
            if known is None:
                raise
            return known
        if request.validate_only:
            return planned_operation(asked, await self._plan(checked, faults), faults)

        async def body(tracker: Tracker) -> Result:
            resumed = bool(request.first_try)
            run = BackupRun(checked, self._environment, self._engine, tracker, resumed=resumed)
            return await run.run()

        return await self._operations.begin(asked, body)

    async def _check(
        self, request: CreateRequest, repository: Repository, name: str, operation: str
    ) -> tuple[CheckedCreate, Faults]:
        """Make the checks; what a plan can tell about is noted instead of raised if one is wanted."""
        cluster = self._environment.registry.cluster()
        limits = self._environment.limits
        selection, faults = request.selection, Faults()
        deadline = Deadline(limits.check_seconds)
        async with deadline.asking_milvus(cluster.gateway):
            version, capabilities = await supported_version(cluster.gateway, limits)
            accepted = await cluster.gateway.allocate_timestamp()
            selected = await select(cluster.gateway, selection, faults)
            if request.rbac and capabilities.rbac:
                await cluster.gateway.rbac()  # whether we may
        source = await cluster_storage(cluster, deadline)
        faults.add_all(option_faults(request, cluster, version, capabilities))
        async with deadline.asking_store(repository.storage):
            await self._check_repository(repository, name, request.first_try, faults)
        if not request.validate_only:
            faults.raise_all()
        checked = CheckedCreate(
            operation=request.first_try or operation,
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
            strategy=request.strategy,
            pausing=gc_pausing(request, limits, capabilities),
            pause_gc=request.pause_gc,
            rbac=request.rbac,
            allow_partial=request.allow_partial,
        )
        return checked, faults

    async def _check_repository(
        self, repository: Repository, name: str, first_try: str, faults: Faults
    ) -> None:
        if not self._environment.limits.create_bucket:
            await require_bucket(repository.storage, repository.setting)
        if await repository.storage.store.bucket_exists():
            store, layout = repository.storage.store, repository.layout(name)
            try:
                if not first_try or not await is_left_by(store, layout, first_try):
                    await refuse_taken_name(store, layout)
            except BackupAlreadyExists as error:
                faults.add(error, "backup_name")

    async def _plan(self, checked: CheckedCreate, faults: Faults) -> CreatePlan:
        planner = CreatePlanner(
            checked.cluster.gateway,
            checked.source,
            checked.selection,
            self._environment.limits,
            copies=checked.strategy.copies,
        )
        collections = await planner.plan(checked.selected.collections, faults)
        target = checked.repository.storage.store
        return CreatePlan(
            backup_name=checked.backup_name,
            collections=collections,
            server_side_copy=checked.source.store.location.same_endpoint(target.location),
            databases=checked.selected.databases,
            sized=planner.sized,
            new_bucket="" if await target.bucket_exists() else target.location.bucket,
            obstacles=faults.obstacles(),
            rbac=await self._rbac_counts(checked),
        )

    async def _rbac_counts(self, checked: CheckedCreate) -> RbacCounts | None:
        if not checked.rbac or not checked.capabilities.rbac:
            return None
        return RbacCounts.of(await checked.cluster.gateway.rbac())


def generated_name(now: datetime) -> str:
    """Return the name that the Go tool gives a backup without one."""
    return f"backup_{now:%Y_%m_%d_%H_%M_%S}_{now.microsecond * 1000}"
