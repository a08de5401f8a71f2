"""Strategies, another place, and a collection that fails in the middle of a create, on a real Milvus."""

import asyncio

import pytest
from pymilvus import DataType, MilvusClient

from milvus_backup.v1.backup_pb2 import (
    BACKUP_STATE_COMPLETE,
    BACKUP_STATE_INCOMPLETE,
    BACKUP_STRATEGY_SERIAL_FLUSH,
    BACKUP_STRATEGY_SKIP_FLUSH,
    BackupPlace,
)
from milvus_backup.v1.operation_pb2 import (
    OPERATION_STATE_PARTIALLY_SUCCEEDED,
    OPERATION_STATE_SUCCEEDED,
)
from tests.support.clients import connected
from tests.support.collection_builder import CollectionBuilder
from tests.support.environment import Environment
from tests.support.held_calls import GATEWAY
from tests.support.meanwhile import Meanwhile
from tests.support.rows import Row, Rows, assert_same_rows, fetch_rows
from tests.support.running_service import environment_settings, running_service

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-one")]

ROOT = "create_options"
ELSEWHERE = BackupPlace(bucket_name="made-by-a-create", path="team/a")


def rows_of(keys: range) -> list[Row]:
    return [{"pk": key, "v": [key / 8] * 8} for key in keys]


def made(client: MilvusClient, name: str, keys: range) -> CollectionBuilder:
    schema = MilvusClient.create_schema()
    schema.add_field("pk", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=8)
    collection = CollectionBuilder(client, name, schema)
    collection.insert(rows_of(keys))
    return collection


async def test_a_create_without_a_flush_has_what_was_flushed_and_one_that_flushes_has_all(
    environment: Environment,
) -> None:
    names = ("strategy_one", "strategy_two")
    uri = environment.milvus.uri
    with connected(uri) as client:
        flushed = [made(client, name, range(300)) for name in names]
        for collection in flushed:
            collection.flush()
        for name in names:
            client.insert(name, rows_of(range(1000, 1200)))
    places = {"storage": {"allowedPlaces": [f"{ELSEWHERE.bucket_name}/team"]}}
    settings = environment_settings(environment, service=places, backup_root=ROOT)
    async with running_service(settings) as service:
        client_ = service.client
        created = await client_.create_backup(
            "as_it_is",
            collections=names,
            strategy=BACKUP_STRATEGY_SKIP_FLUSH,
            place=ELSEWHERE,
        )
        await client_.wait(created)
        created = await client_.create_backup(
            "all", collections=names, strategy=BACKUP_STRATEGY_SERIAL_FLUSH
        )
        await client_.wait(created)
        exact = [
            (await client_.get_backup(name, place=place)).exact
            for name, place in (("as_it_is", ELSEWHERE), ("all", None))
        ]
        # An import and a load each take their time; two collections tell what four would.
        restored = await client_.restore_backup(
            "as_it_is", collections=names[:1], suffix="_some", place=ELSEWHERE
        )
        assert (await client_.wait(restored)).restore_backup.staged_object_count
        await client_.wait(
            await client_.restore_backup("all", collections=names[1:], suffix="_all")
        )
    assert exact == [False, True]
    one, two = flushed
    assert_same_rows(one.rows, fetch_rows(uri, "default", "strategy_one_some"))
    assert_same_rows(both(two), fetch_rows(uri, "default", "strategy_two_all"))


def both(collection: CollectionBuilder) -> Rows:
    return collection.rows | dict(zip(range(1000, 1200), rows_of(range(1000, 1200)), strict=True))


async def test_a_collection_that_is_dropped_in_the_middle_and_the_retry(
    environment: Environment,
) -> None:
    uri = environment.milvus.uri
    with connected(uri) as client:
        stays = made(client, "stays", range(300))
        made(client, "goes", range(100))

    def drop() -> None:
        with connected(uri) as client:
            client.drop_collection("goes")

    meanwhile = Meanwhile(GATEWAY, "is_flushed", lambda: asyncio.to_thread(drop), part="goes")
    settings = environment_settings(environment, backup_root=ROOT)
    async with running_service(settings, meanwhile.decorators) as service:
        backups = service.client
        first = await service.done(
            await backups.create_backup("parts", collections=["stays", "goes"])
        )
        assert (meanwhile.fired, first.state) == (1, OPERATION_STATE_PARTIALLY_SUCCEEDED)
        assert [item.name for item in first.collections if item.HasField("error")] == ["goes"]
        assert (await backups.get_backup("parts")).state == BACKUP_STATE_INCOMPLETE
        copied = copies(meanwhile)
        with connected(uri) as client:
            again = made(client, "goes", range(50))
        number = await described(uri, "goes")
        second = await service.done(await backups.retry_operation(first))
        assert second.state == OPERATION_STATE_SUCCEEDED
        assert all(f"/{number}/" in key for key in copies(meanwhile)[len(copied) :])
        assert copies(meanwhile)[len(copied) :]
        assert (await backups.get_backup("parts")).state == BACKUP_STATE_COMPLETE
        await backups.wait(await backups.restore_backup("parts", suffix="_back"))
    assert_same_rows(stays.rows, fetch_rows(uri, "default", "stays_back"))
    assert_same_rows(again.rows, fetch_rows(uri, "default", "goes_back"))


async def test_a_backup_that_may_lack_a_collection_names_it(environment: Environment) -> None:
    uri = environment.milvus.uri
    with connected(uri) as client:
        made(client, "stays", range(30))
        made(client, "goes", range(10))

    def drop() -> None:
        with connected(uri) as client:
            client.drop_collection("goes")

    meanwhile = Meanwhile(GATEWAY, "is_flushed", lambda: asyncio.to_thread(drop), part="goes")
    settings = environment_settings(environment, backup_root=ROOT)
    async with running_service(settings, meanwhile.decorators) as service:
        ended = await service.done(
            await service.client.create_backup(
                "less", collections=["stays", "goes"], allow_partial=True
            )
        )
        backup = await service.client.get_backup("less")
    assert (meanwhile.fired, ended.state) == (1, OPERATION_STATE_PARTIALLY_SUCCEEDED)
    assert (backup.state, backup.collection_count) == (BACKUP_STATE_COMPLETE, 1)
    assert [item.name for item in backup.missing_collections] == ["goes"]


def copies(meanwhile: Meanwhile) -> list[str]:
    return [subject for _, method, subject in meanwhile.calls if method == "copy"]


async def described(uri: str, name: str) -> int:
    with connected(uri) as client:
        return int(client.describe_collection(name)["collection_id"])
