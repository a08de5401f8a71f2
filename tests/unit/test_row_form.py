"""The canonical form of rows: bytes by hand, and what makes two rows the same."""

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milvus_backup_server.domain.binlogs import UNFIT, Key, RowBatch
from milvus_backup_server.domain.records import (
    CollectionSchema,
    FieldSchema,
    FunctionSchema,
    KeyValue,
    StructArrayFieldSchema,
)
from milvus_backup_server.domain.row_form import BUCKETS, RowForm, RowSums, UnfitRows, bucket_of

PK = FieldSchema(field_id=100, name="pk", is_primary_key=True, data_type=5)


def schema_of(data_type: int, element_type: int = 0, dim: int = 0) -> CollectionSchema:
    field = FieldSchema(
        field_id=101,
        name="x",
        data_type=data_type,
        element_type=element_type,
        type_params=(KeyValue(key="dim", value=str(dim)),),
        nullable=True,
    )
    return CollectionSchema(fields=(PK, field))


def batch(keys: list[Key], **columns: list[Any]) -> RowBatch:
    return RowBatch([0] * len(keys), keys, {"pk": keys, **columns})


def digest(data_type: int, value: object, element_type: int = 0) -> bytes:
    (found,) = RowForm(schema_of(data_type, element_type)).digests(batch([7], x=[value]))
    return found


def item(data: bytes) -> bytes:
    return struct.pack("<q", len(data)) + data


KEY = item(struct.pack("<q", 7))
NULL = b"\xff" * 8


@pytest.mark.parametrize(
    ("data_type", "element_type", "value", "data"),
    [
        (1, 0, True, b"\x01"),
        (2, 0, -1, b"\xff" * 8),
        (4, 0, 513, b"\x01\x02" + bytes(6)),
        (26, 0, 1_000_000, struct.pack("<q", 1_000_000)),
        (10, 0, 1.5, b"\x00\x00\xc0\x3f"),
        (11, 0, 1.5, b"\x00\x00\x00\x00\x00\x00\xf8\x3f"),
        (21, 0, "ü", b"\xc3\xbc"),
        (23, 0, {"b": [1, None], "a": "ü"}, '{"a":"ü","b":[1,null]}'.encode()),
        (22, 21, ["a", None], item(b"a") + NULL),
        (22, 5, [], b""),
        (100, 0, b"\x0f", b"\x0f"),
        (101, 0, [1.5, 2.0], b"\x00\x00\xc0\x3f\x00\x00\x00\x40"),
        (102, 0, b"\x00\x3c", b"\x00\x3c"),
        (103, 0, b"\x80\x3f", b"\x80\x3f"),
        (104, 0, {9: 2.0, 1: 1.5}, b"\x01\0\0\0\0\0\xc0\x3f\x09\0\0\0\0\0\0\x40"),
        (105, 0, [-1, 2], b"\xff\x02"),
        (106, 101, [[1.5], [2.0]], item(b"\x00\x00\xc0\x3f") + item(b"\x00\x00\x00\x40")),
    ],
)
def test_a_row_is_the_hash_of_its_fields(
    data_type: int, element_type: int, value: object, data: bytes
) -> None:
    expected = hashlib.blake2b(KEY + item(data), digest_size=16).digest()
    assert digest(data_type, value, element_type) == expected


def test_null_is_not_empty() -> None:
    expected = hashlib.blake2b(KEY + NULL, digest_size=16).digest()
    assert digest(21, None) == expected
    assert digest(21, "") != expected


@pytest.mark.parametrize("data_type", [10, 11])
def test_all_nans_are_one(data_type: int) -> None:
    other = struct.unpack("<d", b"\x01\x00\x00\x00\x00\x00\xf8\xff")[0]
    assert digest(data_type, float("nan")) == digest(data_type, other)
    assert digest(data_type, 0.0) != digest(data_type, -0.0)


def test_values_do_not_run_into_each_other() -> None:
    schema = CollectionSchema(
        fields=(
            PK,
            FieldSchema(field_id=101, name="a", data_type=21),
            FieldSchema(field_id=102, name="b", data_type=21),
        )
    )
    form = RowForm(schema)
    one, other = form.digests(batch([1, 1], a=["xy", "x"], b=["z", "yz"]))
    assert one != other


def test_a_row_without_dynamic_fields_has_an_empty_object() -> None:
    form = RowForm(CollectionSchema(fields=(PK,), enable_dynamic_field=True))
    assert form.fields == ("$meta", "pk")
    columns: list[Mapping[str, list[object]]] = [{}, {"$meta": [None]}, {"$meta": [{}]}]
    found = [form.digests(batch([7], **dict(it)))[0] for it in columns]
    assert len(set(found)) == 1
    assert form.digests(batch([7], **{"$meta": [{"a": 1}]}))[0] != found[0]


def test_what_milvus_computes_or_tells_otherwise_is_left_out() -> None:
    schema = CollectionSchema(
        fields=(
            PK,
            FieldSchema(field_id=101, name="sparse", data_type=104),
            FieldSchema(field_id=102, name="computed", data_type=104, is_function_output=True),
            FieldSchema(field_id=103, name="place", data_type=24),
        ),
        functions=(FunctionSchema(name="bm25", type=1, output_field_names=("sparse",)),),
        struct_array_fields=(
            StructArrayFieldSchema(
                field_id=104,
                name="items",
                fields=(FieldSchema(field_id=105, name="a", data_type=22, element_type=5),),
            ),
        ),
    )
    form = RowForm(schema)
    assert form.fields == ("items[a]", "pk")
    assert form.left_out == ("computed", "place", "sparse")


def test_sums_do_not_depend_on_the_order_and_tell_where_they_differ() -> None:
    digests = [bytes([number]) * 16 for number in range(200)]
    keys: list[Key] = list(range(200))
    ours, theirs = RowSums(), RowSums()
    ours.add(keys, digests)
    theirs.add(keys[::-1], digests[::-1])
    assert (ours.differing(theirs), ours.rows) == (frozenset(), 200)
    theirs.add([1000], [b"\x01" * 16])
    ours.add(["abc"], [b"\x02" * 16])
    assert ours.differing(theirs) == {bucket_of(1000), bucket_of("abc")}


def test_sums_wrap_around() -> None:
    ours, theirs = RowSums(), RowSums()
    ours.add([1, 1], [b"\xff" * 16, b"\x00" * 15 + b"\x03"])
    theirs.add([1], [b"\x00" * 15 + b"\x02"])
    assert ours.differing(theirs) == frozenset()
    assert bucket_of(1) < BUCKETS


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.just(UNFIT),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=5,
)
TYPES = [
    *(
        (kind, 0)
        for kind in (1, 2, 3, 4, 5, 10, 11, 20, 21, 23, 25, 26, 100, 101, 102, 103, 104, 105)
    ),
    *((22, kind) for kind in (1, 2, 5, 10, 11, 21)),
    *((106, kind) for kind in (100, 101, 102, 103, 104, 105)),
]


@pytest.mark.parametrize(("data_type", "element_type"), TYPES)
@given(value=JUNK, other=JUNK)
@settings(max_examples=15)
def test_whatever_a_value_is_its_row_has_a_hash(
    data_type: int, element_type: int, value: object, other: object
) -> None:
    form, unfit = RowForm(schema_of(data_type, element_type, dim=8)), UnfitRows(5)
    one, two = form.digests(batch([7, 8], x=[value, other]), unfit)
    form.size(batch([7, 8], x=[value, other]))
    assert unfit.keys == [key for key, it in (("7", value), ("8", other)) if not fits(form, it)]
    (odd,) = form.digests(batch([7], x=[UNFIT]))
    assert ("7" in unfit.keys) == (one == odd)
    assert len(two) == 16


def fits(form: RowForm, value: object) -> bool:
    unfit = UnfitRows(5)
    form.digests(batch([1], x=[value]), unfit)
    return not unfit.count


@pytest.mark.parametrize(
    ("data_type", "element_type", "fitting", "others"),
    [
        (1, 0, [True, False], [0, 1, "true", b"\x01"]),
        (2, 0, [-128, 127], [-129, 128, True, 1.0, "1"]),
        (3, 0, [-32768, 32767], [32768]),
        (4, 0, [-(1 << 31), (1 << 31) - 1], [1 << 31]),
        (5, 0, [-(1 << 63), (1 << 63) - 1], [1 << 63, "1"]),
        (26, 0, [0], ["2026-11-23T00:00:00Z"]),
        (10, 0, [float("nan"), float("inf"), -0.0, 1], [1e39, True, "1", b"1"]),
        (11, 0, [float("nan"), 1e308], [1 << 2000, "1"]),
        (21, 0, ["", "x" * (1 << 20), "\0"], [b"1", "\ud800", 1]),
        (23, 0, [{}, [], None, "a", float("nan"), {"a": {"b": [1]}}], [{"a": b""}, UNFIT]),
        (22, 5, [[], [1, None]], [3, "ab", [1, "2"], {1: 2}]),
        (22, 21, [["a"]], ["a", [b"a"]]),
        (100, 0, [b"\x01"], ["1", b"", b"\x01\x02", [1]]),
        (101, 0, [[0.5] * 8, [float("nan")] * 8], [[0.5] * 7, [0.5] * 9, ["a"] * 8, "abcdefgh"]),
        (102, 0, [b"ab" * 8], [b"ab" * 7, [1.0] * 8]),
        (103, 0, [b"ab" * 8], [b"a" * 15]),
        (104, 0, [{}, {1: 2.0, 4_000_000_000: 1}], [[1], {-1: 1.0}, {1 << 32: 1.0}, {1: "a"}]),
        (105, 0, [[-128] * 8], [[128] * 8, [1.5] * 8, [1] * 7, b"12345678"]),
        (106, 101, [[], [[0.5] * 8]], [[[0.5] * 7], [0.5] * 8]),
    ],
)
def test_what_fits_a_field_and_what_does_not(
    data_type: int, element_type: int, fitting: list[object], others: list[object]
) -> None:
    form = RowForm(schema_of(data_type, element_type, dim=8))
    assert [it for it in fitting if not fits(form, it)] == []
    assert [it for it in others if fits(form, it)] == []


def test_a_null_fits_where_there_may_be_one() -> None:
    strict = FieldSchema(field_id=102, name="y", data_type=21)
    form = RowForm(CollectionSchema(fields=(*schema_of(21).fields, strict)))
    unfit = UnfitRows(1)
    form.digests(batch([1, 2, 3], x=[None, None, 5], y=["a", None, None]), unfit)
    assert (unfit.count, unfit.keys, unfit.fields) == (2, ["2"], ["x"])
    # Milvus leaves out a column without any value.
    assert form.digests(batch([1], y=["a"])) == form.digests(batch([1], x=[None], y=["a"]))


def test_json_may_be_the_null_of_json() -> None:
    strict = FieldSchema(field_id=102, name="j", data_type=23)
    form = RowForm(CollectionSchema(fields=(*schema_of(21).fields, strict)))
    unfit = UnfitRows(1)
    form.digests(batch([1], x=["a"], j=[None]), unfit)
    assert unfit.count == 0


def test_json_nested_deeper_than_can_be_written_does_not_fit() -> None:
    deep: object = []
    for _ in range(100_000):
        deep = [deep]
    assert not fits(RowForm(schema_of(23)), deep)


def test_the_size_of_rows_is_told_by_some_of_them() -> None:
    form = RowForm(schema_of(21))
    assert form.size(batch([], x=[])) == 0
    assert form.size(batch(list(range(100)), x=["a" * 984] * 100)) == 100 * 1008
