"""Every option of a restore once on a real Milvus that checks its users, every row compared."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
from pymilvus import DataType, MilvusClient

from milvus_backup.v1.backup_service_pb2 import (
    RESTORE_ALIASES_ALL,
    RESTORE_ALIASES_NONE,
    RESTORE_LOAD_ALL,
    RESTORE_LOAD_AS_BACKED_UP,
    SkipParams,
)
from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup_client import AliasAlreadyExists, BackupServiceError, InvalidRequest
from tests.support.clients import connected
from tests.support.collection_builder import CollectionBuilder, Index
from tests.support.environment import Environment
from tests.support.milvus import MilvusStandalone
from tests.support.rows import Row, Rows, assert_same_rows, fetch_rows
from tests.support.running_service import Service, environment_settings, running_service

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-two")]

NAME, BACKUP = "things", "options"
TTL = {"collection.ttl.seconds": 864_000}


def rows_of(keys: range) -> list[Row]:
    return [{"pk": key, "v": [key / 8] * 8, "extra": f"e{key}"} for key in keys]


@pytest.fixture(scope="module")
async def milvus(environment: Environment) -> AsyncIterator[MilvusStandalone]:
    made = MilvusStandalone(environment.seaweed, "milvus-users", authorization=True)
    try:
        yield await asyncio.to_thread(made.start)
    finally:
        await asyncio.to_thread(made.stop)


@pytest.fixture(scope="module")
async def service(environment: Environment, milvus: MilvusStandalone) -> AsyncIterator[Service]:
    settings = environment_settings(environment, milvus, backup_root="options")
    async with running_service(settings) as running:
        yield running


@pytest.fixture(scope="module")
def client(milvus: MilvusStandalone) -> Iterator[MilvusClient]:
    with connected(milvus.uri, token=milvus.token) as connection:
        yield connection


@pytest.fixture(scope="module")
async def rows(service: Service, client: MilvusClient) -> Rows:
    """The rows of a backup of one collection with everything that a collection can have."""
    schema = MilvusClient.create_schema(enable_dynamic_field=True, description="of May")
    schema.add_field("pk", DataType.INT64, is_primary=True, description="the key")
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=8)
    made = CollectionBuilder(
        client, NAME, schema, num_shards=2, properties=TTL, consistency_level="Session"
    )
    made.partition("north")
    made.insert(rows_of(range(200)))
    made.insert(rows_of(range(1000, 1100)), partition="north")
    made.flush()
    made.delete(range(0, 200, 9))
    made.index(Index("v", "IVF_FLAT", "L2", {"nlist": 64}, name="by_v"))
    client.create_alias(NAME, "first")
    made.load()
    await service.client.wait(await service.client.create_backup(BACKUP, collections=[NAME]))
    return made.rows


async def restore(service: Service, **fields: Any) -> Operation:
    return await service.client.wait(await service.client.restore_backup(BACKUP, **fields))


async def refused(service: Service, **fields: Any) -> BackupServiceError:
    with pytest.raises(BackupServiceError) as caught:
        await service.client.restore_backup(BACKUP, **fields)
    return caught.value


def index_of(client: MilvusClient, name: str) -> Mapping[str, Any]:
    (index,) = client.list_indexes(name)
    found: Mapping[str, Any] = client.describe_index(name, index)
    return found


@pytest.mark.usefixtures("rows")
async def test_what_milvus_cannot_do_or_has_already_is_told_before(
    service: Service, client: MilvusClient
) -> None:
    before = sorted(client.list_collections())
    found = await refused(service, suffix="_r", rbac=True)
    assert (found.reason, found.metadata["needed"]) == ("MILVUS_VERSION_UNSUPPORTED", "2.4.9")
    found = await refused(service, suffix="_r", aliases=RESTORE_ALIASES_ALL)
    assert isinstance(found, AliasAlreadyExists)
    assert found.metadata["resource"] == "default.first"
    found = await refused(
        service, suffix="_r", restore_indexes=True, load=RESTORE_LOAD_ALL, replica_count=2
    )
    assert isinstance(found, InvalidRequest)
    assert "Milvus has 1" in found.message
    found = await refused(service, skip_create_collections=True)
    assert (found.reason, found.metadata["subject"]) == ("TARGET_UNFIT", "default.things")
    assert "it is loaded" in found.message
    assert sorted(client.list_collections()) == before


async def test_a_collection_is_replaced_and_loaded_with_other_indexes(
    service: Service, client: MilvusClient, milvus: MilvusStandalone, rows: Rows
) -> None:
    client.delete(NAME, ids=list(rows))
    client.insert(NAME, rows_of(range(5000, 5010)))
    client.create_alias(NAME, "later")
    old = client.describe_collection(NAME)["collection_id"]
    options: dict[str, Any] = {
        "drop_existing_collections": True,
        "restore_indexes": True,
        "use_auto_index": True,
        "max_shard_count": 1,
        "skip_params": SkipParams(collection_properties=["collection.ttl.seconds"]),
        "load": RESTORE_LOAD_AS_BACKED_UP,
    }
    planned = await service.client.restore_backup(BACKUP, validate_only=True, **options)
    ended = await restore(service, **options)

    plan = planned.restore_plan
    assert list(plan.dropped_collections) == ["default.things"]
    assert list(plan.collections[0].aliases) == ["first", "later"]
    assert ended.restore_backup.row_count == len(rows)
    made = client.describe_collection(NAME)
    assert made["collection_id"] != old
    assert (made["num_shards"], dict(made["properties"])) == (1, {})
    assert sorted(made["aliases"]) == ["first", "later"]
    index = index_of(client, NAME)
    assert (index["index_name"], index["index_type"]) == ("by_v", "AUTOINDEX")
    assert index["metric_type"] == "L2"
    # Loaded already: it is searched as it is, by an alias too.
    for name in (NAME, "later"):
        hits = client.search(name, data=[[1000 / 8] * 8], limit=1, output_fields=["pk"])
        assert hits[0][0]["pk"] == 1000
    assert_same_rows(rows, fetch_rows(milvus.uri, "default", NAME, token=milvus.token))


async def test_a_collection_is_made_without_rows_and_filled_afterwards(
    service: Service, client: MilvusClient, milvus: MilvusStandalone, rows: Rows
) -> None:
    renames = {NAME: "twin"}
    ended = await restore(
        service,
        renames=renames,
        meta_only=True,
        restore_indexes=True,
        skip_params=SkipParams(index_params=["nlist", "index_type"]),
    )
    assert (ended.restore_backup.import_job_count, ended.restore_backup.row_count) == (0, 0)
    made = client.describe_collection("twin")
    assert (made["num_shards"], made["description"]) == (2, "of May")
    assert made["fields"][0]["description"] == "the key"
    assert made["enable_dynamic_field"]
    assert made["consistency_level"] == 1
    assert dict(made["properties"]) == {"collection.ttl.seconds": "864000"}
    assert list(made["aliases"]) == []
    assert client.list_partitions("twin") == ["_default", "north"]
    assert index_of(client, "twin")["index_type"] == "AUTOINDEX"

    fill: dict[str, Any] = {"renames": renames, "skip_create_collections": True}
    found = await refused(service, restore_indexes=True, **fill)
    assert "its field 'v' has another index, 'by_v'" in found.message
    ended = await restore(
        service,
        restore_indexes=True,
        drop_existing_indexes=True,
        aliases=RESTORE_ALIASES_NONE,
        load=RESTORE_LOAD_ALL,
        **fill,
    )
    assert ended.restore_backup.row_count == len(rows)
    assert client.describe_collection("twin")["collection_id"] == made["collection_id"]
    assert index_of(client, "twin")["nlist"] == "64"
    assert_same_rows(rows, fetch_rows(milvus.uri, "default", "twin", token=milvus.token))


@pytest.mark.usefixtures("rows")
async def test_an_alias_comes_back_after_its_collection_was_dropped(
    service: Service, client: MilvusClient
) -> None:
    # Milvus 2.3 keeps aliases of a dropped collection: they lead nowhere, and are in nobody's way.
    client.drop_collection(NAME)
    client.drop_collection("twin")
    await restore(service, restore_indexes=True, load=RESTORE_LOAD_AS_BACKED_UP)
    assert list(client.describe_collection(NAME)["aliases"]) == ["first"]
