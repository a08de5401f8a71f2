"""One partition is backed up, and restored into two collections that differ in shards and database."""

import pytest
from pymilvus import DataType, MilvusClient

from milvus_backup.v1.backup_service_pb2 import CollectionMapping
from tests.support.clients import connected
from tests.support.collection_builder import CollectionBuilder
from tests.support.environment import Environment
from tests.support.rows import Row, assert_same_rows, fetch_many
from tests.support.running_service import environment_settings, running_service

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-one")]

NAME, TARGETS = "sections", [("default", "sections_copy"), ("sections_db", "narrow")]


def rows_of(keys: range) -> list[Row]:
    return [{"pk": key, "v": [key / 8] * 8} for key in keys]


def make_sections(client: MilvusClient) -> CollectionBuilder:
    """Make a collection of two shards; the rows that it keeps account of are those of `kept`."""
    schema = MilvusClient.create_schema()
    schema.add_field("pk", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=8)
    collection = CollectionBuilder(client, NAME, schema, num_shards=2)
    for partition in ("kept", "left_out"):
        collection.partition(partition)
    client.insert(NAME, rows_of(range(1000, 1500)))
    client.insert(NAME, rows_of(range(2000, 2500)), partition_name="left_out")
    collection.insert(rows_of(range(500)), partition="kept")
    collection.flush()
    collection.delete(range(0, 500, 7))
    client.delete(NAME, ids=list(range(2000, 2100)))
    return collection


async def test_a_partition_goes_to_two_collections(environment: Environment) -> None:
    uri = environment.milvus.uri
    with connected(uri) as client:
        collection = make_sections(client)
    mappings = [
        CollectionMapping(source=NAME, target="sections_copy"),
        CollectionMapping(source=NAME, target="sections_db.narrow", shard_count=1, description="d"),
    ]
    async with running_service(environment_settings(environment)) as service:
        operation = await service.client.create_backup(
            "sections", partitions={NAME: ["kept"]}, collections=["default."]
        )
        await service.client.wait(operation)
        operation = await service.client.restore_backup("sections", mappings=mappings)
        ended = await service.client.wait(operation)

    assert ended.restore_backup.collection_count == len(TARGETS)
    for rows in fetch_many(uri, TARGETS).values():
        assert_same_rows(collection.rows, rows)
    shapes = []
    for database, name in TARGETS:
        with connected(uri, database) as client:
            described = client.describe_collection(name)
            assert client.list_partitions(name) == ["_default", "kept"]
            shapes.append((described["num_shards"], described["description"]))
    assert shapes == [(2, ""), (1, "d")]
