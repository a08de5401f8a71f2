"""How a command ends: its exit code, and what it says about errors."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

import click
from google.rpc.status_pb2 import Status

from milvus_backup.v1.operation_pb2 import (
    COLLECTION_STATE_FAILED,
    OPERATION_STATE_CANCELLED,
    OPERATION_STATE_FAILED,
    OPERATION_STATE_INTERRUPTED,
    OPERATION_STATE_PARTIALLY_SUCCEEDED,
    Operation,
)
from milvus_backup_client.cli.texts import collection_title
from milvus_backup_client.errors import (
    BackupServiceError,
    DeadlineExceeded,
    InvalidRequest,
    ServerStopping,
    ServiceUnreachable,
    from_status,
)


class ExitCode(IntEnum):
    """The exit codes, the same for every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CANCELLED = 3
    UNREACHABLE = 4
    INTERRUPTED = 5
    PARTIAL = 6
    LEFT = 130


class UsageFailure(click.ClickException):
    """Something is missing before the command can begin; told in one line, without usage."""

    exit_code = ExitCode.USAGE


EXIT_CODES = """\b
Exit codes:
    0  done
    1  refused or failed
    2  the command line or the request is wrong, or something is not installed
    3  the operation was cancelled
    4  the service cannot be reached or does not answer
    5  the operation was interrupted before its end
    6  the operation ended, some collections failed
  130  left by Ctrl-C; a followed operation goes on in the service
"""
_BY_STATE = {
    OPERATION_STATE_FAILED: ExitCode.FAILED,
    OPERATION_STATE_CANCELLED: ExitCode.CANCELLED,
    OPERATION_STATE_INTERRUPTED: ExitCode.INTERRUPTED,
    OPERATION_STATE_PARTIALLY_SUCCEEDED: ExitCode.PARTIAL,
}


def exit_code(error: BackupServiceError) -> ExitCode:
    """Return the exit code of a failed call or operation."""
    if error.operation is not None:
        return _BY_STATE.get(error.operation.state, ExitCode.FAILED)
    if isinstance(error, ServiceUnreachable | ServerStopping | DeadlineExceeded):
        return ExitCode.UNREACHABLE
    return ExitCode.USAGE if isinstance(error, InvalidRequest) else ExitCode.FAILED


def error_line(error: BackupServiceError, address: str) -> str:
    """Return an error as one line."""
    text = str(error)
    if isinstance(error, ServiceUnreachable):
        text = f"the service at {address} cannot be reached: {error.message}"
    if isinstance(error, DeadlineExceeded) and error.operation is None:
        text = f"the service at {address} did not answer in time"
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
