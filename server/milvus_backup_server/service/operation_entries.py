"""Operations in a list: what is known of each before it is known whether it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from milvus_backup_server.domain.backups import Page
from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.operations import Operation, OperationKind, OperationState
from milvus_backup_server.domain.places import Place
from milvus_backup_server.service.running import Running


@dataclass(frozen=True, slots=True)
class Filter:
    """Which operations are wanted; what is empty, or None, lets all pass."""

    backup_name: str = ""
    kinds: frozenset[OperationKind] = frozenset()
    states: frozenset[OperationState] = frozenset()
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class OperationPage(Page[Operation]):
    """A page of operations; ``records_error`` says why those are missing that only the records tell of."""

    records_error: BackupError | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An operation in a list, before it is known whether it is shown."""

    create_time: datetime
    name: str
    kind: OperationKind
    backup_name: str
    place: Place
    state: OperationState
    show: Callable[[], Operation]

    def passes(self, wanted: Filter) -> bool:
        """Tell whether it is wanted."""
        return (
            (not wanted.backup_name or self.backup_name == wanted.backup_name)
            and (wanted.place is None or self.place == wanted.place)
            and (not wanted.kinds or self.kind in wanted.kinds)
            and (not wanted.states or self.state in wanted.states)
        )


def entry_here(running: Running) -> Entry:
    """Return an operation of this service."""
    footprint = running.request.footprint
    return Entry(
        running.create_time,
        running.name,
        footprint.kind,
        footprint.backup_name,
        footprint.place,
        running.state,
        running.snapshot,
    )


def behind(entries: Sequence[Entry], after: str) -> Sequence[Entry]:
    """Return the entries behind the one that is named; all without a name."""
    if not after:
        return entries
    for index, entry in enumerate(entries):
        if entry.name == after:
            return entries[index + 1 :]
    # Forgotten meanwhile; names begin with the second in which they were made.
    second = after.split("_", maxsplit=1)[0]
    return [entry for entry in entries if entry.name.split("_")[0] <= second]
