"""What the state of an operation means to those who wait for it."""

from __future__ import annotations

import grpc

from milvus_backup.v1.operation_pb2 import (
    OPERATION_STATE_CANCELLED,
    OPERATION_STATE_FAILED,
    OPERATION_STATE_INTERRUPTED,
    OPERATION_STATE_PARTIALLY_SUCCEEDED,
    OPERATION_STATE_SUCCEEDED,
    Operation,
)
from milvus_backup_client._status import make_status
from milvus_backup_client.errors import BackupServiceError, from_status

_FINAL = frozenset(
    {
        OPERATION_STATE_SUCCEEDED,
        OPERATION_STATE_PARTIALLY_SUCCEEDED,
        OPERATION_STATE_FAILED,
        OPERATION_STATE_CANCELLED,
    }
)
# For an operation that ended badly and does not say why: code and reason by its state.
_UNEXPLAINED = {
    OPERATION_STATE_FAILED: (grpc.StatusCode.UNKNOWN, ""),
    OPERATION_STATE_CANCELLED: (grpc.StatusCode.CANCELLED, "OPERATION_CANCELLED"),
    OPERATION_STATE_INTERRUPTED: (grpc.StatusCode.ABORTED, "OPERATION_INTERRUPTED"),
}


def is_final(operation: Operation) -> bool:
    """Tell whether the operation can never change again."""
    return operation.state in _FINAL


def has_ended(operation: Operation) -> bool:
    """Tell whether a watch ends with this state: it is final, or INTERRUPTED."""
    return is_final(operation) or operation.state == OPERATION_STATE_INTERRUPTED


def error_of(operation: Operation) -> BackupServiceError | None:
    """Return the error that an operation ended with.

    Returns:
        The same kind of error that a failed call raises, with ``operation`` set; None if the
        operation succeeded or has not ended. One that succeeded in part gives
        OperationPartiallySucceeded.
    """
    if operation.state == OPERATION_STATE_PARTIALLY_SUCCEEDED:
        return _partial(operation)
    unexplained = _UNEXPLAINED.get(operation.state)
    if unexplained is None:
        return None
    if operation.HasField("error"):
        return from_status(operation.error, operation)
    code, reason = unexplained
    text = f"operation {operation.name} gave no reason for its end"
    return from_status(make_status(code, reason, text), operation)


def name_of(operation: Operation | str) -> str:
    """Return the name of an operation that is given by name or as a message."""
    return operation if isinstance(operation, str) else operation.name


def _partial(operation: Operation) -> BackupServiceError:
    failed, total = operation.failed_collection_count, operation.collection_count
    return from_status(
        make_status(
            grpc.StatusCode.FAILED_PRECONDITION,
            "OPERATION_PARTIALLY_SUCCEEDED",
            f"{failed} of {total} collections failed",
        ),
        operation,
    )
