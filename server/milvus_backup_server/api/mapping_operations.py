"""Operations from the domain to the contract, and what their requests ask for."""

from __future__ import annotations

import math
from typing import assert_never

from google.protobuf.duration_pb2 import Duration

from milvus_backup.v1 import operation_pb2, operation_service_pb2
from milvus_backup_server.api.mapping import label_map, place_message, timestamp
from milvus_backup_server.api.mapping_plans import create_plan_message, restore_plan_message
from milvus_backup_server.api.mapping_rbac import rbac_counts
from milvus_backup_server.api.mapping_sweeps import sweep_result
from milvus_backup_server.api.mapping_verifications import verify_result
from milvus_backup_server.api.status import error_status
from milvus_backup_server.api.texts import fit
from milvus_backup_server.domain.errors import FieldViolation, InvalidRequest
from milvus_backup_server.domain.leftovers import SweepResult
from milvus_backup_server.domain.operations import (
    SHOWN_COLLECTIONS,
    SHOWN_WARNINGS,
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
    Progress,
    RestorePlan,
    RestoreResult,
    Result,
)
from milvus_backup_server.domain.verification import VerifyResult

KINDS = {
    kind: operation_pb2.OperationKind.Value(f"OPERATION_KIND_{kind.name}") for kind in OperationKind
}
STATES = {
    state: operation_pb2.OperationState.Value(f"OPERATION_STATE_{state.name}")
    for state in OperationState
}
PHASES = {
    phase: operation_pb2.OperationPhase.Value(f"OPERATION_PHASE_{phase.name}") for phase in Phase
}
COLLECTION_STATES = {
    state: operation_pb2.CollectionState.Value(f"COLLECTION_STATE_{state.name}")
    for state in CollectionState
}
ORIGINS = {
    origin: operation_pb2.CallOrigin.Value(f"CALL_ORIGIN_{origin.name}") for origin in Origin
}

DEFAULT_INTERVAL_SECONDS = 0.25
SHORTEST_INTERVAL_SECONDS = 0.01
LONGEST_INTERVAL_SECONDS = 60.0
MAX_WATCHED = 1000

_LONGEST_REMAINING_SECONDS = 10 * 365 * 24 * 3600

_NAME_REQUIRED = "is required: the name that the call which began it returned"

NamingRequest = (
    operation_service_pb2.GetOperationRequest
    | operation_service_pb2.WatchOperationRequest
    | operation_service_pb2.CancelOperationRequest
    | operation_service_pb2.ResumeOperationRequest
    | operation_service_pb2.RetryOperationRequest
    | operation_service_pb2.ListOperationCollectionsRequest
    | operation_service_pb2.ListOperationProblemsRequest
)
WatchRequest = (
    operation_service_pb2.WatchOperationRequest | operation_service_pb2.WatchOperationsRequest
)


def operation_name(request: NamingRequest) -> str:
    """Return the name of the operation that a request is about.

    Raises:
        InvalidRequest: It names none.
    """
    if not request.name:
        raise InvalidRequest(FieldViolation("name", _NAME_REQUIRED))
    return request.name


def watch_interval(request: WatchRequest) -> float:
    """Return the ``min_interval`` of a watch in seconds.

    Raises:
        InvalidRequest: It is longer than a minute.
    """
    if not request.HasField("min_interval"):
        return DEFAULT_INTERVAL_SECONDS
    seconds = request.min_interval.seconds + request.min_interval.nanos / 1e9
    if seconds > LONGEST_INTERVAL_SECONDS:
        fault = f"{seconds:g} s is too long; at most {LONGEST_INTERVAL_SECONDS:g} s are allowed"
        raise InvalidRequest(FieldViolation("min_interval", fault))
    return max(seconds, SHORTEST_INTERVAL_SECONDS)


def watched_names(request: operation_service_pb2.WatchOperationsRequest) -> tuple[str, ...]:
    """Return the operations that a watch names, each once.

    Raises:
        InvalidRequest: There are too many, or a name is empty.
    """
    if len(request.names) > MAX_WATCHED:
        fault = f"has {len(request.names)} entries; at most {MAX_WATCHED} are allowed"
        raise InvalidRequest(FieldViolation("names", fault))
    if "" in request.names:
        index = list(request.names).index("")
        raise InvalidRequest(FieldViolation(f"names[{index}]", _NAME_REQUIRED))
    return tuple(dict.fromkeys(request.names))


def operation_message(operation: Operation) -> operation_pb2.Operation:
    """Return an operation as the contract shows it."""
    message = operation_pb2.Operation(
        name=operation.name,
        kind=KINDS[operation.kind],
        state=STATES[operation.state],
        backup_name=fit(operation.backup_name),
        create_time=timestamp(operation.create_time),
        start_time=timestamp(operation.start_time),
        end_time=timestamp(operation.end_time),
        progress=_progress(operation.progress),
        warnings=map(error_status, operation.warnings[:SHOWN_WARNINGS]),
        warning_count=operation.warning_count,
        error=None if operation.error is None else error_status(operation.error),
        collections=map(collection_message, operation.collections[:SHOWN_COLLECTIONS]),
        collection_count=operation.collection_count,
        succeeded_collection_count=operation.succeeded_count,
        failed_collection_count=operation.failed_count,
        labels=label_map(operation.labels),
        request_id=fit(operation.request_id),
        caller=operation_pb2.Caller(
            principal=fit(operation.caller.principal), origin=ORIGINS[operation.caller.origin]
        ),
        retry_of=operation.retry_of,
        revision=operation.revision,
        owner=fit(operation.owner),
        place=place_message(operation.place),
    )
    if operation.result is not None:
        message.MergeFrom(_result(operation.result))
    return message


def collection_message(collection: CollectionProgress) -> operation_pb2.OperationCollection:
    """Return a collection of an operation as the contract shows it."""
    target = collection.target
    return operation_pb2.OperationCollection(
        database=fit(collection.source.database),
        name=fit(collection.source.name),
        target_database=fit(target.database) if target else "",
        target_name=fit(target.name) if target else "",
        state=COLLECTION_STATES[collection.state],
        error=None if collection.error is None else error_status(collection.error),
        bytes_done=collection.bytes_done,
        bytes_total=collection.bytes_total,
        row_count=collection.row_count,
        moment=collection.moment,
    )


def _progress(progress: Progress) -> operation_pb2.Progress:
    phase = progress.phase
    return operation_pb2.Progress(
        phase=PHASES[phase] if phase else operation_pb2.OPERATION_PHASE_UNSPECIFIED,
        phases=map(_phase, progress.phases),
        bytes_per_second=progress.bytes_per_second,
        remaining=_duration(progress.remaining_seconds),
        waiting_for=fit(progress.waiting_for),
    )


def _phase(phase: PhaseProgress) -> operation_pb2.PhaseProgress:
    return operation_pb2.PhaseProgress(
        phase=PHASES[phase.phase],
        start_time=timestamp(phase.start_time),
        end_time=timestamp(phase.end_time),
        bytes_done=phase.done.bytes,
        bytes_total=phase.bytes_total,
        objects_done=phase.done.objects,
        objects_total=phase.objects_total,
        segments_done=phase.done.segments,
        segments_total=phase.segments_total,
        rows_done=phase.done.rows,
        rows_total=phase.rows_total,
    )


def _duration(seconds: float | None) -> Duration | None:
    if seconds is None or not math.isfinite(seconds):
        return None
    milliseconds = round(min(max(seconds, 0.0), _LONGEST_REMAINING_SECONDS) * 1000)
    return Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)


def _result(result: Result) -> operation_pb2.Operation:
    match result:
        case CreatePlan():
            return operation_pb2.Operation(create_plan=create_plan_message(result))
        case RestorePlan():
            return operation_pb2.Operation(restore_plan=restore_plan_message(result))
        case VerifyResult():
            return operation_pb2.Operation(verify_backup=verify_result(result))
        case SweepResult():
            return operation_pb2.Operation(sweep=sweep_result(result))
        case _:
            return _made(result)


def _made(
    result: CreateResult | RestoreResult | DeleteResult | ExportResult | ImportResult,
) -> operation_pb2.Operation:
    match result:
        case CreateResult():
            return operation_pb2.Operation(create_backup=_create_result(result))
        case RestoreResult():
            return operation_pb2.Operation(restore_backup=_restore_result(result))
        case DeleteResult():
            deleted = operation_pb2.DeleteBackupResult(object_count=result.object_count)
            return operation_pb2.Operation(delete_backup=deleted)
        case ExportResult():
            return operation_pb2.Operation(export_backup=_export_result(result))
        case ImportResult():
            return operation_pb2.Operation(import_backup=_import_result(result))
        case _:
            assert_never(result)


def _create_result(result: CreateResult) -> operation_pb2.CreateBackupResult:
    return operation_pb2.CreateBackupResult(
        collection_count=result.collection_count,
        object_count=result.object_count,
        size_bytes=result.size_bytes,
        row_count=result.row_count,
        server_side_copy_count=result.server_side_copy_count,
        rbac=rbac_counts(result.rbac),
    )


def _restore_result(result: RestoreResult) -> operation_pb2.RestoreBackupResult:
    return operation_pb2.RestoreBackupResult(
        collection_count=result.collection_count,
        import_job_count=result.import_job_count,
        row_count=result.row_count,
        content_checked_count=result.content_checked_count,
        size_checked_count=result.size_checked_count,
        staged_object_count=result.staged_object_count,
        rbac=rbac_counts(result.rbac),
    )


def _export_result(result: ExportResult) -> operation_pb2.ExportBackupResult:
    return operation_pb2.ExportBackupResult(
        object_count=result.object_count,
        size_bytes=result.size_bytes,
        archive_size_bytes=result.archive_bytes,
    )


def _import_result(result: ImportResult) -> operation_pb2.ImportBackupResult:
    return operation_pb2.ImportBackupResult(
        collection_count=result.collection_count,
        object_count=result.object_count,
        size_bytes=result.size_bytes,
        row_count=result.row_count,
        content_checked_count=result.content_checked_count,
        size_checked_count=result.size_checked_count,
    )
