"""Things of a name that are not there, or should not be."""

from __future__ import annotations

from typing import ClassVar

from milvus_backup_server.domain.errors.base import BackupError


class NotFound(BackupError):
    """A named thing does not exist."""

    resource_type: ClassVar[str] = "resource"

    def __init__(self, name: str, message: str = "") -> None:
        super().__init__(
            message or f"{self.resource_type} {name!r} does not exist",
            resource=name,
            type=self.resource_type,
        )
        self.resource_name = name


class BackupNotFound(NotFound):
    """Nothing of that name is in the repository."""

    reason = "BACKUP_NOT_FOUND"
    resource_type = "backup"


class CollectionNotFound(NotFound):
    """Milvus, or the backup, has no such collection."""

    reason = "COLLECTION_NOT_FOUND"
    resource_type = "collection"


class DatabaseNotFound(NotFound):
    """Milvus, or the backup, has no such database."""

    reason = "DATABASE_NOT_FOUND"
    resource_type = "database"


class PartitionNotFound(NotFound):
    """A collection has no such partition; the resource is ``database.collection/partition``."""

    reason = "PARTITION_NOT_FOUND"
    resource_type = "partition"


class OperationNotFound(NotFound):
    """No such operation is known."""

    reason = "OPERATION_NOT_FOUND"
    resource_type = "operation"


class AlreadyExists(BackupError):
    """A name that should be free is taken."""

    resource_type: ClassVar[str] = "resource"

    def __init__(self, name: str, message: str = "") -> None:
        super().__init__(
            message or f"{self.resource_type} {name!r} already exists",
            resource=name,
            type=self.resource_type,
        )
        self.resource_name = name


class BackupAlreadyExists(AlreadyExists):
    """A backup of that name, whole or not, is in the repository."""

    reason = "BACKUP_ALREADY_EXISTS"
    resource_type = "backup"


class TargetAlreadyExists(AlreadyExists):
    """A collection that a restore would make exists."""

    reason = "TARGET_ALREADY_EXISTS"
    resource_type = "collection"


class AliasAlreadyExists(AlreadyExists):
    """An alias that a restored collection should get leads to another one, or is one's name."""

    reason = "ALIAS_ALREADY_EXISTS"
    resource_type = "alias"
