"""Why an operation is not begun, does not go on, or has no known outcome."""

from __future__ import annotations

from milvus_backup_server.domain.errors.base import BackupError


class RequestIdReused(BackupError):
    """The request_id belongs to a different request."""

    reason = "REQUEST_ID_REUSED"


class OperationConflict(BackupError):
    """Another operation is in the way; ``metadata["operation"]`` names it."""

    reason = "OPERATION_CONFLICT"


class TooManyOperations(BackupError):
    """So many operations wait already that no more are accepted."""

    reason = "TOO_MANY_OPERATIONS"


class OperationCancelled(BackupError):
    """The operation was cancelled on request."""

    reason = "OPERATION_CANCELLED"


class OperationInterrupted(BackupError):
    """The operation was stopped before its end without being asked to."""

    reason = "OPERATION_INTERRUPTED"


class ImportOutcomeUnknown(BackupError):
    """The answer to a submitted import was lost; whether the job runs must be found out."""

    reason = "IMPORT_OUTCOME_UNKNOWN"


class Unavailable(BackupError):
    """Something outside does not answer now; the same call may succeed later."""


class StorageUnavailable(Unavailable):
    """The object store does not answer, or answers with passing errors beyond our patience."""

    reason = "STORAGE_UNAVAILABLE"


class MilvusUnavailable(Unavailable):
    """Milvus does not answer, or answers with passing errors beyond our patience."""

    reason = "MILVUS_UNAVAILABLE"


class OperationStalled(Unavailable):
    """A wait ended without the thing waited for; the message says what that was."""

    reason = "OPERATION_STALLED"


class WorkSpaceUnavailable(Unavailable):
    """The service cannot write to its temporary directory: its disk is full, most often."""

    reason = "WORK_SPACE_UNAVAILABLE"


class ServerStopping(Unavailable):
    """The service is shutting down."""

    reason = "SERVER_STOPPING"
