"""How errors look over HTTP: one table.

The Go tool's routes answer business failures with the HTTP status 200 and a code in the body; routes
that it does not have answer with the status as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import structlog

from milvus_backup_server.domain import errors
from milvus_backup_server.service.concurrency import first_backup_error

FAIL: Final = 3
PARAMETER_ERROR: Final = 400

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Face:
    """What callers see of a class of errors.

    Attributes:
        code: The code in the body, of all routes.
        status: The HTTP status of routes that the Go tool does not have.
        hidden: Its text is for the log only.
    """

    code: int
    status: int
    hidden: bool = False


class BackupToRestoreNotFound(errors.BackupNotFound):
    """There is no such backup: of a restore the Go tool takes that for a wrong parameter."""


_BAD = Face(PARAMETER_ERROR, 400)
_MISSING = Face(FAIL, 404)
_IN_THE_WAY = Face(FAIL, 409)
_BUSY = Face(FAIL, 429)
_NOT_NOW = Face(FAIL, 503)
_OURS = Face(FAIL, 500, hidden=True)

FACES: Final[dict[type[errors.BackupError], Face]] = {
    errors.BackupError: _OURS,
    errors.InternalError: _OURS,
    errors.InvalidRequest: _BAD,
    errors.InvalidSettings: _OURS,  # found at start; no caller can cause or mend it
    errors.NotFound: _MISSING,
    errors.BackupNotFound: _MISSING,
    BackupToRestoreNotFound: Face(PARAMETER_ERROR, 404),
    errors.CollectionNotFound: _MISSING,
    errors.DatabaseNotFound: _MISSING,
    errors.PartitionNotFound: _MISSING,
    errors.OperationNotFound: _MISSING,
    errors.AlreadyExists: _IN_THE_WAY,
    errors.BackupAlreadyExists: _IN_THE_WAY,
    errors.TargetAlreadyExists: _IN_THE_WAY,
    errors.AliasAlreadyExists: _IN_THE_WAY,
    errors.TargetUnfit: _IN_THE_WAY,
    errors.RequestIdReused: _IN_THE_WAY,
    errors.OperationConflict: _IN_THE_WAY,
    errors.PreconditionFailed: _IN_THE_WAY,
    errors.OperationEnded: _IN_THE_WAY,
    errors.OperationNotResumable: _IN_THE_WAY,
    errors.BackupNotRestorable: _IN_THE_WAY,
    errors.NotABackup: _IN_THE_WAY,
    errors.BackupNameLost: _IN_THE_WAY,
    errors.LeftBehind: _IN_THE_WAY,
    errors.MilvusVersionUnsupported: _IN_THE_WAY,
    errors.SourceStorageMismatch: _IN_THE_WAY,
    errors.SourceInconsistent: _IN_THE_WAY,
    errors.StorageNotConfigured: _IN_THE_WAY,
    errors.BucketNotFound: _IN_THE_WAY,
    errors.StorageDenied: _IN_THE_WAY,
    errors.StorageRefused: _IN_THE_WAY,
    errors.MilvusDenied: _IN_THE_WAY,
    errors.MilvusRefused: _IN_THE_WAY,
    errors.ImportFailed: _IN_THE_WAY,
    errors.RowCountMismatch: _IN_THE_WAY,
    errors.ImportOutcomeUnknown: _IN_THE_WAY,
    errors.ArchiveInvalid: _BAD,
    errors.BinlogsNotInstalled: _IN_THE_WAY,
    errors.BackupCorrupt: _IN_THE_WAY,
    errors.RowsDiffer: _IN_THE_WAY,
    errors.Unavailable: _NOT_NOW,
    errors.StorageUnavailable: _NOT_NOW,
    errors.MilvusUnavailable: _NOT_NOW,
    errors.OperationStalled: _NOT_NOW,
    errors.WorkSpaceUnavailable: _NOT_NOW,
    errors.ServerStopping: _NOT_NOW,
    errors.TooManyOperations: _BUSY,
    errors.OperationCancelled: _IN_THE_WAY,
    errors.OperationInterrupted: _NOT_NOW,
    # Use cases translate these; one that slips through is a fault of ours.
    errors.ObjectStoreError: _OURS,
    errors.ObjectNotFound: _OURS,
    errors.ObjectChanged: _OURS,
    errors.ObjectAlreadyExists: _OURS,
    errors.UploadNotFound: _OURS,
    errors.CopyDenied: _OURS,
}


def face_of(error: BaseException) -> Face:
    """Return the face of an error; that of an internal error for what is not meant for callers."""
    rows = (FACES[kind] for kind in type(error).__mro__ if kind in FACES)
    return next(rows, _OURS)


def callers_error(error: BaseException) -> errors.BackupError:
    """Return what a caller may see: the error, the first such one of a group, or the internal error."""
    found = first_backup_error(error)
    return errors.InternalError() if found is None or face_of(found).hidden else found


def log_failure(error: Exception) -> None:
    """Write a line about a request that failed; with the details only for a fault of ours."""
    shown = callers_error(error)
    face = face_of(shown)
    facts = {"code": face.code, "reason": shown.reason}
    if face.hidden:
        _log.error("request failed by a fault of the service", **facts, exc_info=error)
    elif isinstance(shown, errors.InvalidRequest | errors.NotFound | errors.AlreadyExists):
        _log.info("request refused", **facts, error=shown.message)
    else:
        _log.warning("request failed", **facts, error=shown.message)
