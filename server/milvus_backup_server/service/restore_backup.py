"""Restoring a backup: the use case and its checks."""

from __future__ import annotations

from milvus_backup_server.domain.capabilities import RBAC_FROM
from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.faults import Faults
from milvus_backup_server.domain.milvus import MilvusVersion
from milvus_backup_server.domain.operations import (
    Caller,
    Operation,
    OperationKind,
    RestorePlan,
    Result,
)
from milvus_backup_server.domain.requests import RestoreRequest
from milvus_backup_server.domain.restore_plan import version_fault
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.catalog import Catalog
from milvus_backup_server.service.checks import (
    Deadline,
    cluster_storage,
    require_restorable,
    supported_version,
    version_needed,
)
from milvus_backup_server.service.context import Environment
from milvus_backup_server.service.importing import ImportQueue
from milvus_backup_server.service.operations import OperationManager
from milvus_backup_server.service.planning import planned_operation
from milvus_backup_server.service.restore_planner import RestorePlanner
from milvus_backup_server.service.restore_run import RestoreRun
from milvus_backup_server.service.restore_work import CheckedRestore
from milvus_backup_server.service.running import OperationRequest, new_operation_name
from milvus_backup_server.service.staging import import_place
from milvus_backup_server.service.tracker import Tracker


class RestoreBackup:
    """The use case: restore collections of a backup into a cluster."""

    def __init__(
        self,
        environment: Environment,
        catalog: Catalog,
        engine: TransferEngine,
        operations: OperationManager,
    ) -> None:
        self._environment = environment
        self._catalog = catalog
        self._engine = engine
        self._operations = operations
        gateway = environment.registry.cluster().gateway
        self._queue = ImportQueue(gateway, environment.limits)

    async def start(self, request: RestoreRequest, caller: Caller) -> Operation:
        """Check a request and begin the operation; with ``validate_only`` return the plan.

        Raises:
            InvalidRequest: A field is wrong, or two collections would meet in one target.
            BackupNotFound, BackupNotRestorable, BackupCorrupt: As they say.
            CollectionNotFound, DatabaseNotFound: The backup has no such collection or database.
            TargetAlreadyExists: A target is there.
            OperationConflict: Another operation works on the backup, or makes a target.
            MilvusVersionUnsupported, BucketNotFound, StorageDenied, MilvusDenied: As they say.
            MilvusUnavailable, StorageUnavailable: Something does not answer.
        """
        request.check()
        known = await self._operations.repeated(request.request_id, request)
        if known is not None:
            return known
        name = new_operation_name()
        # What works on the backup itself is in the way whatever the targets are.
        await self._operations.refuse_conflict(
            Footprint(OperationKind.RESTORE_BACKUP, request.backup_name)
        )
        try:
            checked, plan, faults = await self._check(request, name)
        except BackupError:
            # The same call may have come twice, and the first one made what stands in the way.
            known = await self._operations.repeated(request.request_id, request)
            if known is None:
                raise
            return known
        asked = OperationRequest(
            name=name,
            footprint=Footprint(
                OperationKind.RESTORE_BACKUP,
                request.backup_name,
                frozenset(item.target for item in plan.collections if item.target),
            ),
            caller=caller,
            original=request,
            request_id=request.request_id,
            labels=request.labels,
            task_id=request.task_id,
            retry_of=request.retry_of,
        )
        if request.validate_only:
            return planned_operation(asked, plan, faults)

        async def body(tracker: Tracker) -> Result:
            run = RestoreRun(checked, self._environment, self._engine, self._queue, tracker)
            return await run.run()

        return await self._operations.begin(asked, body)

    async def _check(
        self, request: RestoreRequest, operation: str
    ) -> tuple[CheckedRestore, RestorePlan, Faults]:
        """Make the checks; what a plan can tell about is noted instead of raised if one is wanted."""
        cluster = self._environment.registry.cluster()
        repository = self._environment.registry.repository()
        limits = self._environment.limits
        backup = await self._catalog.get_sound(request.backup_name)
        require_restorable(backup)
        # Only now: Milvus is not blamed for a store that took its time.
        deadline = Deadline(limits.check_seconds)
        async with deadline.asking_milvus(cluster.gateway):
            version, capabilities = await supported_version(cluster.gateway, limits)
        fault = version_fault(backup.milvus_version, version)
        if fault is not None:
            raise fault
        milvus = await cluster_storage(cluster, deadline)
        reader = self._catalog.reader(request.backup_name)
        async with deadline.asking_store(repository.storage):
            files = await reader.files()
        rules = limits.import_rules(capabilities, rest=True)
        planner = RestorePlanner(request, rules, MilvusVersion.parse(version))
        if request.options.rbac:
            what = "restoring users, roles and grants"
            planner.faults.add(version_needed(what, RBAC_FROM, version), "rbac")
        await planner.read(reader, files)
        # The metadata may be large and its reading, bounded by each request alone, takes its time:
        # Milvus is not blamed for that.
        deadline = Deadline(limits.check_seconds)
        async with deadline.asking_milvus(cluster.gateway):
            await planner.check_targets(cluster.gateway)
        faults = planner.faults
        if not request.validate_only:
            faults.raise_all()
        place = import_place(repository, milvus, repository.layout(request.backup_name), operation)
        checked = CheckedRestore(
            operation=operation,
            request=request,
            wanted=planner.wanted,
            targets=planner.targets,
            plan=planner.plan,
            new_databases=planner.new_databases,
            present=planner.present,
            capabilities=capabilities,
            cluster=cluster,
            milvus=milvus,
            repository=repository,
            place=place,
        )
        return checked, planner.restore_plan(staged=place.staged), faults
