"""Backups as the Go tool's routes show them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from fastapi.responses import Response

from milvus_backup_server.domain.backups import (
    Backup,
    BackupCollectionSummary,
    BackupFormat,
    BackupState,
)
from milvus_backup_server.http.answers import (
    COLLECTION_KEYS,
    BackupInfoBrief,
    BackupInfoResponse,
    BackupSummary,
    DatabaseBrief,
    RpcChannel,
)
from milvus_backup_server.http.responses import JsonResponse, PiecesResponse, json_bytes, shown
from milvus_backup_server.http.states import backup_percent, backup_state, seconds
from milvus_backup_server.service.backup_tasks import BackupTask
from milvus_backup_server.service.catalog import Catalog
from milvus_backup_server.service.spool import SpoolDirectory

_NOTHING: Final = Backup("", BackupState.INCOMPLETE, format=BackupFormat.BINLOG)
_COLLECTIONS: Final = "collection_backups"
_FORMATS: Final = {
    BackupFormat.BINLOG: "",
    BackupFormat.SNAPSHOT: "snapshot",
    BackupFormat.UNKNOWN: "unknown",
}


def backup_summary(backup: Backup) -> BackupSummary:
    """Return a backup as a list shows it."""
    return BackupSummary(
        id=backup.id,
        name=backup.name,
        size=backup.size_bytes or 0,
        milvus_version=backup.milvus_version,
    )


async def backup_response(home: Catalog, task: BackupTask, request_id: str) -> Response:
    """Return the answer that tells all about a backup.

    Many collections are put together on disk before the first byte is sent, so that damaged metadata
    is an error and not half an answer.

    Raises:
        BackupCorrupt: The metadata is damaged.
    """
    data = BackupInfoResponse(request_id=request_id, msg="success", data=backup_brief(task))
    backup = task.backup
    if backup is None or not task.whole or not backup.collections:
        return JsonResponse(shown(data))
    values = dict(shown(data))
    if (backup.collection_count or 0) > len(backup.collections):
        pieces = _many(home.at(task.place), backup, values)
        await anext(pieces)
        return PiecesResponse(pieces, JsonResponse.media_type)
    values["data"][_COLLECTIONS] = [_collection(item) for item in backup.collections]
    return JsonResponse(values)


def backup_brief(task: BackupTask) -> BackupInfoBrief:
    """Return what is told of a backup, without its collections."""
    state, message = backup_state(task)
    begin, end = _times(task)
    stored = task.backup or _NOTHING
    whole = stored if task.whole else _NOTHING
    return BackupInfoBrief(
        id=task.id,
        state_code=state,
        error_message=message,
        start_time=begin,
        end_time=end,
        progress=backup_percent(task, state),
        name=task.name,
        backup_timestamp=whole.backup_timestamp,
        size=whole.size_bytes or 0,
        milvus_version=whole.milvus_version,
        rpc_channel_info=_rpc_channel(whole.rpc_channel),
        database_backups=[DatabaseBrief.model_validate(item.to_json()) for item in whole.databases],
        meta_size=stored.meta_size_bytes or 0,
        format=_FORMATS[whole.format],
    )


def _times(task: BackupTask) -> tuple[int, int]:
    backup, operation = task.backup or _NOTHING, task.operation
    if operation is None:
        known = (backup.create_time, backup.end_time)
        begin, end = (0 if time is None else seconds(time) for time in known)
        return begin, end
    ended = operation.end_time or (backup.end_time if task.whole else None)
    return seconds(operation.start_time or operation.create_time), seconds(ended)


def _rpc_channel(recorded: Mapping[str, Any]) -> RpcChannel | None:
    if not recorded:
        return None
    return RpcChannel(
        name=str(recorded.get("name", "")), position=str(recorded.get("position", ""))
    )


def _collection(summary: BackupCollectionSummary) -> Mapping[str, Any]:
    return {key: value for key, value in summary.record.to_json().items() if key in COLLECTION_KEYS}


async def _many(
    catalog: Catalog, backup: Backup, values: Mapping[str, Any]
) -> AsyncGenerator[bytes, None]:
    """Yield nothing once all collections could be read, and then the answer in pieces."""
    others = {key: value for key, value in values.items() if key != "data"}
    async with SpoolDirectory() as spools:
        spool = spools.spool()
        await spool.append(json_bytes(others)[:-1] + b',"data":' + json_bytes(values["data"])[:-1])
        between = f',"{_COLLECTIONS}":['.encode()
        async for item in catalog.summaries(backup.name):
            await spool.append(between + json_bytes(_collection(item)))
            between = b","
        await spool.append(b"]}}")
        yield b""
        async for piece in spool.chunks():
            yield piece
