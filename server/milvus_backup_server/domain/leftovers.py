"""What operations that did not come to their end left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

SHOWN_LEFTOVERS = 100
"""Leftovers that a result names; the others are only counted."""


class LeftoverKind(Enum):
    """What it is."""

    OPERATION = "operation"
    """An interrupted operation with everything that it made."""
    BACKUP = "backup"
    """An incomplete backup of ours."""
    PLAN = "plan"
    """Notes of an operation that has ended."""
    STAGING = "staging"
    """Copies in Milvus's bucket."""
    COLLECTION = "collection"
    """A collection under a temporary name."""
    UPLOAD = "upload"
    """A multipart upload."""
    SPOOL = "spool"
    """A directory on this machine's disk."""
    GC_PAUSE = "gc_pause"
    """A pause of Milvus's garbage collection."""


class LeftoverState(Enum):
    """What became of it."""

    FOUND = "found"
    """It can be removed, and was not: nothing was asked to be removed."""
    REMOVED = "removed"
    KEPT = "kept"
    """It is left alone, as it may be somebody else's."""
    FAILED = "failed"
    """It could not be removed."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing that was left behind.

    Attributes:
        subject: The name or key of it.
        operation: Whose it is; empty if nothing tells.
        object_count: Objects in it, where it is of objects.
        size_bytes: Their size.
        note: Why it was kept, or could not be removed.
    """

    kind: LeftoverKind
    subject: str
    operation: str = ""
    object_count: int = 0
    size_bytes: int = 0
    state: LeftoverState = LeftoverState.FOUND
    note: str = ""


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep found.

    Attributes:
        applied: Whether it was asked to remove what it found.
        leftovers: The first ``SHOWN_LEFTOVERS``.
        by_state: How many there are in all.
    """

    applied: bool
    leftovers: tuple[Leftover, ...] = ()
    by_state: Mapping[LeftoverState, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """All of them."""
        return sum(self.by_state.values())

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each state by its name, in all as ``leftover_count``."""
        by_name = {f"{state.value}_count": self.by_state.get(state, 0) for state in LeftoverState}
        return {"leftover_count": self.count, **by_name}


class SweepReport:
    """Collects leftovers; memory is bounded."""

    def __init__(self) -> None:
        self._shown: list[Leftover] = []
        self._counts: Counter[LeftoverState] = Counter()

    def add(self, item: Leftover) -> None:
        """Add one."""
        self._counts[item.state] += 1
        if len(self._shown) < SHOWN_LEFTOVERS:
            self._shown.append(item)

    def result(self, *, applied: bool) -> SweepResult:
        """Return what was collected."""
        return SweepResult(applied, tuple(self._shown), dict(self._counts))
