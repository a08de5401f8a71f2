"""Backups as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf.timestamp_pb2 import Timestamp
from rich.filesize import decimal

from milvus_backup.v1.backup_pb2 import (
    BACKUP_STRATEGY_AUTO,
    BACKUP_STRATEGY_UNSPECIFIED,
    Backup,
    BackupCollection,
    BackupState,
    BackupStrategy,
)
from milvus_backup_client.cli.tables import table_lines
from milvus_backup_client.cli.texts import enum_text, time_text
from milvus_backup_client.cli.verified import verification_text

_UNKNOWN = "?"


def backup_rows(backups: Iterable[Backup]) -> list[tuple[str, ...]]:
    """Return a table of backups, its titles first."""
    titles = ("NAME", "STATE", "COLLECTIONS", "SIZE", "CREATED", "MILVUS", "EXACT")
    return [titles, *map(_row, backups)]


def backup_lines(backup: Backup) -> Iterator[str]:
    """Yield what is known of a backup, a fact a line, then its collections as a table."""
    facts = [(name, text) for name, text in _facts(backup) if text]
    yield from table_lines([(f"{name}:", text) for name, text in facts])
    if backup.collections:
        yield ""
        titles = ("COLLECTION", "ROWS", "SIZE", "SEGMENTS", "MOMENT", "INDEXES")
        yield from table_lines([titles, *map(_collection_row, backup.collections)])


def _row(backup: Backup) -> tuple[str, ...]:
    return (
        backup.name,
        _state(backup),
        f"{backup.collection_count:,}" if backup.HasField("collection_count") else _UNKNOWN,
        decimal(backup.size_bytes) if backup.HasField("size_bytes") else _UNKNOWN,
        _time(backup.create_time) or _UNKNOWN,
        backup.milvus_version or _UNKNOWN,
        "yes" if backup.exact else "no",
    )


def _facts(backup: Backup) -> Iterator[tuple[str, str]]:
    yield "name", backup.name
    yield "state", _state(backup)
    if backup.HasField("place"):
        yield "place", f"{backup.place.bucket_name}/{backup.place.path}"
    yield "id", backup.id
    yield "created", _time(backup.create_time)
    yield "complete", _time(backup.end_time)
    yield "milvus", backup.milvus_version
    if backup.HasField("collection_count"):
        yield "collections", f"{backup.collection_count:,}"
    if backup.HasField("row_count"):
        yield "rows", f"{backup.row_count:,}"
    if backup.HasField("size_bytes"):
        yield "size", decimal(backup.size_bytes)
    yield "exact", "yes, to the moment of each collection" if backup.exact else "no"
    yield "strategy", _strategy(backup)
    yield "labels", ", ".join(f"{key}={text}" for key, text in sorted(backup.labels.items()))
    for found in backup.verifications:
        yield "verified", verification_text(found)
    for missing in backup.missing_collections:
        yield "missing", f"{missing.database}.{missing.name}: {missing.message}"
    for note in backup.notes:
        yield "note", note


def _collection_row(found: BackupCollection) -> tuple[str, ...]:
    return (
        f"{found.database}.{found.name}",
        f"{found.row_count:,}",
        decimal(found.size_bytes),
        f"{found.segment_count:,}",
        _time(found.moment_time) or "none",
        ", ".join(found.indexes),
    )


def _strategy(backup: Backup) -> str:
    """Return how it was made, empty for what is usual or not known."""
    usual = backup.strategy in (BACKUP_STRATEGY_UNSPECIFIED, BACKUP_STRATEGY_AUTO)
    return "" if usual else enum_text(BackupStrategy.DESCRIPTOR, backup.strategy).replace(" ", "_")


def _state(backup: Backup) -> str:
    return enum_text(BackupState.DESCRIPTOR, backup.state)


def _time(timestamp: Timestamp) -> str:
    return time_text(timestamp) if timestamp.seconds else ""
