"""Segments that lost all logs of a field are never backed up as if they were whole."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.milvus import CollectionName, SegmentInfo
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.domain.records import CollectionSchema
from tests.support.fixtures import GROUPS, OF_MILVUS_2_3, metadata
from tests.support.gateways import GatewayDecorator
from tests.support.held_calls import GATEWAY
from tests.support.meanwhile import Meanwhile
from tests.support.running_service import Decorators
from tests.support.service import World, add_collection, flushed, running


async def two_segments(*, dynamic: bool = False) -> World:
    world = World()
    name = await add_collection(world.milvus, "c", range(10), partitions=["p"])
    if dynamic:
        _change_schema(world, lambda schema: replace(schema, enable_dynamic_field=True))
    world.milvus.insert(name, range(20, 25), "p")
    await flushed(world.milvus, name)
    return world


def _change_schema(world: World, change: Callable[[CollectionSchema], CollectionSchema]) -> None:
    collection = world.milvus.databases["default"]["c"]
    described = collection.description
    collection.description = replace(described, schema=change(described.schema))


async def lose(world: World, field: int, *segments: int) -> list[int]:
    """Remove all logs of a field of some segments, and return the ids of these segments."""
    found = [world.milvus.databases["default"]["c"].segments[number] for number in segments]
    keys = [key for it in found for key in it.keys if key.split("/")[-2] == str(field)]
    assert len(keys) == len(segments)
    await world.milvus_store.delete(keys)
    return [it.segment_id for it in found]


async def error_of(world: World, decorators: Decorators | None = None) -> BackupError:
    async with running(world, decorators) as service:
        return await service.error(await service.start_create("b", "c"))


@pytest.mark.parametrize("segments", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("field", [0, 1, 100, 101])
async def test_a_field_of_the_schema_or_of_milvus_itself(
    field: int, segments: tuple[int, ...]
) -> None:
    world = await two_segments()
    lost = await lose(world, field, *segments)
    error = await error_of(world)
    assert error.reason == "SOURCE_INCONSISTENT"
    assert error.metadata["field"] == str(field)
    assert int(error.metadata["segment"]) in lost
    assert await world.backups() == []


@pytest.mark.parametrize("segment", [0, 1])
async def test_the_dynamic_field_which_no_schema_names(segment: int) -> None:
    world = await two_segments(dynamic=True)
    async with running(world) as service:
        await service.create("whole")
    last = max(world.milvus.databases["default"]["c"].field_ids)
    await lose(world, last, segment)
    error = await error_of(world)
    assert error.reason == "SOURCE_INCONSISTENT"
    assert error.metadata["field"] == str(last)


async def test_a_nullable_field_may_be_younger_than_a_segment() -> None:
    world = await two_segments()
    await lose(world, 101, 0)

    def nullable(schema: CollectionSchema) -> CollectionSchema:
        fields = [replace(it, nullable=it.field_id == 101) for it in schema.fields]
        return replace(schema, fields=tuple(fields))

    _change_schema(world, nullable)
    async with running(world) as service:
        assert (await service.create("b", "c")).state is OperationState.SUCCEEDED


class ColumnGroups(GatewayDecorator):
    """A Milvus whose segments have logs of groups of fields."""

    async def list_segments(self, name: CollectionName) -> list[SegmentInfo]:
        return [replace(it, storage_version=2) for it in await super().list_segments(name)]


async def test_logs_of_groups_of_fields_are_not_compared_with_the_schema() -> None:
    world = await two_segments()
    await lose(world, 101, 0)
    async with running(world, Decorators(gateway=ColumnGroups)) as service:
        assert (await service.create("b", "c")).state is OperationState.SUCCEEDED


async def test_a_segment_that_is_replaced_and_half_removed_is_planned_anew() -> None:
    world = await two_segments()
    segment = world.milvus.databases["default"]["c"].segments[0]

    async def replace_it() -> None:
        name = CollectionName("default", "c")
        await lose(world, 101, 0)
        world.milvus.databases["default"]["c"].segments.remove(segment)
        world.milvus.insert(name, [key for key, _ in segment.rows])

    meanwhile = Meanwhile(GATEWAY, "list_segments", replace_it, first=2)
    async with running(world, meanwhile.decorators) as service:
        assert (await service.create("b", "c")).state is OperationState.SUCCEEDED
        (shown,) = (await service.catalog.get("b")).collections
    assert shown.row_count == 15


@pytest.mark.parametrize("archive", [*OF_MILVUS_2_3, *GROUPS, "fx_mv_2_5_27"])
def test_real_segments_have_logs_of_just_these_fields(archive: str) -> None:
    collections = metadata(archive)["collection_backups"]
    assert sum(_has_only_whole_segments(collection) for collection in collections)


def _has_only_whole_segments(collection: dict[str, Any]) -> int:
    schema = collection["schema"]
    named = {0, 1, *(it["fieldID"] for it in schema["fields"])}
    dynamic = {max(named) + 1} if schema.get("enable_dynamic_field") else set()
    segments = [
        segment
        for partition in collection["partition_backups"]
        for segment in partition.get("segment_backups") or []
        if segment.get("binlogs")
    ]
    for segment in segments:
        assert {it.get("fieldID", 0) for it in segment["binlogs"]} == named | dynamic
    return len(segments)
