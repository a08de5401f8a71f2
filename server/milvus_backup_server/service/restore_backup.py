"""Restoring a backup: the use case and its checks."""

from __future__ import annotations

from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.errors import (
    BackupError,
    CollectionNotFound,
    DatabaseNotFound,
    TargetAlreadyExists,
)
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    Caller,
    Operation,
    OperationKind,
    PlannedCollection,
    RestorePlan,
    Result,
)
from milvus_backup_server.domain.requests import RestoreRequest
from milvus_backup_server.domain.restore_plan import (
    Faults,
    Wanted,
    check_renaming,
    name_of,
    planned,
    record_faults,
    version_fault,
)
from milvus_backup_server.domain.selection import Selection
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.catalog import Catalog
from milvus_backup_server.service.checks import (
    Deadline,
    cluster_storage,
    require_restorable,
    supported_version,
)
from milvus_backup_server.service.concurrency import for_each
from milvus_backup_server.service.context import Environment
from milvus_backup_server.service.importing import ImportQueue
from milvus_backup_server.service.operations import OperationManager
from milvus_backup_server.service.restore_run import CheckedRestore, RestoreRun
from milvus_backup_server.service.running import OperationRequest, finished, new_operation_name
from milvus_backup_server.service.staging import import_place
from milvus_backup_server.service.tracker import Tracker

_CALLS_AT_ONCE = 16


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
        known = self._operations.repeated(request.request_id, request)
        if known is not None:
            return known
        name = new_operation_name()
        # What works on the backup itself is in the way whatever the targets are.
        self._operations.refuse_conflict(
            Footprint(OperationKind.RESTORE_BACKUP, request.backup_name)
        )
        try:
            checked = await self._check(request, name)
        except BackupError:
            # The same call may have come twice, and the first one made what stands in the way.
            known = self._operations.repeated(request.request_id, request)
            if known is None:
                raise
            return known
        asked = OperationRequest(
            name=name,
            footprint=Footprint(
                OperationKind.RESTORE_BACKUP,
                request.backup_name,
                frozenset(checked.targets.values()),
            ),
            caller=caller,
            original=request,
            request_id=request.request_id,
            labels=request.labels,
            task_id=request.task_id,
        )
        if request.validate_only:
            plan = RestorePlan(checked.plan, checked.new_databases, checked.place.staged)
            return finished(asked, plan)

        async def body(tracker: Tracker) -> Result:
            run = RestoreRun(checked, self._environment, self._engine, self._queue, tracker)
            return await run.run()

        return self._operations.begin(asked, body)

    async def _check(self, request: RestoreRequest, operation: str) -> CheckedRestore:
        cluster = self._environment.registry.cluster()
        repository = self._environment.registry.repository()
        deadline = Deadline(self._environment.limits.check_seconds)
        backup = await self._catalog.get_sound(request.backup_name)
        require_restorable(backup)
        async with deadline.asking_milvus(cluster.gateway):
            version, _ = await supported_version(cluster.gateway, self._environment.limits)
        fault = version_fault(backup.milvus_version, version)
        if fault is not None:
            raise fault
        milvus = await cluster_storage(cluster, deadline)
        plan = await self._plan(request, deadline)
        # The metadata may be large and its reading, bounded by each request alone, takes its time:
        # Milvus is not blamed for that.
        deadline = Deadline(self._environment.limits.check_seconds)
        async with deadline.asking_milvus(cluster.gateway):
            new_databases = await _check_targets(
                cluster.gateway, [item.target for item in plan if item.target is not None]
            )
        targets = {item.source: item.target for item in plan if item.target is not None}
        layout = repository.layout(request.backup_name)
        return CheckedRestore(
            operation=operation,
            request=request,
            targets=targets,
            plan=plan,
            new_databases=new_databases,
            cluster=cluster,
            milvus=milvus,
            repository=repository,
            place=import_place(repository, milvus, layout, operation),
        )

    async def _plan(
        self, request: RestoreRequest, deadline: Deadline
    ) -> tuple[PlannedCollection, ...]:
        """Read the backup's metadata and return what is wanted of it, by target."""
        wanted = Wanted(
            sources=Selection.parse(request.collections),
            targets=Selection.parse(request.target_collections),
            renaming=request.renaming,
        )
        faults = Faults()
        present: list[CollectionName] = []
        plan: list[PlannedCollection] = []
        reader = self._catalog.reader(request.backup_name)
        async with deadline.asking_store(self._environment.registry.repository().storage):
            files = await reader.files()
        async for record in reader.collections(files):
            source = name_of(record)
            present.append(source)
            target = wanted.target_of(source)
            if target is not None:
                for fault in record_faults(record):
                    faults.add(fault)
                plan.append(planned(record, target, self._environment.limits.import_job_bytes))
        _require_present(wanted, present)
        check_renaming((item.source, item.target) for item in plan if item.target)
        faults.raise_first()
        return tuple(sorted(plan, key=lambda item: item.target or item.source))


def _require_present(wanted: Wanted, present: list[CollectionName]) -> None:
    """Raise an error for what a request names and the backup, or what is left of it, does not have."""
    missing = wanted.sources.missing_collections(present)
    if missing:
        raise CollectionNotFound(str(missing[0]), f"the backup has no collection {missing[0]}")
    databases = {name.database for name in present}
    absent = wanted.sources.missing_databases(databases)
    if absent:
        raise DatabaseNotFound(
            absent[0], f"the backup has no collections of database {absent[0]!r}"
        )
    targets = [wanted.renaming.target_of(name) for name in present if name in wanted.sources]
    unmatched = wanted.targets.missing_collections(targets)
    if unmatched:
        raise CollectionNotFound(
            str(unmatched[0]), f"no collection of the backup becomes {unmatched[0]}"
        )
    empty = wanted.targets.missing_databases({target.database for target in targets})
    if empty:
        raise DatabaseNotFound(
            empty[0], f"no collection of the backup goes to database {empty[0]!r}"
        )


async def _check_targets(gateway: MilvusGateway, targets: list[CollectionName]) -> tuple[str, ...]:
    """Return the databases to make; refuse targets that exist, all of them in one error."""
    present = set(await gateway.list_databases())
    faults = Faults()

    async def check(target: CollectionName) -> None:
        if await gateway.has_collection(target):
            faults.add(TargetAlreadyExists(str(target)))

    existing = [target for target in targets if target.database in present]
    await for_each(existing, check, concurrent=_CALLS_AT_ONCE)
    faults.raise_first()
    return tuple(sorted({target.database for target in targets} - present))
