"""Cases of the routes of backups and of the service."""

import json
from typing import Any, Final

from tests.support.http_cases import (
    API,
    BYTES,
    MADE_NAME,
    NEVER,
    NOW,
    UUID,
    Call,
    Case,
    Like,
    text,
)
from tests.support.service import World

CREATE: Final = f"{API}/create"
NOT_YET: Final = "is not supported yet"


_LARGE: Final = Like("<id>", lambda value: type(value) is int and value > 1 << 53)


def creating(name: str = "my_backup", **fields: Any) -> Call:
    return Call("POST", CREATE, {"backup_name": name, **fields})


def hello_backup(id_: Any) -> dict[str, Any]:
    """What is told of the collection `hello_milvus`."""
    return {
        "id": id_,
        "collection_id": _LARGE,
        "db_name": "default",
        "collection_name": "hello_milvus",
        "schema": {
            "name": "hello_milvus",
            "fields": [
                {"fieldID": 100, "name": "pk", "is_primary_key": True, "data_type": 5},
                {
                    "fieldID": 101,
                    "name": "v",
                    "data_type": 101,
                    "type_params": [{"key": "dim", "value": "8"}],
                },
            ],
        },
        "shards_num": 1,
        "size": BYTES,
        "has_index": True,
        "index_infos": [
            {
                "field_name": "v",
                "index_name": "by_v",
                "index_type": "IVF_FLAT",
                "params": {"index_type": "IVF_FLAT", "metric_type": "L2", "nlist": "128"},
                "index_id": _LARGE,
            }
        ],
        "load_state": "NotLoad",
        "backup_physical_timestamp": NOW,
    }


def whole(id_: Any = UUID, name: Any = "my_backup") -> dict[str, Any]:
    """What is told of a backup of the collection `hello_milvus`."""
    return {
        "id": id_,
        "state_code": 2,
        "start_time": NOW,
        "end_time": NOW,
        "progress": 100,
        "name": name,
        "collection_backups": [hello_backup(id_)],
        "size": BYTES,
        "milvus_version": "v2.3.5-lite",
        "database_backups": [{"db_name": "default"}],
        "meta_size": BYTES,
    }


def refused(msg: Any, code: int = 400) -> dict[str, Any]:
    return {"requestId": UUID, "code": code, "msg": msg, "data": None}


def _refused_field(name: str, value: Any) -> Case:
    return Case(
        f"{name} is refused",
        creating(**{name: value}),
        refused(f"{name}: {NOT_YET}"),
    )


CREATES: Final = [
    Case(
        "the tutorial's first call",
        creating(**{"async": True, "collection_names": ["hello_milvus"]}),
        {
            "requestId": UUID,
            "msg": "create backup is executing asynchronously",
            "data": None,
        },
    ),
    Case(
        "a call that waits gets everything",
        creating(collection_names=["hello_milvus"], **{"async": False}),
        {"requestId": UUID, "msg": "success", "data": whole()},
    ),
    Case(
        "a call without a name gets one",
        Call("POST", CREATE, {"collection_names": ["hello_milvus"]}),
        {"requestId": UUID, "msg": "success", "data": whole(name=MADE_NAME)},
    ),
    Case(
        "the header's id is the backup's",
        Call(
            "POST",
            CREATE,
            {"backup_name": "my_backup", "collection_names": ["hello_milvus"], "requestId": "no"},
            headers={"request_id": "id-1"},
        ),
        {"requestId": "id-1", "msg": "success", "data": whole("id-1")},
    ),
    Case(
        "without a header the body's id is",
        creating(requestId="id-2", collection_names=["hello_milvus"]),
        {"requestId": "id-2", "msg": "success", "data": whole("id-2")},
    ),
    Case(
        "db_collections as an object",
        creating(db_collections={"default": ["hello_milvus"]}),
        {"requestId": UUID, "msg": "success", "data": whole()},
    ),
    Case(
        "db_collections as the text of an object wins over collection_names",
        creating(db_collections='{"default":["hello_milvus"]}', collection_names=["shop.orders"]),
        {"requestId": UUID, "msg": "success", "data": whole()},
    ),
    Case(
        "filter wins over db_collections",
        creating(filter={"default": {"colls": ["*"]}}, db_collections={"shop": []}),
        {"requestId": UUID, "msg": "success", "data": whole()},
    ),
    Case(
        "strategy and format as they are anyway",
        creating(strategy="auto", format="binlog", collection_names=["hello_milvus"]),
        {"requestId": UUID, "msg": "success", "data": whole()},
    ),
    *(
        _refused_field(name, value)
        for name, value in {
            "force": True,
            "meta_only": True,
            "gc_pause_enable": True,
            "gc_pause_seconds": 60,
            "gc_pause_address": "http://localhost:9091",
            "rbac": True,
            "backup_root_path": "elsewhere",
            "with_index_extra": True,
        }.items()
    ),
    Case(
        "a name that is not allowed",
        creating("../other"),
        refused(text("backup_name: '../other' is not allowed")),
    ),
    Case(
        "a name that is taken",
        creating(),
        refused(text("backup 'my_backup' already exists"), 3),
        before=(creating(collection_names=["hello_milvus"]),),
    ),
    Case(
        "a name can be used again after its backup was deleted",
        creating(collection_names=["hello_milvus"]),
        {"requestId": UUID, "msg": "success", "data": whole()},
        before=(
            creating(collection_names=["hello_milvus"]),
            Call("DELETE", f"{API}/delete", query={"backup_name": "my_backup"}),
        ),
    ),
    Case(
        "a collection that is not there",
        creating(collection_names=["gone"]),
        refused(text("gone"), 3),
    ),
    Case(
        "a body that is no JSON",
        Call("POST", CREATE, "{"),
        {"error": "Invalid request body", "detail": "the body is not JSON"},
        status=400,
    ),
    Case(
        "a body of wrong types",
        creating(**{"async": "yes"}),
        {"error": "Invalid request body", "detail": "async: expected true or false"},
        status=400,
    ),
]

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

# --- a backup with everything that the format knows, as the Go tool writes it

_KV: Final = [{"key": "k", "value": "v"}]
_FIELD: Final = {
    "fieldID": 100,
    "name": "pk",
    "is_primary_key": True,
    "description": "the key",
    "data_type": 22,
    "type_params": _KV,
    "index_params": _KV,
    "autoID": True,
    "element_type": 5,
    "is_dynamic": True,
    "is_partition_key": True,
    "nullable": True,
    "default_value_proto": "x",
    "is_function_output": True,
    "default_value_base64": "eA==",
}
_FUNCTION: Final = {
    "name": "bm25",
    "id": 1,
    "description": "d",
    "type": 1,
    "input_field_names": ["text"],
    "input_field_ids": [102],
    "output_field_names": ["sparse"],
    "output_field_ids": [103],
    "params": _KV,
}
_INDEX: Final = {
    "field_name": "v",
    "index_name": "by_v",
    "index_type": "HNSW",
    "params": {"M": "16"},
    "index_id": 449577000000000030,
    "field_id": 101,
    "create_time": 461820030940348422,
    "type_params": _KV,
    "index_params": _KV,
    "user_index_params": _KV,
    "is_auto_index": True,
    "min_index_version": 1,
    "max_index_version": 2,
}
_SCHEMA: Final = {
    "name": "c",
    "description": "d",
    "autoID": True,
    "fields": [_FIELD],
    "enable_dynamic_field": True,
    "properties": _KV,
    "functions": [_FUNCTION],
    "struct_array_fields": [
        {"fieldID": 104, "name": "s", "description": "d", "fields": [{"name": "in"}]}
    ],
}
_SHOWN: Final = {
    "id": "task-1",
    "collection_id": 449577000000000001,
    "db_name": "db1",
    "collection_name": "c",
    "schema": _SCHEMA,
    "shards_num": 2,
    "backup_timestamp": 461820030940348422,
    "size": 5495,
    "has_index": True,
    "index_infos": [_INDEX],
    "load_state": "Loaded",
    "backup_physical_timestamp": 1761703665,
    "channel_checkpoints": {"by-dev-rootcoord-dml_0_449577000000000001v0": "Ci4="},
    "properties": _KV,
}
_HIDDEN: Final = {
    "consistency_level": 2,
    "partition_backups": [
        {
            "partition_id": 449577000000000002,
            "partition_name": "_default",
            "collection_id": 449577000000000001,
            "size": 5495,
        }
    ],
    "l0_segments": [{"segment_id": 1, "partition_id": -1, "size": 0}],
    "db_id": 7,
    "created_timestamp": 461820030940348400,
    "virtual_channel_names": ["v"],
    "physical_channel_names": ["p"],
    "aliases": ["a"],
    "of_a_newer_version": 1,
}
_HEAD: Final = {
    "id": "task-1",
    "state_code": 0,
    "name": "another_name",
    "backup_timestamp": 461820030940348422,
    "size": 5495,
    "milvus_version": "2.5.12",
}
_FULL: Final = {
    **_HEAD,
    "collection_backups": [{**_SHOWN, **_HIDDEN}],
    "rbac_meta": {"users": [{"user": "root", "password": "$2a$10$hash"}]},
    "rpc_channel_info": {"name": "by-dev-replicate-msg", "position": "CgM="},
    "database_backups": [{"db_name": "db1", "db_id": 7, "properties": _KV, "ezk": "secret"}],
}
GO_BACKUP: Final = {
    "id": "task-1",
    "state_code": 2,
    "start_time": NOW,
    "end_time": NOW,
    "progress": 100,
    "name": "go_backup",
    "backup_timestamp": 461820030940348422,
    "collection_backups": [_SHOWN],
    "size": 5495,
    "milvus_version": "2.5.12",
    "rpc_channel_info": {"name": "by-dev-replicate-msg", "position": "CgM="},
    "database_backups": [{"db_name": "db1", "db_id": 7, "properties": _KV}],
    "meta_size": BYTES,
}


async def _put(world: World, name: str, **files: Any) -> None:
    for file, content in files.items():
        key = f"backup/{name}/meta/{file}.json"
        await world.backup_store.put(key, json.dumps(content).encode())


async def put_go_backup(world: World) -> None:
    """Put a backup of the Go tool into the store."""
    await _put(world, "go_backup", backup_meta=_HEAD, full_meta=_FULL)


async def put_snapshot(world: World) -> None:
    """Put a backup of another format into the store."""
    head = {**_HEAD, "format": "snapshot"}
    await _put(world, "snap", backup_meta=head, full_meta={**head, "collection_backups": []})


async def put_half_a_backup(world: World) -> None:
    """Put what a crash leaves into the store."""
    await _put(world, "half", backup_meta=_HEAD)


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
        before=(creating(requestId="id-1", **{"async": True}),),
        prepare=_never_flushed,
    ),
    Case(
        "a name that nothing has",
        Call("GET", GET, query={"backup_name": "nothing"}, headers={"request_id": "r"}),
        {
            "requestId": "r",
            "code": 400,
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
        {"code": 400, "msg": "backup 'my_backup' does not exist", "data": None},
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
            "msg": f"path: {NOT_YET}; bucket_name: {NOT_YET}",
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
        {"requestId": UUID, "code": 400, "msg": "backup 'nothing' does not exist"},
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
CHECK: Final = """\
milvus.user  root

milvus                ok       fake:19530 answers; 2 databases
milvus_version        ok       Milvus v2.3.5-lite; tested: >= 2.3.1, < 2.4.0
milvus_storage        ok       memory://main/a-bucket/files answers
milvus_objects        warning  Milvus has no flushed rows yet: bucket and root path could not be proved
backup_storage        ok       memory://main/a-bucket/backup answers
backup_storage_write  ok       wrote and removed a probe object
transfer              ok       same bucket: the store copies by itself, restores import in place
"""
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
