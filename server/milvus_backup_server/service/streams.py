"""What exports and imports share: their number is bounded, and their operations end with their streams."""

from __future__ import annotations

from milvus_backup_server.domain.errors import (
    InternalError,
    OperationInterrupted,
    TooManyOperations,
)
from milvus_backup_server.domain.operations import Operation, OperationKind, OperationState
from milvus_backup_server.service.operations import OperationManager

ARCHIVE_BYTES = 32 << 20
"""What one export or import may hold of objects and of its archive."""

_KINDS = frozenset({OperationKind.EXPORT_BACKUP, OperationKind.IMPORT_BACKUP})
_ACTIVE = frozenset(state for state in OperationState if not state.ends_watch)


def refuse_many_streams(operations: OperationManager, limit: int, beginning: int = 0) -> None:
    """Raise TooManyOperations if so many exports and imports run already.

    They do not wait for a place as other operations do: their callers are connected, and one who
    reads or sends slowly must not hold up the others.

    Args:
        operations: What runs.
        limit: The most that may run.
        beginning: Imports that are no operation yet, as their archives have not told their names.
    """
    running = len(operations.list("", limit, kinds=_KINDS, states=_ACTIVE).items)
    if running + beginning >= limit:
        raise TooManyOperations(f"{limit} exports and imports run already", limit=limit)


def caller_is_gone() -> OperationInterrupted:
    """Return the error of an operation whose caller left before the end of the archive."""
    return OperationInterrupted("the caller left before the end of the archive")


async def succeeded(operations: OperationManager, name: str) -> Operation:
    """Wait for an operation's end and return it; raise its error if it has one."""
    last = await operations.end_of(name)
    if last.state is OperationState.SUCCEEDED:
        return last
    raise last.error or InternalError()
