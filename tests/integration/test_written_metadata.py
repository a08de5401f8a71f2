"""What a create writes, field by field against the tables of the Go tool's format."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from milvus_backup_server.domain.records import CollectionSchema, FieldSchema, KeyValue
from milvus_backup_server.domain.strategies import BackupStrategy
from tests.support.record_tables import TABLES, table
from tests.support.service import INDEX, PK, VECTOR, World, add_collection, flushed, running

_OURS = "milvus_backup_service"
_FILES = {
    "collection_meta": "CollectionBackupInfo",
    "partition_meta": "PartitionBackupInfo",
    "segment_meta": "SegmentBackupInfo",
}
_IS: dict[str, Callable[[Any], bool]] = {
    "I": lambda value: type(value) is int,
    "S": lambda value: type(value) is str,
    "B": lambda value: type(value) is bool,
    "*": lambda _: True,
}


def faults(value: Any, kind: str, path: str) -> Iterator[str]:
    """Yield what is wrong with a value of a table's type, and with everything in it."""
    always = kind.endswith("!")
    kind = kind.rstrip("!")
    if kind.startswith("["):
        if not isinstance(value, list):
            yield f"{path} is no list"
            return
        for number, item in enumerate(value):
            yield from _item_faults(item, kind[1:-1], f"{path}[{number}]")
    elif kind.startswith("{"):
        if not isinstance(value, dict) or list(value) != sorted(value):
            yield f"{path} is no object with sorted keys"
            return
        for name, item in value.items():
            yield from _item_faults(item, kind[1:-1], f"{path}.{name}")
    else:
        yield from _item_faults(value, kind, path)
    if not value and not always:
        yield f"{path} is zero and is written"


def _item_faults(value: Any, kind: str, path: str) -> Iterator[str]:
    if kind in TABLES:
        yield from record_faults(value, kind, path)
    elif not _IS[kind](value):
        yield f"{path} is {value!r}, not {kind}"


def record_faults(values: Any, name: str, path: str, **more: str) -> Iterator[str]:
    """Yield what is wrong with a record: keys, types, zeros."""
    if not isinstance(values, dict):
        yield f"{path} is no object"
        return
    known = {**table(name), **more}
    for key, value in values.items():
        if key not in known:
            yield f"{path}.{key} is in no table"
        else:
            yield from faults(value, known[key], f"{path}.{key}")
    for key, kind in known.items():
        if kind.endswith("!") and key not in values:
            yield f"{path}.{key} is missing"


async def with_everything() -> World:
    """A Milvus whose collections use whatever 2.3 has."""
    world = World()
    fields = (
        replace(PK, auto_id=True, description="key"),
        VECTOR,
        FieldSchema(
            field_id=102,
            name="tenant",
            data_type=21,
            type_params=(KeyValue(key="max_length", value="64"),),
            is_partition_key=True,
        ),
        FieldSchema(field_id=103, name="tags", data_type=22, element_type=5),
    )
    schema = CollectionSchema(fields=fields, description="all of it", enable_dynamic_field=True)
    ttl = (KeyValue(key="collection.ttl.seconds", value="3600"),)
    one = await add_collection(
        world.milvus, "one", range(10), schema=schema, properties=ttl, shards=2
    )
    await world.milvus.create_index(one, INDEX)
    await world.milvus.create_alias(one, "first")
    world.milvus.load(one)
    two = await add_collection(world.milvus, "shop.two", range(5), partitions=["p"])
    await flushed(world.milvus, two)
    world.milvus.delete(two, [1, 2])
    world.milvus.insert(two, range(20, 23), "p")
    await add_collection(world.milvus, "empty")
    return world


async def written(strategy: BackupStrategy) -> dict[str, Any]:
    world = await with_everything()
    async with running(world) as service:
        await service.create(strategy=strategy)
    files = (*_FILES, "backup_meta", "full_meta")
    return {
        file: json.loads(await world.backup_store.get(f"backup/b/meta/{file}.json"))
        for file in files
    }


@pytest.mark.parametrize(
    "strategy", [BackupStrategy.AUTO, BackupStrategy.SKIP_FLUSH, BackupStrategy.META_ONLY]
)
async def test_every_field_that_is_written_is_that_of_a_table(strategy: BackupStrategy) -> None:
    files = await written(strategy)
    full = files.pop("full_meta")
    assert set(full.pop(_OURS)) == {"manifest", "sha256"}
    collections = "[CollectionBackupInfo]!"
    assert not list(record_faults(full, "BackupInfo", "full", collection_backups=collections))
    head = files.pop("backup_meta")
    assert not list(record_faults(head, "BackupInfo", "head"))
    assert set(head) == {"id", "state_code", "name", "size", "milvus_version"}
    for file, content in files.items():
        assert list(content) == ["infos"]
        assert not list(faults(content["infos"], f"[{_FILES[file]}]!", file))
    assert len(full["collection_backups"]) == len(files["collection_meta"]["infos"]) == 3


async def test_the_level_files_hold_the_parts_of_the_full_file() -> None:
    files = await written(BackupStrategy.AUTO)
    collections, partitions, segments = [], [], []
    for collection in files["full_meta"]["collection_backups"]:
        own = []
        for partition in collection["partition_backups"]:
            segments += partition.pop("segment_backups", [])
            own.append(partition)
        partitions += own
        collections.append(collection)

    def by_id(values: list[Any], key: str) -> list[Any]:
        return sorted(values, key=lambda value: value[key])

    assert files["collection_meta"]["infos"] == [
        {**it, "partition_backups": _as_listed(it, files)} for it in collections
    ]
    found = by_id(files["partition_meta"]["infos"], "partition_id")
    assert found == by_id(partitions, "partition_id")
    found = by_id(files["segment_meta"]["infos"], "segment_id")
    assert found == by_id(segments, "segment_id")
    assert len(segments) == 3


def _as_listed(collection: Any, files: dict[str, Any]) -> list[Any]:
    """Return a collection's partitions in the order of the level files."""
    number = collection["collection_id"]
    return [it for it in files["partition_meta"]["infos"] if it["collection_id"] == number]


def test_the_walk_finds_what_does_not_fit() -> None:
    record = {
        "name": 5,
        "autoID": False,
        "fields": [{"fieldID": "1"}, 7],
        "more": 1,
        "properties": {},
    }
    assert list(record_faults(record, "CollectionSchema", "s")) == [
        "s.name is 5, not S",
        "s.autoID is zero and is written",
        "s.fields[0].fieldID is '1', not I",
        "s.fields[1] is no object",
        "s.more is in no table",
        "s.properties is no list",
    ]
    assert list(record_faults({}, "Binlog", "b")) == ["b.log_size is missing"]
    unsorted = {"params": {"b": "1", "a": "2"}}
    assert list(record_faults(unsorted, "IndexInfo", "i")) == [
        "i.params is no object with sorted keys"
    ]
