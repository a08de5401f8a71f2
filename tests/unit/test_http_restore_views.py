"""The answer that tells of a restore: one piece, or many where there are many collections."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

from fastapi.responses import StreamingResponse

from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    Caller,
    CollectionProgress,
    CollectionState,
    Operation,
    OperationKind,
    OperationState,
)
from milvus_backup_server.http.restore_views import restore_response

BEGUN = datetime.fromtimestamp(1_700_000_000, UTC)
RESTORE = Operation(
    name="20260102t030405_0123abcd",
    kind=OperationKind.RESTORE_BACKUP,
    state=OperationState.SUCCEEDED,
    backup_name="b",
    create_time=BEGUN,
    caller=Caller(),
    end_time=BEGUN,
)


def collections(count: int) -> list[CollectionProgress]:
    return [
        CollectionProgress(
            CollectionName("shop", f"c{number}"),
            CollectionName("shop", f"c{number}_r"),
            state=CollectionState.SUCCEEDED,
        )
        for number in range(count)
    ]


def expected(count: int) -> dict[str, Any]:
    tasks = [
        {
            "state_code": 2,
            "start_time": -62135596800,
            "end_time": -62135596800,
            "progress": 100,
            "target_db_name": "shop",
            "target_collection_name": f"c{number}_r",
        }
        for number in range(count)
    ]
    return {
        "requestId": "mine",
        "msg": "success",
        "data": {
            "id": RESTORE.name,
            "state_code": 2,
            "start_time": 1_700_000_000,
            "end_time": 1_700_000_000,
            "progress": 100,
            "collection_restore_tasks": tasks,
        },
    }


async def test_few_collections_are_one_piece() -> None:
    response = restore_response(RESTORE, collections(250), "mine", "success")
    assert json.loads(bytes(response.body)) == expected(250)


async def test_many_collections_are_the_same_and_let_others_have_their_turn() -> None:
    response = restore_response(RESTORE, collections(2_001), "mine", "success")
    assert isinstance(response, StreamingResponse)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    pieces = [bytes(piece) async for piece in response.body_iterator]  # type: ignore[arg-type]
    beside.cancel()
    assert json.loads(b"".join(pieces)) == expected(2_001)
    assert turns >= 8
    assert max(map(len, pieces)) < 64 << 10
