"""Rows that a query answers, as ``domain.binlogs.RowBatch`` promises them.

Source: ``schema.proto`` of milvus-proto. Scalars stand in the list of their type, null ones in some
versions as a value that does not count, in others not at all; ``valid_data`` tells which they are. Vectors
of one field lie behind one another; sparse ones are pairs of index (uint32) and float.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from milvus_backup_server.adapters.milvus.stubs import Message
from milvus_backup_server.domain.binlogs import DYNAMIC_FIELD, UNFIT, RowBatch
from milvus_backup_server.domain.errors import MilvusRefused
from milvus_backup_server.domain.milvus_types import TIMESTAMPTZ
from milvus_backup_server.domain.value_form import UNFIT_ERRORS

T = TypeVar("T")

_BITS = 8
_HALF = 2
_SPARSE_PAIR = struct.Struct("<If")
_EPOCH = datetime.fromtimestamp(0, UTC)


def asked_fields(fields: Iterable[str]) -> list[str]:
    """Return what a query is asked for: an array of structs as a whole."""
    return list(dict.fromkeys(name.partition("[")[0] for name in fields))


def row_batch(answer: Message, key: str) -> RowBatch:
    """Return the rows of a query's answer.

    Args:
        answer: To Query.
        key: Name of the primary key.

    Raises:
        MilvusRefused: Its columns have not the same length.
    """
    columns = {name: values for field in answer.fields_data for name, values in _columns(field)}
    keys = columns.get(key, [])
    for name, values in columns.items():
        if len(values) not in (0, len(keys)):
            text = f"Milvus answered with {len(keys)} rows and {len(values)} values of field {name}"
            raise MilvusRefused(text, call="Query", field=name)
    return RowBatch([0] * len(keys), keys, columns)  # type: ignore[arg-type] # keys are of its type


def _columns(field: Message) -> Iterator[tuple[str, list[object]]]:
    if field.is_dynamic:
        yield DYNAMIC_FIELD, _column(field)
    elif field.WhichOneof("field") == "struct_arrays":
        for inner in field.struct_arrays.fields:
            name = inner.field_name
            yield name if "[" in name else f"{field.field_name}[{name}]", _column(inner)
    else:
        yield field.field_name, _column(field)


def _column(field: Message) -> list[object]:
    scalars = field.WhichOneof("field") == "scalars"
    values = _scalars(field.scalars) if scalars else _vectors(field.vectors)
    if field.type == TIMESTAMPTZ:
        values = [_fitting(_microseconds, value) for value in values]
    valid = list(field.valid_data)
    if not valid:
        return values
    if len(values) == len(valid):
        return [value if is_valid else None for value, is_valid in zip(values, valid, strict=True)]
    there = iter(values)
    return [next(there) if is_valid else None for is_valid in valid]


def _scalars(scalars: Message) -> list[object]:
    kind = scalars.WhichOneof("data")
    if kind is None:
        return []
    data = getattr(scalars, kind).data
    if kind == "json_data":
        return [_fitting(json.loads, value) if value else None for value in data]
    if kind == "array_data":
        return [_scalars(item) for item in data]
    return list(data)


def _fitting(decode: Callable[[Any], object], value: object) -> object:
    """Return a value, UNFIT for one that cannot be decoded: Milvus gives back what a log held."""
    try:
        return decode(value)
    except UNFIT_ERRORS:
        return UNFIT


def _microseconds(value: object) -> object:
    """Return a point in time: newer versions of Milvus tell it as text."""
    if not isinstance(value, str) or not value:
        return value
    return (datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1)


def _vectors(vectors: Message) -> list[object]:
    kind = vectors.WhichOneof("data")
    if kind is None:
        return []
    return _VECTORS[kind](vectors, vectors.dim)


def _floats(vectors: Message, dim: int) -> list[object]:
    return list(_pieces(vectors.float_vector.data, dim))


def _sparse(vectors: Message, _: int) -> list[object]:
    rows = vectors.sparse_float_vector.contents
    return [_fitting(lambda row: dict(_SPARSE_PAIR.iter_unpack(row)), row) for row in rows]


def _int8s(vectors: Message, dim: int) -> list[object]:
    data = memoryview(vectors.int8_vector).cast("b")
    return [list(row) for row in _pieces(data, dim)]


def _lists(vectors: Message, _: int) -> list[object]:
    return [_vectors(row) for row in vectors.vector_array.data]


def _pieces(data: Sequence[T], length: int) -> Iterator[Sequence[T]]:
    return (data[at : at + length] for at in range(0, len(data), length or 1))


_VECTORS: Mapping[str, Callable[[Message, int], list[object]]] = {
    "float_vector": _floats,
    "binary_vector": lambda vectors, dim: list(_pieces(vectors.binary_vector, dim // _BITS)),
    "float16_vector": lambda vectors, dim: list(_pieces(vectors.float16_vector, dim * _HALF)),
    "bfloat16_vector": lambda vectors, dim: list(_pieces(vectors.bfloat16_vector, dim * _HALF)),
    "sparse_float_vector": _sparse,
    "int8_vector": _int8s,
    "vector_array": _lists,
}
