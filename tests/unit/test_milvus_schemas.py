"""Schemas as the Go tool's backups hold them, to Milvus's messages and back."""

from typing import Any

import pytest

from milvus_backup_server.adapters.milvus.schemas import schema_message, schema_record
from milvus_backup_server.adapters.milvus.stubs import common_pb2, schema_pb2
from milvus_backup_server.domain.errors import BackupCorrupt
from milvus_backup_server.domain.records import CollectionSchema

# The shapes are those of backups that the Go tool's releases 0.5.16 and later made.
ALL_TYPES: dict[str, Any] = {
    "name": "all_types",
    "description": "every type of 2.3",
    "fields": [
        {
            "fieldID": 100,
            "name": "pk",
            "is_primary_key": True,
            "data_type": 21,
            "type_params": [{"key": "max_length", "value": "64"}],
        },
        {
            "fieldID": 101,
            "name": "tenant",
            "data_type": 21,
            "type_params": [{"key": "max_length", "value": "32"}],
            "is_partition_key": True,
        },
        {"fieldID": 102, "name": "f_bool", "data_type": 1},
        {
            "fieldID": 103,
            "name": "f_arrs",
            "data_type": 22,
            "type_params": [
                {"key": "max_length", "value": "32"},
                {"key": "max_capacity", "value": "8"},
            ],
            "element_type": 21,
        },
        {
            "fieldID": 104,
            "name": "v",
            "description": "the vector",
            "data_type": 101,
            "type_params": [{"key": "dim", "value": "16"}],
        },
    ],
    "enable_dynamic_field": True,
}
AUTO_ID: dict[str, Any] = {
    "name": "bin_vec",
    "fields": [
        {"fieldID": 100, "name": "pk", "is_primary_key": True, "data_type": 5, "autoID": True},
        {
            "fieldID": 101,
            "name": "b",
            "data_type": 100,
            "type_params": [{"key": "dim", "value": "64"}],
        },
    ],
}
DEFAULTS: dict[str, Any] = {
    "name": "defaults",
    "fields": [
        {"fieldID": 100, "name": "id", "is_primary_key": True, "data_type": 5},
        {"fieldID": 101, "name": "n", "data_type": 5, "default_value_base64": "GCo="},
        {"fieldID": 102, "name": "s", "data_type": 21, "default_value_base64": "MgRkZmx0"},
        {
            "fieldID": 103,
            "name": "f",
            "data_type": 10,
            "nullable": True,
            "default_value_base64": "JQAAwD8=",
        },
        {"fieldID": 104, "name": "b", "data_type": 1, "default_value_base64": "CAE="},
        {"fieldID": 105, "name": "d", "data_type": 11, "default_value_base64": "KQAAAAAAAALA"},
    ],
    "properties": [{"key": "timezone", "value": "UTC"}],
}
STRUCTS: dict[str, Any] = {
    "name": "struct_arr",
    "fields": [
        {"fieldID": 100, "name": "id", "is_primary_key": True, "data_type": 5},
        {"fieldID": 101, "name": "v", "data_type": 101},
    ],
    "struct_array_fields": [
        {
            "fieldID": 102,
            "name": "items",
            "fields": [{"fieldID": 103, "name": "a", "data_type": 22, "element_type": 5}],
            "type_params": [{"key": "max_capacity", "value": "8"}],
            "nullable": True,
        }
    ],
    "functions": [
        {
            "name": "bm25",
            "id": 1,
            "type": 1,
            "input_field_names": ["id"],
            "input_field_ids": [100],
            "output_field_names": ["v"],
            "output_field_ids": [101],
            "params": [{"key": "k1", "value": "1.2"}],
        }
    ],
}


def schema(*fields: dict[str, Any], dynamic: bool = False) -> CollectionSchema:
    values = {"name": "c", "fields": list(fields), "enable_dynamic_field": dynamic}
    return CollectionSchema.from_json(values)


@pytest.mark.parametrize(
    "values", [ALL_TYPES, AUTO_ID, DEFAULTS, STRUCTS], ids=lambda it: str(it["name"])
)
def test_comes_back_as_it_was(values: dict[str, Any]) -> None:
    there = schema_message(values["name"], CollectionSchema.from_json(values))
    again = schema_pb2.CollectionSchema.FromString(there.SerializeToString())
    assert schema_record(again).to_json() == values


def test_default_values_are_messages() -> None:
    message = schema_message("defaults", CollectionSchema.from_json(DEFAULTS))
    fields = {field.name: field for field in message.fields}
    assert not fields["id"].HasField("default_value")
    assert fields["n"].default_value.long_data == 42
    assert fields["s"].default_value.string_data == "dflt"
    assert fields["f"].default_value.float_data == 1.5
    assert fields["b"].default_value.bool_data is True
    assert fields["d"].default_value.double_data == -2.25


def test_a_default_value_of_an_old_release_is_read() -> None:
    field = {"fieldID": 100, "name": "s", "data_type": 21, "default_value_proto": "2\x04dflt"}
    message = schema_message("c", schema(field))
    assert message.fields[0].default_value.string_data == "dflt"


def test_a_damaged_default_value_is_reported() -> None:
    field = {"fieldID": 100, "name": "n", "data_type": 5, "default_value_base64": "%%%"}
    with pytest.raises(BackupCorrupt, match="field n"):
        schema_message("c", schema(field))


def test_takes_the_name_asked_for() -> None:
    assert schema_message("other", CollectionSchema.from_json(AUTO_ID)).name == "other"


def test_leaves_out_the_fields_of_milvus() -> None:
    message = schema_pb2.CollectionSchema(
        name="c",
        fields=[
            schema_pb2.FieldSchema(fieldID=1, name="Timestamp"),
            schema_pb2.FieldSchema(fieldID=100, name="pk"),
            schema_pb2.FieldSchema(fieldID=101, name="$meta", is_dynamic=True),
        ],
    )
    assert [field.name for field in schema_record(message).fields] == ["pk"]


def test_the_dynamic_field_is_not_sent() -> None:
    message = schema_message(
        "c",
        schema(
            {"fieldID": 100, "name": "pk"},
            {"fieldID": 101, "name": "$meta", "is_dynamic": True},
            dynamic=True,
        ),
    )
    assert [field.name for field in message.fields] == ["pk"]
    assert message.enable_dynamic_field


def test_fields_without_numbers_keep_their_order() -> None:
    message = schema_message("c", schema({"name": "pk"}, {"name": "v"}))
    assert [field.name for field in message.fields] == ["pk", "v"]


def test_classes_are_those_of_pymilvus() -> None:
    from pymilvus.grpc_gen import common_pb2 as theirs  # noqa: PLC0415 - loads all of pymilvus

    assert theirs.KeyValuePair is common_pb2.KeyValuePair


def test_a_clustering_key_goes_both_ways() -> None:
    message = schema_pb2.CollectionSchema(name="c")
    message.fields.add(fieldID=100, name="pk", is_primary_key=True, data_type=5)
    message.fields.add(fieldID=101, name="ck", data_type=5, is_clustering_key=True)
    record = schema_record(message)
    assert [field.get("is_clustering_key") for field in record.to_json()["fields"]] == [None, True]
    again = schema_message("c", CollectionSchema.from_json(record.to_json()))
    assert [field.is_clustering_key for field in again.fields] == [False, True]
