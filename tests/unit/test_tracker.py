"""What an operation's body tells about its progress, and what watchers see of it."""

from collections.abc import Callable

import pytest

from milvus_backup_server.domain.errors import StorageDenied, StorageUnavailable
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    Amount,
    CollectionProgress,
    CollectionState,
    Phase,
    PhaseProgress,
)
from milvus_backup_server.service.tracker import Totals, Tracker

PENDING = CollectionState.PENDING
RUNNING = CollectionState.RUNNING
SUCCEEDED = CollectionState.SUCCEEDED
FAILED = CollectionState.FAILED
STOPPED = CollectionState.STOPPED


class Changes:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def tracker(changes: Changes) -> Tracker:
    return Tracker(changes)


def name(number: int) -> CollectionName:
    return CollectionName("default", f"c{number:04}")


def add(tracker: Tracker, count: int) -> None:
    tracker.add_collections(CollectionProgress(source=name(number)) for number in range(count))


def present(tracker: Tracker) -> PhaseProgress:
    return tracker.progress().phases[-1]


def test_nothing_yet(tracker: Tracker) -> None:
    progress = tracker.progress()
    assert progress.phases == ()
    assert progress.phase is None
    assert progress.bytes_per_second == 0
    assert progress.remaining_seconds is None
    assert tracker.shown_collections() == ()


def test_phases_come_in_their_order_and_the_last_is_the_present_one(tracker: Tracker) -> None:
    for phase in (Phase.PLANNING, Phase.FLUSHING, Phase.COPYING):
        tracker.enter(phase)
    progress = tracker.progress()
    assert [item.phase for item in progress.phases] == [
        Phase.PLANNING,
        Phase.FLUSHING,
        Phase.COPYING,
    ]
    assert progress.phase is Phase.COPYING
    assert [item.end_time is None for item in progress.phases] == [False, False, True]


def test_a_phase_that_comes_again_goes_on_where_it_was(tracker: Tracker) -> None:
    tracker.enter(Phase.STAGING)
    tracker.advance(Amount(bytes=5, objects=1))
    begun = present(tracker).start_time
    tracker.enter(Phase.IMPORTING)
    tracker.enter(Phase.STAGING)
    tracker.advance(Amount(bytes=7, objects=1))
    progress = tracker.progress()
    assert [item.phase for item in progress.phases] == [Phase.IMPORTING, Phase.STAGING]
    assert present(tracker).done == Amount(bytes=12, objects=2)
    assert present(tracker).start_time == begun
    assert present(tracker).end_time is None


def test_work_is_counted_in_the_present_phase_and_at_its_collection(tracker: Tracker) -> None:
    add(tracker, 2)
    tracker.advance(Amount(bytes=99))  # before any phase: nowhere to count it
    tracker.enter(Phase.COPYING)
    tracker.advance(Amount(bytes=10, objects=1, segments=1, rows=3), name(1))
    tracker.advance(Amount(bytes=5, objects=1), name(1))
    tracker.advance(Amount(rows=2))
    assert present(tracker).done == Amount(bytes=15, objects=2, segments=1, rows=5)
    assert [item.bytes_done for item in tracker.collections(0, 10)] == [0, 15]


def test_work_can_be_taken_back(tracker: Tracker) -> None:
    tracker.enter(Phase.COPYING, Totals(bytes=100))
    tracker.advance(Amount(bytes=60, objects=3))
    tracker.advance(-Amount(bytes=60, objects=3))
    assert present(tracker).done == Amount()
    tracker.advance(-Amount(bytes=10))
    assert tracker.progress().bytes_per_second >= 0


def test_totals_that_are_not_known_are_none(tracker: Tracker) -> None:
    tracker.set_totals(Totals(bytes=1))  # no phase yet
    tracker.enter(Phase.COPYING)
    assert present(tracker).bytes_total is None
    tracker.set_totals(Totals(bytes=0, objects=7))
    found = present(tracker)
    assert (found.bytes_total, found.objects_total) == (0, 7)
    assert (found.segments_total, found.rows_total) == (None, None)
    tracker.enter(Phase.CHECKING, Totals(rows=3))
    assert present(tracker).rows_total == 3
    assert tracker.progress().phases[0].objects_total == 7


def test_the_rate_and_the_time_left_are_of_the_present_phase(tracker: Tracker) -> None:
    tracker.enter(Phase.COPYING, Totals(bytes=1_000_000))
    assert tracker.progress().remaining_seconds is None
    tracker.advance(Amount(bytes=400_000))
    progress = tracker.progress()
    assert progress.bytes_per_second > 0
    assert progress.remaining_seconds is not None
    assert progress.remaining_seconds > 0
    tracker.advance(Amount(bytes=700_000))  # more than was expected
    assert tracker.progress().remaining_seconds == 0
    tracker.enter(Phase.CHECKING)
    assert tracker.progress().bytes_per_second == 0
    assert tracker.progress().remaining_seconds is None


def test_no_time_left_is_told_without_a_total_or_behind_the_end(tracker: Tracker) -> None:
    tracker.enter(Phase.COPYING)
    tracker.advance(Amount(bytes=10))
    assert tracker.progress().remaining_seconds is None
    tracker.set_totals(Totals(bytes=100))
    tracker.finish()
    assert tracker.progress().remaining_seconds is None
    assert present(tracker).end_time is not None


def test_what_is_waited_for_is_shown_until_the_wait_or_the_operation_ends(
    tracker: Tracker, changes: Changes
) -> None:
    tracker.wait_for("import job 7")
    tracker.wait_for("import job 7")
    assert changes.count == 1
    assert tracker.progress().waiting_for == "import job 7"
    tracker.wait_for("")
    assert tracker.progress().waiting_for == ""
    tracker.wait_for("import job 8")
    tracker.finish()
    assert tracker.progress().waiting_for == ""


def test_the_oldest_warnings_are_kept_and_all_are_counted(tracker: Tracker) -> None:
    for number in range(60):
        tracker.warn(StorageUnavailable(str(number)))
    assert [warning.message for warning in tracker.warnings] == [str(it) for it in range(50)]
    assert tracker.warning_count == 60


def test_collections_are_counted_by_state(tracker: Tracker) -> None:
    add(tracker, 5)
    assert (tracker.count(), tracker.count(PENDING)) == (5, 5)
    tracker.collection(name(0), state=RUNNING)
    tracker.collection(name(1), state=FAILED, error=StorageDenied("no"))
    tracker.collection(name(2), state=SUCCEEDED)
    tracker.collection(name(0), state=SUCCEEDED, row_count=3, moment=9)
    counts = {state: tracker.count(state) for state in CollectionState}
    assert counts == {PENDING: 2, RUNNING: 0, SUCCEEDED: 2, FAILED: 1, STOPPED: 0}
    (first,) = tracker.collections(0, 1)
    assert (first.source, first.state) == (name(0), SUCCEEDED)
    assert (first.row_count, first.moment) == (3, 9)


def test_collections_tell_when_they_began_and_ended(tracker: Tracker) -> None:
    add(tracker, 2)
    tracker.collection(name(0), state=RUNNING)
    running, pending = tracker.collections(0, 2)
    assert running.start_time is not None
    assert (running.end_time, pending.start_time, pending.end_time) == (None, None, None)
    tracker.collection(name(0), bytes_done=1)
    tracker.collection(name(0), state=SUCCEEDED)
    (ended,) = tracker.collections(0, 1)
    assert ended.start_time == running.start_time
    assert ended.end_time is not None
    assert ended.end_time >= running.start_time


def test_failed_and_running_collections_are_shown_first_and_at_most_50(tracker: Tracker) -> None:
    add(tracker, 100)
    for number in range(10, 30):
        tracker.collection(name(number), state=SUCCEEDED)
    for number in (50, 40):
        tracker.collection(name(number), state=RUNNING)
    for number in (70, 60):
        tracker.collection(name(number), state=FAILED)
    tracker.collection(name(80), state=STOPPED)
    shown = tracker.shown_collections()
    assert len(shown) == 50
    states = [item.state for item in shown]
    assert states[:5] == [FAILED, FAILED, RUNNING, RUNNING, STOPPED]
    assert set(states[5:]) == {PENDING}
    assert {item.source for item in shown[:5]} == {name(it) for it in (40, 50, 60, 70, 80)}


def test_pages_of_collections_keep_the_operation_s_order(tracker: Tracker) -> None:
    add(tracker, 7)
    tracker.collection(name(6), state=FAILED)
    pages = [tracker.collections(offset, 3) for offset in (0, 3, 6, 9)]
    assert [[item.source for item in page] for page in pages] == [
        [name(0), name(1), name(2)],
        [name(3), name(4), name(5)],
        [name(6)],
        [],
    ]


@pytest.mark.parametrize(("undone", "done"), [(False, SUCCEEDED), (True, STOPPED)])
def test_what_has_not_ended_is_stopped_with_the_operation(
    tracker: Tracker, undone: bool, done: CollectionState
) -> None:
    add(tracker, 4)
    tracker.collection(name(0), state=RUNNING)
    tracker.collection(name(1), state=FAILED)
    tracker.collection(name(2), state=SUCCEEDED)
    tracker.stop_collections(undone=undone)
    assert [item.state for item in tracker.collections(0, 4)] == [STOPPED, FAILED, done, STOPPED]


def test_every_change_is_told(tracker: Tracker, changes: Changes) -> None:
    steps: list[Callable[[], None]] = [
        lambda: tracker.enter(Phase.COPYING),
        lambda: tracker.set_totals(Totals(bytes=1)),
        lambda: tracker.advance(Amount(bytes=1)),
        lambda: tracker.wait_for("x"),
        lambda: tracker.warn(StorageDenied("no")),
        lambda: add(tracker, 1),
        lambda: tracker.collection(name(0), state=RUNNING),
        lambda: tracker.stop_collections(undone=False),
        tracker.finish,
    ]
    for step in steps:
        before = changes.count
        step()
        assert changes.count > before
