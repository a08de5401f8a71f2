"""Cases of the routes that tell of a restore, and of the one that is never served."""

from typing import Final

from tests.support.http_cases import API, NOW, Call, Case, Like, text
from tests.support.http_cases_creates import creating
from tests.support.http_cases_restores import (
    MADE,
    RESTORE,
    done,
    let_imports_fail,
    restoring,
)

GET_RESTORE: Final = f"{API}/get_restore"
GETS: Final = [
    Case(
        "one that went well",
        Call("GET", GET_RESTORE, query={"id": "r1"}, headers={"request_id": "q"}),
        {
            "requestId": "q",
            "msg": "success",
            "data": done(("default", "hello_milvus_r"), id_="r1"),
        },
        before=(*MADE, restoring(id="r1", collection_suffix="_r")),
    ),
    Case(
        "one that failed",
        Call("GET", GET_RESTORE, query={"id": "r1"}),
        {
            "msg": "success",
            "data": {
                "id": "r1",
                "state_code": 3,
                "errorMessage": text("the disk of Milvus is full"),
                "start_time": NOW,
                "end_time": NOW,
                "progress": Like("<percent>", lambda value: 1 <= value <= 99),
                "collection_restore_tasks": [
                    {
                        "state_code": 3,
                        "errorMessage": text("the disk of Milvus is full"),
                        "start_time": NOW,
                        "end_time": NOW,
                        "progress": Like("<percent>", lambda value: 1 <= value <= 99),
                        "target_db_name": "default",
                        "target_collection_name": "hello_milvus_r",
                    }
                ],
            },
        },
        before=(
            *MADE,
            Call(
                "POST",
                RESTORE,
                {"backup_name": "my_backup", "id": "r1", "collection_suffix": "_r"},
                fails=True,
            ),
        ),
        prepare=let_imports_fail,
    ),
    Case(
        "the newest of an id",
        Call("GET", GET_RESTORE, query={"id": "r1"}),
        {"msg": "success", "data": done(("default", "hello_milvus_2"), id_="r1")},
        before=(
            *MADE,
            restoring(id="r1", collection_suffix="_1"),
            restoring(id="r1", collection_suffix="_2"),
        ),
    ),
    Case(
        "no id",
        Call("GET", GET_RESTORE),
        {"code": 3, "msg": "empty restore id", "data": None},
    ),
    Case(
        "an id that nothing has",
        Call("GET", GET_RESTORE, query={"id": "nothing"}),
        {"code": 3, "msg": text("task not found", "'nothing'"), "data": None},
    ),
    Case(
        "the id of a backup",
        Call("GET", GET_RESTORE, query={"id": "b1"}),
        {"code": 3, "msg": text("task not found"), "data": None},
        before=(creating(requestId="b1"),),
    ),
]

SECONDARY: Final = [
    Case(
        "always refused",
        Call(
            "POST",
            f"{API}/restore_secondary",
            {
                "requestId": "r",
                "backup_name": "my_backup",
                "sourceClusterID": "a",
                "targetClusterID": "b",
                "async": True,
                "path": "p",
            },
        ),
        {
            "requestId": "r",
            "code": 3,
            "msg": "restore_secondary is not supported: this service does not replicate clusters",
            "data": None,
        },
    ),
    Case(
        "a body of wrong types",
        Call("POST", f"{API}/restore_secondary", {"sourceClusterID": 1}),
        {"error": "invalid request body: sourceClusterID: expected a string"},
        status=400,
    ),
]
