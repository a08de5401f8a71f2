"""Every field of the Go tool's tables stands in our records, under its key and with its type.

The tables below are written by hand from the Go tool's `backup.proto`. `I` is an integer, `S` a
string, `B` true or false; `[x]` a list, `{x}` a map from strings, `*` anything; `!` behind a type
marks a key that is written also when it is zero.
"""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from milvus_backup_server.domain import records
from milvus_backup_server.domain.record_codec import Record

TABLES = {
    "BackupInfo": """
        id S, state_code I!, name S, backup_timestamp I, size I!, milvus_version S, rbac_meta {*},
        rpc_channel_info {*}, database_backups [DatabaseBackupInfo], flush_all_msgs_base64 {S},
        control_channel_name S, physical_channel_names [S], format S""",
    "DatabaseBackupInfo": "db_name S, db_id I, properties [KeyValue], ezk S",
    "KeyValue": "key S, value S",
    "CollectionBackupInfo": """
        id S, collection_id I, db_name S, collection_name S, schema CollectionSchema, shards_num I,
        consistency_level I, partition_backups [PartitionBackupInfo], backup_timestamp I, size I!,
        has_index B!, index_infos [IndexInfo], load_state S, backup_physical_timestamp I,
        channel_checkpoints {S}, l0_segments [SegmentBackupInfo], properties [KeyValue], db_id I,
        created_timestamp I, virtual_channel_names [S], physical_channel_names [S], aliases [S],
        snapshot_backup {*}""",
    "PartitionBackupInfo": """
        partition_id I, partition_name S, collection_id I, segment_backups [SegmentBackupInfo],
        size I!, load_state S""",
    "SegmentBackupInfo": """
        segment_id I, collection_id I, partition_id I, num_of_rows I, binlogs [FieldBinlog],
        statslogs [FieldBinlog], deltalogs [FieldBinlog], size I!, group_id I, backuped B, is_l0 B,
        v_channel S, storage_version I""",
    "FieldBinlog": "fieldID I, binlogs [Binlog]",
    "Binlog": """
        entries_num I, timestamp_from I, timestamp_to I, log_path S, log_size I!, log_id I""",
    "IndexInfo": "field_name S, index_name S, index_type S, params {S}, index_id I",
    "CollectionSchema": """
        name S, description S, autoID B, fields [FieldSchema], enable_dynamic_field B,
        properties [KeyValue], functions [FunctionSchema],
        struct_array_fields [StructArrayFieldSchema]""",
    "FieldSchema": """
        fieldID I, name S, is_primary_key B, description S, data_type I, type_params [KeyValue],
        index_params [KeyValue], autoID B, state I, element_type I, is_dynamic B,
        is_partition_key B, nullable B, default_value_proto S, is_function_output B,
        default_value_base64 S""",
    "StructArrayFieldSchema": "fieldID I, name S, description S, fields [FieldSchema]",
    "FunctionSchema": """
        name S, id I, description S, type I, input_field_names [S], input_field_ids [I],
        output_field_names [S], output_field_ids [I], params [KeyValue]""",
}

# Not fields of ours, but not lost either: a record keeps unknown keys and writes them back.
KEPT_AS_THEY_ARE = {
    "BackupInfo": {"collection_backups"},  # read and written one by one
    "IndexInfo": {  # what the Go tool finds in etcd
        "field_id",
        "create_time",
        "type_params",
        "index_params",
        "user_index_params",
        "is_auto_index",
        "min_index_version",
        "max_index_version",
    },
    "FieldSchema": {"default_value"},  # cannot be decoded from JSON
}

_LETTERS = {int: "I", str: "S", bool: "B", Any: "*"}


def shape(kind: Any) -> str:
    if get_origin(kind) in (Union, types.UnionType):
        return shape(next(arg for arg in get_args(kind) if arg is not type(None)))
    if get_origin(kind) is tuple:
        return f"[{shape(get_args(kind)[0])}]"
    if get_origin(kind) is Mapping:
        return f"{{{shape(get_args(kind)[1])}}}"
    return _LETTERS[kind] if kind in _LETTERS else str(kind.__name__)


def declared(record: type[Record]) -> dict[str, str]:
    hints = get_type_hints(record)
    return {
        field.metadata["json_key"]: shape(hints[field.name]) + "!" * field.metadata["always"]
        for field in dataclasses.fields(record)
        if "json_key" in field.metadata
    }


def table(name: str) -> dict[str, str]:
    rows = (row.split() for row in TABLES[name].split(","))
    return {key: kind for key, kind in rows}  # noqa: C416 - checks that each row has two words


@pytest.mark.parametrize("name", TABLES)
def test_a_record_has_the_keys_and_types_of_its_table(name: str) -> None:
    assert declared(getattr(records, name)) == table(name)


@pytest.mark.parametrize("name", TABLES)
def test_a_record_writes_its_keys_in_the_order_of_its_table(name: str) -> None:
    assert list(declared(getattr(records, name))) == list(table(name))


def test_every_record_has_a_table() -> None:
    ours = {
        name
        for name, kind in vars(records).items()
        if isinstance(kind, type) and issubclass(kind, Record) and kind is not Record
    }
    assert ours == set(TABLES)


@pytest.mark.parametrize("name", KEPT_AS_THEY_ARE)
def test_keys_beside_the_table_are_written_back(name: str) -> None:
    record: type[Record] = getattr(records, name)
    values = {key: [{"x": 1}] for key in KEPT_AS_THEY_ARE[name]}
    assert values.items() <= record.from_json(values).to_json().items()
