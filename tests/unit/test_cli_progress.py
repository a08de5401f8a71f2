from __future__ import annotations

import io

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console

from milvus_backup.v1 import operation_pb2 as pb
from milvus_backup_client.cli.displays import Lines, line_of
from milvus_backup_client.cli.live import render

COPYING = pb.PhaseProgress(
    phase=pb.OPERATION_PHASE_COPYING,
    start_time=Timestamp(seconds=103),
    bytes_done=540_000_000,
    bytes_total=1_000_000_000,
    objects_done=12,
    objects_total=245,
)
FLUSHED = pb.PhaseProgress(
    phase=pb.OPERATION_PHASE_FLUSHING,
    start_time=Timestamp(seconds=100),
    end_time=Timestamp(seconds=103),
    segments_done=9,
)


def operation(
    *phases: pb.PhaseProgress,
    state: pb.OperationState.ValueType = pb.OPERATION_STATE_RUNNING,
    rate: int = 0,
    remaining: Duration | None = None,
    waiting_for: str = "",
) -> pb.Operation:
    return pb.Operation(
        name="op_1",
        kind=pb.OPERATION_KIND_CREATE_BACKUP,
        backup_name="nightly",
        state=state,
        progress=pb.Progress(
            phase=phases[-1].phase if phases else pb.OPERATION_PHASE_UNSPECIFIED,
            phases=phases,
            bytes_per_second=rate,
            remaining=remaining,
            waiting_for=waiting_for,
        ),
    )


def test_a_line_tells_all_that_is_known() -> None:
    running = operation(FLUSHED, COPYING, rate=98_300_000, remaining=Duration(seconds=65))
    assert line_of(running) == (
        "copying: 54%, 540.0 MB of 1.0 GB, 12 of 245 objects, 98.3 MB/s, 0:01:05 left"
    )


def test_a_line_tells_nothing_that_is_not_known() -> None:
    planning = pb.PhaseProgress(phase=pb.OPERATION_PHASE_PLANNING)
    listing = pb.PhaseProgress(phase=pb.OPERATION_PHASE_LISTING, objects_done=1200)
    empty = pb.PhaseProgress(phase=pb.OPERATION_PHASE_COPYING, bytes_total=0, objects_total=0)
    assert line_of(operation()) == "running"
    assert line_of(operation(planning)) == "planning"
    assert line_of(operation(listing)) == "listing: 1,200 objects"
    assert line_of(operation(empty)) == "copying"
    beyond = pb.PhaseProgress(phase=pb.OPERATION_PHASE_IMPORTING, rows_done=150, rows_total=100)
    assert line_of(operation(beyond)) == "importing: 100%, 150 of 100 rows"
    assert line_of(operation(state=pb.OPERATION_STATE_PENDING)) == "pending"
    assert line_of(operation(COPYING, state=pb.OPERATION_STATE_FAILED)) == "failed"


def test_a_line_tells_what_is_waited_for_and_that_it_is_cancelled() -> None:
    importing = pb.PhaseProgress(
        phase=pb.OPERATION_PHASE_IMPORTING, rows_done=150, rows_total=100, segments_total=4
    )
    cancelling = operation(
        importing, state=pb.OPERATION_STATE_CANCELLING, waiting_for="import job 7 of Milvus"
    )
    assert line_of(cancelling) == (
        "cancelling, importing: 0%, 0 of 4 segments, 150 of 100 rows,"
        " waiting for import job 7 of Milvus"
    )


def test_a_phase_of_a_newer_service() -> None:
    newer = pb.PhaseProgress.FromString(b"\x08\x63\x50\x01")  # phase 99, rows_done 1
    assert line_of(operation(newer)) == "#99: 1 rows"


def copied(done: int) -> pb.Operation:
    phase = pb.PhaseProgress()
    phase.CopyFrom(COPYING)
    phase.bytes_done = done
    phase.ClearField("objects_total")
    phase.ClearField("objects_done")
    return operation(FLUSHED, phase)


class Log:
    """Lines as a log gets them, at times of the test's own."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._now = 0.0
        self._display = Lines(self.lines.append, clock=lambda: self._now)

    def show(self, at: float, state: pb.Operation) -> None:
        self._now = at
        self._display.show(state)


def test_lines_come_with_each_phase_and_every_tenth() -> None:
    log = Log()
    log.show(0.0, operation(state=pb.OPERATION_STATE_PENDING))
    log.show(0.1, operation(FLUSHED))
    log.show(0.2, operation(FLUSHED))
    for number in range(1, 33):
        log.show(number / 10, copied(number * 10_000_000))
    log.show(3.3, operation(COPYING, state=pb.OPERATION_STATE_SUCCEEDED))
    assert log.lines == [
        "create backup nightly: operation op_1",
        "pending",
        "flushing: 9 segments",
        "copying: 1%, 10.0 MB of 1.0 GB",
        "copying: 10%, 100.0 MB of 1.0 GB",
        "copying: 20%, 200.0 MB of 1.0 GB",
        "copying: 30%, 300.0 MB of 1.0 GB",
        "succeeded",
    ]


def test_phases_that_take_turns_do_not_fill_a_log() -> None:
    log = Log()
    for number in range(1, 1000):
        log.show(0.0, operation(FLUSHED))
        log.show(0.0, copied(number * 1_000_000))
    assert len(log.lines) == 1 + 1 + 1 + 9


def test_a_log_shows_every_minute_that_it_goes_on() -> None:
    log = Log()
    for seconds in range(0, 200, 5):
        log.show(seconds, copied(10_000_000))
    assert log.lines[1:] == ["copying: 1%, 10.0 MB of 1.0 GB"] * 4


def test_a_cancel_is_told_at_once() -> None:
    log = Log()
    log.show(0, copied(10_000_000))
    cancelling = copied(10_000_000)
    cancelling.state = pb.OPERATION_STATE_CANCELLING
    log.show(0, cancelling)
    assert log.lines[2:] == ["cancelling, copying: 1%, 10.0 MB of 1.0 GB"]


def drawn(state: pb.Operation) -> list[str]:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    console.print(render(state))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_terminal_shows_phases_and_collections() -> None:
    state = operation(
        FLUSHED,
        COPYING,
        rate=98_300_000,
        remaining=Duration(seconds=5),
        waiting_for="the store to answer",
    )
    state.collection_count = 12
    state.succeeded_collection_count = 2
    state.failed_collection_count = 1
    state.collections.add(database="shop", name="lost", state=pb.COLLECTION_STATE_FAILED)
    state.collections.add(
        database="shop",
        name="books",
        state=pb.COLLECTION_STATE_RUNNING,
        bytes_done=5_000_000,
        bytes_total=10_000_000,
    )
    state.collections.add(
        database="a",
        name="x",
        target_database="b",
        target_name="y",
        state=pb.COLLECTION_STATE_RUNNING,
        bytes_done=5000,
    )
    state.collections.add(database="shop", name="done", state=pb.COLLECTION_STATE_SUCCEEDED)
    full, part, half = "━" * 24, "━" * 12 + "╸", "━" * 12
    assert drawn(state) == [
        "create backup nightly: running (operation op_1)",
        f"  flushing  {full}  9 segments, took 0:00:03",
        f"  copying   {part}             54%, 98.3 MB/s, 0:00:05 left",
        "                                      540.0 MB of 1.0 GB, 12 of 245 objects",
        "  waiting for the store to answer",
        "  2 of 12 collections done, 1 failed",
        f"    shop.lost   {full}  failed",
        f"    shop.books  {half}              5.0 MB of 10.0 MB",
        f"    a.x -> b.y  {full}  5.0 kB",
    ]


def test_names_do_not_steer_the_terminal() -> None:
    state = operation(COPYING, waiting_for="\x1b]0;x\x07")
    state.collections.add(database="d", name="\x1b[2J", state=pb.COLLECTION_STATE_RUNNING)
    text = "\n".join(drawn(state))
    assert "waiting for ?]0;x?" in text
    assert "d.?[2J" in text


def test_the_terminal_shows_eight_collections() -> None:
    state = operation(COPYING)
    for number in range(50):
        state.collections.add(
            database="d", name=f"c{number}", state=pb.COLLECTION_STATE_RUNNING, bytes_total=1
        )
    lines = drawn(state)
    assert [line.split()[0] for line in lines[3:11]] == [f"d.c{number}" for number in range(8)]
    assert lines[11:] == ["    and 42 more"]


def test_the_terminal_shows_the_end() -> None:
    assert drawn(pb.Operation()) == [""]
    assert drawn(operation(FLUSHED, state=pb.OPERATION_STATE_SUCCEEDED)) == [
        "create backup nightly: succeeded (operation op_1)",
        f"  flushing  {'━' * 24}  9 segments, took 0:00:03",
    ]
