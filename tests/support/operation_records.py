"""Records of operations as services of before have left them."""

from datetime import UTC, datetime

from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.operation_record import OperationRecord, Owner
from milvus_backup_server.domain.operations import Caller, Operation, OperationKind, OperationState
from milvus_backup_server.domain.requests import DeleteRequest

OWNER = Owner("0123456789abcdef", "host", 7)
NOW = datetime.now(UTC)


def record(
    number: int,
    state: OperationState = OperationState.SUCCEEDED,
    *,
    end: datetime = NOW,
    request_id: str = "",
) -> OperationRecord:
    """Return the record of the n-th operation."""
    operation = Operation(
        name=f"20260131t120000_{number:08x}",
        kind=OperationKind.DELETE_BACKUP,
        state=state,
        backup_name=f"b{number}",
        create_time=end,
        caller=Caller(),
        end_time=end if state.final else None,
        request_id=request_id,
    )
    footprint = Footprint(OperationKind.DELETE_BACKUP, operation.backup_name)
    return OperationRecord(operation, footprint, DeleteRequest("b"), OWNER, accepted=True)
