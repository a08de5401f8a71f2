"""How a restore makes its collections: what is left out, made otherwise, or not filled."""

from dataclasses import replace
from typing import Any

import pytest

from milvus_backup_server.domain.errors import MilvusVersionUnsupported
from milvus_backup_server.domain.operations import OperationState, RestorePlan, RestoreResult
from milvus_backup_server.domain.records import FieldSchema, KeyValue
from milvus_backup_server.domain.renaming import CollectionMapping
from milvus_backup_server.domain.restore_options import RestoreOptions, SkipParams
from tests.support.service import (
    INDEX,
    PK,
    SCHEMA,
    VECTOR,
    World,
    add_collection,
    flushed,
    named,
    running,
)

TEXT = FieldSchema(
    field_id=102,
    name="t",
    data_type=21,
    type_params=(
        KeyValue(key="max_length", value="20"),
        KeyValue(key="mmap.enabled", value="true"),
    ),
)
TTL = KeyValue(key="collection.ttl.seconds", value="3600")
MMAP = KeyValue(key="mmap.enabled", value="true")


async def filled() -> World:
    """Fill `one`, with three shards, properties, an index and rows in two partitions."""
    world = World(backup_bucket="b-bucket")
    one = await add_collection(
        world.milvus,
        "one",
        range(5),
        schema=replace(SCHEMA, fields=(PK, VECTOR, TEXT)),
        partitions=["p"],
        properties=(TTL, MMAP),
        shards=3,
    )
    world.milvus.insert(one, range(10, 13), "p")
    await world.milvus.create_index(one, INDEX)
    await flushed(world.milvus, one)
    return world


def options(**fields: Any) -> dict[str, Any]:
    return {"suffix": "_r", "restore_indexes": True, "options": RestoreOptions(**fields)}


async def test_everything_but_the_rows() -> None:
    world = await filled()
    async with running(world) as service:
        await service.create()
        for key in await world.backups():  # not even looked at
            if "/binlogs/" in key:
                await world.backup_store.delete([key])
        planned = await service.start_restore(**options(meta_only=True), validate_only=True)
        operation = await service.restore(**options(meta_only=True))
    assert isinstance(planned.result, RestorePlan)
    (collection,) = planned.result.collections
    assert (collection.partitions, collection.index_count) == (("_default", "p"), 1)
    assert (collection.row_count, collection.segment_count, collection.import_job_count) == (
        0,
        0,
        0,
    )
    assert not planned.result.staged
    assert operation.result == RestoreResult(
        collection_count=1,
        import_job_count=0,
        row_count=0,
        content_checked_count=0,
        size_checked_count=0,
        staged_object_count=0,
    )
    made = world.milvus.collection(named("one_r"))
    assert [it.name for it in made.partitions] == ["_default", "p"]
    assert [it.index_name for it in made.indexes] == ["by_v"]
    assert world.milvus.keys(named("one_r")) == []
    assert world.milvus.imports.jobs == {}


@pytest.mark.parametrize(
    ("fields", "override", "shards"),
    [({}, 0, 3), ({"max_shard_count": 2}, 0, 2), ({"max_shard_count": 2}, 5, 5)],
)
async def test_the_number_of_shards(fields: dict[str, Any], override: int, shards: int) -> None:
    world = await filled()
    mappings = (CollectionMapping("one", "one_r", override),)
    asked: dict[str, Any] = {"mappings": mappings, "options": RestoreOptions(**fields)}
    async with running(world) as service:
        await service.create()
        planned = await service.start_restore(**asked, validate_only=True)
        await service.restore(**asked)
    assert isinstance(planned.result, RestorePlan)
    assert planned.result.collections[0].shard_count == shards
    assert world.milvus.collection(named("one_r")).description.shards == shards


async def test_what_is_skipped_is_not_made() -> None:
    world = await filled()
    skipped = SkipParams(
        collection_properties=("collection.ttl.seconds",),
        field_type_params=("mmap.enabled",),
        index_params=("nlist",),
    )
    async with running(world) as service:
        await service.create()
        await service.restore(**options(skip_params=skipped))
    made = world.milvus.collection(named("one_r"))
    assert made.description.properties == (MMAP,)
    assert made.schema.fields[2].type_params == (KeyValue(key="max_length", value="20"),)
    (index,) = made.indexes
    assert dict(index.params) == {"index_type": "IVF_FLAT", "metric_type": "L2"}
    assert world.milvus.keys(named("one_r")) == [*range(5), *range(10, 13)]


async def test_milvus_chooses_the_indexes_of_vectors() -> None:
    world = await filled()
    async with running(world) as service:
        await service.create()
        await service.restore(**options(use_auto_index=True))
    (index,) = world.milvus.collection(named("one_r")).indexes
    assert (index.index_name, index.index_type) == ("by_v", "AUTOINDEX")
    assert dict(index.params) == {"index_type": "AUTOINDEX", "metric_type": "L2"}


async def test_users_and_roles_need_a_newer_milvus() -> None:
    world = await filled()
    async with running(world) as service:
        await service.create()
        before = await world.traces()
        with pytest.raises(MilvusVersionUnsupported) as caught:
            await service.start_restore(**options(rbac=True))
        planned = await service.start_restore(**options(rbac=True), validate_only=True)
    assert caught.value.metadata["needed"] == "2.4.9"
    assert caught.value.metadata["field"] == "rbac"
    assert planned.state is OperationState.FAILED
    assert await world.traces() == before
