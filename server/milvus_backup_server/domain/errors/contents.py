"""What is wrong with files and objects."""

from __future__ import annotations

from milvus_backup_server.domain.errors.base import BackupError


class BackupCorrupt(BackupError):
    """Files of the backup are missing, damaged, or do not agree with each other."""

    reason = "BACKUP_CORRUPT"


class RowsDiffer(BackupError):
    """A restore of the backup gave other rows than its logs hold; the verification's result tells which."""

    reason = "ROWS_DIFFER"


class ArchiveInvalid(BackupError):
    """An archive to import is damaged or holds what no backup does; ``metadata["entry"]`` names the entry."""

    reason = "ARCHIVE_INVALID"


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
