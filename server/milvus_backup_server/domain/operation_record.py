"""What is kept of an operation beyond the life of the service that runs it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.errors import BackupError, OperationInterrupted
from milvus_backup_server.domain.gc_lease import GcLease
from milvus_backup_server.domain.operations import (
    CollectionProgress,
    Operation,
    OperationState,
)
from milvus_backup_server.domain.requests import Request
from milvus_backup_server.domain.value_codec import NotDecodable, decode, encode
from milvus_backup_server.domain.verification import Problem

FORMAT_VERSION: Final = 1
_LONG: Final = frozenset({"progress", "warnings", "collections", "result", "error"})


@dataclass(frozen=True, slots=True)
class Owner:
    """A running service that writes operations.

    Attributes:
        instance: Its id, new at each start.
        host: The machine's name.
        pid: The process there.
    """

    instance: str
    host: str = ""
    pid: int = 0

    def __str__(self) -> str:
        """Return it as people read it."""
        return f"{self.host}/{self.pid}/{self.instance}" if self.host else self.instance


NOBODY: Final = Owner("")
"""Stands for a service that records nothing."""


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """An operation as it is stored.

    Attributes:
        operation: How it was when this was written, as callers see it.
        footprint: What it touches.
        request: What was asked for; None where that cannot be stored.
        owner: Who runs it, or ran it last.
        attempt: 1 for the service that accepted it; each resume adds one. A writer that finds
            another number, or owner, than its own has lost the operation.
        accepted: False while it is only announced: then it has not begun, and its caller has no
            answer yet.
        gc_leases: Pauses of Milvus's garbage collection that it holds: whoever ends it gives them back.
        written: When its owner wrote this: the last that is known of one that vanishes.
        cancel_requested: A service that is not its owner was asked to cancel it.
    """

    operation: Operation
    footprint: Footprint
    request: Request | None
    owner: Owner
    attempt: int = 1
    accepted: bool = False
    cancel_requested: bool = False
    gc_leases: tuple[GcLease, ...] = ()
    written: datetime | None = None

    @property
    def name(self) -> str:
        """The operation's name."""
        return self.operation.name

    @property
    def active(self) -> bool:
        """True if it was not over, and not interrupted, when it was written."""
        return not self.operation.state.ends_watch

    def held_by(self, owner: Owner, attempt: int) -> bool:
        """Tell whether that writer may go on with it."""
        return (self.owner.instance, self.attempt) == (owner.instance, attempt)

    def judged(self, living: Container[str]) -> OperationRecord:
        """Return it as it is, where these instances are alive: interrupted if its owner is not."""
        if not self.active or self.owner.instance in living:
            return self
        return self.interrupted(vanished(self.owner))

    def interrupted(self, reason: BackupError) -> OperationRecord:
        """Return it as it is after its owner vanished; it ended when it was heard of last."""
        operation = replace(
            self.operation,
            state=OperationState.INTERRUPTED,
            error=reason,
            end_time=self.operation.end_time or self.written,
        )
        return replace(self, operation=operation)

    def shown(self) -> Operation:
        """Return the operation with what others asked of it."""
        if self.cancel_requested and self.active:
            return replace(self.operation, state=OperationState.CANCELLING)
        return self.operation


@dataclass(frozen=True, slots=True)
class OperationDetails:
    """What of an operation is too long for its record."""

    collections: tuple[CollectionProgress, ...] = ()
    problems: tuple[Problem, ...] = ()


def vanished(owner: Owner) -> OperationInterrupted:
    """Return why an operation is interrupted whose owner gives no sign of life."""
    return OperationInterrupted(
        f"the service that ran the operation ({owner}) ended, or is cut off from the store, before "
        "the operation's end",
        owner=str(owner),
    )


def record_values(record: OperationRecord) -> dict[str, Any]:
    """Return a record as JSON values."""
    return {"format_version": FORMAT_VERSION, **encode(OperationRecord, record)}


def record_of(values: Mapping[str, Any], *, brief: bool = False) -> OperationRecord:
    """Read a record.

    Args:
        values: As ``record_values`` gave them.
        brief: Leave out what takes the time: how far the operation came, its collections, and its result.

    Raises:
        NotDecodable: It is damaged, or a newer service wrote it.
    """
    version = values.get("format_version")
    if version != FORMAT_VERSION:
        raise NotDecodable(f"its format has version {version}; this service reads {FORMAT_VERSION}")
    if brief and isinstance(operation := values.get("operation"), Mapping):
        few = {name: value for name, value in operation.items() if name not in _LONG}
        values = {**values, "operation": few, "request": None}
    record: OperationRecord = decode(OperationRecord, values)
    return record


def taken_over(name: str) -> str:
    """Return why a service stops an operation that is not its own any more."""
    return f"another service has taken operation {name} over; this one left everything as it was"
