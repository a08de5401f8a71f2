"""Cases of the other routes of backups, and of those of the service."""

from typing import Final

from tests.support.http_cases import API, BYTES, NEVER, NOW, UUID, Call, Case, Like, text
from tests.support.http_cases_creates import creating, whole
from tests.support.http_go_backup import GO_BACKUP, put_go_backup, put_half_a_backup, put_snapshot
from tests.support.service import World

LIST: Final = f"{API}/list"
LISTS: Final = [
    Case("nothing to list", Call("GET", LIST), {"data": []}),
    Case(
        "backups by name, with the header given back",
        Call("GET", LIST, headers={"request_id": "r"}),
        {
            "requestId": "r",
            "data": [
                {"id": "id-2", "name": "a", "size": BYTES, "milvus_version": "v2.3.5-lite"},
                {"id": "id-1", "name": "b", "size": BYTES, "milvus_version": "v2.3.5-lite"},
            ],
        },
        before=(creating("b", requestId="id-1"), creating("a", requestId="id-2")),
    ),
    Case(
        "the deprecated parameter",
        Call("GET", LIST, query={"collection_name": "c"}, headers={"request_id": "r"}),
        {
            "requestId": "r",
            "code": 400,
            "msg": "collection_name is deprecated",
            "data": None,
        },
    ),
]


async def _never_flushed(world: World) -> None:
    world.milvus.flush_polls = 1 << 30


GET: Final = f"{API}/get_backup"
GETS: Final = [
    Case(
        "by name",
        Call("GET", GET, query={"backup_name": "my_backup"}),
        {"msg": "success", "data": whole("id-1")},
        before=(creating(requestId="id-1", collection_names=["hello_milvus"]),),
    ),
    Case(
        "by id, which wins over the name",
        Call(
            "GET",
            GET,
            query={"backup_id": "id-1", "backup_name": "other"},
            headers={"request_id": "r"},
        ),
        {"requestId": "r", "msg": "success", "data": whole("id-1")},
        before=(creating(requestId="id-1", collection_names=["hello_milvus"]),),
    ),
    Case(
        "one of the Go tool, of which nobody here remembers the making",
        Call("GET", GET, query={"backup_name": "go_backup"}),
        {"msg": "success", "data": GO_BACKUP},
        prepare=put_go_backup,
    ),
    Case(
        "one of the Go tool by its id",
        Call("GET", GET, query={"backup_id": "task-1"}),
        {"msg": "success", "data": GO_BACKUP},
        prepare=put_go_backup,
    ),
    Case(
        "a snapshot",
        Call("GET", GET, query={"backup_name": "snap"}),
        {
            "msg": "success",
            "data": {
                "id": "task-1",
                "state_code": 2,
                "start_time": NOW,
                "end_time": NOW,
                "progress": 100,
                "name": "snap",
                "backup_timestamp": 461820030940348422,
                "size": 5495,
                "milvus_version": "2.5.12",
                "meta_size": BYTES,
                "format": "snapshot",
            },
        },
        prepare=put_snapshot,
    ),
    Case(
        "half a backup",
        Call("GET", GET, query={"backup_name": "half"}),
        {
            "msg": "success",
            "data": {
                "state_code": 3,
                "errorMessage": text("full_meta.json", "not there"),
                "start_time": NOW,
                "progress": 0,
                "name": "half",
                "size": 0,
                "meta_size": 0,
            },
        },
        prepare=put_half_a_backup,
    ),
    Case(
        "one that is being made",
        Call("GET", GET, query={"backup_name": "my_backup"}),
        {
            "msg": "success",
            "data": {
                "id": "id-1",
                "state_code": Like("<0 or 1>", lambda value: value in (0, 1)),
                "start_time": NOW,
                "end_time": NEVER,
                "progress": Like("<1 to 5>", lambda value: 1 <= value <= 5),
                "name": "my_backup",
                "size": 0,
                "meta_size": 0,
            },
        },
        before=(creating(more={"async": True}, requestId="id-1"),),
        prepare=_never_flushed,
    ),
    Case(
        "a name that nothing has",
        Call("GET", GET, query={"backup_name": "nothing"}, headers={"request_id": "r"}),
        {
            "requestId": "r",
            "code": 3,
            "msg": "backup 'nothing' does not exist",
            "data": None,
        },
    ),
    Case(
        "an id that nothing has",
        Call("GET", GET, query={"backup_id": "nothing"}),
        {"code": 3, "msg": text("task not found", "'nothing'"), "data": None},
    ),
    Case(
        "a backup that is deleted",
        Call("GET", GET, query={"backup_name": "my_backup"}),
        {"code": 3, "msg": "backup 'my_backup' does not exist", "data": None},
        before=(
            creating(),
            Call("DELETE", f"{API}/delete", query={"backup_name": "my_backup"}),
        ),
    ),
    Case(
        "neither name nor id",
        Call("GET", GET),
        {"code": 400, "msg": "backup_name: is required, or backup_id", "data": None},
    ),
    Case(
        "a name with a path",
        Call("GET", GET, query={"backup_name": "../x"}),
        {"code": 400, "msg": text("backup_name: '../x' is not allowed"), "data": None},
    ),
    Case(
        "another root",
        Call("GET", GET, query={"backup_name": "b", "path": "x", "bucket_name": "y"}),
        {
            "code": 400,
            "msg": text("bucket_name: 'y' is not what the operator allows"),
            "data": None,
        },
    ),
]

DELETE: Final = f"{API}/delete"
DELETES: Final = [
    Case(
        "a backup",
        Call("DELETE", DELETE, query={"backup_name": "my_backup"}, headers={"request_id": "r"}),
        {"requestId": "r", "msg": "success"},
        before=(creating(),),
    ),
    Case(
        "half a backup",
        Call("DELETE", DELETE, query={"backup_name": "half"}),
        {"requestId": UUID, "msg": "success"},
        prepare=put_half_a_backup,
    ),
    Case(
        "no name",
        Call("DELETE", DELETE),
        {"requestId": UUID, "code": 400, "msg": text("backup_name: is required")},
    ),
    Case(
        "a name that nothing has",
        Call("DELETE", DELETE, query={"backup_name": "nothing"}),
        {"requestId": UUID, "code": 3, "msg": "backup 'nothing' does not exist"},
    ),
    Case(
        "a name with a path",
        Call("DELETE", DELETE, query={"backup_name": "../backup"}),
        {"requestId": UUID, "code": 400, "msg": text("backup_name: '../backup'")},
    ),
]


async def _without_bucket(world: World) -> None:
    world.milvus_store = world.server.store("gone", create=False)


GREETING: Final = "Hello, This is backup service"
CHECK: Final = text(
    "milvus.user  root\n\nmilvus ",
    " ok       fake:19530 answers; 2 databases\n",
    " ok       Milvus v2.3.5-lite; tested: >= 2.3.1, < 2.7.0\n",
    " warning  Milvus has no flushed rows yet",
)
SERVICE: Final = [
    Case("the greeting at the top", Call("GET", "/"), GREETING),
    Case("whatever the method", Call("POST", "/"), GREETING),
    Case("the greeting", Call("GET", f"{API}/hello"), GREETING),
    Case("a check", Call("GET", f"{API}/check"), CHECK),
    Case(
        "a check that finds something",
        Call("GET", f"{API}/check"),
        {
            "error": "milvus_storage: bucket 'gone' (milvus.storage.bucketName) does not exist at "
            "memory://main"
        },
        status=500,
        prepare=_without_bucket,
    ),
    Case(
        "the API page",
        Call("GET", f"{API}/docs/index.html"),
        text("<!DOCTYPE html>", 'src="swagger-ui-bundle.js"', "url: 'doc.json'"),
    ),
]
