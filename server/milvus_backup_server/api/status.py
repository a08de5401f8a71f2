"""How errors look on the wire: one table, one function.

Errors of calls and errors inside an ``Operation`` are made here alike. What is not in the table,
or stands there as INTERNAL, becomes a fixed text: its details are for the log only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    PreconditionFailure,
    QuotaFailure,
    ResourceInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status

from milvus_backup_server.api.texts import fit
from milvus_backup_server.domain import errors

DOMAIN: Final = "milvus-backup"
"""The ``domain`` of every ErrorInfo."""

MAX_STATUS_BYTES: Final = 3 * 1024
"""A status travels in trailing metadata, in base64 and beside its percent-encoded message; gRPC
grants 8 KiB for all of it."""

# Together with a message of 1 KiB they stay below MAX_STATUS_BYTES.
_METADATA_BYTES = 700
_VIOLATION_BYTES = 1000
_PACKING_BYTES = 80
"""What the type's name and the lengths of one more detail take."""

_DESCRIPTION_BYTES = 256
_RETRY_SECONDS = 1
_RETRY_SECONDS_STOPPING = 5

_Code = grpc.StatusCode

CODES: Final[dict[type[errors.BackupError], grpc.StatusCode]] = {
    errors.BackupError: _Code.INTERNAL,
    errors.InternalError: _Code.INTERNAL,
    errors.InvalidRequest: _Code.INVALID_ARGUMENT,
    errors.InvalidSettings: _Code.INTERNAL,  # found at start; no caller can cause or mend it
    errors.NotFound: _Code.NOT_FOUND,
    errors.BackupNotFound: _Code.NOT_FOUND,
    errors.CollectionNotFound: _Code.NOT_FOUND,
    errors.DatabaseNotFound: _Code.NOT_FOUND,
    errors.PartitionNotFound: _Code.NOT_FOUND,
    errors.OperationNotFound: _Code.NOT_FOUND,
    errors.AlreadyExists: _Code.ALREADY_EXISTS,
    errors.BackupAlreadyExists: _Code.ALREADY_EXISTS,
    errors.TargetAlreadyExists: _Code.ALREADY_EXISTS,
    errors.AliasAlreadyExists: _Code.ALREADY_EXISTS,
    errors.TargetUnfit: _Code.FAILED_PRECONDITION,
    errors.RequestIdReused: _Code.ALREADY_EXISTS,
    errors.OperationConflict: _Code.ABORTED,
    errors.PreconditionFailed: _Code.FAILED_PRECONDITION,
    errors.OperationEnded: _Code.FAILED_PRECONDITION,
    errors.OperationNotResumable: _Code.FAILED_PRECONDITION,
    errors.BackupNotRestorable: _Code.FAILED_PRECONDITION,
    errors.NotABackup: _Code.FAILED_PRECONDITION,
    errors.BackupNameLost: _Code.FAILED_PRECONDITION,
    errors.LeftBehind: _Code.FAILED_PRECONDITION,
    errors.MilvusVersionUnsupported: _Code.FAILED_PRECONDITION,
    errors.SourceStorageMismatch: _Code.FAILED_PRECONDITION,
    errors.SourceInconsistent: _Code.FAILED_PRECONDITION,
    errors.StorageNotConfigured: _Code.FAILED_PRECONDITION,
    errors.BucketNotFound: _Code.FAILED_PRECONDITION,
    # The credentials of the service are refused, not those of the caller: no PERMISSION_DENIED.
    errors.StorageDenied: _Code.FAILED_PRECONDITION,
    errors.StorageRefused: _Code.FAILED_PRECONDITION,
    errors.MilvusDenied: _Code.FAILED_PRECONDITION,
    errors.MilvusRefused: _Code.FAILED_PRECONDITION,
    errors.ImportFailed: _Code.FAILED_PRECONDITION,
    errors.RowCountMismatch: _Code.FAILED_PRECONDITION,
    errors.ImportOutcomeUnknown: _Code.UNKNOWN,
    errors.BinlogsNotInstalled: _Code.FAILED_PRECONDITION,
    errors.BackupCorrupt: _Code.DATA_LOSS,
    errors.RowsDiffer: _Code.DATA_LOSS,
    errors.ArchiveInvalid: _Code.INVALID_ARGUMENT,
    errors.Unavailable: _Code.UNAVAILABLE,
    errors.StorageUnavailable: _Code.UNAVAILABLE,
    errors.MilvusUnavailable: _Code.UNAVAILABLE,
    errors.OperationStalled: _Code.UNAVAILABLE,
    errors.WorkSpaceUnavailable: _Code.UNAVAILABLE,
    errors.ServerStopping: _Code.UNAVAILABLE,
    errors.TooManyOperations: _Code.RESOURCE_EXHAUSTED,
    errors.OperationCancelled: _Code.CANCELLED,
    errors.OperationInterrupted: _Code.ABORTED,
    # Use cases translate these; one that slips through is a fault of ours.
    errors.ObjectStoreError: _Code.INTERNAL,
    errors.ObjectNotFound: _Code.INTERNAL,
    errors.ObjectChanged: _Code.INTERNAL,
    errors.ObjectAlreadyExists: _Code.INTERNAL,
    errors.UploadNotFound: _Code.INTERNAL,
    errors.CopyDenied: _Code.INTERNAL,
}


def code_of(error: BaseException) -> grpc.StatusCode:
    """Return the gRPC code of an error; INTERNAL for what is not meant for callers."""
    rows = (CODES[kind] for kind in type(error).__mro__ if kind in CODES)
    return next(rows, _Code.INTERNAL)


def callers_error(error: BaseException) -> errors.BackupError:
    """Return what a caller may see: the error itself, or the fixed internal error.

    Of a group it is the first error that callers may see.
    """
    if isinstance(error, BaseExceptionGroup):
        seen = (callers_error(inner) for inner in error.exceptions)
        meant = (inner for inner in seen if not isinstance(inner, errors.InternalError))
        return next(meant, errors.InternalError())
    if isinstance(error, errors.BackupError) and code_of(error) is not _Code.INTERNAL:
        return error
    return errors.InternalError()


def error_status(error: BaseException) -> Status:
    """Return the status of an error: code, message, an ErrorInfo always, more where it fits."""
    shown = callers_error(error)
    number: int = code_of(shown).value[0]
    status = Status(code=number, message=fit(shown.message))
    for detail in (_error_info(shown), *_details(shown)):
        status.details.append(_packed(detail))
    violations = _violations(shown)
    if violations:
        room = MAX_STATUS_BYTES - _PACKING_BYTES - status.ByteSize()
        status.details.append(_packed(_bad_request(violations, min(room, _VIOLATION_BYTES))))
    return status


def _packed(detail: Message) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed


def _error_info(error: errors.BackupError) -> ErrorInfo:
    info = ErrorInfo(reason=error.reason, domain=DOMAIN)
    if isinstance(error, errors.InvalidRequest):
        info.metadata["violations"] = str(len(error.violations))
    for key, value in error.metadata.items():
        text = _short(value)
        if info.ByteSize() + len(key) + len(text.encode()) <= _METADATA_BYTES:
            info.metadata[key] = text
    return info


def _details(error: errors.BackupError) -> Iterator[Message]:
    if isinstance(error, errors.NotFound | errors.AlreadyExists):
        yield _resource(error, error.resource_type, error.resource_name)
    if isinstance(error, errors.OperationConflict | errors.RequestIdReused):
        yield _resource(error, "operation", error.metadata.get("operation", ""))
    if isinstance(error, errors.PreconditionFailed):
        yield _precondition(error)
    if isinstance(error, errors.TooManyOperations):
        violation = QuotaFailure.Violation(subject="operations", description=_short(error.message))
        yield QuotaFailure(violations=[violation])
    if isinstance(error, errors.Unavailable | errors.TooManyOperations):
        stopping = isinstance(error, errors.ServerStopping)
        seconds = _RETRY_SECONDS_STOPPING if stopping else _RETRY_SECONDS
        yield RetryInfo(retry_delay=Duration(seconds=seconds))


def _bad_request(violations: Sequence[errors.Obstacle], room: int) -> BadRequest:
    """Return the first violations, as many as there is room for."""
    detail = BadRequest()
    for item in violations:
        violation = BadRequest.FieldViolation(
            field=_short(item.field), description=_short(item.description), reason=item.reason
        )
        if detail.ByteSize() + violation.ByteSize() > room:
            break
        detail.field_violations.append(violation)
    return detail


def _violations(error: errors.BackupError) -> Sequence[errors.Obstacle]:
    """Return what is wrong with the fields of a request, whatever the error is that tells of it."""
    if isinstance(error, errors.InvalidRequest) and not error.obstacles:
        return [
            errors.Obstacle(fault.field, error.reason, "", fault.description)
            for fault in error.violations
        ]
    return [item for item in error.obstacles if item.field]


def _resource(error: errors.BackupError, kind: str, name: str) -> ResourceInfo:
    return ResourceInfo(
        resource_type=kind, resource_name=_short(name), description=_short(error.message)
    )


def _precondition(error: errors.BackupError) -> PreconditionFailure:
    violation = PreconditionFailure.Violation(
        type=error.reason,
        subject=_short(error.metadata.get("subject", "")),
        description=_short(error.message),
    )
    return PreconditionFailure(violations=[violation])


def _short(text: str) -> str:
    return fit(text, _DESCRIPTION_BYTES)
