"""Backups that this service did not make, as they lie in a store, and what is told of them.

The first has everything that the Go tool's format knows.
"""

import json
from typing import Any, Final

from tests.support.http_cases import BYTES, NOW
from tests.support.service import World

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
