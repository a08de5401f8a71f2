"""What failures mean: which of one collection concern the whole operation, which pass by themselves."""

from __future__ import annotations

from typing import Final

from milvus_backup_server.domain.errors import (
    BackupError,
    BackupNameLost,
    BucketNotFound,
    InternalError,
    InvalidRequest,
    MilvusDenied,
    MilvusRefused,
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


# Milvus's codes for too many requests, a rate limit, and too many import jobs.
_TOO_MUCH: Final = frozenset({"4", "8", "2100"})


LOST: Final = "LOST"
"""The code of an error that leaves open whether Milvus did what it was asked to."""


def leaves_open(error: BackupError) -> bool:
    """Tell whether Milvus may have done what it was asked to, although no answer says so."""
    return error.metadata.get("code") == LOST


def is_too_much(error: BackupError) -> bool:
    """Tell whether Milvus has not done what it was asked to because it was asked too often or too much.

    It will do it a while later; from 2.4 on it flushes a collection once in 10 s by default.
    """
    return isinstance(error, MilvusUnavailable) and error.metadata.get("code") in _TOO_MUCH


def finds_nothing(error: BackupError) -> bool:
    """Tell whether Milvus says that there is nothing in a directory that it is to import."""
    return isinstance(error, MilvusRefused) and "no binlog to import" in error.message


def concerns_all(error: BackupError) -> bool:
    """Tell whether what one collection failed with would fail the others too.

    What is down, refuses our credentials or is somebody else's now is so for all. A wait that was
    given up is for all unless the error names the collection: Milvus goes on with the others then.
    """
    if isinstance(error, OperationStalled):
        return "collection" not in error.metadata
    return isinstance(error, _OF_ALL)
