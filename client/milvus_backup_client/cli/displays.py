"""Progress of an operation where there is no terminal: lines, JSON, or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from milvus_backup.v1.operation_pb2 import OPERATION_STATE_RUNNING, Operation, Progress
from milvus_backup_client.cli.texts import (
    amounts,
    fraction,
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
    """Few lines, for logs: when the state changes, with each phase and every tenth of it.

    A phase that is gone back to, as collections take turns, is told again when it got further.

    Args:
        write: Takes each line.
        silence_seconds: After so long without a line there is one more.
        clock: Tells seconds that only grow.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        silence_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._silence_seconds = silence_seconds
        self._clock = clock
        self._state: int | None = None
        self._tenths: dict[int, int] = {}
        self._written_at = 0.0

    def show(self, operation: Operation) -> None:
        """Write a newer state, if it is time to."""
        if self._state is None:
            self._write(f"{title(operation)}: operation {operation.name}")
        now = self._clock()
        if self._is_news(operation) or now - self._written_at >= self._silence_seconds:
            self._write(line_of(operation))
            self._written_at = now

    def _is_news(self, operation: Operation) -> bool:
        """Tell whether the state is new or the phase further, and remember both."""
        new_state = operation.state != self._state
        self._state = operation.state
        phase = operation.progress.phase
        tenths = _tenths(operation.progress)
        further = tenths > self._tenths.get(phase, -1)
        self._tenths[phase] = max(tenths, self._tenths.get(phase, -1))
        return new_state or (further and not has_ended(operation))


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


def _tenths(progress: Progress) -> int:
    phase = present_phase(progress)
    return int((fraction(phase) or 0) * 10) if phase is not None else 0
