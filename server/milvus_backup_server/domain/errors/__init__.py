"""What can go wrong, as the callers see it.

    BackupError
      InvalidRequest         a field of the request is wrong
      InvalidSettings        the settings are wrong (at start only)
      NotFound               BackupNotFound, CollectionNotFound, DatabaseNotFound,
                             PartitionNotFound, OperationNotFound
      AlreadyExists          BackupAlreadyExists, TargetAlreadyExists, AliasAlreadyExists
      RequestIdReused        the same request_id came with another request
      OperationConflict      another operation is in the way
      PreconditionFailed     BackupNotRestorable, TargetUnfit, MilvusVersionUnsupported,
                             SourceStorageMismatch,
                             SourceInconsistent, StorageNotConfigured, BucketNotFound,
                             StorageDenied, StorageRefused, MilvusDenied, MilvusRefused,
                             ImportFailed, RowCountMismatch, NotABackup, BackupNameLost, LeftBehind,
                             OperationEnded, OperationNotResumable, BinlogsNotInstalled
      BackupCorrupt          the backup's files do not agree with each other
      RowsDiffer             a restore of the backup gives other rows than its logs hold
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

from milvus_backup_server.domain.errors.base import (
    BackupError,
    FieldViolation,
    InternalError,
    InvalidRequest,
    InvalidSettings,
    Obstacle,
)
from milvus_backup_server.domain.errors.contents import (
    ArchiveInvalid,
    BackupCorrupt,
    CopyDenied,
    ObjectAlreadyExists,
    ObjectChanged,
    ObjectNotFound,
    ObjectStoreError,
    RowsDiffer,
    UploadNotFound,
)
from milvus_backup_server.domain.errors.names import (
    AliasAlreadyExists,
    AlreadyExists,
    BackupAlreadyExists,
    BackupNotFound,
    CollectionNotFound,
    DatabaseNotFound,
    NotFound,
    OperationNotFound,
    PartitionNotFound,
    TargetAlreadyExists,
)
from milvus_backup_server.domain.errors.operations import (
    ImportOutcomeUnknown,
    MilvusUnavailable,
    OperationCancelled,
    OperationConflict,
    OperationInterrupted,
    OperationStalled,
    RequestIdReused,
    ServerStopping,
    StorageUnavailable,
    TooManyOperations,
    Unavailable,
    WorkSpaceUnavailable,
)
from milvus_backup_server.domain.errors.preconditions import (
    BackupNameLost,
    BackupNotRestorable,
    BinlogsNotInstalled,
    BucketNotFound,
    ImportFailed,
    LeftBehind,
    MilvusDenied,
    MilvusRefused,
    MilvusVersionUnsupported,
    NotABackup,
    OperationEnded,
    OperationNotResumable,
    PreconditionFailed,
    RowCountMismatch,
    SourceInconsistent,
    SourceStorageMismatch,
    StorageDenied,
    StorageNotConfigured,
    StorageRefused,
    TargetUnfit,
)

__all__ = [
    "AliasAlreadyExists",
    "AlreadyExists",
    "ArchiveInvalid",
    "BackupAlreadyExists",
    "BackupCorrupt",
    "BackupError",
    "BackupNameLost",
    "BackupNotFound",
    "BackupNotRestorable",
    "BinlogsNotInstalled",
    "BucketNotFound",
    "CollectionNotFound",
    "CopyDenied",
    "DatabaseNotFound",
    "FieldViolation",
    "ImportFailed",
    "ImportOutcomeUnknown",
    "InternalError",
    "InvalidRequest",
    "InvalidSettings",
    "LeftBehind",
    "MilvusDenied",
    "MilvusRefused",
    "MilvusUnavailable",
    "MilvusVersionUnsupported",
    "NotABackup",
    "NotFound",
    "ObjectAlreadyExists",
    "ObjectChanged",
    "ObjectNotFound",
    "ObjectStoreError",
    "Obstacle",
    "OperationCancelled",
    "OperationConflict",
    "OperationEnded",
    "OperationInterrupted",
    "OperationNotFound",
    "OperationNotResumable",
    "OperationStalled",
    "PartitionNotFound",
    "PreconditionFailed",
    "RequestIdReused",
    "RowCountMismatch",
    "RowsDiffer",
    "ServerStopping",
    "SourceInconsistent",
    "SourceStorageMismatch",
    "StorageDenied",
    "StorageNotConfigured",
    "StorageRefused",
    "StorageUnavailable",
    "TargetAlreadyExists",
    "TargetUnfit",
    "TooManyOperations",
    "Unavailable",
    "UploadNotFound",
    "WorkSpaceUnavailable",
]
