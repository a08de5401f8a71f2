"""Values of columns: from what Parquet holds to what ``domain.binlogs.RowBatch`` promises.

Source: Milvus's ``internal/storage`` (serde.go, payload_writer.go). Arrays are ``ScalarField``
messages, sparse vectors pairs of an index (uint32) and a float, other vectors their bytes.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterable, Mapping

from milvus_backup_server.adapters.milvus.stubs import schema_pb2
from milvus_backup_server.domain.milvus_types import (
    ARRAY,
    ARRAY_OF_VECTOR,
    FLOAT_VECTOR,
    INT8_VECTOR,
    JSON,
    SPARSE_FLOAT_VECTOR,
)
from milvus_backup_server.domain.records import FieldSchema

Decoder = Callable[[object], object]

_SPARSE_PAIR = struct.Struct("<If")
_FLOAT_BYTES = 4


def decoder_of(data_type: int, element_type: int = 0) -> Decoder:
    """Return what makes a value of a field of what its column holds; None is not given to it."""
    if data_type == ARRAY_OF_VECTOR:
        inner = decoder_of(element_type)
        return lambda value: _vectors(value, inner)
    return _DECODERS.get(data_type, _same)


def decoded(values: Iterable[object], decode: Decoder) -> list[object]:
    """Return the values of a column."""
    return [None if value is None else decode(value) for value in values]


def default_of(field: FieldSchema) -> object:
    """Return the value of a field in rows that were written before it was added."""
    if not field.default_value_base64:
        return None
    value = schema_pb2.ValueField.FromString(base64.b64decode(field.default_value_base64))
    kind = value.WhichOneof("data")
    found = getattr(value, kind) if kind else None
    return None if found is None else decoder_of(field.data_type)(found)


def _same(value: object) -> object:
    return value


def _json(value: object) -> object:
    if not isinstance(value, bytes | str):
        raise TypeError(f"JSON is {type(value).__name__}")
    return json.loads(value)


def _floats(value: object) -> object:
    data = _bytes(value)
    return list(struct.unpack(f"<{len(data) // _FLOAT_BYTES}f", data))


def _int8s(value: object) -> object:
    return list(memoryview(_bytes(value)).cast("b"))


def _sparse(value: object) -> object:
    return dict(_SPARSE_PAIR.iter_unpack(_bytes(value)))


def _array(value: object) -> object:
    message = schema_pb2.ScalarField.FromString(_bytes(value))
    kind = message.WhichOneof("data")
    return list(getattr(message, kind).data) if kind else []


def _vectors(value: object, decode: Decoder) -> object:
    if not isinstance(value, list):
        raise TypeError(f"a list of vectors is {type(value).__name__}")
    return decoded(value, decode)


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"bytes are {type(value).__name__}")
    return value


_DECODERS: Mapping[int, Decoder] = {
    ARRAY: _array,
    JSON: _json,
    FLOAT_VECTOR: _floats,
    INT8_VECTOR: _int8s,
    SPARSE_FLOAT_VECTOR: _sparse,
}
