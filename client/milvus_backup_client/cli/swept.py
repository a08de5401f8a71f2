"""What a sweep found, as text."""

from __future__ import annotations

from collections.abc import Iterator

from rich.filesize import decimal

from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup.v1.sweep_pb2 import Leftover, LeftoverKind, LeftoverState, SweepResult
from milvus_backup_client.cli.texts import enum_text


def swept_lines(operation: Operation) -> Iterator[str]:
    """Yield what was found, a line each, and what became of it in all; nothing for other operations."""
    if operation.WhichOneof("result") != "sweep":
        return
    result = operation.sweep
    for item in result.leftovers:
        yield _line(item)
    more = result.leftover_count - len(result.leftovers)
    if more > 0:
        yield f"and {more:,} more"
    yield _total(result)


def _line(item: Leftover) -> str:
    state = enum_text(LeftoverState.DESCRIPTOR, item.state)
    kind = enum_text(LeftoverKind.DESCRIPTOR, item.kind)
    size = f" ({item.object_count:,} objects, {decimal(item.size_bytes)})"
    whose = f" of operation {item.operation}" if item.operation else ""
    note = f": {item.note}" if item.note else ""
    return f"{state}: {kind} {item.subject}{size if item.object_count else ''}{whose}{note}"


def _total(result: SweepResult) -> str:
    if not result.leftover_count:
        return "nothing is left behind"
    if not result.applied:
        return f"{result.leftover_count:,} found; --force removes what is not kept"
    kept, failed = f"{result.kept_count:,} kept", f"{result.failed_count:,} failed"
    return f"{result.removed_count:,} removed, {kept}, {failed}"
