"""Which right each RPC needs: looked up for every call, enforced once it is known who calls."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Permission(Enum):
    """A right, each including the ones before it."""

    VIEW = "view"
    OPERATE = "operate"
    ADMIN = "admin"


PACKAGE: Final = "milvus_backup.v1"

_BACKUPS = f"/{PACKAGE}.BackupService/"
_OPERATIONS = f"/{PACKAGE}.OperationService/"
_SERVER = f"/{PACKAGE}.ServerService/"

PERMISSIONS: Final[dict[str, Permission]] = {
    _BACKUPS + "CreateBackup": Permission.OPERATE,
    _BACKUPS + "GetBackup": Permission.VIEW,
    _BACKUPS + "ListBackups": Permission.VIEW,
    _BACKUPS + "ListBackupCollections": Permission.VIEW,
    _BACKUPS + "RestoreBackup": Permission.OPERATE,
    _BACKUPS + "VerifyBackup": Permission.OPERATE,  # reads much, and writes its record
    _BACKUPS + "DeleteBackup": Permission.ADMIN,
    _BACKUPS + "ExportBackup": Permission.OPERATE,  # gives everything away that is in it
    _BACKUPS + "ImportBackup": Permission.OPERATE,
    _OPERATIONS + "GetOperation": Permission.VIEW,
    _OPERATIONS + "ListOperations": Permission.VIEW,
    _OPERATIONS + "ListOperationCollections": Permission.VIEW,
    _OPERATIONS + "ListOperationProblems": Permission.VIEW,
    _OPERATIONS + "CancelOperation": Permission.OPERATE,
    _OPERATIONS + "ResumeOperation": Permission.OPERATE,
    _OPERATIONS + "RetryOperation": Permission.OPERATE,
    _OPERATIONS + "WatchOperation": Permission.VIEW,
    _OPERATIONS + "WatchOperations": Permission.VIEW,
    _OPERATIONS + "Sweep": Permission.ADMIN,
    _SERVER + "Check": Permission.OPERATE,  # writes probe objects
    _SERVER + "GetServerInfo": Permission.VIEW,
}


def permission_for(method: str) -> Permission | None:
    """Return what an RPC needs; None for services that are open to everyone (health, reflection).

    Raises:
        KeyError: The RPC is one of ours and has no row.
    """
    return PERMISSIONS[method] if method.startswith(f"/{PACKAGE}.") else None
