"""The Go tool's routes of restores."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Body, Query
from fastapi.responses import Response
from starlette.requests import Request

from milvus_backup_server.domain.errors import BackupNotFound, OperationNotFound
from milvus_backup_server.domain.operations import Operation, OperationKind
from milvus_backup_server.http.answers import RestoreBackupResponse, State
from milvus_backup_server.http.bodies import RestoreBody, RestoreSecondaryBody
from milvus_backup_server.http.examples import RESTORE, RESTORE_SECONDARY
from milvus_backup_server.http.faults import FAIL, BackupToRestoreNotFound
from milvus_backup_server.http.responses import answer
from milvus_backup_server.http.restore_request import restore_request
from milvus_backup_server.http.restore_views import restore_response
from milvus_backup_server.http.routing import (
    CALLER,
    REFUSED,
    GoRoute,
    RequestId,
    Use,
    remember_id,
)
from milvus_backup_server.http.states import task_state
from milvus_backup_server.service.use_cases import UseCases

_RESTORES: Final = frozenset({OperationKind.RESTORE_BACKUP})
_EVERY: Final = 1_000_000
_EXECUTING: Final = "restore backup is executing asynchronously"

router = APIRouter(route_class=GoRoute, tags=["Restore"], responses=REFUSED)


@router.post("/restore", response_model=RestoreBackupResponse)
async def restore(
    use_cases: Use, body: Annotated[RestoreBody, Body(openapi_examples=RESTORE)]
) -> Response:
    """Restore collections. With `async` the answer comes at once, else when all of them are restored.

    `data.id` of the answer finds the restore again (`/get_restore?id=`). A client that goes away stops
    nothing.
    """
    request_id = body.request_id or str(uuid.uuid4())
    asked = restore_request(body, body.id or _generated_id(datetime.now(UTC)))
    try:
        with asked.naming():
            operation = await use_cases.restore.start(asked.request, CALLER)
    except BackupNotFound as error:
        raise BackupToRestoreNotFound(error.resource_name, error.message) from error
    if body.run_async:
        return await _told(use_cases, operation, request_id, _EXECUTING)
    ended = await use_cases.operations.end_of(operation.name)
    state, message = task_state(ended)
    if state is not State.SUCCESS:
        return answer(RestoreBackupResponse(code=FAIL, msg=message, data=None))
    return await _told(use_cases, ended, request_id, "success")


@router.get("/get_restore", response_model=RestoreBackupResponse)
async def get_restore(
    request: Request,
    use_cases: Use,
    id_: Annotated[
        str, Query(alias="id", description="`data.id` of the restore, or its operation's name.")
    ] = "",
    request_id: RequestId = "",
) -> Response:
    """Tell how far a restore is and how it ended.

    Ended restores are on record up to the bounds `service.operations.remembered` and
    `service.operations.rememberedDays`.
    """
    remember_id(request, request_id)
    if not id_:
        raise OperationNotFound("", "empty restore id")
    try:
        operation = await use_cases.directory.find(id_, _RESTORES)
    except OperationNotFound:
        text = f"task not found: no restore on record has the id {id_[:100]!r}"
        raise OperationNotFound(id_, text) from None
    return await _told(use_cases, operation, request_id, "success")


@router.post("/restore_secondary", response_model=RestoreBackupResponse)
async def restore_secondary(
    body: Annotated[RestoreSecondaryBody, Body(openapi_examples=RESTORE_SECONDARY)],
) -> Response:
    """Refused: restores into a secondary cluster are not supported."""
    msg = "restore_secondary is not supported: this service does not replicate clusters"
    return answer(RestoreBackupResponse(request_id=body.request_id, code=FAIL, msg=msg, data=None))


async def _told(use_cases: UseCases, operation: Operation, request_id: str, msg: str) -> Response:
    page = await use_cases.directory.collections(operation.name, 0, _EVERY)
    return restore_response(operation, page.items, request_id, msg)


def _generated_id(now: datetime) -> str:
    """Return the id that the Go tool gives a restore without one."""
    return f"restore_{now:%Y_%m_%d_%H_%M_%S}_{now.microsecond * 1000}"
