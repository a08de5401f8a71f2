"""Which failure of one collection concerns the whole operation."""

from __future__ import annotations

from typing import Final

from milvus_backup_server.domain.errors import (
    BackupError,
    BackupNameLost,
    BucketNotFound,
    InternalError,
    InvalidRequest,
    MilvusDenied,
    MilvusUnavailable,
    MilvusVersionUnsupported,
    OperationCancelled,
    OperationInterrupted,
    OperationStalled,
    StorageDenied,
    StorageNotConfigured,
    Unavailable,
)

_OF_ALL: Final = (
    BackupNameLost,
    BucketNotFound,
    InternalError,
    InvalidRequest,
    MilvusDenied,
    MilvusUnavailable,
    MilvusVersionUnsupported,
    OperationCancelled,
    OperationInterrupted,
    StorageDenied,
    StorageNotConfigured,
    Unavailable,
)


def concerns_all(error: BackupError) -> bool:
    """Tell whether what one collection failed with would fail the others too.

    What is down, refuses our credentials or is somebody else's now is so for all. A wait that was
    given up is for all unless the error names the collection: Milvus goes on with the others then.
    """
    if isinstance(error, OperationStalled):
        return "collection" not in error.metadata
    return isinstance(error, _OF_ALL)
