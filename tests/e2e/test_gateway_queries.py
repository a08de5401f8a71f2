"""Collections that are loaded and queried: one suite for the real Milvus and those that stand in for it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from milvus_backup_server.domain.binlogs import DYNAMIC_FIELD, RowBatch
from milvus_backup_server.domain.errors import BackupError, MilvusRefused
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.records import CollectionSchema, FieldSchema, KeyValue
from milvus_backup_server.domain.row_form import RowForm
from tests.e2e.gateway_conformance import (
    DIMENSION,
    FLAT,
    KEYED,
    PLAIN,
    FakeSubject,
    NewName,
    Subject,
    create,
    until,
)
from tests.support.rows import Key, Row

pytestmark = pytest.mark.xdist_group("milvus-one")

PK, VECTOR = PLAIN.fields
LENGTH = (KeyValue(key="max_length", value="100"),)
OF_TEXT = CollectionSchema(
    fields=(replace(PK, data_type=21, type_params=LENGTH), replace(VECTOR, field_id=101))
)
TYPED = CollectionSchema(
    fields=(
        PK,
        VECTOR,
        FieldSchema(field_id=102, name="b", data_type=1),
        FieldSchema(field_id=103, name="i8", data_type=2),
        FieldSchema(field_id=104, name="i64", data_type=5),
        FieldSchema(field_id=105, name="f", data_type=10),
        FieldSchema(field_id=106, name="d", data_type=11),
        FieldSchema(field_id=107, name="s", data_type=21, type_params=LENGTH),
        FieldSchema(field_id=108, name="j", data_type=23),
        FieldSchema(
            field_id=109,
            name="a",
            data_type=22,
            element_type=21,
            type_params=(*LENGTH, KeyValue(key="max_capacity", value="5")),
        ),
    ),
    enable_dynamic_field=True,
)
ROW: Row = {
    "v": [0.5, -1.0, 0.0, 3.0],
    "b": True,
    "i8": -128,
    "i64": (1 << 63) - 1,
    "f": 1.5,
    "d": -1e300,
    "s": "ü\0",
    "j": {"b": [1, None, "ü"], "a": {}},
    "a": ["x", ""],
}
# Quotes, escapes and what is more than a byte; in the order of their bytes.
TEXTS = [
    "",
    "\t",
    "\n",
    '"',
    "%",
    "'",
    "0",
    "A",
    "\\",
    '\\"',
    "\\n",
    "a b",
    'a"b',
    "ä",
    "\uffff",
    "\U0001f600",
]


async def test_a_partition_is_loaded(subject: Subject, new_name: NewName) -> None:
    gateway, name = subject.gateway, new_name()
    await create(subject, name)
    await gateway.create_partition(name, "p")
    await subject.insert(name, range(5))
    with pytest.raises(MilvusRefused):
        await gateway.load_collection(name)
    await gateway.create_index(name, FLAT)
    assert (await gateway.count_rows(name), await gateway.replica_count(name)) == (None, 0)
    nodes = await gateway.query_node_count()
    with pytest.raises(MilvusRefused):
        await gateway.load_collection(name, replicas=nodes + 1)
    await gateway.load_collection(name, ["_default"])
    await until(lambda: _has(subject, name, len(range(5))))
    await until(lambda: _is_loaded(subject, name))
    assert await gateway.load_state(name, "p") == "NotLoad"
    assert await gateway.replica_count(name) == 1
    with pytest.raises(MilvusRefused):
        await gateway.drop_index(name, FLAT)


# --- queried


async def loaded(
    subject: Subject, name: CollectionName, schema: CollectionSchema, *parts: Sequence[Row]
) -> None:
    """Make a collection with rows in `_default` and `p`, and load it."""
    await create(subject, name, schema)
    await subject.gateway.create_index(name, FLAT)
    await subject.gateway.create_partition(name, "p")
    for partition, rows in zip(("_default", "p"), parts, strict=False):
        await subject.put(name, rows, partition)
    await subject.gateway.load_collection(name)
    await until(lambda: _has(subject, name, sum(map(len, parts))))
    await until(lambda: _is_loaded(subject, name))


def numbered(keys: Sequence[Key]) -> list[Row]:
    return [{"pk": key, "v": [float(number)] * DIMENSION} for number, key in enumerate(keys)]


async def page(
    subject: Subject,
    name: CollectionName,
    fields: Sequence[str] = ("pk",),
    *,
    partition: str = "",
    after: Key | None = None,
    limit: int = 100,
) -> RowBatch:
    return await subject.gateway.query_rows(
        name, fields, key="pk", partition=partition, after=after, limit=limit
    )


async def keys(
    subject: Subject,
    name: CollectionName,
    *,
    partition: str = "",
    after: Key | None = None,
    limit: int = 100,
) -> list[Key]:
    """Return the keys of all pages. One that is short is not the last one, and 2.3 limits segments."""
    found: list[Key] = []
    while some := await page(subject, name, partition=partition, after=after, limit=limit):
        assert len(some) <= limit * 2
        found += some.keys
        after = found[-1]
    return found


async def test_rows_are_queried_page_by_page_in_the_order_of_their_keys(
    subject: Subject, new_name: NewName
) -> None:
    name, least = new_name(), -(1 << 63)
    await loaded(subject, name, PLAIN, numbered([5, -3, 0, 70, 8]), numbered([6, least]))
    for limit in (1, 2, 3, 100):
        assert await keys(subject, name, limit=limit) == [least, -3, 0, 5, 6, 8, 70]
    assert await keys(subject, name, after=0, limit=2) == [5, 6, 8, 70]
    assert await keys(subject, name, after=least) == [-3, 0, 5, 6, 8, 70]
    assert await keys(subject, name, after=70) == []
    assert await keys(subject, name, partition="p") == [least, 6]
    assert await keys(subject, name, partition="_default", after=5) == [8, 70]
    await subject.take_away(name, [0, 6])
    assert await keys(subject, name, after=-3) == [5, 8, 70]
    assert await keys(subject, name, partition="p") == [least]


async def test_a_key_that_is_there_twice_is_told_once(subject: Subject, new_name: NewName) -> None:
    name = new_name()
    await loaded(subject, name, PLAIN, numbered([1, 2, 3]))
    await subject.put(name, numbered([2]), "_default")
    await subject.put(name, numbered([3]), "p")
    assert await keys(subject, name) == [1, 2, 3]


async def test_keys_that_are_texts_of_any_kind(subject: Subject, new_name: NewName) -> None:
    name = new_name()
    await loaded(subject, name, OF_TEXT, numbered(TEXTS[::2]), numbered(TEXTS[1::2]))
    assert await keys(subject, name, limit=3) == TEXTS


async def test_values_of_every_type_are_told_as_they_were_written(
    subject: Subject, new_name: NewName
) -> None:
    if isinstance(subject, FakeSubject):
        pytest.skip("its rows are keys alone")
    name, dynamic = new_name(), {"own": [1, "x"], "other": None}
    await loaded(subject, name, TYPED, [{"pk": 1, **ROW, **dynamic}, {"pk": 2, **ROW, "a": []}])
    form = RowForm(TYPED)
    found = await page(subject, name, form.fields)
    first, second = ({key: column[at] for key, column in found.columns.items()} for at in (0, 1))
    assert first == {"pk": 1, **ROW, DYNAMIC_FIELD: dynamic}
    assert second == {"pk": 2, **ROW, "a": [], DYNAMIC_FIELD: {}}
    columns = {key: [first[key], second[key]] for key in first}
    assert form.digests(found) == form.digests(RowBatch([0, 0], [1, 2], columns))
    assert set((await page(subject, name, ["pk", "s"])).columns) == {"pk", "s"}


async def test_what_cannot_be_queried(subject: Subject, new_name: NewName) -> None:
    name, keyed = new_name(), new_name()
    await create(subject, name)
    with pytest.raises(MilvusRefused):
        await page(subject, name)
    await create(subject, keyed, KEYED, 2)
    await subject.gateway.create_index(keyed, FLAT)
    await subject.gateway.load_collection(keyed)
    await until(lambda: _has(subject, keyed, 0))
    await until(lambda: _is_loaded(subject, keyed))
    assert len(await page(subject, keyed)) == 0
    with pytest.raises(MilvusRefused):
        await page(subject, keyed, partition="_default_0")
    await subject.gateway.drop_collection(name)
    with pytest.raises(BackupError):
        await page(subject, name)


async def _is_loaded(subject: Subject, name: CollectionName) -> bool:
    return await subject.gateway.load_state(name) == "Loaded"


async def _has(subject: Subject, name: CollectionName, rows: int) -> bool:
    return await subject.gateway.count_rows(name) == rows
