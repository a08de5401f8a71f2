"""Operations as the contract shows them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from milvus_backup.v1 import operation_pb2, operation_service_pb2
from milvus_backup_server.api import mapping_operations
from milvus_backup_server.api.texts import MAX_MESSAGE_BYTES
from milvus_backup_server.domain.errors import (
    BackupError,
    BackupNotFound,
    ImportFailed,
    InvalidRequest,
    Obstacle,
    StorageUnavailable,
)
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    Amount,
    Caller,
    CollectionProgress,
    CollectionState,
    CreatePlan,
    CreateResult,
    DeleteResult,
    ExportResult,
    ImportResult,
    Operation,
    OperationKind,
    OperationState,
    Origin,
    Phase,
    PhaseProgress,
    PlannedCollection,
    Progress,
    RestorePlan,
    RestoreResult,
    Result,
)

NOON = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
LONG = "ü" * 5000


def operation(**changes: object) -> Operation:
    facts: dict[str, Any] = {
        "name": "20261122t120000_0a1b2c3d",
        "kind": OperationKind.CREATE_BACKUP,
        "state": OperationState.RUNNING,
        "backup_name": "nightly",
        "create_time": NOON,
        "caller": Caller(),
    }
    return Operation(**(facts | changes))


@pytest.mark.parametrize(
    ("wanted", "seconds"),
    [
        (None, 0.25),
        (Duration(), 0.01),
        (Duration(seconds=-5), 0.01),
        (Duration(nanos=1), 0.01),
        (Duration(nanos=500_000_000), 0.5),
        (Duration(seconds=60), 60.0),
    ],
    ids=["default", "zero", "negative", "tiny", "half", "minute"],
)
def test_watch_interval(wanted: Duration | None, seconds: float) -> None:
    request = operation_service_pb2.WatchOperationRequest(min_interval=wanted)
    assert mapping_operations.watch_interval(request) == seconds


def test_a_watch_interval_beyond_a_minute_is_refused() -> None:
    request = operation_service_pb2.WatchOperationsRequest(min_interval=Duration(seconds=61))
    with pytest.raises(InvalidRequest) as caught:
        mapping_operations.watch_interval(request)
    assert caught.value.violations[0].field == "min_interval"


def test_watched_names() -> None:
    request = operation_service_pb2.WatchOperationsRequest(names=["b", "a", "b"])
    assert mapping_operations.watched_names(request) == ("b", "a")
    many = operation_service_pb2.WatchOperationsRequest(names=[str(n) for n in range(1001)])
    with pytest.raises(InvalidRequest):
        mapping_operations.watched_names(many)


# --- operations


def test_a_pending_operation_has_absent_fields() -> None:
    message = mapping_operations.operation_message(operation(state=OperationState.PENDING))
    for field in ("start_time", "end_time", "error"):
        assert not message.HasField(field), field
    assert message.WhichOneof("result") is None
    assert message.progress.phase == operation_pb2.OPERATION_PHASE_UNSPECIFIED
    assert message.create_time.ToJsonString() == "2026-11-22T12:00:00.250Z"
    assert message.caller == operation_pb2.Caller(
        principal="anonymous", origin=operation_pb2.CALL_ORIGIN_GRPC
    )


def test_progress() -> None:
    phases = (
        PhaseProgress(Phase.PLANNING, NOON, NOON + timedelta(seconds=1)),
        PhaseProgress(
            Phase.COPYING, NOON, done=Amount(bytes=5, objects=1), bytes_total=10, rows_total=0
        ),
    )
    progress = Progress(phases, bytes_per_second=9, remaining_seconds=2.5, waiting_for="a job")
    message = mapping_operations.operation_message(operation(progress=progress)).progress
    assert message.phase == operation_pb2.OPERATION_PHASE_COPYING
    assert message.remaining == Duration(seconds=2, nanos=500_000_000)
    assert (message.bytes_per_second, message.waiting_for) == (9, "a job")
    planning, copying = message.phases
    assert planning.HasField("end_time")
    assert not copying.HasField("end_time")
    assert (copying.bytes_done, copying.bytes_total, copying.objects_done) == (5, 10, 1)
    assert copying.HasField("rows_total")
    assert not copying.HasField("objects_total")


@pytest.mark.parametrize("seconds", [None, float("nan"), float("inf")])
def test_what_cannot_be_told_is_absent(seconds: float | None) -> None:
    progress = Progress(remaining_seconds=seconds)
    message = mapping_operations.operation_message(operation(progress=progress)).progress
    assert not message.HasField("remaining")


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (
            CreateResult(1, 2, 3, 4, 5),
            operation_pb2.Operation(
                create_backup=operation_pb2.CreateBackupResult(
                    collection_count=1,
                    object_count=2,
                    size_bytes=3,
                    row_count=4,
                    server_side_copy_count=5,
                )
            ),
        ),
        (
            RestoreResult(1, 2, 3, 4, 5, 6),
            operation_pb2.Operation(
                restore_backup=operation_pb2.RestoreBackupResult(
                    collection_count=1,
                    import_job_count=2,
                    row_count=3,
                    content_checked_count=4,
                    size_checked_count=5,
                    staged_object_count=6,
                )
            ),
        ),
        (
            DeleteResult(0),
            operation_pb2.Operation(delete_backup=operation_pb2.DeleteBackupResult()),
        ),
        (
            ExportResult(1, 2, 3),
            operation_pb2.Operation(
                export_backup=operation_pb2.ExportBackupResult(
                    object_count=1, size_bytes=2, archive_size_bytes=3
                )
            ),
        ),
        (
            ImportResult(1, 2, 3, 4, 5, 6),
            operation_pb2.Operation(
                import_backup=operation_pb2.ImportBackupResult(
                    collection_count=1,
                    object_count=2,
                    size_bytes=3,
                    row_count=4,
                    content_checked_count=5,
                    size_checked_count=6,
                )
            ),
        ),
    ],
    ids=["create", "restore", "delete", "export", "import"],
)
def test_results(result: Result, expected: operation_pb2.Operation) -> None:
    message = mapping_operations.operation_message(operation(result=result))
    field = expected.WhichOneof("result")
    assert field is not None
    assert message.WhichOneof("result") == field
    assert getattr(message, field) == getattr(expected, field)


def planned(number: int) -> PlannedCollection:
    source = CollectionName("db", f"c{number:05}")
    return PlannedCollection(source, CollectionName("db2", f"d{number:05}"), 1, 2, 3, 4, 5)


def test_plans_have_all_totals_and_the_first_collections() -> None:
    collections = tuple(planned(n) for n in reversed(range(10_000)))
    create = mapping_operations.operation_message(
        operation(result=CreatePlan("nightly", collections, server_side_copy=True))
    ).create_plan
    assert (create.collection_count, create.segment_count, create.row_count) == (
        10_000,
        20_000,
        30_000,
    )
    assert [item.name for item in create.collections] == [f"c{n:05}" for n in range(50)]
    restore = mapping_operations.operation_message(
        operation(result=RestorePlan(collections, ("new",), staged=True))
    ).restore_plan
    assert (restore.size_bytes, restore.import_job_count) == (40_000, 50_000)
    assert [item.target_name for item in restore.collections] == [f"d{n:05}" for n in range(50)]
    assert (list(restore.new_databases), restore.staged) == (["new"], True)


def test_plans_tell_what_stands_in_the_way_and_stay_small() -> None:
    names = tuple(LONG for _ in range(100))
    source = CollectionName(LONG, LONG)
    item = PlannedCollection(source, source, 100, 2, 3, 4, 5, names, 6, 7)
    there = Obstacle("renames['a']", "TARGET_ALREADY_EXISTS", "db.c", "is there")
    obstacles = (there, *(Obstacle(LONG, "X", LONG, LONG),) * 99)
    create = CreatePlan("b", (item,) * 99, True, names, True, "new", obstacles)
    restore = RestorePlan((item,) * 99, names, True, 8, obstacles)
    for plan in (create, restore):
        message = mapping_operations.operation_message(operation(result=plan))
        assert message.ByteSize() < MAX_MESSAGE_BYTES
        told = message.create_plan if plan is create else message.restore_plan
        assert (told.obstacle_count, len(told.obstacles)) == (100, 50)
        first = told.obstacles[0]
        assert (first.field, first.reason) == ("renames['a']", "TARGET_ALREADY_EXISTS")
        assert (first.subject, first.description) == ("db.c", "is there")
        assert told.partition_count == 99 * 100
        assert len(told.collections[0].partitions) == 20
    made = mapping_operations.operation_message(operation(result=create)).create_plan
    assert (made.size_bytes, made.new_bucket, len(made.databases)) == (99 * 4, "new", 50)
    restored = mapping_operations.operation_message(operation(result=restore)).restore_plan
    assert (restored.staged_bytes, restored.new_database_count) == (8, 100)
    assert (restored.index_count, restored.collections[0].shard_count) == (99 * 7, 6)
    unknown = mapping_operations.operation_message(
        operation(result=replace(create, sized=False))
    ).create_plan
    assert not unknown.HasField("size_bytes")


def reason_of(status: Status) -> str:
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    return info.reason


def test_errors_inside_an_operation_look_like_errors_of_calls() -> None:
    collection = CollectionProgress(
        CollectionName("db", "c"),
        CollectionName("db", "d"),
        CollectionState.FAILED,
        error=ImportFailed("no"),
        moment=0,
    )
    message = mapping_operations.operation_message(
        operation(
            state=OperationState.FAILED,
            error=BackupNotFound("nightly"),
            warnings=(StorageUnavailable("slow"),),
            warning_count=70,
            collections=(collection,),
        )
    )
    assert reason_of(message.error) == "BACKUP_NOT_FOUND"
    assert reason_of(message.warnings[0]) == "STORAGE_UNAVAILABLE"
    assert message.warning_count == 70
    assert reason_of(message.collections[0].error) == "IMPORT_FAILED"
    assert message.collections[0].HasField("moment")
    assert not message.collections[0].HasField("row_count")


def test_an_operation_is_never_too_large() -> None:
    error = BackupError  # all texts at their longest
    collection = CollectionProgress(
        CollectionName(LONG, LONG),
        CollectionName(LONG, LONG),
        error=ImportFailed(LONG, subject=LONG),
    )
    message = mapping_operations.operation_message(
        operation(
            warnings=(StorageUnavailable(LONG, key=LONG),) * 80,
            error=error(LONG),
            collections=(collection,) * 80,
            labels={f"{n}{LONG}": LONG for n in range(100)},
            progress=Progress(waiting_for=LONG),
        )
    )
    assert (len(message.warnings), len(message.collections)) == (50, 50)
    assert message.ByteSize() < MAX_MESSAGE_BYTES


def test_every_origin_is_told() -> None:
    for origin in Origin:
        message = mapping_operations.operation_message(operation(caller=Caller("a", origin)))
        assert message.caller.origin == mapping_operations.ORIGINS[origin]
