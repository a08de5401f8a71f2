"""What all errors are, and those that are of no theme."""

from __future__ import annotations

import grpc
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup_client._status import (
    FieldViolation,
    code_of,
    detail_of,
    error_info_of,
    violations_of,
)


class BackupServiceError(Exception):
    """A call or an operation of the backup service failed.

    Attributes:
        status: What the service sent, whole.
        code: The gRPC code of the status.
        reason: Stable name of what happened, for programs; empty if the service gave none.
        metadata: The values that the message names, such as ``resource`` or ``operation``.
        violations: The faults of the request, each with its field: all that was found together, as
            many as fit. Of errors of existence too, such as CollectionNotFound; empty for others.
        retry_after_seconds: When the same call may succeed, if the service told.
        operation: The operation that ended with this error; None if it was a call that failed.
    """

    reason: str = ""

    def __init__(self, status: Status, operation: Operation | None = None) -> None:
        super().__init__(status, operation)
        info = error_info_of(status) or ErrorInfo()
        retry = detail_of(status, RetryInfo)
        self.status = status
        self.operation = operation
        self.code: grpc.StatusCode = code_of(status)
        self.reason = info.reason
        self.metadata: dict[str, str] = dict(info.metadata)
        self.violations: tuple[FieldViolation, ...] = violations_of(status)
        self.retry_after_seconds = retry.retry_delay.ToNanoseconds() / 1e9 if retry else None

    @property
    def message(self) -> str:
        """What happened, as a sentence for people."""
        return self.status.message or f"the service answered {self.code.name}"

    def __str__(self) -> str:
        return f"{self.message} ({self.reason})" if self.reason else self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class InvalidRequest(BackupServiceError):
    """One or more fields of a request are wrong; ``violations`` has all of them."""

    reason = "INVALID_REQUEST"


class DeadlineExceeded(BackupServiceError):
    """The service did not answer in time. Whether the call took effect is not known.

    A create or restore can be repeated with the same ``request_id``.
    """


class MethodUnsupported(BackupServiceError):
    """What answered does not know the method: an older service, or another one."""


class InternalError(BackupServiceError):
    """A fault of the service; its log has the details."""

    reason = "INTERNAL"
