"""How a command ends that called the service: its exit code, and what it says about errors."""

from __future__ import annotations

import re
from collections.abc import Iterator

from google.rpc.status_pb2 import Status

from milvus_backup.v1.operation_pb2 import (
    COLLECTION_STATE_FAILED,
    OPERATION_STATE_CANCELLED,
    OPERATION_STATE_FAILED,
    OPERATION_STATE_INTERRUPTED,
    OPERATION_STATE_PARTIALLY_SUCCEEDED,
    Operation,
)
from milvus_backup_client.cli.exits import ExitCode
from milvus_backup_client.cli.texts import collection_title
from milvus_backup_client.errors import (
    BackupServiceError,
    DeadlineExceeded,
    InvalidRequest,
    ServerStopping,
    ServiceUnreachable,
    from_status,
)

_BY_STATE = {
    OPERATION_STATE_FAILED: ExitCode.FAILED,
    OPERATION_STATE_CANCELLED: ExitCode.CANCELLED,
    OPERATION_STATE_INTERRUPTED: ExitCode.INTERRUPTED,
    OPERATION_STATE_PARTIALLY_SUCCEEDED: ExitCode.PARTIAL,
}


_FLAGS = {"restore_indexes": "--rebuild_index", "drop_existing_indexes": "--drop_exist_index"}
"""How fields are called here that an error says would help."""
_HELPFUL = re.compile(rf"(?<![\w'.])(?:{'|'.join(_FLAGS)})(?![\w'.])")


def exit_code(error: BackupServiceError) -> ExitCode:
    """Return the exit code of a failed call or operation."""
    if error.operation is not None:
        return _BY_STATE.get(error.operation.state, ExitCode.FAILED)
    if isinstance(error, ServiceUnreachable | ServerStopping | DeadlineExceeded):
        return ExitCode.UNREACHABLE
    return ExitCode.USAGE if isinstance(error, InvalidRequest) else ExitCode.FAILED


def error_line(error: BackupServiceError, service: str) -> str:
    """Return an error as one line.

    Args:
        error: Of a call or an operation.
        service: How to call the service: `the service at 127.0.0.1:50051`.
    """
    text = _HELPFUL.sub(lambda found: _FLAGS[found[0]], str(error))
    if isinstance(error, ServiceUnreachable):
        text = f"{service} cannot be reached: {error.message}"
    if isinstance(error, DeadlineExceeded) and error.operation is None:
        text = f"{service} did not answer in time"
    return f"Error: {_one_line(text)}"


def warning_lines(operation: Operation) -> Iterator[str]:
    """Yield the warnings of an operation, a line each."""
    for warning in operation.warnings:
        yield f"Warning: {_status_line(warning)}"
    more = operation.warning_count - len(operation.warnings)
    if more > 0:
        yield f"Warning: and {more} more"


def failed_collection_lines(operation: Operation) -> Iterator[str]:
    """Yield the collections that failed, a line each, as far as the operation names them."""
    for collection in operation.collections:
        if collection.state == COLLECTION_STATE_FAILED:
            yield f"Failed: {collection_title(collection)}: {_status_line(collection.error)}"


def _status_line(status: Status) -> str:
    return _one_line(str(from_status(status)))


def _one_line(text: str) -> str:
    return " ".join(text.split())
