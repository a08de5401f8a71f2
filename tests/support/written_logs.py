"""Logs of Milvus in forms that no fixture has, written by hand."""

import io
import struct
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

MAGIC = b"\xbc\xfa\xff\x00"
_INSERT, _DELETE = 1, 2
_HEADER = 17


def parquet(columns: Mapping[str, pa.Array], *, row_group: int = 1000) -> bytes:
    """Return a Parquet file; a column called `name:7` gets the field id 7."""
    fields, arrays = [], []
    for title, array in columns.items():
        name, _, number = title.partition(":")
        metadata = {"PARQUET:field_id": number} if number else None
        fields.append(pa.field(name, array.type, metadata=metadata))
        arrays.append(array)
    file = io.BytesIO()
    table = pa.table(arrays, schema=pa.schema(fields))
    pq.write_table(table, file, row_group_size=row_group)
    return file.getvalue()


def insert_log(field_id: int, values: Sequence[object], kind: pa.DataType) -> bytes:
    """Return a log of storage version 1 with one column."""
    return _log(field_id, _INSERT, parquet({"val": pa.array(values, kind)}))


def delta_log(columns: Mapping[str, pa.Array]) -> bytes:
    """Return a delta log whose Parquet data lies within events."""
    return _log(-1, _DELETE, parquet(columns))


def _log(field_id: int, kind: int, payload: bytes) -> bytes:
    extra = b'{"original_size":"1"}'
    described = struct.pack("<4q2Qi", 1, 2, 3, field_id, 0, 0, 5) + bytes(8)
    described += struct.pack("<i", len(extra)) + extra
    return MAGIC + _event(0, described) + _event(kind, struct.pack("<QQ", 0, 0) + payload)


def _event(kind: int, data: bytes) -> bytes:
    return struct.pack("<QbiI", 0, kind, _HEADER + len(data), 0xFFFFFFFF) + data
