"""States and percentages as the Go tool tells them.

States that it does not have count as failed, so that no script polls for ever: CANCELLED, INTERRUPTED,
and PARTIALLY_SUCCEEDED unless a backup that can be restored came of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.operations import (
    CollectionProgress,
    CollectionState,
    Operation,
    OperationState,
    Phase,
)
from milvus_backup_server.http.answers import UNSET_TIME, State
from milvus_backup_server.http.faults import callers_error
from milvus_backup_server.service.backup_tasks import BackupTask

_ALL: Final = 100
_ALMOST: Final = 99
_BEGUN: Final = 1
_TOLD: Final = 5
# What the Go tool shows of a create before and while it copies: 5, then 5 + 0.95 * (15 + 0.85 * p).
_BEFORE_COPYING: Final = 5
_COPYING_FROM: Final = 19
_COPYING_SHARE: Final = 0.8075

_TASK_STATES: Final = {
    OperationState.PENDING: State.INITIAL,
    OperationState.RUNNING: State.EXECUTING,
    OperationState.CANCELLING: State.EXECUTING,
    OperationState.SUCCEEDED: State.SUCCESS,
    OperationState.PARTIALLY_SUCCEEDED: State.FAIL,
    OperationState.FAILED: State.FAIL,
    OperationState.CANCELLED: State.FAIL,
    OperationState.INTERRUPTED: State.FAIL,
}
_COLLECTION_STATES: Final = {
    CollectionState.PENDING: State.INITIAL,
    CollectionState.RUNNING: State.EXECUTING,
    CollectionState.SUCCEEDED: State.SUCCESS,
    CollectionState.FAILED: State.FAIL,
    CollectionState.STOPPED: State.FAIL,
}
_STORED_STATES: Final = {
    BackupState.COMPLETE: (State.SUCCESS, ""),
    BackupState.LEGACY: (State.SUCCESS, ""),
    BackupState.CREATING: (State.EXECUTING, ""),
    BackupState.DELETING: (State.FAIL, "the backup is being deleted"),
    BackupState.INCOMPLETE: (State.FAIL, "the backup is incomplete"),
}


def task_state(operation: Operation) -> tuple[State, str]:
    """Return the state of an operation, and why it failed if it did."""
    state = _TASK_STATES[operation.state]
    if state is not State.FAIL:
        return state, ""
    if operation.error is not None:
        return state, callers_error(operation.error).message
    ended = operation.state.value.replace("_", " ")
    failed, all_ = operation.failed_count, operation.collection_count
    told = f"the operation {ended}: {failed} of {all_} collections failed"
    return state, "; ".join([told, *_failures(operation)])


def _failures(operation: Operation) -> Iterator[str]:
    """Yield what the first collections failed with."""
    for item in operation.collections[:_TOLD]:
        if item.error is not None:
            yield f"{item.target or item.source}: {callers_error(item.error).message}"


def backup_state(task: BackupTask) -> tuple[State, str]:
    """Return the state of a backup, and what is wrong with it if something is."""
    operation, backup = task.operation, task.backup
    if operation is not None and not task.whole:
        state, message = task_state(operation)
        if state is not State.SUCCESS or backup is None:
            return state, message
    if backup is None:
        return State.FAIL, ""
    state, message = _STORED_STATES[backup.state]
    notes = backup.notes if backup.state is BackupState.INCOMPLETE else ()
    return state, "; ".join(notes) or message


def backup_percent(task: BackupTask, state: State) -> int:
    """Return how far the making of a backup is; 0 if it failed."""
    if state is State.SUCCESS:
        return _ALL
    if state is State.FAIL or task.operation is None:
        return 0
    return _create_percent(task.operation)


def restore_percent(operation: Operation) -> int:
    """Return how far a restore is, or was when it failed."""
    if operation.state is OperationState.SUCCEEDED:
        return _ALL
    if any(item.phase is Phase.FINISHING for item in operation.progress.phases):
        return _ALMOST
    return _bounded(_share(operation, Phase.IMPORTING))


def _create_percent(operation: Operation) -> int:
    phases = {item.phase for item in operation.progress.phases}
    if not phases:
        return _BEGUN
    if Phase.COPYING not in phases:
        return _BEFORE_COPYING
    return _bounded(_COPYING_FROM + _COPYING_SHARE * _share(operation, Phase.COPYING))


def _share(operation: Operation, phase: Phase) -> float:
    """Return the percentage of a phase's bytes that is done; 0 if that is not known."""
    for item in operation.progress.phases:
        if item.phase is phase and item.bytes_total:
            return _ALL * item.done.bytes / item.bytes_total
    return 0.0


def collection_state(collection: CollectionProgress, operation: Operation) -> tuple[State, str]:
    """Return the state of a collection of an operation, and why it failed if it did."""
    state = _COLLECTION_STATES[collection.state]
    over = _TASK_STATES[operation.state] is State.FAIL  # a service that died left them as they were
    if state is State.SUCCESS or (state is not State.FAIL and not over):
        return state, ""
    state = State.FAIL
    error = collection.error or operation.error
    return state, callers_error(error).message if error is not None else "stopped"


def collection_percent(collection: CollectionProgress) -> int:
    """Return how far a collection of a restore is."""
    if collection.state is CollectionState.SUCCEEDED:
        return _ALL
    total = collection.bytes_total or 0
    return _bounded(_ALL * collection.bytes_done / total if total else 0.0)


def _bounded(percent: float) -> int:
    return min(max(int(percent), _BEGUN), _ALMOST)


def seconds(time: datetime | None) -> int:
    """Return a time in Unix seconds as the Go tool does, also one that has not come yet."""
    return UNSET_TIME if time is None else int(time.timestamp())
