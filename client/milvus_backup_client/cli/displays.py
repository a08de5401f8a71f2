"""Progress of an operation where there is no terminal: lines, JSON, or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from milvus_backup.v1.operation_pb2 import OPERATION_STATE_RUNNING, Operation, Progress
from milvus_backup_client.cli.texts import (
    amounts,
    json_text,
    percent,
    phase_text,
    present_phase,
    speed,
    state_text,
    title,
)
from milvus_backup_client.operations import has_ended


class Display:
    """Shows the states of one operation, inside its own `with` block. This one shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the display; what is written next stands below it."""

    def show(self, operation: Operation) -> None:
        """Show a newer state."""


class JsonLines(Display):
    """Every state as JSON on a line of its own.

    Args:
        write: Takes each line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def show(self, operation: Operation) -> None:
        """Write a newer state."""
        self._write(json_text(operation, indent=None))


class Lines(Display):
    """A line when the state or phase changes, and now and then in between.

    Args:
        write: Takes each line.
        interval_seconds: The shortest time between two lines of one phase.
        clock: Tells seconds that only grow.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        interval_seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._stage: tuple[int, int] | None = None
        self._written_at = 0.0

    def show(self, operation: Operation) -> None:
        """Write a newer state, if it is time to."""
        if self._stage is None:
            self._write(f"{title(operation)}: operation {operation.name}")
        now, stage = self._clock(), (operation.state, operation.progress.phase)
        if stage != self._stage or now - self._written_at >= self._interval_seconds:
            self._write(line_of(operation))
            self._stage, self._written_at = stage, now


def line_of(operation: Operation) -> str:
    """Return a state as one line: `copying: 54%, 540.0 MB of 1.0 GB, 98.3 MB/s`."""
    progress = operation.progress
    if has_ended(operation) or not progress.phase:
        return state_text(operation)
    name = phase_text(progress.phase)
    if operation.state != OPERATION_STATE_RUNNING:
        name = f"{state_text(operation)}, {name}"
    facts = ", ".join(_facts(progress))
    return f"{name}: {facts}" if facts else name


def _facts(progress: Progress) -> list[str]:
    phase = present_phase(progress)
    facts = []
    if phase is not None:
        facts += [*percent(phase), *amounts(phase)]
    facts += speed(progress)
    return facts + ([f"waiting for {progress.waiting_for}"] if progress.waiting_for else [])
