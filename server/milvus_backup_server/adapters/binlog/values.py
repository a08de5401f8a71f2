"""Values of columns: from what Parquet holds to what ``domain.binlogs.RowBatch`` promises.

Source: Milvus's ``internal/storage`` (serde.go, payload_writer.go). Arrays are ``ScalarField``
messages, sparse vectors pairs of an index (uint32) and a float, other vectors their bytes.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterable, Mapping

from google.protobuf.message import DecodeError

from milvus_backup_server.adapters.milvus.stubs import schema_pb2
from milvus_backup_server.domain.binlogs import UNFIT, Key
from milvus_backup_server.domain.milvus_types import (
    ARRAY,
    ARRAY_OF_VECTOR,
    FLOAT_VECTOR,
    INT8_VECTOR,
    JSON,
    SPARSE_FLOAT_VECTOR,
)
from milvus_backup_server.domain.records import FieldSchema
from milvus_backup_server.domain.value_form import UNFIT_ERRORS

Decoder = Callable[[object], object]

_SPARSE_PAIR = struct.Struct("<If")
_FLOAT_BYTES = 4
_BEYOND_INT64 = 1 << 63


def valid_key(value: object) -> Key:
    """Return a primary key.

    Raises:
        TypeError, ValueError: It is none that Milvus can have.
    """
    if isinstance(value, str):
        value.encode()  # refuses half of a surrogate pair
        return value
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"a primary key is {type(value).__name__}")
    if not -_BEYOND_INT64 <= value < _BEYOND_INT64:
        raise ValueError("a primary key is larger than 64 bits")
    return value


def valid_timestamp(value: object) -> int:
    """Return a hybrid timestamp; errors as of ``valid_key``."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"a timestamp is {type(value).__name__}")
    if not 0 <= value < _BEYOND_INT64:
        raise ValueError("a timestamp is beyond all times")
    return value


def decoder_of(data_type: int, element_type: int = 0) -> Decoder:
    """Return what makes a value of a field of what its column holds; None is not given to it."""
    if data_type == ARRAY_OF_VECTOR:
        inner = decoder_of(element_type)
        return lambda value: _vectors(value, inner)
    return _DECODERS.get(data_type, _same)


def decoded(values: Iterable[object], decode: Decoder) -> list[object]:
    """Return the values of a column, UNFIT for one that cannot be decoded."""
    return [None if value is None else _decoded(value, decode) for value in values]


def default_of(field: FieldSchema) -> object:
    """Return the value of a field in rows that were written before it was added; UNFIT if it is none."""
    if not field.default_value_base64:
        return None
    found = _decoded(field.default_value_base64, _default)
    return found if found in (None, UNFIT) else _decoded(found, decoder_of(field.data_type))


def _decoded(value: object, decode: Decoder) -> object:
    try:
        return decode(value)
    except (*UNFIT_ERRORS, DecodeError):
        return UNFIT


def _same(value: object) -> object:
    return value


def _default(text: object) -> object:
    value = schema_pb2.ValueField.FromString(base64.b64decode(str(text)))
    kind = value.WhichOneof("data")
    return getattr(value, kind) if kind else None


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
