"""How operations of each kind go on after an interrupt; ``resuming`` says what that asks of them."""

from __future__ import annotations

from milvus_backup_server.domain.errors import OperationNotResumable
from milvus_backup_server.domain.operation_record import OperationRecord
from milvus_backup_server.domain.operations import DeleteResult, OperationKind
from milvus_backup_server.domain.requests import CreateRequest
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.context import Environment
from milvus_backup_server.service.delete_run import DeleteRun
from milvus_backup_server.service.interrupted_create import InterruptedCreate
from milvus_backup_server.service.resuming import Continuation, OperationControl, Resumer
from milvus_backup_server.service.tracker import Tracker


def create_resumer(environment: Environment, engine: TransferEngine) -> Resumer:
    """Return how creates go on."""

    async def resumed(record: OperationRecord) -> Continuation:
        if not isinstance(record.request, CreateRequest):
            raise _damaged(record)
        interrupted = InterruptedCreate(record, record.request, environment, engine)
        return Continuation(interrupted.go_on, interrupted.undo, interrupted.check)

    return resumed


def delete_resumer(environment: Environment, control: OperationControl) -> Resumer:
    """Return how deletes go on."""

    async def resumed(record: OperationRecord) -> Continuation:
        async def go_on(tracker: Tracker) -> DeleteResult:
            return await run(tracker).run()

        async def undo(tracker: Tracker) -> None:
            await run(tracker).give_up()

        def run(tracker: Tracker) -> DeleteRun:
            return DeleteRun(
                environment.registry.repository_at(record.footprint.place),
                record.footprint.backup_name,
                record.name,
                environment.limits,
                tracker,
                supersede=control.supersede,
                resumed=True,
            )

        return Continuation(go_on, undo)

    return resumed


def register(control: OperationControl, environment: Environment, engine: TransferEngine) -> None:
    """Tell how operations of the kinds that can be resumed go on."""
    control.resumers[OperationKind.CREATE_BACKUP] = create_resumer(environment, engine)
    control.resumers[OperationKind.DELETE_BACKUP] = delete_resumer(environment, control)


def _damaged(record: OperationRecord) -> OperationNotResumable:
    return OperationNotResumable(
        f"operation {record.name} cannot be resumed: its record does not hold its request",
        subject=record.name,
    )
