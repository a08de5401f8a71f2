"""A collection of a backup as the contract shows it: all of it, within the bounds of a message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup.v1.backup_pb2 import (
    BackupCollection,
    BackupField,
    BackupFunction,
    BackupIndex,
    BackupPartition,
    BackupStructField,
    Property,
)
from milvus_backup_server.api.mapping_collections import collection_message
from milvus_backup_server.api.room import Room
from milvus_backup_server.api.texts import MAX_BODY_BYTES
from milvus_backup_server.domain.backups import BackupCollectionSummary
from milvus_backup_server.domain.records import CollectionBackupInfo
from tests.support.fixtures import metadata

LONG = "ü" * 5000
MOMENT = (1_714_521_600_123 << 18) | 5
"""2024-05-01T00:00:00.123Z is 1714521600123 ms; the counter is 5."""

RECORDED = {
    "id": "task",
    "collection_id": 449577000000000001,
    "db_name": "shop",
    "collection_name": "orders",
    "schema": {
        "name": "orders",
        "description": "all orders",
        "autoID": True,
        "fields": [
            {
                "fieldID": 100,
                "name": "pk",
                "is_primary_key": True,
                "description": "the key",
                "data_type": 5,
                "autoID": True,
            },
            {
                "fieldID": 101,
                "name": "tags",
                "data_type": 22,
                "element_type": 21,
                "type_params": [{"key": "max_capacity", "value": "10"}],
                "nullable": True,
                "default_value_base64": "GCo=",
            },
            {
                "fieldID": 102,
                "name": "v",
                "data_type": 101,
                "type_params": [{"key": "dim", "value": "8"}],
                "index_params": [{"key": "metric_type", "value": "L2"}],
                "is_function_output": True,
            },
            {"fieldID": 103, "name": "tenant", "data_type": 21, "is_partition_key": True},
            {"fieldID": 104, "name": "$meta", "data_type": 23, "is_dynamic": True},
            {"fieldID": 105, "name": "new", "data_type": 999},
        ],
        "enable_dynamic_field": True,
        "properties": [{"key": "timezone", "value": "UTC"}],
        "functions": [
            {
                "name": "bm25",
                "id": 7,
                "description": "words",
                "type": 1,
                "input_field_names": ["text"],
                "input_field_ids": [106],
                "output_field_names": ["v"],
                "output_field_ids": [102],
                "params": [{"key": "k1", "value": "1.2"}],
            }
        ],
        "struct_array_fields": [
            {
                "fieldID": 107,
                "name": "items",
                "description": "of an order",
                "fields": [{"fieldID": 108, "name": "a", "data_type": 22, "element_type": 5}],
            }
        ],
    },
    "shards_num": 2,
    "consistency_level": 2,
    "partition_backups": [
        {"partition_id": 11, "partition_name": "_default", "size": 7, "load_state": "Loaded"},
        {"partition_id": 12, "partition_name": "p", "size": 0},
    ],
    "backup_timestamp": 461820030940348422,
    "size": 5495,
    "has_index": True,
    "index_infos": [
        {
            "field_name": "v",
            "index_name": "by_v",
            "index_type": "HNSW",
            "params": {"M": "16", "metric_type": "L2"},
            "index_id": 30,
        }
    ],
    "load_state": "Loaded",
    "backup_physical_timestamp": 1761703665,
    "channel_checkpoints": {"dml_0_1v0": "Ci=="},
    "properties": [{"key": "collection.ttl.seconds", "value": "86400"}],
    "db_id": 3,
    "created_timestamp": 461820030940348421,
    "virtual_channel_names": ["dml_0_1v0"],
    "physical_channel_names": ["dml_0"],
    "aliases": ["first"],
}
SHOWN = BackupCollection(
    database="shop",
    name="orders",
    collection_id=449577000000000001,
    row_count=4,
    size_bytes=5495,
    segment_count=3,
    partition_count=2,
    shard_count=2,
    indexes=["by_v"],
    aliases=["first"],
    load_state="Loaded",
    moment=MOMENT,
    fields=[
        BackupField(
            name="pk",
            data_type="Int64",
            data_type_code=5,
            primary_key=True,
            field_id=100,
            description="the key",
            auto_id=True,
        ),
        BackupField(
            name="tags",
            data_type="Array",
            data_type_code=22,
            field_id=101,
            nullable=True,
            element_type="VarChar",
            element_type_code=21,
            type_params=[Property(key="max_capacity", value="10")],
            default_value_base64="GCo=",
        ),
        BackupField(
            name="v",
            data_type="FloatVector",
            data_type_code=101,
            field_id=102,
            function_output=True,
            type_params=[Property(key="dim", value="8")],
            index_params=[Property(key="metric_type", value="L2")],
        ),
        BackupField(
            name="tenant",
            data_type="VarChar",
            data_type_code=21,
            field_id=103,
            partition_key=True,
        ),
        BackupField(name="$meta", data_type="JSON", data_type_code=23, field_id=104, dynamic=True),
        BackupField(name="new", data_type="DataType(999)", data_type_code=999, field_id=105),
    ],
    description="all orders",
    auto_id=True,
    enable_dynamic_field=True,
    struct_fields=[
        BackupStructField(
            name="items",
            field_id=107,
            description="of an order",
            fields=[
                BackupField(
                    name="a",
                    data_type="Array",
                    data_type_code=22,
                    field_id=108,
                    element_type="Int64",
                    element_type_code=5,
                )
            ],
        )
    ],
    functions=[
        BackupFunction(
            name="bm25",
            function_id=7,
            description="words",
            type=1,
            input_field_names=["text"],
            input_field_ids=[106],
            output_field_names=["v"],
            output_field_ids=[102],
            params=[Property(key="k1", value="1.2")],
        )
    ],
    index_infos=[
        BackupIndex(
            field_name="v",
            name="by_v",
            index_type="HNSW",
            params={"M": "16", "metric_type": "L2"},
            index_id=30,
        )
    ],
    properties=[Property(key="collection.ttl.seconds", value="86400")],
    schema_properties=[Property(key="timezone", value="UTC")],
    partitions=[
        BackupPartition(name="_default", partition_id=11, size_bytes=7, load_state="Loaded"),
        BackupPartition(name="p", partition_id=12),
    ],
    consistency_level=2,
    backup_timestamp=461820030940348422,
    backup_physical_timestamp=1761703665,
    channel_checkpoints={"dml_0_1v0": "Ci=="},
    created_timestamp=461820030940348421,
    database_id=3,
    virtual_channels=["dml_0_1v0"],
    physical_channels=["dml_0"],
)
SHOWN.moment_time.FromJsonString("2024-05-01T00:00:00.123Z")


def shown(**changes: Any) -> BackupCollection:
    record = CollectionBackupInfo.from_json(RECORDED | changes)
    return collection_message(BackupCollectionSummary(record, 4, 3, MOMENT))


def test_everything_that_was_recorded_is_shown() -> None:
    assert shown() == SHOWN


def test_no_field_of_the_contract_is_forgotten() -> None:
    filled = {field.name for field, _ in SHOWN.ListFields()}
    declared = {field.name for field in BackupCollection.DESCRIPTOR.fields}
    assert declared - filled == {"truncated"}
    fields = {field.name for one in SHOWN.fields for field, _ in one.ListFields()}
    assert fields == {field.name for field in BackupField.DESCRIPTOR.fields}


def test_of_early_go_tools_the_database_is_the_default_one() -> None:
    assert shown(db_name="").database == "default"


def test_without_a_schema_and_a_moment_there_are_none() -> None:
    message = collection_message(BackupCollectionSummary(CollectionBackupInfo()))
    assert not message.HasField("moment")
    assert not message.HasField("moment_time")
    assert message == BackupCollection(database="default")


@pytest.mark.parametrize(
    "archive",
    ["fx_go_0_3_3", "fx_go_0_5_16", "fx_mv_2_5_27", "fx_mv_2_6_18", "fx_mv_2_6_18_types"],
)
def test_nothing_of_real_backups_is_cut(archive: str) -> None:
    for recorded in metadata(archive)["collection_backups"]:
        record = CollectionBackupInfo.from_json(recorded)
        message = collection_message(BackupCollectionSummary(record))
        assert not message.truncated
        assert len(message.fields) == len(recorded["schema"]["fields"])


MANY = 30_000
TOO_MUCH: dict[str, dict[str, Any]] = {
    "fields": {"schema": {"fields": [{"name": f"f{n}_{LONG}"} for n in range(MANY // 10)]}},
    "fields of a struct": {
        "schema": {"struct_array_fields": [{"fields": [{"name": LONG}] * (MANY // 10)}]}
    },
    "parameters of a field": {
        "schema": {"fields": [{"type_params": [{"key": "k", "value": "v"}] * MANY}]}
    },
    "a default value": {"schema": {"fields": [{"default_value_base64": "A" * 10_000_000}]}},
    "the description": {"schema": {"description": LONG * 100}},
    "functions": {"schema": {"functions": [{"input_field_names": [LONG] * MANY}]}},
    "index parameters": {"index_infos": [{"params": {f"{n}": "x" * 100 for n in range(MANY)}}]},
    "partitions": {"partition_backups": [{"partition_name": "p" * 40}] * MANY},
    "aliases": {"aliases": ["a" * 40] * MANY},
    "checkpoints": {"channel_checkpoints": {f"channel{n}": "x" * 40 for n in range(MANY)}},
    "properties": {"properties": [{"key": "k" * 20, "value": "v" * 20}] * MANY},
}


@pytest.mark.parametrize("changes", TOO_MUCH.values(), ids=TOO_MUCH)
def test_what_is_too_much_for_a_message_is_cut_and_said_to_be(changes: dict[str, Any]) -> None:
    message = shown(**changes)
    assert message.truncated
    assert message.ByteSize() <= MAX_BODY_BYTES
    assert message.name == "orders"


def test_everything_at_once_is_too_much_too() -> None:
    schemas = [changes.get("schema", {}) for changes in TOO_MUCH.values()]
    schema = {key: value for part in schemas for key, value in part.items()}
    changes = {key: value for part in TOO_MUCH.values() for key, value in part.items()}
    assert shown(**changes | {"schema": schema}).ByteSize() <= MAX_BODY_BYTES


@pytest.mark.parametrize("number", [-(2**70), -1, 2**64 - 1, 2**200])
def test_numbers_of_damaged_metadata_are_shown_as_far_as_they_go(number: int) -> None:
    record = CollectionBackupInfo.from_json(
        {key: number if isinstance(value, int) else value for key, value in RECORDED.items()}
        | {"has_index": True}
    )
    message = collection_message(BackupCollectionSummary(record, number, number, number))
    assert message.row_count == message.size_bytes == max(-(2**63), min(number, 2**63 - 1))
    assert message.shard_count == max(-(2**31), min(number, 2**31 - 1))
    assert message.moment == message.backup_timestamp == max(0, min(number, 2**64 - 1))


@given(st.lists(st.text(max_size=30)), st.integers(0, 300))
def test_a_room_takes_what_fits_in_order(texts: list[str], size: int) -> None:
    room = Room(size)
    taken = room.texts(texts)
    assert taken == texts[: len(taken)]
    assert sum(len(text.encode()) for text in taken) <= size
    assert room.cut == (len(taken) < len(texts))
