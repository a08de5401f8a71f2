"""Whether an operation that left something may still need it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from milvus_backup_server.domain.errors import OperationNotFound
from milvus_backup_server.domain.names import is_operation_name
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.operation_directory import OperationDirectory

FOREIGN: Final = "its operation is not on record here: it may be another service's"
"""Why something is left alone."""

UNREADABLE: Final = (
    "the record of its operation cannot be read: a newer service may be at work on it"
)
"""Why something else is."""


class Fate(Enum):
    """What became of an operation."""

    ALIVE = "alive"
    """It runs, here or elsewhere, or was interrupted and may go on."""
    ENDED = "ended"
    UNKNOWN = "unknown"
    """It is not on record here."""
    UNREADABLE = "unreadable"
    """What is on record of it cannot be read."""
    UNSETTLED = "unsettled"
    """It has ended, but its notes are here: something of it could not be brought to an end."""
    FORGOTTEN = "forgotten"
    """It is not on record any more, but its notes are here: it was interrupted long ago."""


_NOTED: Final = {Fate.ENDED: Fate.UNSETTLED, Fate.UNKNOWN: Fate.FORGOTTEN}
"""What a fate is where there are notes."""

Notes = Callable[[str, str], str]
"""Returns where an operation writes its notes, by the root of the repository and its name."""


class Fates:
    """Looks operations up.

    Args:
        directory: What is on record.
        records: Where services that share these records note what they are at.
        before: What began later is not taken for forgotten; by the clock of the store.
    """

    def __init__(self, directory: OperationDirectory, records: Storage, before: datetime) -> None:
        self._directory = directory
        self._records = records
        self._before = before

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
            if await self._directory.is_unreadable(operation):
                return Fate.UNREADABLE
            fate = Fate.UNKNOWN
        return Fate.ALIVE if await self._directory.retries_of(operation) else fate

    async def over(self, operation: str, notes: Notes) -> Fate:
        """Return what became of one: records are kept for some time only, and notes tell whose it was.

        Notes in the repository of these records are of a service that has its records here. Without a
        record the operation was interrupted, and is forgotten. What ends removes its notes, unless they
        are needed.

        Args:
            operation: Its name.
            notes: Where operations of its kind write theirs.

        Raises:
            StorageUnavailable: The records cannot be read.
        """
        fate = await self.of(operation)
        noted = _NOTED.get(fate)
        if noted is None or not self.is_old(operation):
            return fate
        page = await self._records.store.list_page(notes(self._records.root, operation), limit=1)
        return noted if page.objects else fate

    def is_old(self, operation: str) -> bool:
        """Tell by its name whether one began long enough ago."""
        time = begun(operation)
        return time is not None and time < self._before

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
