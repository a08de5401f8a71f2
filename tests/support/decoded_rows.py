"""The rows of the fixtures as the binlog reader gives them, from the files that tell them."""

import gzip
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, cast

from milvus_backup_server.domain.milvus_types import (
    ARRAY_OF_VECTOR,
    INT8_VECTOR,
    SPARSE_FLOAT_VECTOR,
)
from milvus_backup_server.domain.records import CollectionBackupInfo, FieldSchema
from tests.support.fixtures import OF_NEWER_MILVUS, ROWS
from tests.support.rows import Key, Row, Rows

FLOAT, GEOMETRY, TIMESTAMPTZ = 10, 24, 26
MISSING: Mapping[tuple[str, str], object] = {
    ("defaults", "n"): 42,
    ("defaults", "s"): "dflt",
    ("defaults", "f"): 1.5,
    ("defaults", "b"): True,
    ("defaults", "d"): -2.25,
    ("addfield", "later_d"): 7,
}
"""What a field holds in rows that were inserted without it, by collection and field; others null."""


def expected_rows(archive: str, record: CollectionBackupInfo, partition: str = "") -> Rows:
    """Return the rows that a restore of a collection of an archive must give, by primary key.

    With a partition only those of it; the files tell it for archives of newer Milvus.

    Vectors within structs are not among them: the stand-in that wrote these logs left them empty.
    """
    key = _key_field(record)
    if archive not in OF_NEWER_MILVUS:
        name = f"{record.db_name or 'default'}.{record.collection_name}"
        return {cast("Key", row[key]): row for row in _lines(f"{name}.jsonl.gz")}
    folder = f"{archive}/{record.collection_name}"
    lines = _lines(f"{folder}.rows.jsonl.gz")
    found = (row for row in lines if not partition or row["$partition"] == partition)
    rows = (_as_decoded(record, row) for row in found)
    gone = {row[key] for row in _lines(f"{folder}.deleted.jsonl.gz")}
    return {cast("Key", row[key]): row for row in rows if row[key] not in gone}


def with_hex(row: Row) -> Row:
    """Return a row with bytes written as the files of Milvus 2.3.5 write them."""
    return {
        name: [{"hex": value.hex()}] if isinstance(value, bytes) else value
        for name, value in row.items()
    }


def _key_field(record: CollectionBackupInfo) -> str:
    assert record.schema is not None
    return next(field.name for field in record.schema.fields if field.is_primary_key)


def _lines(file: str) -> Iterator[dict[str, Any]]:
    if (ROWS / file).exists():
        with gzip.open(ROWS / file, "rt", encoding="utf-8") as lines:
            yield from (json.loads(line) for line in lines)


def _as_decoded(record: CollectionBackupInfo, given: dict[str, Any]) -> Row:
    assert record.schema is not None
    row: Row = {name: value for name, value in given.items() if not name.startswith("$")}
    for array in record.schema.struct_array_fields:
        items = cast("list[dict[str, Any]]", row.pop(array.name))
        for field in array.fields:
            vectors = field.data_type == ARRAY_OF_VECTOR
            row[f"{array.name}[{field.name}]"] = (
                [] if vectors else [item[field.name] for item in items]
            )
    for field in record.schema.fields:
        missing = MISSING.get((record.collection_name, field.name))
        row[field.name] = _value(field, given.get(field.name, missing))
    return row


def _value(field: FieldSchema, value: Any) -> object:
    if value is None:
        return None
    if isinstance(value, dict) and (found := value.get("__hex__") or value.get("__float16__")):
        return bytes.fromhex(found)
    convert = _OTHERWISE.get(field.data_type)
    return convert(value) if convert else value


def _point(text: str) -> bytes:
    x, y = (float(part) for part in text.removeprefix("POINT (").rstrip(")").split())
    return struct.pack("<BIdd", 1, 1, x, y)


_OTHERWISE: Mapping[int, Callable[[Any], object]] = {
    FLOAT: lambda value: struct.unpack("<f", struct.pack("<f", value))[0],
    GEOMETRY: _point,
    TIMESTAMPTZ: lambda text: int(datetime.fromisoformat(text).timestamp()) * 1_000_000,
    SPARSE_FLOAT_VECTOR: lambda pairs: {int(at): weight for at, weight in pairs.items()},
    INT8_VECTOR: lambda value: [int(item) for item in value["values"]],
}
