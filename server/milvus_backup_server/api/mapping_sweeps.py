"""Sweeps between the contract and the domain."""

from __future__ import annotations

from milvus_backup.v1 import operation_service_pb2, sweep_pb2
from milvus_backup_server.domain.leftovers import (
    Leftover,
    LeftoverKind,
    LeftoverState,
    SweepResult,
)
from milvus_backup_server.domain.requests import DEFAULT_SWEEP_AGE_SECONDS, SweepRequest

KINDS = {kind: sweep_pb2.LeftoverKind.Value(f"LEFTOVER_KIND_{kind.name}") for kind in LeftoverKind}
STATES = {
    state: sweep_pb2.LeftoverState.Value(f"LEFTOVER_STATE_{state.name}") for state in LeftoverState
}


def sweep_request(message: operation_service_pb2.SweepRequest) -> SweepRequest:
    """Return what a sweep is asked for."""
    seconds = DEFAULT_SWEEP_AGE_SECONDS
    if message.HasField("min_age"):
        seconds = message.min_age.seconds + (message.min_age.nanos > 0)
    return SweepRequest(message.apply, seconds)


def sweep_result(result: SweepResult) -> sweep_pb2.SweepResult:
    """Return what a sweep found."""
    counts = result.by_state
    return sweep_pb2.SweepResult(
        applied=result.applied,
        leftovers=map(_leftover, result.leftovers),
        leftover_count=result.count,
        removed_count=counts.get(LeftoverState.REMOVED, 0),
        kept_count=counts.get(LeftoverState.KEPT, 0),
        failed_count=counts.get(LeftoverState.FAILED, 0),
    )


def _leftover(item: Leftover) -> sweep_pb2.Leftover:
    return sweep_pb2.Leftover(
        kind=KINDS[item.kind],
        subject=item.subject,
        operation=item.operation,
        object_count=item.object_count,
        size_bytes=item.size_bytes,
        state=STATES[item.state],
        note=item.note,
    )
