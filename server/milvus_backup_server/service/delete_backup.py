"""Removing a backup."""

from __future__ import annotations

from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.errors import BackupNotFound
from milvus_backup_server.domain.layout import BackupLayout
from milvus_backup_server.domain.operations import (
    Caller,
    Operation,
    OperationKind,
    Result,
)
from milvus_backup_server.domain.requests import DeleteRequest
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.checks import Deadline
from milvus_backup_server.service.context import Environment
from milvus_backup_server.service.delete_run import DeleteRun
from milvus_backup_server.service.operations import OperationManager
from milvus_backup_server.service.removal import refuse_foreign
from milvus_backup_server.service.resuming import OperationControl
from milvus_backup_server.service.running import OperationRequest
from milvus_backup_server.service.tracker import Tracker


class DeleteBackup:
    """The use case: remove a backup, also a half-made one."""

    def __init__(
        self, environment: Environment, operations: OperationManager, control: OperationControl
    ) -> None:
        self._environment = environment
        self._operations = operations
        self._control = control

    async def start(self, request: DeleteRequest, caller: Caller) -> Operation:
        """Check a request and begin the operation.

        Raises:
            InvalidRequest: The name is not allowed.
            BackupNotFound: Nothing of that name is there.
            NotABackup: The directory holds other things than a backup does.
            OperationConflict: Another operation works on the backup.
        """
        request.check()
        repository = self._environment.registry.repository_at(request.place)
        layout = repository.layout(request.backup_name)
        store = repository.storage.store
        asked = OperationRequest(
            footprint=Footprint(
                OperationKind.DELETE_BACKUP, request.backup_name, place=repository.place
            ),
            caller=caller,
            original=request,
            task_id=request.task_id,
        )
        await self._operations.refuse_conflict(asked.footprint)
        deadline = Deadline(self._environment.limits.check_seconds)
        async with deadline.asking_store(repository.storage):
            await self._require(store, layout)

        async def body(tracker: Tracker) -> Result:
            run = DeleteRun(
                repository,
                request.backup_name,
                asked.name,
                self._environment.limits,
                tracker,
                supersede=self._control.supersede,
            )
            return await run.run()

        return await self._operations.begin(asked, body)

    @staticmethod
    async def _require(store: ObjectStore, layout: BackupLayout) -> None:
        exists = await store.bucket_exists()
        if not exists or not (await store.list_page(layout.directory, limit=1)).objects:
            raise BackupNotFound(layout.name)
        await refuse_foreign(store, layout)
