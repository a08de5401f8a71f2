"""Every route and field of the Go tool's HTTP API, written by hand from its reference.

Fields are paths: `a.b` is key `b` in object `a`, `a[]` an item of list `a`, `a.*` the value of any key.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Row:
    """One route.

    Attributes:
        headers: that it reads.
        query: parameters that it reads.
        body: what a request may hold.
        answer: what an answer of HTTP status 200 may hold.
        refused: what an answer of another status may hold.
        text: whether an answer of HTTP status 200 is text.
    """

    headers: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    text: bool = False


def below(path: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{path}.{name}" for name in names)


KEY_VALUE: Final = ("key", "value")
FIELD: Final = (
    "fieldID",
    "name",
    "is_primary_key",
    "description",
    "data_type",
    *below("type_params[]", *KEY_VALUE),
    *below("index_params[]", *KEY_VALUE),
    "autoID",
    "element_type",
    "is_dynamic",
    "is_partition_key",
    "nullable",
    "default_value_proto",
    "is_function_output",
    "default_value_base64",
)
FUNCTION: Final = (
    "name",
    "id",
    "description",
    "type",
    "input_field_names[]",
    "input_field_ids[]",
    "output_field_names[]",
    "output_field_ids[]",
    *below("params[]", *KEY_VALUE),
)
SCHEMA: Final = (
    "name",
    "description",
    "autoID",
    *below("fields[]", *FIELD),
    "enable_dynamic_field",
    *below("properties[]", *KEY_VALUE),
    *below("functions[]", *FUNCTION),
    *below("struct_array_fields[]", "fieldID", "name", "description", "fields[].name"),
)
INDEX: Final = (
    "field_name",
    "index_name",
    "index_type",
    "params.*",
    "index_id",
    "field_id",
    "create_time",
    *below("type_params[]", *KEY_VALUE),
    *below("index_params[]", *KEY_VALUE),
    *below("user_index_params[]", *KEY_VALUE),
    "is_auto_index",
    "min_index_version",
    "max_index_version",
)
COLLECTION: Final = (
    "id",
    "collection_id",
    "db_name",
    "collection_name",
    *below("schema", *SCHEMA),
    "shards_num",
    "backup_timestamp",
    "size",
    "has_index",
    *below("index_infos[]", *INDEX),
    "load_state",
    "backup_physical_timestamp",
    "channel_checkpoints.*",
    *below("properties[]", *KEY_VALUE),
)
BACKUP: Final = (
    "id",
    "state_code",
    "errorMessage",
    "start_time",
    "end_time",
    "progress",
    "name",
    "backup_timestamp",
    *below("collection_backups[]", *COLLECTION),
    "size",
    "milvus_version",
    *below("rpc_channel_info", "name", "position"),
    *below("database_backups[]", "db_name", "db_id", *below("properties[]", *KEY_VALUE)),
    "meta_size",
    "format",
)
RESTORE: Final = (
    "id",
    "state_code",
    "errorMessage",
    "start_time",
    "end_time",
    "progress",
    *below(
        "collection_restore_tasks[]",
        # `id` is always empty, so it is always left out
        "state_code",
        "errorMessage",
        "start_time",
        "end_time",
        "progress",
        "target_db_name",
        "target_collection_name",
    ),
)
ENVELOPE: Final = ("requestId", "code", "msg")
PLAN: Final = (
    *below("mapping[]", "source", "target", "withProp"),
    *below("mapping[].colls[]", "source", "target", "override.shardNum", "override.description"),
    "filter.*.colls[]",
)

REFERENCE: Final = {
    "GET /": Row(text=True),
    "POST /": Row(text=True),
    "GET /api/v1/hello": Row(text=True),
    "POST /api/v1/create": Row(
        headers=("request_id",),
        body=(
            "requestId",
            "backup_name",
            "collection_names[]",
            "async",
            "db_collections",  # the text of an object
            "db_collections.*[]",
            "force",
            "meta_only",
            "gc_pause_enable",
            "gc_pause_seconds",
            "gc_pause_address",
            "rbac",
            "backup_root_path",
            "filter.*.colls[]",
            "strategy",
            "with_index_extra",
            "format",
        ),
        answer=(*ENVELOPE, "data", "data.id", "data.collection_backups[].collection_name"),
        refused=("error",),
    ),
    "GET /api/v1/list": Row(
        headers=("request_id",),
        query=("collection_name",),
        answer=(*ENVELOPE, "data", *below("data[]", "id", "name", "size", "milvus_version")),
    ),
    "GET /api/v1/get_backup": Row(
        headers=("request_id",),
        query=("backup_name", "backup_id", "path", "bucket_name"),
        answer=(*ENVELOPE, "data", *below("data", *BACKUP)),
    ),
    "DELETE /api/v1/delete": Row(headers=("request_id",), query=("backup_name",), answer=ENVELOPE),
    "POST /api/v1/restore": Row(
        body=(
            "requestId",
            "id",
            "backup_name",
            "collection_names[]",
            "collection_suffix",
            "collection_renames.*",
            "async",
            "bucket_name",
            "path",
            "db_collections",  # the text of an object
            "db_collections.*[]",
            "metaOnly",
            "restoreIndex",
            "useAutoIndex",
            "dropExistCollection",
            "dropExistIndex",
            "skipCreateCollection",
            "skipImportDiskQuotaCheck",
            "rbac",
            "maxShardNum",
            *below(
                "skipParams",
                "collectionProperties[]",
                "fieldIndexParams[]",
                "fieldTypeParams[]",
                "indexParams[]",
            ),
            "useV2Restore",
            "truncateBinlogByTs",
            "db_collections_after_rename",  # the text of an object
            "db_collections_after_rename.*[]",
            *below("restorePlan", *PLAN),
            "ezkMapping.*",
        ),
        answer=(*ENVELOPE, "data", *below("data", "id", "collection_restore_tasks[].state_code")),
        refused=("error",),
    ),
    "GET /api/v1/get_restore": Row(
        headers=("request_id",),
        query=("id",),
        answer=(*ENVELOPE, "data", *below("data", *RESTORE)),
    ),
    "POST /api/v1/restore_secondary": Row(
        body=("requestId", "backup_name", "sourceClusterID", "targetClusterID", "async", "path"),
        answer=(*ENVELOPE, "data"),
        refused=("error",),
    ),
    "GET /api/v1/check": Row(text=True, refused=("error",)),
    "GET /api/v1/docs/index.html": Row(text=True),
}
