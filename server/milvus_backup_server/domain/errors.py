"""What can go wrong, as the callers see it.

    BackupError
      InvalidRequest         a field of the request is wrong
      InvalidSettings        the settings are wrong (at start only)
      NotFound               BackupNotFound, CollectionNotFound, DatabaseNotFound,
                             PartitionNotFound, OperationNotFound
      AlreadyExists          BackupAlreadyExists, TargetAlreadyExists
      RequestIdReused        the same request_id came with another request
      OperationConflict      another operation is in the way
      PreconditionFailed     BackupNotRestorable, MilvusVersionUnsupported, SourceStorageMismatch,
                             SourceInconsistent, StorageNotConfigured, BucketNotFound,
                             StorageDenied, StorageRefused, MilvusDenied, MilvusRefused,
                             ImportFailed, RowCountMismatch, NotABackup, BackupNameLost, LeftBehind,
                             OperationEnded
      BackupCorrupt          the backup's files do not agree with each other
      ArchiveInvalid         an archive to import is damaged, or holds what no backup does
      Unavailable            StorageUnavailable, MilvusUnavailable, ServerStopping,
                             OperationStalled, WorkSpaceUnavailable
      TooManyOperations      the bound of waiting operations is reached
      OperationCancelled     the caller cancelled it
      OperationInterrupted   the service stopped before the operation's end
      ImportOutcomeUnknown   the answer to a submitted import was lost
      InternalError          a fault of this service
      ObjectStoreError       ObjectNotFound, ObjectChanged, ObjectAlreadyExists, UploadNotFound,
                             CopyDenied: what a store answers; use cases turn it into one of the
                             above

An error holds data: ``reason`` is stable and for programs, ``metadata`` has every value that the
message names. How an error looks on the wire is decided in ``api.status`` alone. No message carries
a secret or text of a foreign library's internals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One fault of a request: the path of the field, and what would be right."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing in the way of a request.

    Attributes:
        field: The path of the request's field that it comes from, empty if it comes from none.
        reason: As of the error that it is.
        subject: The resource that is missing or in the way, empty if there is none.
        description: What is wrong, as a sentence.
    """

    field: str
    reason: str
    subject: str
    description: str


class BackupError(Exception):
    """Base of all errors that are meant for callers.

    Args:
        message: A sentence for people.
        metadata: The values that the sentence names, for programs.

    Attributes:
        obstacles: What was found together with this error, itself included, where all of it was
            looked for before anything was touched; empty for other errors.
    """

    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, **metadata: str | int) -> None:
        super().__init__(message)
        self.message = message
        self.obstacles: tuple[Obstacle, ...] = ()
        self.metadata = {key: str(value) for key, value in metadata.items()}


class InvalidRequest(BackupError):
    """One or more fields of a request are wrong; all faults are reported together."""

    reason = "INVALID_REQUEST"

    def __init__(self, *violations: FieldViolation) -> None:
        text = "; ".join(f"{fault.field}: {fault.description}" for fault in violations[:20])
        super().__init__(text, field=violations[0].field if violations else "")
        self.violations = violations


class InvalidSettings(BackupError):
    """The settings cannot be used; all faults are reported together."""

    reason = "INVALID_SETTINGS"

    def __init__(self, *violations: FieldViolation) -> None:
        text = "; ".join(f"{fault.field}: {fault.description}" for fault in violations)
        super().__init__(f"invalid settings: {text}")
        self.violations = violations


class NotFound(BackupError):
    """A named thing does not exist."""

    resource_type: ClassVar[str] = "resource"

    def __init__(self, name: str, message: str = "") -> None:
        super().__init__(
            message or f"{self.resource_type} {name!r} does not exist",
            resource=name,
            type=self.resource_type,
        )
        self.resource_name = name


class BackupNotFound(NotFound):
    """Nothing of that name is in the repository."""

    reason = "BACKUP_NOT_FOUND"
    resource_type = "backup"


class CollectionNotFound(NotFound):
    """Milvus, or the backup, has no such collection."""

    reason = "COLLECTION_NOT_FOUND"
    resource_type = "collection"


class DatabaseNotFound(NotFound):
    """Milvus, or the backup, has no such database."""

    reason = "DATABASE_NOT_FOUND"
    resource_type = "database"


class PartitionNotFound(NotFound):
    """A collection has no such partition; the resource is ``database.collection/partition``."""

    reason = "PARTITION_NOT_FOUND"
    resource_type = "partition"


class OperationNotFound(NotFound):
    """No such operation is known."""

    reason = "OPERATION_NOT_FOUND"
    resource_type = "operation"


class AlreadyExists(BackupError):
    """A name that should be free is taken."""

    resource_type: ClassVar[str] = "resource"

    def __init__(self, name: str, message: str = "") -> None:
        super().__init__(
            message or f"{self.resource_type} {name!r} already exists",
            resource=name,
            type=self.resource_type,
        )
        self.resource_name = name


class BackupAlreadyExists(AlreadyExists):
    """A backup of that name, whole or not, is in the repository."""

    reason = "BACKUP_ALREADY_EXISTS"
    resource_type = "backup"


class TargetAlreadyExists(AlreadyExists):
    """A collection that a restore would make exists."""

    reason = "TARGET_ALREADY_EXISTS"
    resource_type = "collection"


class RequestIdReused(BackupError):
    """The request_id belongs to a different request."""

    reason = "REQUEST_ID_REUSED"


class OperationConflict(BackupError):
    """Another operation is in the way; ``metadata["operation"]`` names it."""

    reason = "OPERATION_CONFLICT"


class PreconditionFailed(BackupError):
    """The state of the world forbids it; ``metadata["subject"]`` names what is in the way."""


class NotABackup(PreconditionFailed):
    """The directory of that name holds other things than a backup does; it is not touched."""

    reason = "NOT_A_BACKUP"


class BackupNameLost(PreconditionFailed):
    """Another writer has taken the backup's name meanwhile; what is there now is not touched."""

    reason = "BACKUP_NAME_LOST"


class LeftBehind(PreconditionFailed):
    """Something that an operation made is still there; ``metadata["subject"]`` names it."""

    reason = "LEFT_BEHIND"


class OperationEnded(PreconditionFailed):
    """The operation has ended and cannot be cancelled."""

    reason = "OPERATION_ENDED"


class BackupNotRestorable(PreconditionFailed):
    """The backup is incomplete, of a newer or other format, or lacks what a restore needs."""

    reason = "BACKUP_NOT_RESTORABLE"


class MilvusVersionUnsupported(PreconditionFailed):
    """This service does not make or restore backups with that version of Milvus."""

    reason = "MILVUS_VERSION_UNSUPPORTED"


class SourceStorageMismatch(PreconditionFailed):
    """Milvus has rows whose objects are not where the settings say: a wrong bucket or root path."""

    reason = "SOURCE_STORAGE_MISMATCH"


class SourceInconsistent(PreconditionFailed):
    """Milvus's objects or answers do not agree with each other, also after planning anew."""

    reason = "SOURCE_INCONSISTENT"


class StorageNotConfigured(PreconditionFailed):
    """The cluster's object store is not in the settings, so its objects cannot be read."""

    reason = "STORAGE_NOT_CONFIGURED"


class BucketNotFound(PreconditionFailed):
    """The bucket or directory of the settings does not exist."""

    reason = "BUCKET_NOT_FOUND"


class StorageDenied(PreconditionFailed):
    """The object store refused our credentials or our right to do it."""

    reason = "STORAGE_DENIED"


class StorageRefused(PreconditionFailed):
    """The object store answered an error that will not pass by itself; ``metadata["code"]`` names it."""

    reason = "STORAGE_REFUSED"


class MilvusDenied(PreconditionFailed):
    """Milvus refused our credentials or our right to do it."""

    reason = "MILVUS_DENIED"


class MilvusRefused(PreconditionFailed):
    """Milvus answered a call with an error of its own; ``metadata["call"]`` names the call."""

    reason = "MILVUS_REFUSED"


class ImportFailed(PreconditionFailed):
    """Milvus accepted an import job and could not finish it."""

    reason = "IMPORT_FAILED"


class ImportOutcomeUnknown(BackupError):
    """The answer to a submitted import was lost; whether the job runs must be found out."""

    reason = "IMPORT_OUTCOME_UNKNOWN"


class RowCountMismatch(PreconditionFailed):
    """Milvus imported another number of rows than the backup holds."""

    reason = "ROW_COUNT_MISMATCH"


class BackupCorrupt(BackupError):
    """Files of the backup are missing, damaged, or do not agree with each other."""

    reason = "BACKUP_CORRUPT"


class ArchiveInvalid(BackupError):
    """An archive to import is damaged or holds what no backup does; ``metadata["entry"]`` names the entry."""

    reason = "ARCHIVE_INVALID"


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


class TooManyOperations(BackupError):
    """So many operations wait already that no more are accepted."""

    reason = "TOO_MANY_OPERATIONS"


class OperationCancelled(BackupError):
    """The operation was cancelled on request."""

    reason = "OPERATION_CANCELLED"


class OperationInterrupted(BackupError):
    """The operation was stopped before its end without being asked to."""

    reason = "OPERATION_INTERRUPTED"


class InternalError(BackupError):
    """A fault of this service; details are in its log only."""

    reason = "INTERNAL"

    def __init__(self) -> None:
        super().__init__("internal error; the log of the service has the details")


class ObjectStoreError(BackupError):
    """What a store answers about one object. Use cases translate it; callers never see it as such."""


class ObjectNotFound(ObjectStoreError):
    """The object does not exist."""

    reason = "OBJECT_NOT_FOUND"


class ObjectChanged(ObjectStoreError):
    """The object's ETag is not the one demanded."""

    reason = "OBJECT_CHANGED"


class ObjectAlreadyExists(ObjectStoreError):
    """A create-if-absent found the object there."""

    reason = "OBJECT_ALREADY_EXISTS"


class UploadNotFound(ObjectStoreError):
    """The multipart upload is not known: completed, aborted, or never begun."""

    reason = "UPLOAD_NOT_FOUND"


class CopyDenied(ObjectStoreError):
    """The store may not copy from the source by itself; reading and writing may still work."""

    reason = "COPY_DENIED"
