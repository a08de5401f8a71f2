"""In which order fields are made, so that they get the ids that they had."""

from collections.abc import Sequence

import pytest

from milvus_backup_server.domain.records import (
    CollectionSchema,
    FieldSchema,
    FunctionSchema,
    StructArrayFieldSchema,
)
from milvus_backup_server.domain.schema_steps import schema_steps, step_faults


def fields(*ids: int, nullable: Sequence[int] = ()) -> tuple[FieldSchema, ...]:
    return tuple(FieldSchema(name=f"f{it}", field_id=it, nullable=it in nullable) for it in ids)


def struct(*ids: int) -> StructArrayFieldSchema:
    return StructArrayFieldSchema(name="s", field_id=ids[0], fields=fields(*ids[1:]))


def ids(made: Sequence[FieldSchema]) -> list[int]:
    return [field.field_id for field in made]


META = FieldSchema(name="$meta", field_id=102, is_dynamic=True)


@pytest.mark.parametrize(
    ("schema", "created", "added"),
    [
        (CollectionSchema(fields=fields(101, 100)), [100, 101], []),
        (CollectionSchema(fields=fields(100, 101), enable_dynamic_field=True), [100, 101], []),
        (
            CollectionSchema(fields=fields(100, 102, nullable=[102]), enable_dynamic_field=True),
            [100],
            [102],
        ),
        (
            CollectionSchema(
                fields=(META, *fields(104, 103, 101, 100, nullable=[103, 104])),
                enable_dynamic_field=True,
            ),
            [100, 101],
            [103, 104],
        ),
        (
            CollectionSchema(
                fields=fields(100, 103, nullable=[103]), struct_array_fields=(struct(101, 102),)
            ),
            [100],
            [103],
        ),
        (
            CollectionSchema(
                fields=fields(100, 104, nullable=[104]),
                struct_array_fields=(struct(102, 103),),
                enable_dynamic_field=True,
            ),
            [100],
            [104],
        ),
        (CollectionSchema(fields=fields(0, 0), enable_dynamic_field=True), [0, 0], []),
    ],
    ids=[
        "in their order",
        "dynamic last",
        "behind the dynamic one",
        "the dynamic one is told",
        "behind a struct",
        "behind both",
        "no ids recorded",
    ],
)
def test_steps(schema: CollectionSchema, created: list[int], added: list[int]) -> None:
    steps = schema_steps(schema)
    assert (ids(steps.created.fields), ids(steps.added)) == (created, added)
    assert steps.created.enable_dynamic_field == schema.enable_dynamic_field
    assert list(step_faults(schema)) == []


@pytest.mark.parametrize(
    "schema",
    [
        CollectionSchema(fields=fields(100, 102)),
        CollectionSchema(fields=fields(101)),
        CollectionSchema(
            fields=fields(100, 102, 104, nullable=[102, 104]), enable_dynamic_field=True
        ),
        CollectionSchema(
            fields=(*fields(100), FieldSchema(name="$meta", field_id=103, is_dynamic=True)),
            struct_array_fields=(struct(101, 102),),
            enable_dynamic_field=True,
        ),
    ],
    ids=["a gap", "not from the first", "a second gap", "dynamic fields behind a struct"],
)
def test_ids_that_milvus_would_not_give(schema: CollectionSchema) -> None:
    (fault,) = step_faults(schema)
    assert fault.field == ""
    assert "it would number them one after another from 100" in fault.text


def test_an_added_field_must_be_nullable() -> None:
    schema = CollectionSchema(fields=fields(100, 102), enable_dynamic_field=True)
    (fault,) = step_faults(schema)
    assert fault.field == "f102"
    assert "may not be null" in fault.text


def test_a_function_needs_its_fields_at_once() -> None:
    schema = CollectionSchema(
        fields=fields(100, 102, nullable=[102]),
        enable_dynamic_field=True,
        functions=(FunctionSchema(name="bm25", input_field_names=("f102",)),),
    )
    (fault,) = step_faults(schema)
    assert fault.field == "f102"
    assert "the function 'bm25' needs it" in fault.text
