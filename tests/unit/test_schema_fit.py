"""Whether a collection that exists can take the rows of one of a backup, field by field."""

from dataclasses import replace
from typing import Any

import pytest

from milvus_backup_server.domain.milvus import CollectionDescription, CollectionName
from milvus_backup_server.domain.records import (
    CollectionSchema,
    FieldSchema,
    IndexInfo,
    KeyValue,
    StructArrayFieldSchema,
)
from milvus_backup_server.domain.schema_fit import (
    index_differences,
    partition_differences,
    schema_differences,
)
from milvus_backup_server.domain.target_collection import TargetCollection

PK = FieldSchema(field_id=100, name="pk", is_primary_key=True, data_type=5)
TEXT = FieldSchema(
    field_id=101,
    name="t",
    data_type=21,
    type_params=(KeyValue(key="max_length", value="20"),),
)
VECTOR = FieldSchema(
    field_id=102, name="v", data_type=101, type_params=(KeyValue(key="dim", value="8"),)
)
NUMBERS = FieldSchema(
    field_id=103,
    name="n",
    data_type=22,
    element_type=5,
    type_params=(KeyValue(key="max_capacity", value="4"),),
)
STRUCT = StructArrayFieldSchema(
    name="s", field_id=104, fields=(replace(VECTOR, name="e", field_id=105),)
)
SCHEMA = CollectionSchema(fields=(PK, TEXT, VECTOR, NUMBERS))


def changed(number: int, **fields: Any) -> CollectionSchema:
    found = list(SCHEMA.fields)
    found[number] = replace(found[number], **fields)
    return replace(SCHEMA, fields=tuple(found))


def param(key: str, value: str) -> tuple[KeyValue, ...]:
    return (KeyValue(key=key, value=value),)


@pytest.mark.parametrize(
    "there",
    [
        SCHEMA,
        replace(SCHEMA, name="other", description="other", fields=tuple(reversed(SCHEMA.fields))),
        changed(1, description="x", type_params=param("max_length", "21")),
        changed(2, type_params=(*param("dim", "8"), KeyValue(key="mmap.enabled", value="true"))),
        changed(3, type_params=param("max_capacity", "5")),
    ],
)
def test_what_fits(there: CollectionSchema) -> None:
    assert list(schema_differences(SCHEMA, there)) == []


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (replace(SCHEMA, enable_dynamic_field=True), ["it has a dynamic field"]),
        (replace(SCHEMA, fields=SCHEMA.fields[:3]), ["it has no field 'n'"]),
        (
            replace(SCHEMA, fields=(*SCHEMA.fields, replace(PK, name="x", field_id=104))),
            ["it has a field 'x' that the backup has not"],
        ),
        (changed(1, field_id=105), ["its field 't' has the id 105, not 101"]),
        (changed(2, data_type=100), ["its field 'v' is BinaryVector, not FloatVector"]),
        (changed(3, element_type=21), ["the elements of its field 'n' are of another type"]),
        (changed(0, is_primary_key=False), ["its field 'pk' is not the primary key"]),
        (changed(1, is_partition_key=True), ["its field 't' is the partition key"]),
        (changed(0, auto_id=True), ["its field 'pk' makes its own ids"]),
        (changed(1, nullable=True), ["its field 't' may be null"]),
        (changed(2, type_params=param("dim", "16")), ["its field 'v' has dim 16, not 8"]),
        (
            changed(1, type_params=param("max_length", "19")),
            ["its field 't' has max_length 19, not 20"],
        ),
        (changed(3, type_params=()), ["its field 'n' has max_capacity unset, not 4"]),
        (
            replace(SCHEMA, struct_array_fields=(STRUCT,)),
            [
                "it has a field 's' that the backup has not",
                "it has a field 's[e]' that the backup has not",
            ],
        ),
    ],
)
def test_what_does_not(there: CollectionSchema, told: list[str]) -> None:
    assert list(schema_differences(SCHEMA, there)) == told


WITH_STRUCT = replace(SCHEMA, struct_array_fields=(STRUCT,))


@pytest.mark.parametrize(
    ("struct", "told"),
    [
        (STRUCT, []),
        (replace(STRUCT, field_id=106), ["its field 's' has the id 106, not 104"]),
        (
            replace(STRUCT, fields=(replace(STRUCT.fields[0], field_id=107),)),
            ["its field 's[e]' has the id 107, not 105"],
        ),
        (
            replace(STRUCT, fields=(replace(STRUCT.fields[0], type_params=param("dim", "4")),)),
            ["its field 's[e]' has dim 4, not 8"],
        ),
        (replace(STRUCT, fields=()), ["it has no field 's[e]'"]),
    ],
)
def test_arrays_of_structs(struct: StructArrayFieldSchema, told: list[str]) -> None:
    there = replace(SCHEMA, struct_array_fields=(struct,))
    assert list(schema_differences(WITH_STRUCT, there)) == told


def test_a_dynamic_field_that_is_missing_is_told_too() -> None:
    wanted = replace(SCHEMA, enable_dynamic_field=True)
    assert list(schema_differences(wanted, SCHEMA)) == ["it has no dynamic field"]


def made(partition_count: int = 0, *indexes: IndexInfo) -> TargetCollection:
    return TargetCollection(
        schema=SCHEMA,
        shard_count=1,
        consistency_level=0,
        properties=(),
        partition_count=partition_count,
        partitions=(),
        indexes=indexes,
    )


@pytest.mark.parametrize(
    ("wanted", "count", "told"),
    [
        (0, 1, []),
        (4, 4, []),
        (4, 16, ["its key has 16 partitions, that of the backup 4"]),
    ],
)
def test_the_partitions_of_a_key(wanted: int, count: int, told: list[str]) -> None:
    there = CollectionDescription(
        CollectionName("default", "c"), 1, SCHEMA, 1, 0, partition_count=count
    )
    assert list(partition_differences(made(wanted), there)) == told


FLAT = IndexInfo(field_name="v", index_name="i", index_type="FLAT", params={"metric_type": "L2"})
IN_THE_WAY = ["its field 'v' has another index, {!r}; drop_existing_indexes removes it"]


def test_indexes_of_paths_in_one_field_are_not_in_each_other_s_way() -> None:
    paths = [
        IndexInfo(field_name="j", index_name=f"j/{it}", params={"json_path": f"j['{it}']"})
        for it in "ab"
    ]
    assert list(index_differences(made(0, *paths), paths)) == []


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ([], []),
        ([replace(FLAT, index_id=7)], []),
        ([replace(FLAT, params={"metric_type": "L2", "index_type": "FLAT", "x": ""})], []),
        ([replace(FLAT, field_name="t", index_name="other")], []),
        ([replace(FLAT, index_name="j")], [IN_THE_WAY[0].format("j")]),
        ([replace(FLAT, params={"metric_type": "IP"})], [IN_THE_WAY[0].format("i")]),
    ],
)
def test_indexes(there: list[IndexInfo], told: list[str]) -> None:
    assert list(index_differences(made(0, FLAT), there)) == told
