"""States and percentages in the Go tool's numbers."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from milvus_backup_server.domain.backups import Backup, BackupState
from milvus_backup_server.domain.errors import (
    ImportFailed,
    ObjectChanged,
    OperationCancelled,
    OperationInterrupted,
    StorageDenied,
)
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    Amount,
    Caller,
    CollectionProgress,
    CollectionState,
    Operation,
    OperationKind,
    OperationState,
    Phase,
    PhaseProgress,
    Progress,
)
from milvus_backup_server.http.states import (
    backup_percent,
    backup_state,
    collection_percent,
    collection_state,
    restore_percent,
    seconds,
    task_state,
)
from milvus_backup_server.service.backup_tasks import BackupTask

NOW = datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC)
INITIAL, EXECUTING, SUCCESS, FAIL = 0, 1, 2, 3
PARTIAL = "the operation partially succeeded: 1 of 3 collections failed"


def operation(state: OperationState, *phases: PhaseProgress, **fields: Any) -> Operation:
    kind = OperationKind.CREATE_BACKUP
    progress = Progress(phases=phases)
    return Operation("op_1", kind, state, "b", NOW, Caller(), progress=progress, **fields)


def phase(phase_: Phase, done: int = 0, total: int | None = None) -> PhaseProgress:
    return PhaseProgress(phase_, NOW, done=Amount(bytes=done), bytes_total=total)


def stored(state: BackupState, *notes: str) -> Backup:
    return Backup("b", state, id="op_1", notes=notes)


@pytest.mark.parametrize(
    ("state", "error", "expected"),
    [
        (OperationState.PENDING, None, (INITIAL, "")),
        (OperationState.RUNNING, None, (EXECUTING, "")),
        (OperationState.CANCELLING, None, (EXECUTING, "")),
        (OperationState.SUCCEEDED, None, (SUCCESS, "")),
        (OperationState.PARTIALLY_SUCCEEDED, None, (FAIL, PARTIAL)),
        (OperationState.PARTIALLY_SUCCEEDED, StorageDenied("c failed"), (FAIL, "c failed")),
        (OperationState.FAILED, StorageDenied("refused"), (FAIL, "refused")),
        (OperationState.CANCELLED, OperationCancelled("on request"), (FAIL, "on request")),
        (OperationState.INTERRUPTED, OperationInterrupted("stopped"), (FAIL, "stopped")),
        (
            OperationState.FAILED,
            ObjectChanged("/internal"),
            (FAIL, "internal error; the log of the service has the details"),
        ),
    ],
)
def test_states_of_operations(state: OperationState, error: Any, expected: tuple[int, str]) -> None:
    found = operation(state, error=error, failed_count=1, collection_count=3)
    assert task_state(found) == expected


def test_every_state_has_a_number() -> None:
    assert {task_state(operation(state))[0] for state in OperationState} == {0, 1, 2, 3}


RUNNING = operation(OperationState.RUNNING)
FAILED = operation(OperationState.FAILED, error=StorageDenied("refused"))
PARTLY = operation(OperationState.PARTIALLY_SUCCEEDED, error=StorageDenied("c failed"))
SUCCEEDED = operation(OperationState.SUCCEEDED)


@pytest.mark.parametrize(
    ("backup", "made_by", "expected"),
    [
        # the store has the last word
        (stored(BackupState.COMPLETE), None, (SUCCESS, "")),
        (stored(BackupState.COMPLETE), SUCCEEDED, (SUCCESS, "")),
        (stored(BackupState.COMPLETE), RUNNING, (SUCCESS, "")),
        (stored(BackupState.LEGACY, "early"), None, (SUCCESS, "")),
        (stored(BackupState.COMPLETE, "made by the Go tool"), None, (SUCCESS, "")),
        # a backup that can be restored although a collection failed was asked for
        (stored(BackupState.COMPLETE), PARTLY, (SUCCESS, "")),
        (stored(BackupState.INCOMPLETE), PARTLY, (FAIL, "c failed")),
        (stored(BackupState.CREATING), RUNNING, (EXECUTING, "")),
        (stored(BackupState.CREATING), None, (EXECUTING, "")),
        (stored(BackupState.DELETING), None, (FAIL, "the backup is being deleted")),
        (stored(BackupState.INCOMPLETE, "a", "b"), None, (FAIL, "a; b")),
        (stored(BackupState.INCOMPLETE), None, (FAIL, "the backup is incomplete")),
        (stored(BackupState.INCOMPLETE, "a"), FAILED, (FAIL, "refused")),
        (stored(BackupState.INCOMPLETE, "damaged"), SUCCEEDED, (FAIL, "damaged")),
        (None, operation(OperationState.PENDING), (INITIAL, "")),
        (None, RUNNING, (EXECUTING, "")),
        (None, FAILED, (FAIL, "refused")),
        (None, PARTLY, (FAIL, "c failed")),
    ],
)
def test_states_of_backups(
    backup: Backup | None, made_by: Operation | None, expected: tuple[int, str]
) -> None:
    assert backup_state(BackupTask("b", backup, made_by)) == expected


def test_every_state_of_a_stored_backup_has_a_number() -> None:
    found = {backup_state(BackupTask("b", stored(state)))[0] for state in BackupState}
    assert found == {EXECUTING, SUCCESS, FAIL}


@pytest.mark.parametrize(
    ("phases", "percent"),
    [
        ((), 1),
        ((phase(Phase.PLANNING),), 5),
        ((phase(Phase.FLUSHING),), 5),
        ((phase(Phase.COPYING),), 19),
        ((phase(Phase.COPYING, 0, 0),), 19),
        ((phase(Phase.COPYING, 0, 200),), 19),
        ((phase(Phase.COPYING, 100, 200),), 59),
        ((phase(Phase.COPYING, 200, 200), phase(Phase.CHECKING)), 99),
        ((phase(Phase.COPYING, 900, 200),), 99),
    ],
)
def test_how_far_a_create_is(phases: tuple[PhaseProgress, ...], percent: int) -> None:
    task = BackupTask("b", None, operation(OperationState.RUNNING, *phases))
    assert backup_percent(task, backup_state(task)[0]) == percent


def test_a_failed_create_is_at_nothing_and_a_whole_one_at_everything() -> None:
    copied = operation(OperationState.FAILED, phase(Phase.COPYING, 1, 2), error=StorageDenied("x"))
    for task, percent in (
        (BackupTask("b", None, copied), 0),
        (BackupTask("b", stored(BackupState.COMPLETE)), 100),
        (BackupTask("b", stored(BackupState.CREATING)), 0),
    ):
        assert backup_percent(task, backup_state(task)[0]) == percent


@pytest.mark.parametrize(
    ("state", "phases", "percent"),
    [
        (OperationState.PENDING, (), 1),
        (OperationState.RUNNING, (phase(Phase.VERIFYING, 100, 200),), 1),
        (OperationState.RUNNING, (phase(Phase.IMPORTING, 0, 200),), 1),
        (OperationState.RUNNING, (phase(Phase.IMPORTING, 100, 200),), 50),
        (OperationState.RUNNING, (phase(Phase.IMPORTING, 200, 200),), 99),
        (OperationState.RUNNING, (phase(Phase.IMPORTING, 9, 9), phase(Phase.FINISHING)), 99),
        (OperationState.FAILED, (phase(Phase.IMPORTING, 100, 200),), 50),
        (OperationState.SUCCEEDED, (phase(Phase.IMPORTING, 100, 200),), 100),
    ],
)
def test_how_far_a_restore_is(
    state: OperationState, phases: tuple[PhaseProgress, ...], percent: int
) -> None:
    assert restore_percent(operation(state, *phases)) == percent


COLLECTION = CollectionProgress(CollectionName("default", "c"))


@pytest.mark.parametrize(
    ("state", "expected"),
    [(CollectionState.PENDING, INITIAL), (CollectionState.RUNNING, EXECUTING)],
)
def test_states_of_collections_at_work(state: CollectionState, expected: int) -> None:
    assert collection_state(replace(COLLECTION, state=state), RUNNING) == (expected, "")


@pytest.mark.parametrize(
    ("state", "error", "expected"),
    [
        # as a service left them that was killed
        (CollectionState.PENDING, None, (FAIL, "refused")),
        (CollectionState.RUNNING, None, (FAIL, "refused")),
        (CollectionState.SUCCEEDED, None, (SUCCESS, "")),
        (CollectionState.FAILED, ImportFailed("no"), (FAIL, "no")),
        (CollectionState.STOPPED, None, (FAIL, "refused")),
    ],
)
def test_states_of_collections_of_what_has_ended(
    state: CollectionState, error: Any, expected: tuple[int, str]
) -> None:
    assert collection_state(replace(COLLECTION, state=state, error=error), FAILED) == expected


def test_a_collection_that_was_stopped_for_no_known_reason() -> None:
    stopped = replace(COLLECTION, state=CollectionState.STOPPED)
    assert collection_state(stopped, RUNNING) == (FAIL, "stopped")


@pytest.mark.parametrize(
    ("state", "done", "total", "percent"),
    [
        (CollectionState.PENDING, 0, None, 1),
        (CollectionState.RUNNING, 0, 0, 1),
        (CollectionState.RUNNING, 1, 2, 50),
        (CollectionState.RUNNING, 3, 2, 99),
        (CollectionState.FAILED, 1, 4, 25),
        (CollectionState.SUCCEEDED, 1, 4, 100),
    ],
)
def test_how_far_a_collection_is(
    state: CollectionState, done: int, total: int | None, percent: int
) -> None:
    item = replace(COLLECTION, state=state, bytes_done=done, bytes_total=total)
    assert collection_percent(item) == percent


def test_times_are_whole_unix_seconds() -> None:
    assert seconds(NOW) == 1767323045
    assert seconds(None) == -62135596800
