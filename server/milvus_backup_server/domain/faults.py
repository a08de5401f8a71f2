"""What stands in the way of a request, collected so that all of it is reported together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from milvus_backup_server.domain.errors import BackupError, InvalidRequest, Obstacle

_SHOWN = 20
"""Errors that a message repeats; the others are counted."""


@dataclass(slots=True)
class Faults:
    """Errors of one request, in the order in which they were found."""

    errors: list[BackupError] = field(default_factory=list)

    def add(self, error: BackupError, path: str = "") -> None:
        """Note an error, and the path of the request's field that it comes from."""
        if path:
            error.metadata.setdefault("field", path)
        self.errors.append(error)

    def add_all(self, found: Iterable[tuple[str, BackupError]]) -> None:
        """Note errors, each with its field."""
        for path, error in found:
            self.add(error, path)

    def obstacles(self) -> tuple[Obstacle, ...]:
        """Return everything that was noted."""
        return tuple(item for error in self.errors for item in _obstacles_of(error))

    def error(self) -> BackupError | None:
        """Return the first error, which then tells of all others too; None if there is none."""
        if not self.errors:
            return None
        first, texts = self.errors[0], [error.message for error in self.errors[:_SHOWN]]
        first.obstacles = self.obstacles()
        more = len(self.errors) - len(texts)
        first.message = "; ".join([*texts, f"and {more} more"] if more else texts)
        if len(first.obstacles) > 1:
            first.metadata["count"] = str(len(first.obstacles))
        return first

    def raise_all(self) -> None:
        """Raise what ``error`` returns, if there is any."""
        error = self.error()
        if error is not None:
            raise error


def _obstacles_of(error: BackupError) -> Iterator[Obstacle]:
    if isinstance(error, InvalidRequest):
        for fault in error.violations:
            yield Obstacle(fault.field, error.reason, "", fault.description)
    else:
        subject = error.metadata.get("resource") or error.metadata.get("subject", "")
        yield Obstacle(error.metadata.get("field", ""), error.reason, subject, error.message)
