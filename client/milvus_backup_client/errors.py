"""What can go wrong, as the callers of the service meet it.

    BackupServiceError               everything below, and what no class stands for
      InvalidRequest                 a field of the request is wrong; ``violations`` has all faults
      NotFound                       BackupNotFound, CollectionNotFound, DatabaseNotFound,
                                     PartitionNotFound, OperationNotFound
      AlreadyExists                  BackupAlreadyExists, TargetAlreadyExists
      RequestIdReused                the same request_id came with another request
      OperationConflict              another operation is in the way
      PreconditionFailed             BackupNotRestorable, MilvusVersionUnsupported,
                                     SourceStorageMismatch, SourceInconsistent,
                                     StorageNotConfigured, BucketNotFound, StorageDenied,
                                     StorageRefused, MilvusDenied, MilvusRefused, ImportFailed,
                                     RowCountMismatch, NotABackup, BackupNameLost, LeftBehind,
                                     OperationEnded
      BackupCorrupt                  the backup's files do not agree with each other
      ArchiveInvalid                 an archive to import is damaged, or holds what no backup does
      TooManyOperations              the bound of waiting operations is reached
      Unavailable                    StorageUnavailable, MilvusUnavailable, OperationStalled,
                                     WorkSpaceUnavailable, ServerStopping, ServiceUnreachable
      DeadlineExceeded               no answer within the time of the call
      MethodUnsupported              the service is older than this client
      OperationCancelled             the operation was cancelled
      OperationInterrupted           the service stopped before the operation's end
      OperationPartiallySucceeded    the operation ended and some collections failed
      ImportOutcomeUnknown           the answer to a submitted import was lost
      InternalError                  a fault of the service; its log has the details

A call that fails and an operation that fails give the same classes: the reason that the service
sent decides, then the code.
"""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup_client._status import (
    FieldViolation,
    code_of,
    detail_of,
    error_info_of,
    status_of,
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


class NotFound(BackupServiceError):
    """A named thing does not exist; ``metadata["resource"]`` names it."""


class BackupNotFound(NotFound):
    """Nothing of that name is in the repository."""

    reason = "BACKUP_NOT_FOUND"


class CollectionNotFound(NotFound):
    """Milvus, or the backup, has no such collection."""

    reason = "COLLECTION_NOT_FOUND"


class DatabaseNotFound(NotFound):
    """Milvus, or the backup, has no such database."""

    reason = "DATABASE_NOT_FOUND"


class PartitionNotFound(NotFound):
    """A collection of Milvus, or of the backup, has no such partition."""

    reason = "PARTITION_NOT_FOUND"


class OperationNotFound(NotFound):
    """No such operation is known. Services forget operations when they stop."""

    reason = "OPERATION_NOT_FOUND"


class AlreadyExists(BackupServiceError):
    """A name that should be free is taken; ``metadata["resource"]`` names it."""


class BackupAlreadyExists(AlreadyExists):
    """A backup of that name, whole or not, is in the repository."""

    reason = "BACKUP_ALREADY_EXISTS"


class TargetAlreadyExists(AlreadyExists):
    """A collection that a restore would make exists."""

    reason = "TARGET_ALREADY_EXISTS"


class RequestIdReused(BackupServiceError):
    """The request_id belongs to a different request."""

    reason = "REQUEST_ID_REUSED"


class OperationConflict(BackupServiceError):
    """Another operation is in the way; ``metadata["operation"]`` names it."""

    reason = "OPERATION_CONFLICT"


class PreconditionFailed(BackupServiceError):
    """The state of the world forbids it; ``metadata["subject"]`` names what is in the way."""


class OperationEnded(PreconditionFailed):
    """The operation has ended and cannot be cancelled."""

    reason = "OPERATION_ENDED"


class BackupNotRestorable(PreconditionFailed):
    """The backup is incomplete, of a newer or other format, or lacks what a restore needs."""

    reason = "BACKUP_NOT_RESTORABLE"


class NotABackup(PreconditionFailed):
    """The directory of that name holds other things than a backup does; it is not touched."""

    reason = "NOT_A_BACKUP"


class BackupNameLost(PreconditionFailed):
    """Another writer has taken the backup's name meanwhile."""

    reason = "BACKUP_NAME_LOST"


class LeftBehind(PreconditionFailed):
    """Something that an operation made is still there; ``metadata["subject"]`` names it."""

    reason = "LEFT_BEHIND"


class MilvusVersionUnsupported(PreconditionFailed):
    """The service does not make or restore backups with that version of Milvus."""

    reason = "MILVUS_VERSION_UNSUPPORTED"


class SourceStorageMismatch(PreconditionFailed):
    """Milvus has rows whose objects are not where the service's settings say."""

    reason = "SOURCE_STORAGE_MISMATCH"


class SourceInconsistent(PreconditionFailed):
    """Milvus's objects or answers do not agree with each other, also after planning anew."""

    reason = "SOURCE_INCONSISTENT"


class StorageNotConfigured(PreconditionFailed):
    """The service's settings do not name Milvus's object store, so its objects cannot be read."""

    reason = "STORAGE_NOT_CONFIGURED"


class BucketNotFound(PreconditionFailed):
    """The bucket or directory of the service's settings does not exist."""

    reason = "BUCKET_NOT_FOUND"


class StorageDenied(PreconditionFailed):
    """The object store refused the service's credentials or its right to do it."""

    reason = "STORAGE_DENIED"


class StorageRefused(PreconditionFailed):
    """The object store answered an error that will not pass; ``metadata["code"]`` names it."""

    reason = "STORAGE_REFUSED"


class MilvusDenied(PreconditionFailed):
    """Milvus refused the service's credentials or its right to do it."""

    reason = "MILVUS_DENIED"


class MilvusRefused(PreconditionFailed):
    """Milvus answered a call with an error of its own; ``metadata["call"]`` names the call."""

    reason = "MILVUS_REFUSED"


class ImportFailed(PreconditionFailed):
    """Milvus accepted an import job and could not finish it."""

    reason = "IMPORT_FAILED"


class RowCountMismatch(PreconditionFailed):
    """Milvus imported another number of rows than the backup holds."""

    reason = "ROW_COUNT_MISMATCH"


class BackupCorrupt(BackupServiceError):
    """Files of the backup are missing, damaged, or do not agree with each other."""

    reason = "BACKUP_CORRUPT"


class ArchiveInvalid(BackupServiceError):
    """An archive to import is damaged or holds what no backup does; ``metadata["entry"]`` names the entry."""

    reason = "ARCHIVE_INVALID"


class TooManyOperations(BackupServiceError):
    """So many operations wait already that no more are accepted."""

    reason = "TOO_MANY_OPERATIONS"


class Unavailable(BackupServiceError):
    """Something does not answer now; the same call may succeed later."""


class StorageUnavailable(Unavailable):
    """The object store did not answer the service, beyond the service's patience."""

    reason = "STORAGE_UNAVAILABLE"


class MilvusUnavailable(Unavailable):
    """Milvus did not answer the service, beyond the service's patience."""

    reason = "MILVUS_UNAVAILABLE"


class OperationStalled(Unavailable):
    """A wait ended without the thing waited for; the message says what that was."""

    reason = "OPERATION_STALLED"


class WorkSpaceUnavailable(Unavailable):
    """The service could not write to its temporary directory: its disk is full, most often."""

    reason = "WORK_SPACE_UNAVAILABLE"


class ServerStopping(Unavailable):
    """The service is shutting down."""

    reason = "SERVER_STOPPING"


class ServiceUnreachable(Unavailable):
    """The service did not answer: not running, wrong address, or a broken connection."""


class DeadlineExceeded(BackupServiceError):
    """The service did not answer in time. Whether the call took effect is not known.

    A create or restore can be repeated with the same ``request_id``.
    """


class MethodUnsupported(BackupServiceError):
    """What answered does not know the method: an older service, or another one."""


class OperationCancelled(BackupServiceError):
    """The operation was cancelled on request."""

    reason = "OPERATION_CANCELLED"


class OperationInterrupted(BackupServiceError):
    """The operation was stopped before its end without being asked to."""

    reason = "OPERATION_INTERRUPTED"


class OperationPartiallySucceeded(BackupServiceError):
    """The operation ended and some collections failed; ``operation.collections`` says which."""

    reason = "OPERATION_PARTIALLY_SUCCEEDED"


class ImportOutcomeUnknown(BackupServiceError):
    """The answer to a submitted import was lost; whether Milvus runs it is not known."""

    reason = "IMPORT_OUTCOME_UNKNOWN"


class InternalError(BackupServiceError):
    """A fault of the service; its log has the details."""

    reason = "INTERNAL"


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


_Class = type[BackupServiceError]


def _class_of(status: Status, by_code: Mapping[grpc.StatusCode, _Class]) -> _Class:
    info = error_info_of(status)
    if info is None:
        return by_code.get(code_of(status), BackupServiceError)
    return _BY_REASON.get(info.reason) or _BY_CODE.get(code_of(status), BackupServiceError)


def _with_subclasses(base: _Class) -> list[_Class]:
    return [base, *(found for sub in base.__subclasses__() for found in _with_subclasses(sub))]


_BY_REASON = {found.reason: found for found in _with_subclasses(BackupServiceError) if found.reason}
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
