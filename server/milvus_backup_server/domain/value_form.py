"""Single values in their canonical form: the bytes by which ``row_form`` compares rows.

- Numbers are little-endian, integers of 64 bits; all NaNs are one. Points in time are microseconds since
  1970 in UTC.
- Texts are UTF-8. JSON has sorted keys and no spaces.
- Vectors of floats are 32-bit floats. Binary, float16, bfloat16 and int8 ones are the bytes that Milvus
  stores: they are never converted. Sparse ones are pairs of index and float in the order of the index.
- Arrays have the length of each element before it, null elements included.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from milvus_backup_server.domain.milvus_types import (
    ARRAY,
    ARRAY_OF_VECTOR,
    BFLOAT16_VECTOR,
    BINARY_VECTOR,
    BOOL,
    DOUBLE,
    FLOAT,
    FLOAT16_VECTOR,
    FLOAT_VECTOR,
    INT8_VECTOR,
    INTEGERS,
    JSON,
    SPARSE_FLOAT_VECTOR,
    TEXTS,
    TIMESTAMPTZ,
)
from milvus_backup_server.domain.records import FieldSchema

Encode = Callable[[object], bytes]
"""Returns the bytes of a value; raises one of UNFIT_ERRORS for what is none of its type."""

UNFIT_ERRORS = (TypeError, ValueError, OverflowError, RecursionError, struct.error)

_LENGTH = struct.Struct("<q")
_NULL = _LENGTH.pack(-1)
_FLOAT, _DOUBLE, _SPARSE_PAIR = struct.Struct("<f"), struct.Struct("<d"), struct.Struct("<If")
_BITS = 8


def encoder(field: FieldSchema) -> Encode:
    """Return what makes the bytes of a field's values; None is not given to it."""
    dim = next(
        (int(it.value) for it in field.type_params if it.key == "dim" and it.value.isdecimal()), 0
    )
    if field.data_type == ARRAY:
        return _list(_encoder(field.element_type, 0))
    if field.data_type == ARRAY_OF_VECTOR:
        return _list(_encoder(field.element_type, dim))
    return _encoder(field.data_type, dim)


def item(encode: Encode, value: object) -> bytes:
    """Return the bytes of a value that may be null, such that no others can follow in their place."""
    if value is None:
        return _NULL
    data = encode(value)
    return _LENGTH.pack(len(data)) + data


def _encoder(data_type: int, dim: int) -> Encode:
    encode = _ENCODERS.get(data_type, _bytes)
    bits = _VECTOR_BITS.get(data_type, 0) * dim
    return _of_size(encode, bits // _BITS) if bits else encode


def _list(element: Encode) -> Encode:
    return lambda value: b"".join(item(element, it) for it in _sequence(value))


def _of_size(encode: Encode, size: int) -> Encode:
    def checked(value: object) -> bytes:
        data = encode(value)
        if len(data) != size:
            raise ValueError(f"a vector of {size} bytes has {len(data)}")
        return data

    return checked


def _sequence(value: object) -> Sequence[object]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise TypeError(f"a list is {type(value).__name__}")
    return value


def _boolean(value: object) -> bytes:
    if not isinstance(value, bool):
        raise TypeError(f"a truth value is {type(value).__name__}")
    return b"\x01" if value else b"\x00"


def _integer(bits: int) -> Encode:
    least, beyond = -(1 << bits - 1), 1 << bits - 1

    def encode(value: object) -> bytes:
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"an integer is {type(value).__name__}")
        if not least <= value < beyond:
            raise ValueError(f"an integer of {bits} bits is beyond them")
        return _LENGTH.pack(value)

    return encode


def _real(packed: struct.Struct) -> Encode:
    nan = packed.pack(float("nan"))

    def encode(value: object) -> bytes:
        if not isinstance(value, float | int) or isinstance(value, bool):
            raise TypeError(f"a number is {type(value).__name__}")
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
    BOOL: _boolean,
    **{it: _integer(bits) for it, bits in zip(INTEGERS, (8, 16, 32, 64), strict=True)},
    TIMESTAMPTZ: _integer(64),
    FLOAT: _real(_FLOAT),
    DOUBLE: _real(_DOUBLE),
    **dict.fromkeys(TEXTS, _text),
    JSON: _json,
    FLOAT_VECTOR: _numbers("f"),
    INT8_VECTOR: _numbers("b"),
    SPARSE_FLOAT_VECTOR: _sparse,
}

_VECTOR_BITS: Mapping[int, int] = {
    BINARY_VECTOR: 1,
    FLOAT_VECTOR: 32,
    FLOAT16_VECTOR: 16,
    BFLOAT16_VECTOR: 16,
    INT8_VECTOR: 8,
}
