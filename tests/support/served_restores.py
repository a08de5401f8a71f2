"""A restore that makes everything a newer Milvus can be asked for: functions, added fields, loading, aliases."""

from dataclasses import replace
from typing import Any

from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import Operation
from milvus_backup_server.domain.records import (
    CollectionSchema,
    FieldSchema,
    FunctionSchema,
    KeyValue,
)
from milvus_backup_server.domain.restore_options import AliasMode, LoadMode, RestoreOptions
from tests.support.fake_milvus import FakeMilvus
from tests.support.fake_milvus_state import FakeCollection, Key
from tests.support.service import (
    INDEX,
    PK,
    ROOT,
    VECTOR,
    Service,
    World,
    add_collection,
    flushed,
    named,
    running,
)

SOURCES: dict[str, list[Key]] = {"shop.docs": [0, 1, 2, 7, 8], "shop.plain": [3, 4]}
"""The collections and their rows."""
_TARGETS = {name: name.replace("shop.", "copy.") for name in SOURCES}
_SERVED: dict[str, Any] = {
    "renames": _TARGETS,
    "restore_indexes": True,
    "options": RestoreOptions(aliases=AliasMode.ALL, load=LoadMode.ALL),
}
_TEXT = FieldSchema(field_id=102, name="text", data_type=21)
_MADE = FieldSchema(field_id=103, name="made", data_type=104, is_function_output=True)
_BM25 = FunctionSchema(name="f", type=1, input_field_names=("text",), output_field_names=("made",))
_DOCS = CollectionSchema(
    fields=(PK, VECTOR, _TEXT, _MADE), enable_dynamic_field=True, functions=(_BM25,)
)
_PROPERTY = (KeyValue(key="mmap.enabled", value="true"),)


async def with_functions() -> World:
    """Back up a collection with a function and a field that was added to it, and one without."""
    world = World(backup_bucket="b-bucket")
    world.milvus = milvus = FakeMilvus(world.milvus_store, ROOT, version="2.6.18")
    await milvus.create_database("shop", (KeyValue(key="database.replica.number", value="1"),))
    docs = await add_collection(
        milvus, "shop.docs", schema=_DOCS, partitions=["p"], properties=_PROPERTY
    )
    await milvus.add_field(docs, FieldSchema(name="later", data_type=5, nullable=True))
    milvus.insert(docs, [0, 1, 2])
    milvus.insert(docs, [7, 8], "p")
    plain = await add_collection(milvus, "shop.plain", SOURCES["shop.plain"])
    for name in (docs, plain):
        await milvus.create_index(name, INDEX)
        await flushed(milvus, name)
    await milvus.create_index(docs, replace(INDEX, field_name="made", index_name="by_made"))
    milvus.point_alias(docs, "to_docs")
    async with running(world) as service:
        await service.create("b")
    return world


async def serving(service: Service) -> Operation:
    """Begin the restore into a database that is not there."""
    return await service.start_restore("b", **_SERVED)


def served(world: World) -> list[str]:
    """Assert that each collection that has its final name is as it was; return their sources."""
    found = [source for source, target in _TARGETS.items() if _find(world, target) is not None]
    for source in found:
        made, was = _find(world, _TARGETS[source]), _find(world, source)
        assert made is not None
        assert was is not None
        assert _shape(made) == _shape(was)
        assert made.live_keys() == SOURCES[source]
    return found


def assert_served(world: World) -> None:
    """Assert that all are there, loaded, with aliases."""
    assert served(world) == list(SOURCES)
    for target in _TARGETS.values():
        made = _find(world, target)
        assert made is not None
        assert (made.load_state, len(made.loaded)) == ("Loaded", len(made.partitions))
    aliases = {str(alias): name for alias, name in world.milvus.aliases.items()}
    assert aliases == {"shop.to_docs": "docs", "copy.to_docs": "docs"}
    properties = world.milvus.database_properties
    assert properties["copy"] == properties["shop"]


def _find(world: World, name: str) -> FakeCollection | None:
    wanted: CollectionName = named(name)
    return world.milvus.databases.get(wanted.database, {}).get(wanted.name)


def _shape(found: FakeCollection) -> tuple[object, ...]:
    """Return what a collection is made of, without what Milvus numbers anew."""
    told = found.description
    indexes = sorted((it.index_name, it.field_name) for it in found.indexes)
    partitions = [partition.name for partition in found.partitions]
    return told.schema, told.properties, told.shards, partitions, indexes
