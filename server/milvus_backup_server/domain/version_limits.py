"""What of a backup a version of Milvus cannot hold, found before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator

from milvus_backup_server.domain.capabilities import (
    ADDED_FIELDS_FROM,
    ANALYZERS_FROM,
    COLUMN_GROUPS_FROM,
    FUNCTIONS_FROM,
    L0_IMPORT_FROM,
    LATER_FUNCTIONS_FROM,
    NULLABLE_FROM,
    STRUCTS_FROM,
    TYPES_FROM,
)
from milvus_backup_server.domain.errors import BackupNotRestorable
from milvus_backup_server.domain.milvus import COLUMN_GROUPS, CollectionName, MilvusVersion
from milvus_backup_server.domain.milvus_types import data_type_name, function_type_name
from milvus_backup_server.domain.records import (
    CollectionBackupInfo,
    CollectionSchema,
    FieldSchema,
    FunctionSchema,
)
from milvus_backup_server.domain.restore_plan import name_of
from milvus_backup_server.domain.schema_steps import schema_steps

_ANALYZED = ("enable_match", "enable_analyzer")


def version_limits(
    record: CollectionBackupInfo, target: MilvusVersion | None
) -> Iterator[BackupNotRestorable]:
    """Yield what a version of Milvus cannot hold of a collection; nothing for an unknown version."""
    if target is None:
        return
    name = name_of(record)
    for what, first, field in _needs(record):
        if target < first:
            yield _needed(name, what, first, target, field)


def _needs(record: CollectionBackupInfo) -> Iterator[tuple[str, MilvusVersion, str]]:
    """Yield what a collection has, the first version that can hold it, and the field."""
    segments = [it for part in record.partition_backups for it in part.segment_backups]
    if record.l0_segments or any(segment.is_l0 for segment in segments):
        yield "has L0 segments", L0_IMPORT_FROM, ""
    if any(segment.storage_version >= COLUMN_GROUPS for segment in segments):
        yield "has segments of storage version 2 (column groups)", COLUMN_GROUPS_FROM, ""
    if record.schema is not None:
        yield from _needs_of_schema(record.schema)


def _needs_of_schema(schema: CollectionSchema) -> Iterator[tuple[str, MilvusVersion, str]]:
    for field in schema.fields:
        yield from _needs_of_field(field)
    for struct in schema.struct_array_fields:
        yield f"field {struct.name!r} is an array of structs", STRUCTS_FROM, struct.name
    for function in schema.functions:
        yield _need_of_function(function)
    for field in schema_steps(schema).added:
        what = f"field {field.name!r} was added after the dynamic field or an array of structs"
        yield what, ADDED_FIELDS_FROM, field.name


def _need_of_function(function: FunctionSchema) -> tuple[str, MilvusVersion, str]:
    made = ", ".join(function.output_field_names)
    what = f"field {made!r} is made by the {function_type_name(function.type)} function"
    first = FUNCTIONS_FROM.get(function.type, LATER_FUNCTIONS_FROM)
    return f"{what} {function.name!r}", first, made


def _needs_of_field(field: FieldSchema) -> Iterator[tuple[str, MilvusVersion, str]]:
    first = TYPES_FROM.get(field.data_type)
    if first is not None:
        what = f"field {field.name!r} is of type {data_type_name(field.data_type)}"
        yield what, first, field.name
    if field.nullable:
        yield f"field {field.name!r} may be null", NULLABLE_FROM, field.name
    if field.default_value_base64 or field.default_value_proto:
        yield f"field {field.name!r} has a default value", NULLABLE_FROM, field.name
    if any(pair.key in _ANALYZED and pair.value.lower() == "true" for pair in field.type_params):
        yield f"field {field.name!r} is analyzed or matched as text", ANALYZERS_FROM, field.name


def _needed(
    name: CollectionName, what: str, first: MilvusVersion, target: MilvusVersion, field: str
) -> BackupNotRestorable:
    return BackupNotRestorable(
        f"{name} {what}, which needs Milvus {first} or later; the target is {target}",
        subject=str(name),
        needed=str(first),
        version=str(target),
        **({"field": field} if field else {}),
    )
