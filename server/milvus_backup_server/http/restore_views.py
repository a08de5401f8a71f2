"""Restores as the Go tool's routes show them."""

from __future__ import annotations

from typing import Final

from milvus_backup_server.domain.operations import CollectionProgress, Operation
from milvus_backup_server.http.answers import RestoreBackupTask, RestoreCollectionTask
from milvus_backup_server.http.states import (
    collection_percent,
    collection_state,
    restore_percent,
    seconds,
    task_state,
)
from milvus_backup_server.service.operation_directory import OperationDirectory

_EVERY: Final = 1_000_000


async def restore_task(operations: OperationDirectory, operation: Operation) -> RestoreBackupTask:
    """Return a restore with all of its collections."""
    state, message = task_state(operation)
    collections = (await operations.collections(operation.name, 0, _EVERY)).items
    return RestoreBackupTask(
        id=operation.task_id or operation.name,
        state_code=state,
        error_message=message,
        start_time=seconds(operation.start_time or operation.create_time),
        end_time=seconds(operation.end_time),
        progress=restore_percent(operation),
        collection_restore_tasks=[_collection_task(item, operation) for item in collections],
    )


def _collection_task(item: CollectionProgress, operation: Operation) -> RestoreCollectionTask:
    state, message = collection_state(item, operation)
    target = item.target or item.source
    return RestoreCollectionTask(
        state_code=state,
        error_message=message,
        start_time=seconds(item.start_time),
        end_time=seconds(item.end_time),
        progress=collection_percent(item),
        target_db_name=target.database,
        target_collection_name=target.name,
    )
