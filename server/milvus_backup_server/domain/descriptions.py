"""What is told of a backup, by the heads of its metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from milvus_backup_server.domain.backups import Backup, BackupFormat, BackupState
from milvus_backup_server.domain.errors import BackupCorrupt, BackupNotRestorable
from milvus_backup_server.domain.layout import BACKUP_META, FULL_META
from milvus_backup_server.domain.manifest import ManifestHead, ManifestMissing
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.domain.records import BackupInfo
from milvus_backup_server.domain.strategies import BackupStrategy
from milvus_backup_server.domain.verification import BackupIdentity, Verification

_NAMED = 10
_FORMATS = {"": BackupFormat.BINLOG, "snapshot": BackupFormat.SNAPSHOT}
_NOTE_OF_FORMAT = {
    BackupFormat.BINLOG: (
        "made by the Go tool: no stated moment and no recorded hashes; a restore gives the rows of "
        "exactly the objects that were copied"
    ),
    BackupFormat.SNAPSHOT: "a snapshot of Milvus 3.0 or later: this service does not restore it",
    BackupFormat.UNKNOWN: "its format is {!r}: this service does not know it",
}
_NOTE_OF_STRATEGY = {
    BackupStrategy.SKIP_FLUSH: (
        "made without a flush (skip_flush): no stated moment; a restore gives the rows of exactly the "
        "objects that were copied"
    ),
    BackupStrategy.META_ONLY: (
        "made with meta_only: it holds no rows; a restore makes empty collections"
    ),
}


def of_manifest(backup: Backup, info: BackupInfo, head: ManifestHead) -> Backup:
    """Return a backup of ours with what its heads tell."""
    strategy = _strategy(head)
    notes = [
        *backup.notes,
        *([_NOTE_OF_STRATEGY[strategy]] if strategy in _NOTE_OF_STRATEGY else []),
    ]
    if head.missing:
        notes.append(_missing_note(head.missing))
    return replace(
        backup,
        format=BackupFormat.BINLOG,
        id=info.id,
        size_bytes=head.size,
        collection_count=head.collection_count,
        row_count=head.row_count,
        create_time=_time(head.create_time),
        end_time=_time(head.end_time),
        milvus_version=info.milvus_version,
        labels=head.labels,
        exact=head.exact,
        strategy=strategy,
        missing=head.missing,
        notes=tuple(notes),
        identity=BackupIdentity(head.operation, head.generation),
    )


def of_go_tool(backup: Backup, info: BackupInfo, files: Mapping[str, ObjectInfo]) -> Backup:
    """Return a backup of the Go tool with what its head and its files tell."""
    format_ = _FORMATS.get(info.format, BackupFormat.UNKNOWN)
    last = files.get(FULL_META) or files[BACKUP_META]
    return replace(
        backup,
        format=format_,
        id=info.id,
        backup_timestamp=info.backup_timestamp,
        size_bytes=info.size,
        create_time=oldest(files),
        end_time=last.modified,
        identity=BackupIdentity(info.id) if info.id else None,
        milvus_version=info.milvus_version,
        notes=(*backup.notes, _NOTE_OF_FORMAT[format_].format(info.format[:100])),
    )


def with_verifications(
    backup: Backup, known: tuple[BackupIdentity, tuple[Verification, ...]] | None
) -> Backup:
    """Return a backup with what is remembered of its verifications, if that is of this backup."""
    if known is None or known[0] != backup.identity:
        return backup
    return replace(backup, verifications=known[1])


def unreadable(backup: Backup, error: BackupCorrupt | BackupNotRestorable) -> Backup:
    """Return a backup whose metadata cannot be read, with the reason: incomplete if it is damaged."""
    state = BackupState.INCOMPLETE if isinstance(error, BackupCorrupt) else backup.state
    known = error.message in backup.notes
    return replace(
        backup, state=state, notes=backup.notes if known else (*backup.notes, error.message)
    )


def oldest(files: Mapping[str, ObjectInfo]) -> datetime | None:
    """Return when the oldest of some files was written; None where the store does not tell."""
    return min((item.modified for item in files.values() if item.modified), default=None)


def _missing_note(missing: Sequence[ManifestMissing]) -> str:
    names = [f"{item.db_name}.{item.collection_name}" for item in missing[:_NAMED]]
    more = len(missing) - len(names)
    told = ", ".join([*names, *([f"{more} more"] if more else [])])
    return f"made without collections that failed: {told}"


def _strategy(head: ManifestHead) -> BackupStrategy | None:
    """Return how a backup was made; the oldest manifests do not name it, later ones may name a new one."""
    known = {strategy.value: strategy for strategy in BackupStrategy}
    return known.get(head.strategy or BackupStrategy.AUTO.value)


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
