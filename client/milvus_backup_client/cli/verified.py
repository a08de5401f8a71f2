"""What a verification found, as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.filesize import decimal

from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup.v1.verification_pb2 import (
    VERIFY_LEVEL_LISTING,
    BackupVerification,
    Problem,
    RowDifference,
    VerifyBackupResult,
    VerifyLevel,
)
from milvus_backup_client.cli.texts import enum_text, time_text

_WHOLE = 100


def problem_lines(operation: Operation) -> Iterator[str]:
    """Yield the problems that a verification found, a line each, as far as the operation names them."""
    result = operation.verify_backup
    for problem in result.problems:
        yield f"Damaged: {_problem_text(problem)}"
    more = result.problem_count - len(result.problems)
    if more > 0:
        yield f"Damaged: and {more:,} more"


def verified_lines(operation: Operation) -> Iterator[str]:
    """Yield what was looked at, for a backup without problems; nothing for other operations."""
    if operation.WhichOneof("result") != "verify_backup":
        return
    result = operation.verify_backup
    level = enum_text(VerifyLevel.DESCRIPTOR, result.level)
    yield f"{operation.backup_name} is sound by level {level}"
    for text in (f"{result.metadata_file_count:,} metadata files read", *_counts(result)):
        yield f"  {text}"
    for note in result.notes:
        yield f"  {note}"


def verification_text(item: BackupVerification) -> str:
    """Return a remembered verification: `2026-11-22 17:00:00Z by level content: sound`."""
    level = enum_text(VerifyLevel.DESCRIPTOR, item.level)
    sample = f" of {item.sample_percent} percent" if item.sample_percent < _WHOLE else ""
    if item.some_collections:
        sample = f" of {item.restored_collection_count:,} collections"
    outcome = "sound" if item.sound else f"{item.problem_count:,} problems"
    return f"{time_text(item.end_time)} by level {level}{sample}: {outcome}"


def verification_json(item: BackupVerification) -> dict[str, Any]:
    """Return the same as JSON; the time in Unix seconds."""
    return {
        "level": enum_text(VerifyLevel.DESCRIPTOR, item.level),
        "sample_percent": item.sample_percent,
        "end_time": item.end_time.seconds,
        "sound": item.sound,
        "problem_count": item.problem_count,
        "operation": item.operation,
        "restored_collection_count": item.restored_collection_count,
        "some_collections": item.some_collections,
    }


def _counts(result: VerifyBackupResult) -> Iterator[str]:
    size = decimal(result.size_bytes)
    if result.level == VERIFY_LEVEL_LISTING:
        yield f"none of {size} of data read; --level content reads it"
    else:
        yield f"{decimal(result.read_bytes)} of {size} of data read"
    for count, what in (
        (result.hash_checked_count, "compared with their recorded hashes"),
        (result.etag_checked_count, "compared with the store's own ETags"),
        (result.read_count, "read, with nothing to compare them with"),
        (result.listed_count, "compared by what the store lists"),
    ):
        if count:
            yield f"{count:,} objects {what}"
    if result.restored_collection_count:
        rows, collections = result.compared_row_count, result.restored_collection_count
        yield f"{rows:,} rows of {collections:,} collections restored, compared with the logs, and dropped"
    if result.sample_seed:
        yield f"sample of {result.sample_percent} percent, seed {result.sample_seed}"


def _problem_text(problem: Problem) -> str:
    text = " ".join(problem.message.split())
    if problem.HasField("rows"):
        return "; ".join([text, *_keys(problem.rows)])
    if not problem.collection:
        return text
    return f"{text} ({problem.database}.{problem.collection})"


def _keys(rows: RowDifference) -> Iterator[str]:
    """Yield the first primary keys of each kind: `missing 4, 5`."""
    for keys, what in (
        (rows.missing_keys, "missing"),
        (rows.extra_keys, "too many"),
        (rows.different_keys, "different"),
        (rows.unfit_keys, "not fitting"),
    ):
        if keys:
            yield f"{what} {', '.join(keys)}"
