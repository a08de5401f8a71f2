"""How operations of each kind go on after an interrupt; ``resuming`` says what that asks of them."""

from __future__ import annotations

from milvus_backup_server.domain.errors import InvalidRequest, OperationNotResumable
from milvus_backup_server.domain.operation_record import OperationRecord
from milvus_backup_server.domain.operations import DeleteResult, OperationKind
from milvus_backup_server.domain.places import SETTING
from milvus_backup_server.domain.requests import CreateRequest
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.context import Environment, Repository
from milvus_backup_server.service.delete_run import DeleteRun
from milvus_backup_server.service.interrupted_create import InterruptedCreate
from milvus_backup_server.service.restore_backup import RestoreBackup
from milvus_backup_server.service.resuming import Continuation, OperationControl, Resumer
from milvus_backup_server.service.tracker import Tracker
from milvus_backup_server.service.verify_backup import VerifyBackup


def create_resumer(environment: Environment, engine: TransferEngine) -> Resumer:
    """Return how creates go on."""

    async def resumed(record: OperationRecord) -> Continuation:
        if not isinstance(record.request, CreateRequest):
            raise _damaged(record)
        repository_of(record, environment)
        interrupted = InterruptedCreate(record, record.request, environment, engine)
        return Continuation(interrupted.go_on, interrupted.undo, interrupted.check)

    return resumed


def delete_resumer(environment: Environment, control: OperationControl) -> Resumer:
    """Return how deletes go on."""

    async def resumed(record: OperationRecord) -> Continuation:
        repository = repository_of(record, environment)

        async def go_on(tracker: Tracker) -> DeleteResult:
            return await run(tracker).run()

        async def undo(tracker: Tracker) -> None:
            await run(tracker).give_up()

        def run(tracker: Tracker) -> DeleteRun:
            return DeleteRun(
                repository,
                record.footprint.backup_name,
                record.name,
                environment.limits,
                tracker,
                supersede=control.supersede,
                resumed=True,
            )

        return Continuation(go_on, undo)

    return resumed


def register(
    control: OperationControl,
    environment: Environment,
    engine: TransferEngine,
    restore: RestoreBackup,
    verify: VerifyBackup,
) -> None:
    """Tell how operations of the kinds that can be resumed go on."""
    control.resumers[OperationKind.CREATE_BACKUP] = create_resumer(environment, engine)
    control.resumers[OperationKind.DELETE_BACKUP] = delete_resumer(environment, control)
    control.resumers[OperationKind.RESTORE_BACKUP] = restore.resumed
    control.resumers[OperationKind.VERIFY_BACKUP] = verify.resumed


def repository_of(record: OperationRecord, environment: Environment) -> Repository:
    """Return where an operation works.

    Raises:
        OperationNotResumable: The place is not allowed any more.
    """
    place = record.footprint.place
    try:
        return environment.registry.repository_at(place)
    except InvalidRequest as error:
        raise OperationNotResumable(
            f"operation {record.name} works in {place}, which {SETTING} does not allow any more: allow it "
            "until the operation is resumed or cancelled",
            subject=record.name,
            place=str(place),
        ) from error


def _damaged(record: OperationRecord) -> OperationNotResumable:
    return OperationNotResumable(
        f"operation {record.name} cannot be resumed: its record does not hold its request",
        subject=record.name,
    )
