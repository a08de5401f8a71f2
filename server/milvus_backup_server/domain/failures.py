"""Which failure of one collection concerns the whole operation, and which failure an operation may survive."""

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
    StorageUnavailable,
    Unavailable,
)
from milvus_backup_server.domain.operations import OperationKind

_GO_ON: Final = frozenset({OperationKind.CREATE_BACKUP, OperationKind.DELETE_BACKUP})
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


def interrupts(kind: OperationKind, error: BackupError) -> bool:
    """Tell whether an operation that ends in an error is interrupted by it, and has not failed.

    So it is where a store or Milvus stayed away for longer than they are waited for, of those kinds that
    leave something to go on with.
    """
    return kind in _GO_ON and isinstance(error, StorageUnavailable | MilvusUnavailable)
