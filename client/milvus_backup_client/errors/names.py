"""Things of a name that are not there, or should not be."""

from __future__ import annotations

from milvus_backup_client.errors.base import BackupServiceError


class NotFound(BackupServiceError):
    """A named thing does not exist; ``metadata["resource"]`` names it."""


class BackupNotFound(NotFound):
    """Nothing of that name is in the repository."""

    reason = "BACKUP_NOT_FOUND"


class CollectionNotFound(NotFound):
    """Milvus, or the backup, has no such collection."""

    reason = "COLLECTION_NOT_FOUND"


class DatabaseNotFound(NotFound):
    """Milvus, or the backup, has no such database."""

    reason = "DATABASE_NOT_FOUND"


class PartitionNotFound(NotFound):
    """A collection of Milvus, or of the backup, has no such partition."""

    reason = "PARTITION_NOT_FOUND"


class OperationNotFound(NotFound):
    """No such operation is known. Services forget operations when they stop."""

    reason = "OPERATION_NOT_FOUND"


class AlreadyExists(BackupServiceError):
    """A name that should be free is taken; ``metadata["resource"]`` names it."""


class BackupAlreadyExists(AlreadyExists):
    """A backup of that name, whole or not, is in the repository."""

    reason = "BACKUP_ALREADY_EXISTS"


class TargetAlreadyExists(AlreadyExists):
    """A collection that a restore would make exists."""

    reason = "TARGET_ALREADY_EXISTS"


class AliasAlreadyExists(AlreadyExists):
    """An alias that a restored collection should get leads to another one, or is one's name."""

    reason = "ALIAS_ALREADY_EXISTS"
