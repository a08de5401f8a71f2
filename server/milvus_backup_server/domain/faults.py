"""What stands in the way of a request, collected so that all of it is reported together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from milvus_backup_server.domain.errors import BackupError, InvalidRequest, Obstacle

_SHOWN = 20
"""Obstacles that a message tells; the others are counted."""


@dataclass(slots=True)
class Faults:
    """Errors of one request, in the order in which they were found."""

    _noted: list[tuple[str, BackupError]] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._noted)

    def add(self, error: BackupError, path: str = "") -> None:
        """Note an error, and the path of the request's field that it comes from.

        The error's own metadata may name a field of a collection instead, for programs.
        """
        if path:
            error.metadata.setdefault("field", path)
        self._noted.append((path or error.metadata.get("field", ""), error))

    def extend(self, others: Faults) -> None:
        """Note what was found elsewhere."""
        self._noted += others._noted

    def add_all(self, found: Iterable[tuple[str, BackupError]]) -> None:
        """Note errors, each with its field."""
        for path, error in found:
            self.add(error, path)

    def obstacles(self) -> tuple[Obstacle, ...]:
        """Return everything that was noted."""
        return tuple(item for path, error in self._noted for item in _obstacles_of(path, error))

    def error(self) -> BackupError | None:
        """Return the first error, which then tells of all others too; None if there is none."""
        if not self._noted:
            return None
        _, first = self._noted[0]
        tell_of(first, self.obstacles())
        if len(first.obstacles) > 1:
            first.metadata["count"] = str(len(first.obstacles))
        return first

    def raise_all(self) -> None:
        """Raise what ``error`` returns, if there is any."""
        error = self.error()
        if error is not None:
            raise error


def tell_of(error: BackupError, obstacles: tuple[Obstacle, ...]) -> None:
    """Let an error tell of several things in the way: in its message, and as data."""
    texts = [_text(item) for item in obstacles[:_SHOWN]]
    more = len(obstacles) - len(texts)
    error.message = "; ".join([*texts, f"and {more} more"] if more else texts)
    error.obstacles = obstacles


def _text(obstacle: Obstacle) -> str:
    # Only what is wrong in the request itself cannot be understood without the field.
    invalid = obstacle.reason == InvalidRequest.reason
    return f"{obstacle.field}: {obstacle.description}" if invalid else obstacle.description


def _obstacles_of(path: str, error: BackupError) -> Iterator[Obstacle]:
    if isinstance(error, InvalidRequest):
        for fault in error.violations:
            yield Obstacle(fault.field, error.reason, "", fault.description)
    else:
        subject = error.metadata.get("resource") or error.metadata.get("subject", "")
        yield Obstacle(path, error.reason, subject, error.message)
