"""Cases of `/create`."""

from collections.abc import Mapping
from typing import Any, Final

from tests.support.http_cases import API, BYTES, MADE_NAME, NOW, UUID, Call, Case, Like, text

CREATE: Final = f"{API}/create"
NOT_YET: Final = "is not supported yet"
NOT_ALLOWED: Final = "'x' is not what the operator allows (service.storage.allowedPlaces)"


_LARGE: Final = Like("<id>", lambda value: type(value) is int and value > 1 << 53)


def creating(name: str = "my_backup", more: Mapping[str, Any] | None = None, **fields: Any) -> Call:
    """Return a call of `/create`; `more` has the fields whose names Python keeps for itself."""
    return Call("POST", CREATE, {"backup_name": name, **fields, **(more or {})})


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


def _without_rows() -> dict[str, Any]:
    """What is told of a backup of the collection `hello_milvus` without its rows."""
    collection = {**hello_backup(UUID), "size": 0}
    del collection["backup_physical_timestamp"]
    return {**whole(), "collection_backups": [collection], "size": 0}


def refused(msg: Any, code: int = 400) -> dict[str, Any]:
    return {"requestId": UUID, "code": code, "msg": msg, "data": None}


CREATES: Final = [
    Case(
        "the tutorial's first call",
        creating(more={"async": True}, collection_names=["hello_milvus"]),
        {
            "requestId": UUID,
            "msg": "create backup is executing asynchronously",
            "data": None,
        },
    ),
    Case(
        "a call that waits gets everything",
        creating(more={"async": False}, collection_names=["hello_milvus"]),
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
    Case(
        "a backup without rows",
        creating(meta_only=True, collection_names=["hello_milvus"]),
        {"requestId": UUID, "msg": "success", "data": _without_rows()},
    ),
    Case(
        "strategy wins over force",
        creating(force=True, strategy="meta_only", collection_names=["hello_milvus"]),
        {"requestId": UUID, "msg": "success", "data": _without_rows()},
    ),
    Case(
        "a pause of the garbage collection where the settings say, which this Milvus cannot do",
        creating(
            gc_pause_enable=True,
            gc_pause_seconds=60,
            gc_pause_address="http://localhost:9091",
            collection_names=["hello_milvus"],
        ),
        {"requestId": UUID, "msg": "success", "data": whole()},
    ),
    Case(
        "a pause at another address",
        creating(gc_pause_address="http://169.254.169.254"),
        refused(
            "gc_pause_address: is not the address of the settings (milvus.management.endpoint), and "
            "no other is asked"
        ),
    ),
    Case(
        "one flush of everything, which this Milvus cannot do",
        creating(strategy="bulk_flush"),
        refused(text("the strategy bulk_flush needs Milvus 2.6.11 or later"), 3),
    ),
    Case(
        "users and roles, which this Milvus cannot tell",
        creating(rbac=True),
        refused(text("backing up users, roles and grants needs Milvus 2.4.9 or later"), 3),
    ),
    Case(
        "what only a restore into a secondary cluster needs",
        creating(with_index_extra=True),
        refused(text("with_index_extra: is refused: only restores into a secondary cluster need")),
    ),
    Case(
        "single partitions",
        creating(partitions={"hello_milvus": ["_default"]}),
        {"requestId": UUID, "msg": "success", "data": whole()},
    ),
    Case(
        "a partition that is not there",
        creating(partitions={"hello_milvus": ["_default", "gone"]}),
        refused(text("hello_milvus/gone"), 3),
    ),
    Case(
        "partitions of no collection",
        creating(partitions={"hello.*": ["_default"], "b": [""]}),
        refused(text("partitions.hello.*: 'hello.*' is not understood")),
    ),
    *(
        Case(
            f"a {name} that the operator does not allow",
            creating(more={name: "x"}),
            refused(text(f"{name}: {NOT_ALLOWED}")),
        )
        for name in ("backup_root_path", "bucket_name")
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
        creating(more={"async": "yes"}),
        {"error": "Invalid request body", "detail": "async: expected true or false"},
        status=400,
    ),
]
