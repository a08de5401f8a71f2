"""Rows in one canonical form, by which what a backup's logs hold is compared with what Milvus answers.

A row is the hash of its fields in the order of their names, each the bytes of its value:

- Numbers are little-endian and of the size of their type; all NaNs are one. Points in time are
  microseconds since 1970 in UTC.
- Texts are UTF-8. JSON has sorted keys and no spaces; a row without dynamic fields has ``{}``.
- Vectors of floats are 32-bit floats. Binary, float16, bfloat16 and int8 ones are the bytes that Milvus
  stores: they are never converted. Sparse ones are pairs of index and float in the order of the index.
- Arrays have the length of each element before it, null elements included.

Left out, because Milvus does not give them back as they are stored: fields that functions compute, which
Milvus computes anew and mostly does not return, and geometries, which it returns as text.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from milvus_backup_server.domain.binlogs import DYNAMIC_FIELD, Key, RowBatch
from milvus_backup_server.domain.milvus_types import (
    ARRAY,
    ARRAY_OF_VECTOR,
    BOOL,
    DOUBLE,
    FLOAT,
    FLOAT_VECTOR,
    GEOMETRY,
    INT8_VECTOR,
    INTEGERS,
    JSON,
    SPARSE_FLOAT_VECTOR,
    TEXTS,
    TIMESTAMPTZ,
)
from milvus_backup_server.domain.records import CollectionSchema, FieldSchema

BUCKETS = 4096
"""Groups of keys whose rows are summed up; those of a group that differs are compared one by one."""

_DIGEST_BYTES = 16
_SAMPLE = 16
_MASK = (1 << 8 * _DIGEST_BYTES) - 1
_LENGTH = struct.Struct("<q")
_NULL = _LENGTH.pack(-1)
_FLOAT, _DOUBLE, _SPARSE_PAIR = struct.Struct("<f"), struct.Struct("<d"), struct.Struct("<If")

Encode = Callable[[object], bytes]


class RowForm:
    """The canonical form of the rows of one collection.

    Args:
        schema: Of the collection.

    Attributes:
        fields: Names of the fields that are compared, as ``RowBatch`` calls them.
        left_out: Names of those that are not.
    """

    def __init__(self, schema: CollectionSchema) -> None:
        named = dict(_named(schema))
        computed = {name for it in schema.functions for name in it.output_field_names}
        self.left_out = tuple(
            sorted(
                name
                for name, field in named.items()
                if name in computed or field.is_function_output or field.data_type == GEOMETRY
            )
        )
        encoders = {
            name: _encoder(field.data_type, field.element_type)
            for name, field in named.items()
            if name not in self.left_out
        }
        if schema.enable_dynamic_field:
            encoders[DYNAMIC_FIELD] = _json
        self._encoders = sorted(encoders.items())
        self.fields = tuple(name for name, _ in self._encoders)

    def digests(self, batch: RowBatch) -> list[bytes]:
        """Return the hash of each row.

        Raises:
            TypeError, ValueError, struct.error: A value is not of its field's type.
        """
        rows = self._rows(batch, range(len(batch.keys)))
        return [hashlib.blake2b(row, digest_size=_DIGEST_BYTES).digest() for row in rows]

    def size(self, batch: RowBatch) -> int:
        """Return about how many bytes rows have, by some of them; errors as of ``digests``."""
        count = len(batch.keys)
        some = range(0, count, max(1, count // _SAMPLE))
        return sum(map(len, self._rows(batch, some))) * count // max(len(some), 1)

    def _rows(self, batch: RowBatch, numbers: Iterable[int]) -> Iterator[bytes]:
        columns = [(encode, self._column(batch, name)) for name, encode in self._encoders]
        for number in numbers:
            yield b"".join(_item(encode, values[number]) for encode, values in columns)

    def _column(self, batch: RowBatch, name: str) -> Sequence[object]:
        if name != DYNAMIC_FIELD:
            return batch.columns[name]
        given = batch.columns.get(name) or [None] * len(batch.keys)
        return [{} if value is None else value for value in given]


class RowSums:
    """The sums of the hashes of rows by groups of keys: equal for equal rows in whatever order.

    Attributes:
        rows: How many rows were added.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._sums = [0] * BUCKETS

    def add(self, keys: Iterable[Key], digests: Iterable[bytes]) -> None:
        """Add rows."""
        for key, digest in zip(keys, digests, strict=True):
            at = bucket_of(key)
            self._sums[at] = (self._sums[at] + int.from_bytes(digest)) & _MASK
            self.rows += 1

    def differing(self, other: RowSums) -> frozenset[int]:
        """Return the groups in which there are other rows than in another one."""
        pairs = zip(self._sums, other._sums, strict=True)
        return frozenset(at for at, (ours, theirs) in enumerate(pairs) if ours != theirs)


def bucket_of(key: Key) -> int:
    """Return the group of a primary key."""
    return zlib.crc32(str(key).encode()) % BUCKETS


def _named(schema: CollectionSchema) -> Iterator[tuple[str, FieldSchema]]:
    for field in schema.fields:
        if not field.is_dynamic:
            yield field.name, field
    for array_field in schema.struct_array_fields:
        for field in array_field.fields:
            yield f"{array_field.name}[{field.name}]", field


def _item(encode: Encode, value: object) -> bytes:
    if value is None:
        return _NULL
    data = encode(value)
    return _LENGTH.pack(len(data)) + data


def _encoder(data_type: int, element_type: int) -> Encode:
    if data_type in (ARRAY, ARRAY_OF_VECTOR):
        element = _encoder(element_type, 0)
        return lambda value: b"".join(_item(element, item) for item in _sequence(value))
    return _ENCODERS.get(data_type, _bytes)


def _sequence(value: object) -> Sequence[object]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise TypeError(f"a list is {type(value).__name__}")
    return value


def _integer(value: object) -> bytes:
    if not isinstance(value, int):
        raise TypeError(f"an integer is {type(value).__name__}")
    return _LENGTH.pack(value)


def _real(packed: struct.Struct) -> Encode:
    nan = packed.pack(float("nan"))

    def encode(value: object) -> bytes:
        return nan if value != value else packed.pack(value)  # noqa: PLR0124 only a NaN is not itself

    return encode


def _text(value: object) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"a text is {type(value).__name__}")
    return value.encode()


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode(
        errors="surrogatepass"
    )


def _numbers(code: str) -> Encode:
    return lambda value: _packed(code, _sequence(value))


def _packed(code: str, numbers: Any) -> bytes:
    return array(code, numbers).tobytes()


def _sparse(value: object) -> bytes:
    if not isinstance(value, Mapping):
        raise TypeError(f"a sparse vector is {type(value).__name__}")
    return b"".join(_SPARSE_PAIR.pack(*pair) for pair in sorted(value.items()))


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"bytes are {type(value).__name__}")
    return value


_ENCODERS: Mapping[int, Encode] = {
    BOOL: lambda value: b"\x01" if value else b"\x00",
    **dict.fromkeys((*INTEGERS, TIMESTAMPTZ), _integer),
    FLOAT: _real(_FLOAT),
    DOUBLE: _real(_DOUBLE),
    **dict.fromkeys(TEXTS, _text),
    JSON: _json,
    FLOAT_VECTOR: _numbers("f"),
    INT8_VECTOR: _numbers("b"),
    SPARSE_FLOAT_VECTOR: _sparse,
}
