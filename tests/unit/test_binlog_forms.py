"""Forms of logs that no fixture has, and logs that cannot be read."""

import base64
import tempfile
from contextlib import aclosing
from pathlib import Path

import pyarrow as pa
import pytest

from milvus_backup_server.adapters.binlog import ArrowBinlogReader
from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.binlogs import UNFIT, Delete, RowBatch, SegmentLogs, columns_of
from milvus_backup_server.domain.errors import BackupCorrupt, ObjectNotFound
from milvus_backup_server.domain.records import (
    CollectionSchema,
    FieldSchema,
    StructArrayFieldSchema,
)
from milvus_backup_server.service.rows import DeleteIndex, live_rows
from tests.support.stores import CountingStore
from tests.support.written_logs import delta_log, insert_log, parquet

INT64, VARCHAR = pa.int64(), pa.string()
KEYS = FieldSchema(field_id=100, name="pk", is_primary_key=True, data_type=5)
NUMBERS = FieldSchema(field_id=101, name="n", data_type=5, default_value_base64="GCo=")
SCHEMA = CollectionSchema(name="c", fields=(KEYS, NUMBERS))
READER = ArrowBinlogReader()


class Logs:
    """Logs in a store, by what comes after `seg/`."""

    def __init__(self) -> None:
        self.store = CountingStore(MemoryServer().store("bucket"))
        self.columns: list[str] = []
        self.deltas: list[str] = []

    async def put(self, key: str, data: bytes) -> None:
        (self.columns if "/" in key else self.deltas).append(f"seg/{key}")
        await self.store.put(f"seg/{key}", data)

    @property
    def segment(self) -> SegmentLogs:
        return SegmentLogs(columns_of(self.columns), self.deltas)

    async def rows(
        self, schema: CollectionSchema = SCHEMA, fields: list[str] | None = None
    ) -> list[RowBatch]:
        async with aclosing(READER.rows(self.store, self.segment, schema, fields=fields)) as found:
            return [batch async for batch in found]


@pytest.fixture
async def logs() -> Logs:
    """Five rows with keys 1 to 5 at 11 to 15, each column in two logs that do not match."""
    made = Logs()
    await made.put("0/9", insert_log(0, range(5), INT64))
    await made.put("1/9", insert_log(1, [11, 12, 13], INT64))
    await made.put("1/10", insert_log(1, [14, 15], INT64))
    await made.put("100/9", insert_log(100, [1], INT64))
    await made.put("100/10", insert_log(100, [2, 3, 4, 5], INT64))
    return made


def entries(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def all_deletes(logs: Logs) -> list[Delete]:
    async with aclosing(READER.deletes(logs.store, logs.deltas)) as found:
        return [item async for batch in found for item in batch]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (delta_log({"val": pa.array(["7,41", "8,42"])}), [Delete(7, 41), Delete(8, 42)]),
        (
            delta_log({"0": pa.array(['{"pk":7,"ts":41,"pkType":5}'])}),
            [Delete(7, 41)],
        ),
        (
            delta_log({"pk": pa.array(["a", "b"]), "ts": pa.array([41, 42])}),
            [Delete("a", 41), Delete("b", 42)],
        ),
        (
            parquet({"pk:100": pa.array([7, 8]), "ts:1": pa.array([41, 42])}),
            [Delete(7, 41), Delete(8, 42)],
        ),
        (delta_log({"0": pa.array([], VARCHAR)}), []),
    ],
    ids=["texts", "json", "columns in events", "columns alone", "empty"],
)
async def test_every_form_of_delta_logs(data: bytes, expected: list[Delete]) -> None:
    logs = Logs()
    await logs.put("9", data)
    assert await all_deletes(logs) == expected


@pytest.mark.parametrize(
    "data",
    [
        delta_log({"val": pa.array(["7"])}),
        delta_log({"val": pa.array(["[7, 41]"])}),
        delta_log({"val": pa.array(['{"pk":null,"ts":41}'])}),
        delta_log({"val": pa.array([None], VARCHAR)}),
        delta_log({"val": pa.array(['{"pk":true,"ts":41}'])}),
        delta_log({"val": pa.array(['{"pk":9223372036854775808,"ts":41}'])}),
        delta_log({"val": pa.array(['{"pk":"\\ud800","ts":41}'])}),
        delta_log({"val": pa.array(["9" * 30 + ",41"])}),
        delta_log({"val": pa.array(["7,-1"])}),
        delta_log({"val": pa.array(["[" * 100_000])}),
        delta_log({"pk": pa.array([7.5]), "ts": pa.array([41])}),
        delta_log({"pk": pa.array([7]), "ts": pa.array([1 << 63], pa.uint64())}),
        delta_log({"a": pa.array([1]), "b": pa.array([2]), "c": pa.array([3])}),
        b"",
        b"no log of Milvus",
    ],
)
async def test_a_delta_log_of_another_form_is_damage(data: bytes) -> None:
    logs = Logs()
    await logs.put("9", data)
    with pytest.raises(BackupCorrupt) as raised:
        await all_deletes(logs)
    assert raised.value.metadata == {"key": "seg/9"}


async def test_logs_of_a_column_follow_their_numbers_and_fit_together(logs: Logs) -> None:
    batches = await logs.rows()
    assert [len(batch) for batch in batches] == [1, 2, 2]
    assert [key for batch in batches for key in batch.keys] == [1, 2, 3, 4, 5]
    assert [at for batch in batches for at in batch.timestamps] == [11, 12, 13, 14, 15]
    # The field has no column: it was added later.
    assert list(batches[0].rows()) == [{"pk": 1, "n": 42}]


async def test_only_the_columns_that_are_asked_for_are_read(logs: Logs) -> None:
    await logs.put("101/9", b"damaged")
    logs.store.calls.clear()
    batches = await logs.rows(fields=[])
    assert [key for batch in batches for key in batch.keys] == [1, 2, 3, 4, 5]
    assert batches[0].columns == {}
    # Four logs and the first bytes of one; nothing of the row ids and of the other field.
    assert logs.store.calls["get"] == 5
    with pytest.raises(BackupCorrupt, match="seg/101/9"):
        await logs.rows()


async def test_a_column_that_is_too_short_is_damage(logs: Logs) -> None:
    await logs.put("101/9", insert_log(101, [1, 2, 3, 4], INT64))
    with pytest.raises(BackupCorrupt, match="fewer rows than the other columns"):
        await logs.rows()


@pytest.mark.parametrize("field_id", [1, 100])
async def test_keys_and_timestamps_have_to_be_there(logs: Logs, field_id: int) -> None:
    logs.columns = [key for key in logs.columns if not key.startswith(f"seg/{field_id}/")]
    with pytest.raises(BackupCorrupt, match=f"no column of field {field_id}"):
        await logs.rows()


@pytest.mark.parametrize(
    ("field_id", "values", "kind"),
    [
        (100, [7, None], INT64),
        (100, [7, 1 << 63], pa.uint64()),
        (100, [7.0, 8.0], pa.float64()),
        (100, [b"a", b"b"], pa.binary()),
        (100, [True, False], pa.bool_()),
        (1, [11, None], INT64),
        (1, [11, -1], INT64),
        (1, ["11", "12"], VARCHAR),
    ],
)
async def test_keys_and_timestamps_that_are_none_are_damage(
    field_id: int, values: list[object], kind: pa.DataType
) -> None:
    logs = Logs()
    await logs.put("1/9", insert_log(1, [11, 12], INT64))
    await logs.put("100/9", insert_log(100, [7, 8], INT64))
    await logs.put(f"{field_id}/9", insert_log(field_id, values, kind))
    with pytest.raises(BackupCorrupt) as raised:
        await logs.rows(CollectionSchema(fields=(KEYS,)))
    assert "seg/" in str(raised.value.metadata["key"])


@pytest.mark.parametrize(
    ("data_type", "good", "bad"),
    [
        (22, b"", b"\xff"),
        (23, b"{}", b"{"),
        (23, b"1", b"[" * 100_000),
        (23, b"1", b"\xff"),
        (101, bytes(8), bytes(7)),
        (104, bytes(8), bytes(7)),
        (105, bytes(2), "ü"),
    ],
)
async def test_a_value_that_cannot_be_decoded_spoils_its_row_alone(
    data_type: int, good: bytes, bad: bytes | str
) -> None:
    logs = Logs()
    kind = pa.string() if isinstance(bad, str) else pa.binary()
    await logs.put("1/9", insert_log(1, [11], INT64))
    await logs.put("1/10", insert_log(1, [12, 13], INT64))
    await logs.put("100/9", insert_log(100, [1, 2, 3], INT64))
    await logs.put("101/9", insert_log(101, [good], pa.binary()))
    await logs.put("101/10", insert_log(101, [bad, None], kind))
    field = FieldSchema(field_id=101, name="x", data_type=data_type, nullable=True)
    batches = await logs.rows(CollectionSchema(fields=(KEYS, field)))
    values = [value for batch in batches for value in batch.columns["x"]]
    assert [value is UNFIT for value in values] == [False, True, False]


async def test_a_log_that_is_not_there_is_named(logs: Logs) -> None:
    logs.columns.append("seg/101/9")
    with pytest.raises(ObjectNotFound, match="seg/101/9"):
        await logs.rows()


async def test_a_log_that_is_cut_off_anywhere_is_damage() -> None:
    data = insert_log(100, [1, 2, 3], INT64)
    for length in range(0, len(data), 7):
        logs = Logs()
        await logs.put("100/9", data[:length])
        with pytest.raises(BackupCorrupt):
            await logs.rows(CollectionSchema(fields=(KEYS,)))


async def test_column_groups_with_structs_and_vectors_in_them() -> None:
    vector = pa.binary(8)
    first = bytes.fromhex("0000803f00000040")  # 1.0, 2.0
    column = pa.array([[first, first], []], pa.list_(vector))
    inner = FieldSchema(field_id=103, name="emb", data_type=106, element_type=101)
    struct = StructArrayFieldSchema(field_id=102, name="items", fields=(inner,))
    schema = CollectionSchema(fields=(KEYS, NUMBERS), struct_array_fields=(struct,))
    logs = Logs()
    # The group's id is one of a field that it does not hold.
    group = {"RowID:0": pa.array([1, 2]), "Timestamp:1": pa.array([11, 12])}
    await logs.put("101/9", parquet({**group, "pk:100": pa.array([7, 8])}))
    await logs.put("103/9", parquet({"items[emb]": column, "n:101": pa.array([5, None])}))
    (batch,) = await logs.rows(schema)
    assert list(batch.rows()) == [
        {"pk": 7, "n": 5, "items[emb]": [[1.0, 2.0], [1.0, 2.0]]},
        {"pk": 8, "n": None, "items[emb]": []},
    ]


async def test_rows_before_a_json_field_have_its_default_value() -> None:
    value_field = b'\x3a\x08{"a": 1}'  # its `bytes_data`
    default = base64.b64encode(value_field).decode()
    later = FieldSchema(field_id=102, name="j", data_type=23, default_value_base64=default)
    logs = Logs()
    group = {"RowID:0": pa.array([1]), "Timestamp:1": pa.array([11]), "pk:100": pa.array([7])}
    await logs.put("100/9", parquet(group))
    (batch,) = await logs.rows(CollectionSchema(fields=(KEYS, later)))
    assert list(batch.rows()) == [{"pk": 7, "j": {"a": 1}}]


async def test_dynamic_fields_stand_among_the_others() -> None:
    logs = Logs()
    await logs.put("1/9", insert_log(1, [11, 12], INT64))
    await logs.put("100/9", insert_log(100, [7, 8], INT64))
    await logs.put("101/9", insert_log(101, [b'{"a":1,"pk":2}', None], pa.binary()))
    schema = CollectionSchema(fields=(KEYS,), enable_dynamic_field=True)
    (batch,) = await logs.rows(schema)
    assert list(batch.rows()) == [{"pk": 2, "a": 1}, {"pk": 8}]


async def test_large_rows_come_a_few_at_a_time() -> None:
    logs, rows = Logs(), 300
    await logs.put("1/9", parquet({"t:1": pa.array(range(rows))}))
    texts = pa.array([f"{number:0100000d}" for number in range(rows)])
    await logs.put("101/9", parquet({"pk:100": pa.array(range(rows)), "s:101": texts}))
    text = FieldSchema(field_id=101, name="s", data_type=21)
    batches = await logs.rows(CollectionSchema(fields=(KEYS, text)))
    assert sum(len(batch) for batch in batches) == rows
    assert max(len(batch) for batch in batches) <= 42  # of 100 kB each, 4 MiB in all


async def test_small_rows_come_a_few_hundred_at_a_time() -> None:
    # A repeated value takes next to nothing in the log, and its size in each row.
    logs, rows = Logs(), 2000
    group = {"t:1": pa.array(range(rows)), "pk:100": pa.array(range(rows))}
    await logs.put("1/9", parquet({**group, "s:101": pa.array(["x" * 1000] * rows)}))
    text = FieldSchema(field_id=101, name="s", data_type=21)
    batches = await logs.rows(CollectionSchema(fields=(KEYS, text)))
    assert sum(len(batch) for batch in batches) == rows
    assert max(len(batch) for batch in batches) <= 512


async def test_a_reader_that_is_left_leaves_nothing_on_disk(
    logs: Logs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with aclosing(READER.rows(logs.store, logs.segment, SCHEMA)) as batches:
        assert await anext(batches)
        assert entries(tmp_path)
    assert not entries(tmp_path)


async def test_rows_end_at_the_moment_and_deletes_count_for_older_rows_only(logs: Logs) -> None:
    texts = [f'{{"pk":{key},"ts":{at}}}' for key, at in ((1, 12), (2, 12), (3, 99), (3, 5))]
    await logs.put("9", delta_log({"0": pa.array(texts)}))
    with DeleteIndex(14) as elsewhere:
        elsewhere.add([Delete(4, 15), Delete(4, 3)])
        found = {
            moment: [
                key
                async for batch in live_rows(
                    READER, logs.store, logs.segment, SCHEMA, deletes=[elsewhere], moment=moment
                )
                for key in batch.keys
            ]
            for moment in (None, 14, 11)
        }
    assert found == {None: [2, 4, 5], 14: [2, 3, 4], 11: [1]}


def test_deletes_of_many_keys_are_found() -> None:
    with DeleteIndex() as index:
        index.add([Delete(number, number + 1) for number in range(5000)])
        index.add([Delete(7, 1), Delete("7", 5)])
        assert index.deleted_at(range(4990, 6000)) == {at: at + 1 for at in range(4990, 5000)}
        assert index.deleted_at([7, "7"]) == {7: 8, "7": 5}
