"""Whether an operation that left something may still need it."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum

from milvus_backup_server.domain.errors import OperationNotFound
from milvus_backup_server.domain.names import is_operation_name
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.service.operation_directory import OperationDirectory


class Fate(Enum):
    """What became of an operation."""

    ALIVE = "alive"
    """It runs, here or elsewhere, or was interrupted and may go on."""
    ENDED = "ended"
    UNKNOWN = "unknown"
    """It is not on record here."""


class Fates:
    """Looks operations up.

    Args:
        directory: What is on record.
    """

    def __init__(self, directory: OperationDirectory) -> None:
        self._directory = directory

    async def of(self, operation: str) -> Fate:
        """Return what became of one, and of those that retry it.

        Raises:
            StorageUnavailable: The records cannot be read.
        """
        if not is_operation_name(operation):
            return Fate.UNKNOWN
        fate = Fate.ENDED
        try:
            if not (await self._directory.get(operation)).state.final:
                return Fate.ALIVE
        except OperationNotFound:
            fate = Fate.UNKNOWN
        return Fate.ALIVE if await self._directory.retries_of(operation) else fate

    async def interrupted(self, operation: str) -> bool:
        """Tell whether one is interrupted: nothing works on it, though it may go on."""
        try:
            found = await self._directory.get(operation)
        except OperationNotFound:
            return False
        return found.state is OperationState.INTERRUPTED


def begun(operation: str) -> datetime | None:
    """Return when an operation was accepted, by its name; None if it is no such name."""
    if not is_operation_name(operation):
        return None
    return datetime.strptime(operation.split("_", maxsplit=1)[0], "%Y%m%dt%H%M%S").replace(
        tzinfo=UTC
    )
