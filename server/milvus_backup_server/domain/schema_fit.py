"""Whether a collection that exists can take the rows of one of a backup.

An import finds columns by the numbers of the fields, so these must be the same too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from milvus_backup_server.domain.milvus import CollectionDescription
from milvus_backup_server.domain.milvus_types import ARRAY_OF_STRUCT, data_type_name
from milvus_backup_server.domain.records import CollectionSchema, FieldSchema, IndexInfo
from milvus_backup_server.domain.target_collection import TargetCollection

_SAME = ("dim",)
_AT_LEAST = ("max_length", "max_capacity")


def schema_differences(wanted: CollectionSchema, there: CollectionSchema) -> Iterator[str]:
    """Yield why rows of one schema do not fit the other, field by field."""
    if wanted.enable_dynamic_field != there.enable_dynamic_field:
        yield f"it has {'no' if wanted.enable_dynamic_field else 'a'} dynamic field"
    present = dict(_named_fields(there))
    for name, field in _named_fields(wanted):
        found = present.pop(name, None)
        if found is None:
            yield f"it has no field {name!r}"
        else:
            yield from _field_differences(field, found)
    for name in present:
        yield f"it has a field {name!r} that the backup has not"


def _named_fields(schema: CollectionSchema) -> Iterator[tuple[str, FieldSchema]]:
    """Yield the fields by name, arrays of structs and what is in them among them."""
    for field in schema.fields:
        if not field.is_dynamic:
            yield field.name, field
    for struct in schema.struct_array_fields:
        array = FieldSchema(name=struct.name, field_id=struct.field_id, data_type=ARRAY_OF_STRUCT)
        yield struct.name, array
        for field in struct.fields:
            name = f"{struct.name}[{field.name}]"
            yield name, replace(field, name=name)


def partition_differences(wanted: TargetCollection, there: CollectionDescription) -> Iterator[str]:
    """Yield why the partitions of a key do not fit: their number decides where rows go."""
    if wanted.partition_count and wanted.partition_count != there.partition_count:
        yield (
            f"its key has {there.partition_count} partitions, that of the backup "
            f"{wanted.partition_count}"
        )


def index_differences(wanted: TargetCollection, there: list[IndexInfo]) -> Iterator[str]:
    """Yield which indexes are in the way of those that are wanted; equal ones are not."""
    present = {_place(index): index for index in there}
    for index in wanted.indexes:
        found = present.get(_place(index))
        if found is not None and _kind(found) != _kind(index):
            yield (
                f"its field {index.field_name!r} has another index, {found.index_name!r}; "
                "drop_existing_indexes removes it"
            )


def _place(index: IndexInfo) -> tuple[str, str]:
    """Return of what it is an index: of a field, or of one path in a JSON field."""
    return index.field_name, index.params.get("json_path", "")


def _kind(index: IndexInfo) -> tuple[str, dict[str, str]]:
    params = {key: value for key, value in index.params.items() if value}
    return index.index_name, {"index_type": index.index_type, **params}


def _field_differences(wanted: FieldSchema, there: FieldSchema) -> Iterator[str]:
    name = repr(wanted.name)
    if wanted.field_id and wanted.field_id != there.field_id:
        yield f"its field {name} has the id {there.field_id}, not {wanted.field_id}"
    if wanted.data_type != there.data_type:
        yield f"its field {name} is {_type(there)}, not {_type(wanted)}"
        return
    if wanted.element_type != there.element_type:
        yield f"the elements of its field {name} are of another type"
    for what, has, has_not in _FLAGS:
        if getattr(wanted, what) != getattr(there, what):
            yield f"its field {name} {has if getattr(there, what) else has_not}"
    yield from _param_differences(wanted, there)


_FLAGS = (
    ("is_primary_key", "is the primary key", "is not the primary key"),
    ("is_partition_key", "is the partition key", "is not the partition key"),
    ("auto_id", "makes its own ids", "makes no ids of its own"),
    ("nullable", "may be null", "may not be null"),
)


def _param_differences(wanted: FieldSchema, there: FieldSchema) -> Iterator[str]:
    old = {pair.key: pair.value for pair in wanted.type_params}
    new = {pair.key: pair.value for pair in there.type_params}
    for key in (*_SAME, *_AT_LEAST):
        needed, found = old.get(key, ""), new.get(key, "")
        wide = key in _AT_LEAST and needed.isdigit() and found.isdigit()
        if needed != found and not (wide and int(found) >= int(needed)):
            yield f"its field {wanted.name!r} has {key} {found or 'unset'}, not {needed or 'unset'}"


def _type(field: FieldSchema) -> str:
    return data_type_name(field.data_type)
