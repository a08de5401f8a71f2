"""Collections with functions and with fields that were added later, of a simulated Milvus, and back."""

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from milvus_backup_server.adapters.milvus.stubs import Message, milvus_pb2, schema_pb2
from milvus_backup_server.domain.errors import BackupNotRestorable, MilvusRefused, MilvusUnavailable
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.domain.restore_options import RestoreOptions
from milvus_backup_server.domain.strategies import BackupStrategy
from milvus_backup_server.ports.milvus import MilvusGateway
from tests.support.gateways import FailingGateway
from tests.support.newer import Newer, newer
from tests.support.resumed_restores import interrupted, resume, undo
from tests.support.rows import assert_same_rows
from tests.support.service import LIMITS
from tests.support.simulator.handmade import (
    Column,
    assert_alike,
    field_of,
    made,
    put_rows,
    schema_of,
)
from tests.support.simulator.model import (
    BM25,
    MINHASH,
    RUNTIME_CHECK_OFF,
    TEXT_EMBEDDING,
    Collection,
    pairs,
)

INT64, VARCHAR, JSON = 5, 21, 23
BINARY_VECTOR, FLOAT_VECTOR, SPARSE = 100, 101, 104
ARRAY, ARRAY_OF_VECTOR = 22, 106
ID = {"name": "id", "is_primary_key": True, "data_type": INT64}
TEXT = {"name": "text", "data_type": VARCHAR, "type_params": {"max_length": "64"}}
V = {"name": "v", "data_type": FLOAT_VECTOR, "type_params": {"dim": "2"}}
IDS: Column = (pa.int64(), [1, 2])
TEXTS: Column = (pa.string(), ["a b", "c"])
VECTORS: Column = (pa.binary(8), [struct.pack("<2f", 1, 2), struct.pack("<2f", 3, 4)])

OUTPUTS: dict[int, tuple[dict[str, object], Column, list[object]]] = {
    BM25: (
        {"name": "made", "data_type": SPARSE, "is_function_output": True},
        (pa.binary(), [struct.pack("<If", 7, 0.5), struct.pack("<If", 9, 1.5)]),
        [{7: 0.5}, {9: 1.5}],
    ),
    TEXT_EMBEDDING: (
        {**V, "name": "made", "is_function_output": True},
        VECTORS,
        [[1.0, 2.0], [3.0, 4.0]],
    ),
    MINHASH: (
        {
            "name": "made",
            "data_type": BINARY_VECTOR,
            "is_function_output": True,
            "type_params": {"dim": "32"},
        },
        (pa.binary(4), [b"\x01\x02\x03\x04", b"\x05\x06\x07\x08"]),
        [b"\x01\x02\x03\x04", b"\x05\x06\x07\x08"],
    ),
}
"""A field that each type of functions makes, what its column holds, and its values."""


def with_function(kind: int) -> Message:
    schema = schema_of("docs", ID, OUTPUTS[kind][0], TEXT, V, enable_dynamic_field=True)
    schema.functions.add(
        name="f", type=kind, input_field_names=["text"], output_field_names=["made"]
    )
    schema.functions[0].params.add(key="k1", value="1.2")
    return schema


async def backed_up(it: Newer, kind: int, **properties: str) -> Collection:
    collection = made(it.milvus, with_function(kind), **properties)
    meta: Column = (pa.binary(), [b'{"x": 1}', b"{}"])
    columns = {"id": IDS, "made": OUTPUTS[kind][1], "text": TEXTS, "v": VECTORS, "$meta": meta}
    await put_rows(it.milvus, collection, columns)
    await it.service.create("b")
    return collection


@pytest.mark.parametrize(
    ("version", "kind"),
    [("2.5.27", BM25), ("2.6.18", BM25), ("2.6.18", TEXT_EMBEDDING), ("3.0.0", MINHASH)],
)
async def test_what_a_function_made_is_restored_with_it(version: str, kind: int) -> None:
    limits = replace(LIMITS, allow_untested_versions=True)  # of 3.0
    async with newer(version, limits=limits) as it:
        source = await backed_up(it, kind)
        await it.service.restore(suffix="_again")
        there = it.milvus.collection("", "docs_again")
        assert_alike(source, there)
        one, two = OUTPUTS[kind][2]
        assert_same_rows(
            {
                1: {"id": 1, "made": one, "text": "a b", "v": [1.0, 2.0], "x": 1},
                2: {"id": 2, "made": two, "text": "c", "v": [3.0, 4.0]},
            },
            there.rows(),
        )


@pytest.mark.parametrize("had", [{}, {RUNTIME_CHECK_OFF: "true"}, {RUNTIME_CHECK_OFF: "false"}])
async def test_the_model_of_a_function_need_not_answer(had: dict[str, str]) -> None:
    async with newer("2.6.18") as it:
        source = await backed_up(it, TEXT_EMBEDDING, **had)
        it.milvus.embeds = False
        await it.service.restore(suffix="_again")
        there = it.milvus.collection("", "docs_again")
        assert_alike(source, there)
        assert len(there.rows()) == 2
        assert it.simulator.grpc.calls.count("AlterCollection") == 1


async def test_a_version_without_the_switch_says_why_it_makes_no_such_collection() -> None:
    async with newer("2.6.7") as it:
        await backed_up(it, TEXT_EMBEDDING)
        it.milvus.embeds = False
        error = await it.service.error(await it.service.start_restore(suffix="_again"))
        assert "the model's service failed" in error.message
        assert set(it.milvus.databases["default"]) == {"docs"}


DOWN = MilvusUnavailable("it is down")


@pytest.mark.parametrize("after", [False, True])
async def test_the_check_is_put_back_by_who_resumes(after: bool) -> None:
    faults: list[FailingGateway] = []

    def around(inner: MilvusGateway) -> MilvusGateway:
        faults.append(FailingGateway(inner, "alter_properties", DOWN, after=after))
        return faults[0]

    async with newer("2.6.18", around=around) as it:
        source = await backed_up(it, TEXT_EMBEDDING)
        it.milvus.embeds = False
        last = await it.service.end(await it.service.start_restore(suffix="_again"))
        assert last.state is OperationState.INTERRUPTED
        assert faults[0].injected == 1
        jobs = len(it.simulator.jobs.jobs)
        resumed = await resume(it.service, interrupted(last.name, suffix="_again"))
        assert resumed.state is OperationState.SUCCEEDED, resumed.error
        assert len(it.simulator.jobs.jobs) == jobs
        assert_alike(source, it.milvus.collection("", "docs_again"))


async def test_who_cancels_instead_removes_the_collection_without_its_check() -> None:
    around: Callable[[MilvusGateway], MilvusGateway] = lambda inner: FailingGateway(  # noqa: E731
        inner, "alter_properties", DOWN
    )
    async with newer("2.6.18", around=around) as it:
        await backed_up(it, TEXT_EMBEDDING)
        last = await it.service.end(await it.service.start_restore(suffix="_again"))
        assert len(it.milvus.databases["default"]) == 2
        undone = await undo(it.service, interrupted(last.name, suffix="_again"))
        assert undone.state is OperationState.CANCELLED
        assert set(it.milvus.databases["default"]) == {"docs"}


async def test_nothing_is_left_when_the_check_cannot_be_put_back() -> None:
    around: Callable[[MilvusGateway], MilvusGateway] = lambda inner: FailingGateway(  # noqa: E731
        inner, "alter_properties", MilvusRefused("no")
    )
    async with newer("2.6.18", around=around) as it:
        await backed_up(it, TEXT_EMBEDDING)
        error = await it.service.error(await it.service.start_restore(suffix="_again"))
        assert error.message == "no"
        assert set(it.milvus.databases["default"]) == {"docs"}


# --- fields that were added later


LATER = {**TEXT, "name": "later", "nullable": True}
LAST = {"name": "last", "data_type": INT64, "nullable": True}
STRUCTS = {
    "name": "items",
    "fields": [{"name": "n", "data_type": ARRAY, "element_type": INT64}],
}


@pytest.mark.parametrize(
    ("others", "ids"),
    [
        ({}, {"id": 100, "v": 101, "later": 102, "last": 103}),
        ({"enable_dynamic_field": True}, {"id": 100, "v": 101, "later": 103, "last": 104}),
        (
            {"struct_array_fields": [STRUCTS], "enable_dynamic_field": True},
            {"id": 100, "v": 101, "later": 105, "last": 106},
        ),
    ],
    ids=["alone", "behind the dynamic field", "behind an array of structs"],
)
async def test_added_fields_get_their_ids_again(
    others: dict[str, Any], ids: dict[str, int]
) -> None:
    async with newer("2.6.18") as it:
        schema = schema_of("c", ID, V, **others)
        last = field_of(**LAST)
        last.default_value.long_data = 9
        source = made(it.milvus, schema, field_of(**LATER), last)
        found = {item.name: item.fieldID for item in source.schema.fields if not item.is_dynamic}
        assert found == ids
        columns: dict[str, Column] = {"id": IDS, "v": VECTORS, "later": (pa.string(), [None, "x"])}
        dynamic = bool(others.get("enable_dynamic_field"))
        if dynamic:
            columns["$meta"] = (pa.binary(), [b'{"x": 1}', b'{"x": 2}'])
        if "struct_array_fields" in others:
            numbers = schema_pb2.ScalarField(long_data=schema_pb2.LongArray(data=[4, 5]))
            columns["n"] = (pa.binary(), [numbers.SerializeToString()] * 2)
        await put_rows(it.milvus, source, columns)
        await it.service.create("b")
        await it.service.restore(suffix="_again")
        there = it.milvus.collection("", "c_again")
        assert_alike(source, there)
        structs = {"items[n]": [4, 5]} if "struct_array_fields" in others else {}
        x = [{"x": 1}, {"x": 2}] if dynamic else [{}, {}]
        assert_same_rows(
            {
                1: {"id": 1, "v": [1.0, 2.0], "later": None, "last": 9, **structs, **x[0]},
                2: {"id": 2, "v": [3.0, 4.0], "later": "x", "last": 9, **structs, **x[1]},
            },
            there.rows(),
        )
        assert ("AddCollectionField" in it.simulator.grpc.calls) == bool(others)


async def test_ids_that_cannot_be_had_are_refused_before_anything_is_touched() -> None:
    async with newer("2.6.18") as it:
        source = made(it.milvus, schema_of("c", ID, V, TEXT))
        source.schema.fields[2].fieldID = 107
        await put_rows(it.milvus, source, {"id": IDS, "v": VECTORS, "text": TEXTS})
        await it.service.create("b")
        with pytest.raises(BackupNotRestorable, match="100, 101, 107") as caught:
            await it.service.start_restore(suffix="_again")
        assert caught.value.metadata["subject"] == "default.c"
        assert set(it.milvus.databases["default"]) == {"c"}


# --- indexes of paths in a JSON field, which have names that only Milvus gives


async def test_several_indexes_of_one_json_field_come_back() -> None:
    async with newer("2.6.18") as it:
        source = made(it.milvus, schema_of("c", ID, V, {"name": "j", "data_type": JSON}))
        for path, kind in (("j['a']['b']", "double"), ("j['c']", "varchar")):
            params = {"index_type": "INVERTED", "json_cast_type": kind, "json_path": path}
            it.milvus.create_index(
                milvus_pb2.CreateIndexRequest(
                    collection_name="c", field_name="j", extra_params=pairs(params)
                )
            )
        await it.service.create("b", strategy=BackupStrategy.META_ONLY)
        await it.service.restore(suffix="_again", restore_indexes=True)
        there = it.milvus.collection("", "c_again")
        assert [index.index_name for index in there.indexes] == ["j/a/b", "j/c"]
        assert_alike(source, there)
        filled = RestoreOptions(skip_create_collections=True)
        await it.service.restore(suffix="_again", restore_indexes=True, options=filled)
        assert_alike(source, there)


# --- everything else that a schema may say

DEFAULTS: dict[int, dict[str, object]] = {
    1: {"bool_data": True},
    4: {"int_data": -3},
    INT64: {"long_data": 1 << 60},
    10: {"float_data": 1.5},
    11: {"double_data": -2.25},
    VARCHAR: {"string_data": "ü"},
    JSON: {"bytes_data": b'{"a": 1}'},
    26: {"timestamptz_data": 1_700_000_000_000_000},
}
"""A default value of each type that can have one, in every kind that Milvus 2.6 has.

That of JSON is Milvus's own: it gives one to dynamic fields that are switched on later. 2.5 refuses it.
"""


def every_attribute() -> Message:
    with_default = [
        {
            "name": f"d{kind}",
            "data_type": kind,
            "nullable": bool(kind % 2),
            "default_value": schema_pb2.ValueField(**value),
            "type_params": {"max_length": "9"} if kind == VARCHAR else {},
        }
        for kind, value in DEFAULTS.items()
    ]
    analyzed = {"enable_analyzer": "true", "enable_match": "true", "mmap.enabled": "true"}
    analyzed |= {"analyzer_params": '{"tokenizer": "standard"}', "max_length": "64"}
    return schema_of(
        "every",
        {**ID, "autoID": True, "description": "the key"},
        {**TEXT, "name": "tenant", "is_partition_key": True},
        {"name": "day", "data_type": INT64, "is_clustering_key": True},
        {**TEXT, "type_params": analyzed},
        {"name": "tags", "data_type": ARRAY, "element_type": INT64, "nullable": True},
        *with_default,
        *(
            {"name": f"v{kind}", "data_type": kind, "type_params": {"dim": "8"}}
            for kind in (BINARY_VECTOR, FLOAT_VECTOR, 102, 103, 105)
        ),
        {"name": "sparse", "data_type": SPARSE},
        {"name": "where", "data_type": 24, "nullable": True},
        description="what a schema can say",
        autoID=True,
        struct_array_fields=[
            {
                "name": "items",
                "description": "of an order",
                "type_params": pairs({"max_capacity": "7"}),
                "fields": [
                    field_of(name="n", data_type=ARRAY, element_type=INT64),
                    field_of(
                        name="e",
                        data_type=ARRAY_OF_VECTOR,
                        element_type=FLOAT_VECTOR,
                        type_params={"dim": "4"},
                    ),
                ],
            }
        ],
    )


async def test_every_attribute_of_a_schema_comes_back_and_fits_what_it_became() -> None:
    properties = {
        "collection.ttl.seconds": "86400",
        "mmap.enabled": "true",
        "partitionkey.isolation": "true",
    }
    async with newer("2.6.18") as it:
        source = made(it.milvus, every_attribute(), **properties)
        await it.service.create("b", strategy=BackupStrategy.META_ONLY)
        operation = await it.service.restore(suffix="_again")
        assert operation.warnings == ()
        there = it.milvus.collection("", "every_again")
        assert_alike(source, there)
        assert there.properties == {**properties, "timezone": "UTC"}
        kinds = {item.name: item.default_value.WhichOneof("data") for item in there.schema.fields}
        assert {it for it in kinds.values() if it} == {
            name for value in DEFAULTS.values() for name in value
        }
        filled = RestoreOptions(skip_create_collections=True)
        assert (await it.service.restore(suffix="_again", options=filled)).warnings == ()
