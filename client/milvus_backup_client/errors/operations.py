"""Why an operation is not begun, does not go on, or has no known outcome."""

from __future__ import annotations

from milvus_backup_client.errors.base import BackupServiceError


class RequestIdReused(BackupServiceError):
    """The request_id belongs to a different request."""

    reason = "REQUEST_ID_REUSED"


class OperationConflict(BackupServiceError):
    """Another operation is in the way; ``metadata["operation"]`` names it."""

    reason = "OPERATION_CONFLICT"


class TooManyOperations(BackupServiceError):
    """So many operations wait already that no more are accepted."""

    reason = "TOO_MANY_OPERATIONS"


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
