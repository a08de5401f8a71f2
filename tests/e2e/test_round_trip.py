"""Backed up and restored, every row compared: into the same Milvus and into another one."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from milvus_backup.v1.backup_pb2 import BACKUP_STATE_COMPLETE
from milvus_backup.v1.operation_pb2 import OPERATION_STATE_SUCCEEDED, Operation
from tests.support.clients import connected
from tests.support.collection_builder import Dataset
from tests.support.environment import BACKUP_BUCKET, Environment
from tests.support.fixtures import metadata
from tests.support.rows import assert_same_rows, fetch_many
from tests.support.running_service import Service, environment_settings, running_service

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-one")]

BACKUP = "round_trip"
NAMES = {
    "default.hello_milvus",
    "default.all_types",
    "default.bin_vec",
    "default.empty_one",
    "default.churn",
    "default.groups",
    "shop.orders",
}


@pytest.fixture(scope="module")
async def service(environment: Environment) -> AsyncIterator[Service]:
    async with running_service(environment_settings(environment)) as running:
        yield running


@pytest.fixture(scope="module")
async def backup(service: Service, datasets: dict[str, Dataset]) -> str:
    """The name of a backup of all data sets, made once."""
    names = [f"{data.database}.{data.collection}" for data in datasets.values()]
    operation = await service.client.create_backup(
        BACKUP, collections=names, labels={"made-by": "a test"}
    )
    assert (await service.client.wait(operation)).state == OPERATION_STATE_SUCCEEDED
    return BACKUP


async def test_the_backup_is_described(service: Service, backup: str) -> None:
    found = await service.client.get_backup(backup)

    assert found.state == BACKUP_STATE_COMPLETE
    assert found.exact
    assert found.milvus_version == "v2.3.5-lite"
    assert dict(found.labels) == {"made-by": "a test"}
    assert {f"{it.database}.{it.name}" for it in found.collections} == NAMES
    orders = next(it for it in found.collections if it.name == "orders")
    assert (orders.row_count, orders.shard_count, orders.load_state) == (400, 2, "Loaded")
    assert orders.moment > 0


@dataclass(frozen=True)
class Restored:
    """The ended restores of the backup: beside the originals, and into the second Milvus."""

    beside: Operation
    second: Operation


@pytest.fixture(scope="module")
async def restored(environment: Environment, service: Service, backup: str) -> Restored:
    """Both at once: each Milvus lets its restore wait for import jobs most of the time."""

    async def restore(made: Service, **options: Any) -> Operation:
        return await made.client.wait(await made.client.restore_backup(backup, **options))

    second = await asyncio.to_thread(environment.second_milvus)
    async with running_service(environment_settings(environment, second)) as other:
        return Restored(
            *await asyncio.gather(
                restore(service, suffix="_r", restore_indexes=True), restore(other)
            )
        )


def test_restored_beside_the_originals_row_by_row(
    environment: Environment, restored: Restored, datasets: dict[str, Dataset]
) -> None:
    ended = restored.beside
    assert ended.restore_backup.content_checked_count > 0
    assert ended.restore_backup.size_checked_count == 0
    uri = environment.milvus.uri
    for data in datasets.values():
        _assert_same_shape(uri, data.database, data.collection, f"{data.collection}_r")
    _assert_all_rows(uri, datasets, "_r")


def test_restored_into_another_milvus_with_its_own_bucket(
    environment: Environment, restored: Restored, datasets: dict[str, Dataset]
) -> None:
    second = environment.second_milvus()

    assert restored.second.restore_backup.staged_object_count > 0
    assert not set(environment.seaweed.objects.keys(second.bucket, "files/milvus-backup-staging"))
    _assert_all_rows(second.uri, datasets)


async def test_the_files_have_the_shape_of_the_go_tools(
    environment: Environment, backup: str
) -> None:
    """Each kind of record has the keys and JSON types of a backup by the Go tool 0.5.16."""
    names = ("backup_meta", "collection_meta", "partition_meta", "segment_meta", "full_meta")
    for name in names:
        key = f"backup/{backup}/meta/{name}.json"
        ours = json.loads(environment.seaweed.objects.read(BACKUP_BUCKET, key))
        theirs = metadata("fx_go_0_5_16", name)
        if name == "full_meta":
            assert set(ours.pop("milvus_backup_service")) == {"manifest", "sha256"}
        assert _shape(_without_groups(ours)) == _shape(theirs)


def _assert_all_rows(uri: str, datasets: Mapping[str, Dataset], suffix: str = "") -> None:
    names = {(data.database, data.collection + suffix): data for data in datasets.values()}
    for name, rows in fetch_many(uri, list(names)).items():
        assert_same_rows(names[name].rows, rows)


def _shape(value: Any, kind: str = "backup") -> dict[str, dict[str, str]]:
    """Return the keys and JSON types of each kind of record; params and properties by key."""
    shape: dict[str, dict[str, str]] = {}
    if isinstance(value, Mapping):
        for key, inner in value.items():
            shape.setdefault(kind, {})[key] = type(inner).__name__
            for name, keys in _shape(inner, key).items():
                shape.setdefault(name, {}).update(keys)
    elif isinstance(value, list):
        for inner in value:
            for name, keys in _shape(inner, kind).items():
                shape.setdefault(name, {}).update(keys)
    return shape


def _without_groups(value: dict[str, Any]) -> dict[str, Any]:
    """Leave out the collection `groups`, which the Go tool's backup does not hold."""
    found = value.get("collection_backups")
    if found is None:
        return value
    kept = [it for it in found if it["collection_name"] != "groups"]
    return {**value, "collection_backups": kept}


def _assert_same_shape(uri: str, database: str, source: str, target: str) -> None:
    """Compare schema, partitions, properties and indexes of two collections."""
    with connected(uri, database) as client:
        one, two = client.describe_collection(source), client.describe_collection(target)
        for key in (
            "fields",
            "description",
            "num_shards",
            "consistency_level",
            "properties",
            "enable_dynamic_field",
            "auto_id",
        ):
            assert one[key] == two[key], (source, key)
        assert client.list_partitions(source) == client.list_partitions(target)
        assert sorted(client.list_indexes(source)) == sorted(client.list_indexes(target))
        for index in client.list_indexes(source):
            ours, theirs = (
                client.describe_index(source, index),
                client.describe_index(target, index),
            )
            for key in ("index_type", "metric_type", "field_name", "params"):
                assert ours.get(key) == theirs.get(key), (source, index, key)
