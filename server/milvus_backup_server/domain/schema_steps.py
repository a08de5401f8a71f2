"""In which steps a collection is made so that its fields get the ids that they had.

An import finds columns by the ids of the fields, which Milvus gives itself: to those of a new
collection in the order in which they come, then to its own for dynamic values, then to arrays of structs
and what is in them. A field that is added later gets the id after the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

from milvus_backup_server.domain.records import CollectionSchema, FieldSchema

FIRST_FIELD_ID = 100
"""Milvus keeps the ids below for itself."""


@dataclass(frozen=True, slots=True)
class SchemaSteps:
    """A schema as Milvus is asked for it.

    Attributes:
        created: What the collection is made with, in the order of the ids.
        added: The fields that are added to it then, one after another.
    """

    created: CollectionSchema
    added: tuple[FieldSchema, ...] = ()


@dataclass(frozen=True, slots=True)
class StepFault:
    """Why a schema cannot be made with the ids that it had; ``field`` is empty for all of it."""

    field: str
    text: str


def schema_steps(schema: CollectionSchema) -> SchemaSteps:
    """Return how a schema is made; fields without recorded ids keep their order."""
    fields = sorted((it for it in schema.fields if not it.is_dynamic), key=lambda it: it.field_id)
    structs = sorted(schema.struct_array_fields, key=lambda it: it.field_id)
    end = min((number for number in _own_ids(schema) if number), default=None)
    later = [it for it in fields if end is not None and it.field_id > end]
    created = replace(
        schema,
        fields=tuple(it for it in fields if it not in later),
        struct_array_fields=tuple(
            replace(it, fields=tuple(sorted(it.fields, key=lambda inner: inner.field_id)))
            for it in structs
        ),
    )
    return SchemaSteps(created, tuple(later))


def step_faults(schema: CollectionSchema) -> Iterator[StepFault]:
    """Yield why a collection cannot be made with the ids that its fields had."""
    steps = schema_steps(schema)
    ids = list(_ids_in_steps(schema, steps))
    if any(ids) and ids != list(range(FIRST_FIELD_ID, FIRST_FIELD_ID + len(ids))):
        shown = ", ".join(map(str, ids))
        yield StepFault(
            "",
            f"has fields with the ids {shown}, in the order in which Milvus can make them; it would "
            f"number them one after another from {FIRST_FIELD_ID}, and not find their columns",
        )
        return
    for field in steps.added:
        yield from _added_faults(schema, field)


def _added_faults(schema: CollectionSchema, field: FieldSchema) -> Iterator[StepFault]:
    """Yield why a field cannot be added to a collection that is there."""
    name = field.name
    if not field.nullable:
        text = f"field {name!r} comes after Milvus's own fields and may not be null: Milvus adds no such"
        yield StepFault(name, f"{text} field")
    for function in schema.functions:
        if name in (*function.input_field_names, *function.output_field_names):
            text = f"field {name!r} was added later, and the function {function.name!r} needs it"
            yield StepFault(name, f"{text} when the collection is made")


def _ids_in_steps(schema: CollectionSchema, steps: SchemaSteps) -> Iterator[int]:
    yield from (field.field_id for field in steps.created.fields)
    if schema.enable_dynamic_field:
        yield _dynamic_id(schema)
    for struct in steps.created.struct_array_fields:
        yield struct.field_id
        yield from (field.field_id for field in struct.fields)
    yield from (field.field_id for field in steps.added)


def _own_ids(schema: CollectionSchema) -> Iterator[int]:
    """Yield the ids that Milvus gives behind those of the fields that a collection is made with."""
    if schema.enable_dynamic_field:
        yield _dynamic_id(schema)
    yield from (struct.field_id for struct in schema.struct_array_fields)


def _dynamic_id(schema: CollectionSchema) -> int:
    """Return the id of the field for dynamic values, 0 if no ids were recorded.

    Backups rarely tell it: it is where one is missing, else the last.
    """
    told = next((field.field_id for field in schema.fields if field.is_dynamic), 0)
    known = {field.field_id for field in schema.fields}
    for struct in schema.struct_array_fields:
        known |= {struct.field_id, *(field.field_id for field in struct.fields)}
    if told or not any(known):
        return told
    return next(number for number in count(FIRST_FIELD_ID) if number not in known)
