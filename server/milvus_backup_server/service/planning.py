"""The answer to ``validate_only``: an operation that has ended before it began."""

from __future__ import annotations

from dataclasses import replace

from milvus_backup_server.domain.faults import Faults
from milvus_backup_server.domain.operations import Operation, OperationState, Result
from milvus_backup_server.service.running import OperationRequest, finished


def planned_operation(request: OperationRequest, plan: Result, faults: Faults) -> Operation:
    """Return a finished operation with its plan; FAILED, with the error, if something is in the way."""
    operation = finished(request, plan)
    error = faults.error()
    if error is None:
        return operation
    return replace(operation, state=OperationState.FAILED, error=error)
