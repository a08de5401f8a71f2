"""Which error a status stands for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import grpc
from google.rpc.status_pb2 import Status

from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup_client._status import code_of, error_info_of, status_of
from milvus_backup_client.errors.base import (
    BackupServiceError,
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    MethodUnsupported,
)
from milvus_backup_client.errors.names import AlreadyExists, NotFound
from milvus_backup_client.errors.operations import ServiceUnreachable, Unavailable
from milvus_backup_client.errors.preconditions import PreconditionFailed

_Class = type[BackupServiceError]

_BY_CODE: dict[grpc.StatusCode, _Class] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: PreconditionFailed,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNIMPLEMENTED: MethodUnsupported,
    grpc.StatusCode.INTERNAL: InternalError,
}
# Without an ErrorInfo it was not the service that answered, but the transport.
_BY_CODE_OF_CALL: dict[grpc.StatusCode, _Class] = {
    **_BY_CODE,
    grpc.StatusCode.UNAVAILABLE: ServiceUnreachable,
}


def from_status(status: Status, operation: Operation | None = None) -> BackupServiceError:
    """Make the error that a status stands for.

    Args:
        status: A status that is not OK, such as ``Operation.error``.
        operation: The operation that ended with it, if it is one's.
    """
    return _class_of(status, _BY_CODE)(status, operation)


def from_rpc_error(error: grpc.aio.AioRpcError) -> BackupServiceError:
    """Make the error that a failed call stands for.

    Args:
        error: What ``grpc.aio`` raised.
    """
    status = status_of(error)
    return _class_of(status, _BY_CODE_OF_CALL)(status)


def _class_of(status: Status, by_code: Mapping[grpc.StatusCode, _Class]) -> _Class:
    info = error_info_of(status)
    if info is None:
        return by_code.get(code_of(status), BackupServiceError)
    return _by_reason().get(info.reason) or _BY_CODE.get(code_of(status), BackupServiceError)


@cache
def _by_reason() -> Mapping[str, _Class]:
    """Return all classes by reason; the package has imported every module before the first call."""
    return {found.reason: found for found in _with_subclasses(BackupServiceError) if found.reason}


def _with_subclasses(base: _Class) -> list[_Class]:
    return [base, *(found for sub in base.__subclasses__() for found in _with_subclasses(sub))]
