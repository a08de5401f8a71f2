"""The Go tool's routes of backups."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Body, Query
from fastapi.responses import Response
from starlette.requests import Request

from milvus_backup_server.domain.backups import Backup
from milvus_backup_server.domain.errors import FieldViolation, InvalidRequest
from milvus_backup_server.domain.places import Place
from milvus_backup_server.domain.requests import DeleteRequest
from milvus_backup_server.http.answers import (
    BackupInfoResponse,
    DeleteBackupResponse,
    ListBackupsResponse,
    State,
)
from milvus_backup_server.http.asked import Asked, naming
from milvus_backup_server.http.backup_views import backup_response, backup_summary
from milvus_backup_server.http.bodies import CreateBody
from milvus_backup_server.http.create_request import create_request
from milvus_backup_server.http.examples import CREATE, NAME
from milvus_backup_server.http.faults import FAIL, PARAMETER_ERROR
from milvus_backup_server.http.places import PLACE_NAMES, BucketQuery, PathQuery
from milvus_backup_server.http.responses import answer
from milvus_backup_server.http.routing import (
    CALLER,
    REFUSED,
    GoRoute,
    RequestId,
    Use,
    remember_id,
)
from milvus_backup_server.http.states import backup_state, task_state
from milvus_backup_server.service.backup_tasks import WHOLE, BackupTasks
from milvus_backup_server.service.catalog import Catalog

_PAGE: Final = 500

router = APIRouter(route_class=GoRoute, tags=["Backup"], responses=REFUSED)


@router.post("/create", response_model=BackupInfoResponse)
async def create(
    request: Request,
    use_cases: Use,
    body: Annotated[CreateBody, Body(openapi_examples=CREATE)],
    request_id: RequestId = "",
) -> Response:
    """Back up collections. With `async` the answer comes at once, else it tells all of the finished backup.

    The answer's `requestId` finds the operation (`/operations/{operation}`) and the backup
    (`/get_backup?backup_id=`). A client that goes away stops nothing.
    """
    task_id = remember_id(request, request_id or body.request_id or str(uuid.uuid4()))
    asked = create_request(body, task_id)
    with asked.naming():
        operation = await use_cases.create.start(asked.request, CALLER)
    if body.run_async:
        msg = "create backup is executing asynchronously"
        return answer(BackupInfoResponse(request_id=task_id, msg=msg, data=None))
    ended = await use_cases.operations.end_of(operation.name)
    task = await BackupTasks(use_cases.catalog, use_cases.directory).of(ended)
    state, message = backup_state(task)
    if state is State.SUCCESS:
        return await backup_response(use_cases.catalog, task, task_id)
    return answer(BackupInfoResponse(request_id=task_id, code=FAIL, msg=message, data=None))


@router.get("/list", response_model=ListBackupsResponse)
async def list_backups(
    *,
    request: Request,
    use_cases: Use,
    collection_name: Annotated[str, Query(description="Refused.", deprecated=True)] = "",
    path: PathQuery = "",
    bucket_name: BucketQuery = "",
    request_id: RequestId = "",
) -> Response:
    """List the backups that can be restored, by name."""
    remember_id(request, request_id)
    if collection_name:
        msg = "collection_name is deprecated"
        return answer(
            ListBackupsResponse(request_id=request_id, code=PARAMETER_ERROR, msg=msg, data=None)
        )
    with naming(PLACE_NAMES):
        catalog = use_cases.catalog.at(Place(bucket_name, path))
    found = [backup_summary(backup) async for backup in _all(catalog)]
    return answer(ListBackupsResponse(request_id=request_id, data=found))


@router.get("/get_backup", response_model=BackupInfoResponse)
async def get_backup(
    *,
    request: Request,
    use_cases: Use,
    backup_name: Annotated[str, Query(examples=[NAME])] = "",
    backup_id: Annotated[str, Query(description="Wins over `backup_name`.")] = "",
    path: PathQuery = "",
    bucket_name: BucketQuery = "",
    request_id: RequestId = "",
) -> Response:
    """Tell about a backup: how far it is, how it ended, what is in it.

    It is read from the storage each time, so it is true after a restart of the service and of backups
    that others made. Why a backup failed is known while its operation is on record, up to the bounds
    `service.operations.remembered` and `service.operations.rememberedDays`.
    """
    remember_id(request, request_id)
    if not backup_id and not backup_name:
        raise InvalidRequest(FieldViolation("backup_name", "is required, or backup_id"))
    with naming(PLACE_NAMES):
        catalog = use_cases.catalog.at(Place(bucket_name, path))
    tasks = BackupTasks(catalog, use_cases.directory)
    task = await (tasks.by_id(backup_id) if backup_id else tasks.by_name(backup_name))
    return await backup_response(use_cases.catalog, task, request_id)


@router.delete("/delete", response_model=DeleteBackupResponse)
async def delete(
    *,
    request: Request,
    use_cases: Use,
    backup_name: Annotated[str, Query(description="Required.", examples=[NAME])] = "",
    path: PathQuery = "",
    bucket_name: BucketQuery = "",
    request_id: RequestId = "",
) -> Response:
    """Remove a backup, also a half-made one, and answer when it is gone.

    A client that goes away stops nothing.
    """
    task_id = remember_id(request, request_id or str(uuid.uuid4()))
    wanted = DeleteRequest(backup_name, task_id, Place(bucket_name, path))
    asked = Asked(wanted, {"task_id": "request_id", **PLACE_NAMES})
    with asked.naming():
        operation = await use_cases.delete.start(asked.request, CALLER)
    state, message = task_state(await use_cases.operations.end_of(operation.name))
    if state is State.SUCCESS:
        return answer(DeleteBackupResponse(request_id=task_id, msg="success"))
    return answer(DeleteBackupResponse(request_id=task_id, code=FAIL, msg=message))


async def _all(catalog: Catalog) -> AsyncIterator[Backup]:
    after = ""
    while True:
        page = await catalog.list(after, _PAGE, full=False)
        for backup in page.items:
            if backup.state in WHOLE:
                yield backup
        after = page.next_key
        if not after:
            return
