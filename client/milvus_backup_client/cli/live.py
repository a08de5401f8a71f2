"""Progress of an operation on a terminal: a bar for every phase, and the collections at work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from milvus_backup.v1.operation_pb2 import (
    COLLECTION_STATE_FAILED,
    COLLECTION_STATE_RUNNING,
    Operation,
    OperationCollection,
    PhaseProgress,
)
from milvus_backup_client.cli.displays import Display
from milvus_backup_client.cli.texts import (
    amounts,
    collection_title,
    fraction,
    percent,
    phase_text,
    present_phase,
    printable,
    speed,
    state_text,
    title,
)
from milvus_backup_client.operations import has_ended

_BAR_WIDTH = 24
_COLLECTION_ROWS = 8
_MARKS = {COLLECTION_STATE_RUNNING: "", COLLECTION_STATE_FAILED: "failed"}


class LiveDisplay(Display):
    """The newest state, drawn again and again in place, on the terminal of stderr."""

    def __init__(self) -> None:
        self._operation = Operation()
        self._live = Live(
            console=Console(stderr=True),
            get_renderable=lambda: render(self._operation),
            refresh_per_second=4,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Draw the last state and leave it there."""
        self._live.stop()

    def show(self, operation: Operation) -> None:
        """Take a newer state; it is drawn soon."""
        self._operation = operation


def render(operation: Operation) -> RenderableType:
    """Return what the terminal shows of a state."""
    if not operation.name:
        return Text("")
    head = f"{title(operation)}: {state_text(operation)} (operation {operation.name})"
    return Group(
        _line(head),
        _phases(operation),
        *_remarks(operation),
        *_collections(operation),
    )


def _phases(operation: Operation) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    for phase in operation.progress.phases:
        present = phase.phase == operation.progress.phase and not has_ended(operation)
        name, bar = f"  {phase_text(phase.phase)}", _bar(fraction(phase), running=present)
        if present:
            table.add_row(name, bar, _joined([*percent(phase), *speed(operation.progress)]))
            table.add_row("", "", _joined(amounts(phase)))
        else:
            table.add_row(name, bar, _joined([*amounts(phase), *_duration(phase)]))
    return table


def _joined(facts: Iterable[str]) -> Text:
    return _line(", ".join(facts))


def _line(text: str) -> Text:
    return Text(printable(text), overflow="ellipsis", no_wrap=True)


def _bar(done: float | None, *, running: bool) -> ProgressBar:
    if done is None and running:
        return ProgressBar(width=_BAR_WIDTH, pulse=True)
    whole = 1.0 if done is None else done
    return ProgressBar(total=1.0, completed=whole, width=_BAR_WIDTH)


def _duration(phase: PhaseProgress) -> Iterator[str]:
    if phase.HasField("end_time"):
        seconds = phase.end_time.ToSeconds() - phase.start_time.ToSeconds()
        yield f"took {timedelta(seconds=max(seconds, 0))}"


def _remarks(operation: Operation) -> Iterator[Text]:
    waiting = operation.progress.waiting_for
    if waiting and present_phase(operation.progress) and not has_ended(operation):
        yield _line(f"  waiting for {waiting}")
    if operation.collection_count:
        yield Text(
            f"  {operation.succeeded_collection_count:,} of {operation.collection_count:,} "
            f"collections done, {operation.failed_collection_count:,} failed"
        )


def _collections(operation: Operation) -> Iterator[Table]:
    shown = [found for found in operation.collections if found.state in _MARKS]
    if not shown:
        return
    table = Table.grid(padding=(0, 2))
    for found in shown[:_COLLECTION_ROWS]:
        table.add_row(
            _line(f"    {collection_title(found)}"),
            _bar(_done(found), running=found.state == COLLECTION_STATE_RUNNING),
            Text(_MARKS[found.state] or _bytes(found), no_wrap=True),
        )
    if len(shown) > _COLLECTION_ROWS:
        table.add_row(f"    and {len(shown) - _COLLECTION_ROWS} more")
    yield table


def _done(found: OperationCollection) -> float | None:
    return min(found.bytes_done / found.bytes_total, 1.0) if found.bytes_total else None


def _bytes(found: OperationCollection) -> str:
    total = f" of {decimal(found.bytes_total)}" if found.bytes_total else ""
    return f"{decimal(found.bytes_done)}{total}"
