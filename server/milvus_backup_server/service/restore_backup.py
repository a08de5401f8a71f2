"""Restoring a backup: the use case and its checks."""

from __future__ import annotations

from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.errors import BackupError, Unavailable
from milvus_backup_server.domain.operation_record import OperationRecord
from milvus_backup_server.domain.operations import (
    Caller,
    Operation,
    OperationKind,
    Result,
)
from milvus_backup_server.domain.requests import RestoreRequest
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.catalog import Catalog
from milvus_backup_server.service.context import Environment
from milvus_backup_server.service.operations import OperationManager
from milvus_backup_server.service.planning import planned_operation
from milvus_backup_server.service.restore_resume import InterruptedRestore
from milvus_backup_server.service.restore_tools import RestoreTools
from milvus_backup_server.service.resuming import Continuation
from milvus_backup_server.service.running import OperationRequest, new_operation_name
from milvus_backup_server.service.tracker import Tracker
from milvus_backup_server.service.unwritten import UnwrittenRestore


class RestoreBackup:
    """The use case: restore collections of a backup into a cluster.

    Attributes:
        tools: What it restores with.
    """

    def __init__(
        self,
        environment: Environment,
        catalog: Catalog,
        engine: TransferEngine,
        operations: OperationManager,
    ) -> None:
        self._environment = environment
        self._operations = operations
        self.tools = RestoreTools(environment, catalog, engine)

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
        place = self._environment.registry.repository_at(request.place).place
        name = new_operation_name()
        # What works on the backup itself is in the way whatever the targets are.
        await self._operations.refuse_conflict(
            Footprint(OperationKind.RESTORE_BACKUP, request.backup_name, place=place)
        )
        try:
            checked, plan, faults = await self.tools.check(request, name)
        except Unavailable:
            raise
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
                place,
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
            kept = not request.options.skip_create_collections  # else nothing can be built anew
            journal = self.tools.journal(name, kept=kept)
            return await self.tools.run(checked, tracker, journal)

        return await self._operations.begin(asked, body)

    async def resumed(self, record: OperationRecord) -> Continuation:
        """Return how an interrupted restore goes on, or is undone."""
        assert isinstance(record.request, RestoreRequest)  # noqa: S101 by the record's kind
        restore = InterruptedRestore(
            self._environment,
            self.tools,
            request=record.request,
            operation=record.name,
            attempt=record.attempt + 1,
            unwritten=UnwrittenRestore.of(record),
        )
        return Continuation(restore.go_on, restore.undo, restore.check)
