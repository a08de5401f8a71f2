"""Every field of the Go tool's tables stands in our records, under its key and with its type.

What the letters stand for is said in `tests/support/record_tables.py`.
"""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from milvus_backup_server.domain import records
from milvus_backup_server.domain.record_codec import Record
from tests.support.record_tables import TABLES, table

# Not fields of ours, but not lost either: a record keeps unknown keys and writes them back.
KEPT_AS_THEY_ARE = {
    "BackupInfo": {"collection_backups"},  # read and written one by one
    "IndexInfo": {  # what the Go tool finds in etcd
        "field_id",
        "create_time",
        "type_params",
        "index_params",
        "user_index_params",
        "is_auto_index",
        "min_index_version",
        "max_index_version",
    },
    "FieldSchema": {"default_value"},  # cannot be decoded from JSON
}

_LETTERS = {int: "I", str: "S", bool: "B", Any: "*"}


def shape(kind: Any) -> str:
    if get_origin(kind) in (Union, types.UnionType):
        return shape(next(arg for arg in get_args(kind) if arg is not type(None)))
    if get_origin(kind) is tuple:
        return f"[{shape(get_args(kind)[0])}]"
    if get_origin(kind) is Mapping:
        return f"{{{shape(get_args(kind)[1])}}}"
    return _LETTERS[kind] if kind in _LETTERS else str(kind.__name__)


def declared(record: type[Record]) -> dict[str, str]:
    hints = get_type_hints(record)
    return {
        field.metadata["json_key"]: shape(hints[field.name]) + "!" * field.metadata["always"]
        for field in dataclasses.fields(record)
        if "json_key" in field.metadata
    }


@pytest.mark.parametrize("name", TABLES)
def test_a_record_has_the_keys_and_types_of_its_table(name: str) -> None:
    assert declared(getattr(records, name)) == table(name)


@pytest.mark.parametrize("name", TABLES)
def test_a_record_writes_its_keys_in_the_order_of_its_table(name: str) -> None:
    assert list(declared(getattr(records, name))) == list(table(name))


def test_every_record_has_a_table() -> None:
    ours = {
        name
        for name, kind in vars(records).items()
        if isinstance(kind, type) and issubclass(kind, Record) and kind is not Record
    }
    assert ours == set(TABLES)


@pytest.mark.parametrize("name", KEPT_AS_THEY_ARE)
def test_keys_beside_the_table_are_written_back(name: str) -> None:
    record: type[Record] = getattr(records, name)
    values = {key: [{"x": 1}] for key in KEPT_AS_THEY_ARE[name]}
    assert values.items() <= record.from_json(values).to_json().items()
