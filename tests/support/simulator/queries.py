"""Queries of a simulated Milvus, as an iterator makes them: rows behind a key, in the order of the keys."""

import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from milvus_backup_server.adapters.milvus.stubs import Message, milvus_pb2, schema_pb2
from milvus_backup_server.domain.binlogs import UNFIT
from milvus_backup_server.domain.milvus_types import is_vector
from tests.support.simulator.model import NOT_LOADED, Collection, Fault, Stored

_COUNT = "count(*)"
_BEHIND = re.compile(r"(\w+) (>=?) (.+)", re.DOTALL)
_LARGEST = (1 << 63) - 1
_BITS = 8
Type = schema_pb2.DataType
_BITS_OF = {Type.BinaryVector: 1, Type.Float16Vector: 16, Type.BFloat16Vector: 16}


def query(collection: Collection, request: Message) -> Message:
    """Answer a query.

    Raises:
        Fault: As Milvus refuses it.
    """
    if collection.load == NOT_LOADED:
        raise Fault(101, f"collection not loaded[collection={collection.name}]")
    if list(request.output_fields) == [_COUNT]:
        return milvus_pb2.QueryResults(fields_data=[_counted(len(collection.seen()))])
    params = {item.key: item.value for item in request.query_params}
    if not params.get("limit"):
        raise Fault(1100, "empty expression should be used with limit")
    if params.get("iterator") != "True" or params.get("reduce_stop_for_best") != "True":
        raise Fault(65535, "simulated: without these the order of the rows is any")
    if request.partition_names and collection.keyed:
        raise Fault(1100, "not support manually specifying the partition names")
    rows = _wanted(collection, request)[: int(params["limit"])]
    columns = [_column(collection, name, rows) for name in request.output_fields]
    return milvus_pb2.QueryResults(fields_data=columns)


def _wanted(collection: Collection, request: Message) -> list[Stored]:
    partitions = {collection.partitions[name] for name in request.partition_names}
    found = {
        item.key: item
        for item in sorted(collection.seen(), key=lambda item: item.timestamp)
        if not partitions or item.partition_id in partitions
    }
    rows = [found[key] for key in sorted(found)]
    if not request.expr:
        return rows
    behind = _BEHIND.fullmatch(request.expr)
    assert behind, request.expr
    assert behind[1] == _key(collection).name, request.expr
    last = json.loads(behind[3])
    if isinstance(last, int) and abs(last) > _LARGEST:  # the sign is none of the number's
        raise Fault(1100, f"cannot parse expression: {request.expr}: value out of range")
    equal = behind[2] == ">="
    return [item for item in rows if item.key > last or (equal and item.key == last)]


def _key(collection: Collection) -> Message:
    return next(item for item in collection.schema.fields if item.is_primary_key)


def _counted(number: int) -> Message:
    data = schema_pb2.ScalarField(long_data=schema_pb2.LongArray(data=[number]))
    return schema_pb2.FieldData(type=Type.Int64, field_name=_COUNT, scalars=data)


def _column(collection: Collection, name: str, rows: Sequence[Stored]) -> Message:
    for struct_field in collection.schema.struct_array_fields:
        if struct_field.name == name:
            inner = [
                _filled(item, [row.row[f"{name}[{item.name}]"] for row in rows])
                for item in struct_field.fields
            ]
            arrays = schema_pb2.StructArrayField(fields=inner)
            return schema_pb2.FieldData(
                type=Type.ArrayOfStruct, field_name=name, struct_arrays=arrays
            )
    field = next((item for item in collection.schema.fields if item.name == name), None)
    if field is None:
        raise Fault(1100, f"field {name} not exist")
    if field.is_dynamic:
        known = {item.name for item in collection.user_fields()}
        extras = [
            {key: value for key, value in row.row.items() if key not in known and "[" not in key}
            for row in rows
        ]
        return _filled(field, extras)
    if any(name in it.output_field_names for it in collection.schema.functions):
        raise Fault(65535, f"not allowed to retrieve raw data of field {name}")
    return _filled(field, [row.row[name] for row in rows])


def _filled(field: Message, values: Sequence[Any]) -> Message:
    found = schema_pb2.FieldData(
        type=field.data_type, field_name=field.name, is_dynamic=field.is_dynamic
    )
    there = [value for value in values if value is not None]
    if field.nullable or field.HasField("default_value"):
        found.valid_data.extend(value is not None for value in values)
    if is_vector(field.data_type):
        dim = next((int(it.value) for it in field.type_params if it.key == "dim"), 0)
        found.vectors.CopyFrom(_vectors(field.data_type, field.element_type, dim, there))
    else:
        filler = _SCALARS[field.data_type]
        empty = _EMPTY.get(field.data_type, 0)
        whole = [empty if value is None else value for value in values]
        found.scalars.CopyFrom(filler(whole, field.element_type))
    return found


def _vectors(kind: int, element: int, dim: int, values: Sequence[Any]) -> Message:
    made = schema_pb2.VectorField(dim=dim)
    if kind == Type.FloatVector:
        made.float_vector.data.extend(number for vector in values for number in vector)
    elif kind == Type.SparseFloatVector:
        made.sparse_float_vector.contents.extend(
            b"".join(struct.pack("<If", *pair) for pair in vector.items()) for vector in values
        )
    elif kind == Type.Int8Vector:
        made.int8_vector = b"".join(struct.pack(f"{dim}b", *vector) for vector in values)
    elif kind == Type.ArrayOfVector:
        rows = [_vectors(element, 0, dim, vectors) for vectors in values]
        made.vector_array.CopyFrom(schema_pb2.VectorArray(dim=dim, data=rows, element_type=element))
    else:
        name = {
            Type.BinaryVector: "binary_vector",
            Type.Float16Vector: "float16_vector",
            Type.BFloat16Vector: "bfloat16_vector",
        }[kind]
        setattr(made, name, b"".join(values))
        assert len(getattr(made, name)) == dim * _BITS_OF[kind] // _BITS * len(values)
    return made


def _list(name: str, kind: Any) -> Callable[[Sequence[Any], int], Message]:
    return lambda values, _: schema_pb2.ScalarField(**{name: kind(data=values)})


def _json(values: Sequence[Any], _: int) -> Message:
    # What an import read and is no JSON is given back as it is.
    data = [b"{" if value is UNFIT else json.dumps(value).encode() for value in values]
    return schema_pb2.ScalarField(json_data=schema_pb2.JSONArray(data=data))


def _times(values: Sequence[Any], _: int) -> Message:
    start = datetime.fromtimestamp(0, UTC)
    texts = [(start + timedelta(microseconds=value)).isoformat() for value in values]
    return schema_pb2.ScalarField(string_data=schema_pb2.StringArray(data=texts))


def _arrays(values: Sequence[Any], element: int) -> Message:
    rows = [_SCALARS[element](value, 0) for value in values]
    return schema_pb2.ScalarField(array_data=schema_pb2.ArrayArray(data=rows, element_type=element))


_INTS, _TEXTS = _list("int_data", schema_pb2.IntArray), _list("string_data", schema_pb2.StringArray)
_SCALARS: Mapping[int, Callable[[Sequence[Any], int], Message]] = {
    Type.Bool: _list("bool_data", schema_pb2.BoolArray),
    Type.Int8: _INTS,
    Type.Int16: _INTS,
    Type.Int32: _INTS,
    Type.Int64: _list("long_data", schema_pb2.LongArray),
    Type.Float: _list("float_data", schema_pb2.FloatArray),
    Type.Double: _list("double_data", schema_pb2.DoubleArray),
    Type.VarChar: _TEXTS,
    Type.Text: _TEXTS,
    Type.JSON: _json,
    Type.Timestamptz: _times,
    Type.Array: _arrays,
}
_EMPTY: Mapping[int, Any] = {
    Type.Bool: False,
    Type.VarChar: "",
    Type.Text: "",
    Type.JSON: None,
    Type.Array: (),
}
