"""Restores as the Go tool's routes show them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final

from fastapi.responses import Response
from pydantic import TypeAdapter

from milvus_backup_server.domain.operations import CollectionProgress, Operation
from milvus_backup_server.http.answers import (
    RestoreBackupResponse,
    RestoreBackupTask,
    RestoreCollectionTask,
)
from milvus_backup_server.http.responses import (
    JsonResponse,
    PiecesResponse,
    answer,
    json_bytes,
    shown,
)
from milvus_backup_server.http.states import (
    collection_percent,
    collection_state,
    restore_percent,
    seconds,
    task_state,
)

_AT_ONCE: Final = 250
"""Collections that are put into words before others get their turn: some 8 ms."""
_TASKS: Final = TypeAdapter(list[RestoreCollectionTask])


def restore_response(
    operation: Operation, collections: Sequence[CollectionProgress], request_id: str, msg: str
) -> Response:
    """Return the answer that tells of a restore and all of its collections."""
    first = [_collection_task(item, operation) for item in collections[:_AT_ONCE]]
    task = _task(operation, first)
    whole = RestoreBackupResponse(request_id=request_id, msg=msg, data=task)
    if len(collections) == len(first):
        return answer(whole)
    pieces = _pieces(shown(whole), collections[_AT_ONCE:], operation)
    return PiecesResponse(pieces, JsonResponse.media_type)


def _task(operation: Operation, collections: list[RestoreCollectionTask]) -> RestoreBackupTask:
    state, message = task_state(operation)
    return RestoreBackupTask(
        id=operation.task_id or operation.name,
        state_code=state,
        error_message=message,
        start_time=seconds(operation.start_time or operation.create_time),
        end_time=seconds(operation.end_time),
        progress=restore_percent(operation),
        collection_restore_tasks=collections,
    )


async def _pieces(
    begun: Mapping[str, Any], further: Sequence[CollectionProgress], operation: Operation
) -> AsyncGenerator[bytes, None]:
    """Yield an answer to which further collections belong: these come last in it."""
    others = {key: value for key, value in begun.items() if key != "data"}
    yield json_bytes({**others, "data": begun["data"]}).removesuffix(b"]}}")
    for begin in range(0, len(further), _AT_ONCE):
        await asyncio.sleep(0)  # a reader that keeps up is never waited for
        some = further[begin : begin + _AT_ONCE]
        tasks = _TASKS.dump_python(
            [_collection_task(item, operation) for item in some],
            mode="json",
            by_alias=True,
            exclude_defaults=True,
        )
        yield b"," + json_bytes(tasks)[1:-1]
    yield b"]}}"


def _collection_task(item: CollectionProgress, operation: Operation) -> RestoreCollectionTask:
    state, message = collection_state(item, operation)
    target = item.target or item.source
    return RestoreCollectionTask(
        state_code=state,
        error_message=message,
        start_time=seconds(item.start_time),
        end_time=seconds(item.end_time),
        progress=collection_percent(item),
        target_db_name=target.database,
        target_collection_name=target.name,
    )
