"""Schemas: Milvus's messages and the records of a backup, both ways."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError

from milvus_backup_server.adapters.milvus.stubs import Message, common_pb2, schema_pb2
from milvus_backup_server.domain.errors import BackupCorrupt
from milvus_backup_server.domain.records import (
    CollectionSchema,
    FieldSchema,
    FunctionSchema,
    KeyValue,
    StructArrayFieldSchema,
)
from milvus_backup_server.domain.schema_steps import FIRST_FIELD_ID

_CLUSTERING_KEY = "is_clustering_key"
"""A key of ours in the record of a field: the Go tool neither writes nor reads it."""

_STRUCT_PARAMS, _STRUCT_NULLABLE = "type_params", "nullable"
"""The same in the record of an array of structs."""


def schema_record(schema: Message) -> CollectionSchema:
    """Return the record of a schema, without the fields that Milvus adds by itself."""
    return CollectionSchema(
        name=schema.name,
        description=schema.description,
        auto_id=schema.autoID,
        fields=_field_records(schema.fields),
        enable_dynamic_field=schema.enable_dynamic_field,
        properties=key_values(schema.properties),
        functions=tuple(_function_record(function) for function in schema.functions),
        struct_array_fields=tuple(_struct_record(field) for field in schema.struct_array_fields),
    )


def _field_records(fields: Iterable[Message]) -> tuple[FieldSchema, ...]:
    return tuple(
        _field_record(field)
        for field in fields
        if not field.is_dynamic and not 0 < field.fieldID < FIRST_FIELD_ID
    )


def _field_record(field: Message) -> FieldSchema:
    default = field.default_value.SerializeToString() if field.HasField("default_value") else b""
    return FieldSchema(
        field_id=field.fieldID,
        name=field.name,
        is_primary_key=field.is_primary_key,
        description=field.description,
        data_type=field.data_type,
        type_params=key_values(field.type_params),
        index_params=key_values(field.index_params),
        auto_id=field.autoID,
        element_type=field.element_type,
        is_partition_key=field.is_partition_key,
        nullable=field.nullable,
        is_function_output=field.is_function_output,
        default_value_base64=base64.b64encode(default).decode(),
        extra={_CLUSTERING_KEY: True} if field.is_clustering_key else {},
    )


def _function_record(function: Message) -> FunctionSchema:
    return FunctionSchema(
        name=function.name,
        id=function.id,
        description=function.description,
        type=function.type,
        input_field_names=tuple(function.input_field_names),
        input_field_ids=tuple(function.input_field_ids),
        output_field_names=tuple(function.output_field_names),
        output_field_ids=tuple(function.output_field_ids),
        params=key_values(function.params),
    )


def _struct_record(field: Message) -> StructArrayFieldSchema:
    return StructArrayFieldSchema(
        field_id=field.fieldID,
        name=field.name,
        description=field.description,
        fields=_field_records(field.fields),
        extra=_struct_extra(field),
    )


def _struct_extra(field: Message) -> dict[str, Any]:
    params = [pair.to_json() for pair in key_values(field.type_params)]
    extra = {_STRUCT_PARAMS: params} if params else {}
    return {**extra, _STRUCT_NULLABLE: True} if field.nullable else extra


def key_values(pairs: Iterable[Message]) -> tuple[KeyValue, ...]:
    """Return the records of Milvus's pairs, in their order."""
    return tuple(KeyValue(key=pair.key, value=pair.value) for pair in pairs)


def key_value_messages(pairs: Iterable[KeyValue]) -> list[Message]:
    """Return Milvus's pairs of records, in their order."""
    return [common_pb2.KeyValuePair(key=pair.key, value=pair.value) for pair in pairs]


def schema_message(name: str, schema: CollectionSchema) -> Message:
    """Return the schema to create a collection with, its fields as ``schema_steps`` orders them.

    The dynamic field is Milvus's own and not sent.
    """
    return schema_pb2.CollectionSchema(
        name=name,
        description=schema.description,
        autoID=schema.auto_id,
        fields=[field_message(field) for field in schema.fields if not field.is_dynamic],
        enable_dynamic_field=schema.enable_dynamic_field,
        properties=key_value_messages(schema.properties),
        functions=[_function_message(function) for function in schema.functions],
        struct_array_fields=[_struct_message(field) for field in schema.struct_array_fields],
    )


def field_message(field: FieldSchema) -> Message:
    """Return the schema of one field."""
    return schema_pb2.FieldSchema(
        fieldID=field.field_id,
        name=field.name,
        is_primary_key=field.is_primary_key,
        description=field.description,
        data_type=field.data_type,
        type_params=key_value_messages(field.type_params),
        index_params=key_value_messages(field.index_params),
        autoID=field.auto_id,
        element_type=field.element_type,
        default_value=_default_message(field),
        is_partition_key=field.is_partition_key,
        nullable=field.nullable,
        is_function_output=field.is_function_output,
        is_clustering_key=field.extra.get(_CLUSTERING_KEY) is True,
    )


def _default_message(field: FieldSchema) -> Message | None:
    if not field.default_value_base64 and not field.default_value_proto:
        return None
    try:
        data = base64.b64decode(field.default_value_base64, validate=True)
        return schema_pb2.ValueField.FromString(data or field.default_value_proto.encode())
    except (binascii.Error, DecodeError) as error:
        raise BackupCorrupt(
            f"the default value of field {field.name} cannot be read", key=field.name
        ) from error


def _function_message(function: FunctionSchema) -> Message:
    return schema_pb2.FunctionSchema(
        name=function.name,
        id=function.id,
        description=function.description,
        type=function.type,
        input_field_names=function.input_field_names,
        input_field_ids=function.input_field_ids,
        output_field_names=function.output_field_names,
        output_field_ids=function.output_field_ids,
        params=key_value_messages(function.params),
    )


def _struct_message(field: StructArrayFieldSchema) -> Message:
    return schema_pb2.StructArrayFieldSchema(
        fieldID=field.field_id,
        name=field.name,
        description=field.description,
        fields=[field_message(inner) for inner in field.fields],
        type_params=key_value_messages(
            KeyValue.from_json(pair) for pair in field.extra.get(_STRUCT_PARAMS, ())
        ),
        nullable=field.extra.get(_STRUCT_NULLABLE) is True,
    )
