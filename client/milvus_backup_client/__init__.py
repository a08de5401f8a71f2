"""Client of the Milvus backup service.

``BackupClient`` has every method of the service; the messages that it returns are those of
``milvus_backup.v1``. Errors are classes, drawn in ``milvus_backup_client.errors``.

The names below are imported when they are first asked for: the command line, a part of this package,
prints its help without loading gRPC.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from milvus_backup_client._calls import RetryPolicy
    from milvus_backup_client._connection import channel_options
    from milvus_backup_client._status import FieldViolation
    from milvus_backup_client.client import BackupClient
    from milvus_backup_client.errors import (
        AliasAlreadyExists,
        AlreadyExists,
        ArchiveInvalid,
        BackupAlreadyExists,
        BackupCorrupt,
        BackupNameLost,
        BackupNotFound,
        BackupNotRestorable,
        BackupServiceError,
        BinlogsNotInstalled,
        BucketNotFound,
        CollectionNotFound,
        DatabaseNotFound,
        DeadlineExceeded,
        ImportFailed,
        ImportOutcomeUnknown,
        InternalError,
        InvalidRequest,
        LeftBehind,
        MethodUnsupported,
        MilvusDenied,
        MilvusRefused,
        MilvusUnavailable,
        MilvusVersionUnsupported,
        NotABackup,
        NotFound,
        OperationCancelled,
        OperationConflict,
        OperationEnded,
        OperationInterrupted,
        OperationNotFound,
        OperationNotResumable,
        OperationPartiallySucceeded,
        OperationStalled,
        PartitionNotFound,
        PreconditionFailed,
        RequestIdReused,
        RowCountMismatch,
        RowsDiffer,
        ServerStopping,
        ServiceUnreachable,
        SourceInconsistent,
        SourceStorageMismatch,
        StorageDenied,
        StorageNotConfigured,
        StorageRefused,
        StorageUnavailable,
        TargetAlreadyExists,
        TargetUnfit,
        TooManyOperations,
        Unavailable,
        WorkSpaceUnavailable,
        from_rpc_error,
        from_status,
    )
    from milvus_backup_client.operations import error_of, has_ended, is_final

__all__ = [
    "AliasAlreadyExists",
    "AlreadyExists",
    "ArchiveInvalid",
    "BackupAlreadyExists",
    "BackupClient",
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
    "FieldViolation",
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
    "RetryPolicy",
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
    "channel_options",
    "error_of",
    "from_rpc_error",
    "from_status",
    "has_ended",
    "is_final",
]

# The modules that define them, in the order in which they are looked up.
_MODULES = ("client", "errors", "operations", "_calls", "_connection", "_status")


if not TYPE_CHECKING:  # a type checker shall not take every name for a name of this package

    def __getattr__(name: str) -> object:
        """Return a public name, or one of the modules, imported now."""
        if name in __all__:
            modules = (import_module(f"{__name__}.{module}") for module in _MODULES)
            return next(vars(module)[name] for module in modules if name in vars(module))
        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        """Return the public names."""
        return __all__
