"""What is wrong with files."""

from __future__ import annotations

from milvus_backup_client.errors.base import BackupServiceError


class BackupCorrupt(BackupServiceError):
    """Files of the backup are missing, damaged, or do not agree with each other."""

    reason = "BACKUP_CORRUPT"


class RowsDiffer(BackupServiceError):
    """A restore of the backup gave other rows than its logs hold; the verification's result tells which."""

    reason = "ROWS_DIFFER"


class ArchiveInvalid(BackupServiceError):
    """An archive to import is damaged or holds what no backup does; ``metadata["entry"]`` names the entry."""

    reason = "ARCHIVE_INVALID"
