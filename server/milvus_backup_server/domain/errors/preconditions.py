"""What the state of the world forbids."""

from __future__ import annotations

from milvus_backup_server.domain.errors.base import BackupError


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


class OperationNotResumable(PreconditionFailed):
    """The operation cannot be resumed: it is not interrupted, or its kind cannot be; the message says what to do."""

    reason = "OPERATION_NOT_RESUMABLE"


class OperationEnded(PreconditionFailed):
    """The operation has ended and cannot be cancelled."""

    reason = "OPERATION_ENDED"


class BackupNotRestorable(PreconditionFailed):
    """The backup is incomplete, of a newer or other format, or lacks what a restore needs."""

    reason = "BACKUP_NOT_RESTORABLE"


class TargetUnfit(PreconditionFailed):
    """A collection that is to be filled or loaded is not made for it: its schema, indexes, or state."""

    reason = "TARGET_UNFIT"


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


class RowCountMismatch(PreconditionFailed):
    """Milvus imported another number of rows than the backup holds."""

    reason = "ROW_COUNT_MISMATCH"


class BinlogsNotInstalled(PreconditionFailed):
    """What reads rows in Milvus's logs is not installed where the service runs; the message says what to install."""

    reason = "BINLOGS_NOT_INSTALLED"
