"""What can go wrong, as the callers of the service meet it.

    BackupServiceError               everything below, and what no class stands for
      InvalidRequest                 a field of the request is wrong; ``violations`` has all faults
      NotFound                       BackupNotFound, CollectionNotFound, DatabaseNotFound,
                                     PartitionNotFound, OperationNotFound
      AlreadyExists                  BackupAlreadyExists, TargetAlreadyExists,
                                     AliasAlreadyExists
      RequestIdReused                the same request_id came with another request
      OperationConflict              another operation is in the way
      PreconditionFailed             BackupNotRestorable, TargetUnfit, MilvusVersionUnsupported,
                                     SourceStorageMismatch, SourceInconsistent,
                                     StorageNotConfigured, BucketNotFound, StorageDenied,
                                     StorageRefused, MilvusDenied, MilvusRefused, ImportFailed,
                                     RowCountMismatch, NotABackup, BackupNameLost, LeftBehind,
                                     OperationEnded, OperationNotResumable,
                                     BinlogsNotInstalled
      BackupCorrupt                  the backup's files do not agree with each other
      RowsDiffer                     a restore of the backup gives other rows than its logs hold
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

from milvus_backup_client.errors.base import (
    BackupServiceError,
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    MethodUnsupported,
)
from milvus_backup_client.errors.contents import (
    ArchiveInvalid,
    BackupCorrupt,
    RowsDiffer,
)
from milvus_backup_client.errors.names import (
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
from milvus_backup_client.errors.operations import (
    ImportOutcomeUnknown,
    MilvusUnavailable,
    OperationCancelled,
    OperationConflict,
    OperationInterrupted,
    OperationPartiallySucceeded,
    OperationStalled,
    RequestIdReused,
    ServerStopping,
    ServiceUnreachable,
    StorageUnavailable,
    TooManyOperations,
    Unavailable,
    WorkSpaceUnavailable,
)
from milvus_backup_client.errors.preconditions import (
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
from milvus_backup_client.errors.reading import (
    from_rpc_error,
    from_status,
)

__all__ = [
    "AliasAlreadyExists",
    "AlreadyExists",
    "ArchiveInvalid",
    "BackupAlreadyExists",
    "BackupCorrupt",
    "BackupNameLost",
    "BackupNotFound",
    "BackupNotRestorable",
    "BackupServiceError",
    "BinlogsNotInstalled",
    "BucketNotFound",
    "CollectionNotFound",
    "DatabaseNotFound",
    "DeadlineExceeded",
    "ImportFailed",
    "ImportOutcomeUnknown",
    "InternalError",
    "InvalidRequest",
    "LeftBehind",
    "MethodUnsupported",
    "MilvusDenied",
    "MilvusRefused",
    "MilvusUnavailable",
    "MilvusVersionUnsupported",
    "NotABackup",
    "NotFound",
    "OperationCancelled",
    "OperationConflict",
    "OperationEnded",
    "OperationInterrupted",
    "OperationNotFound",
    "OperationNotResumable",
    "OperationPartiallySucceeded",
    "OperationStalled",
    "PartitionNotFound",
    "PreconditionFailed",
    "RequestIdReused",
    "RowCountMismatch",
    "RowsDiffer",
    "ServerStopping",
    "ServiceUnreachable",
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
    "WorkSpaceUnavailable",
    "from_rpc_error",
    "from_status",
]
