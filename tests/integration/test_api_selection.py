"""Selection, mapping, plans and conflicts through client and gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from milvus_backup.v1.backup_service_pb2 import CollectionMapping
from milvus_backup.v1.operation_pb2 import OPERATION_STATE_FAILED, OPERATION_STATE_SUCCEEDED
from milvus_backup_client import BackupClient, CollectionNotFound, PartitionNotFound
from milvus_backup_server.adapters.memory_store import MemoryServer, MemoryStore
from milvus_backup_server.app import running_app
from milvus_backup_server.wiring import Adapters
from tests.support.fake_milvus import FakeMilvus
from tests.support.running_service import settings_of
from tests.support.service import add_collection, named


@pytest.fixture
def store() -> MemoryStore:
    return MemoryServer().store("a-bucket")


@pytest.fixture
async def milvus(store: MemoryStore) -> FakeMilvus:
    milvus = FakeMilvus(store)
    books = await add_collection(milvus, "books", range(10), partitions=["p"])
    milvus.insert(books, range(100, 105), "p")
    await add_collection(milvus, "shop.orders", range(3))
    return milvus


@pytest.fixture
async def client(milvus: FakeMilvus, store: MemoryStore) -> AsyncIterator[BackupClient]:
    service = {"grpc": {"port": 0}, "http": {"enabled": False}, "milvus": {"pollSeconds": 0.01}}
    settings = settings_of({"configVersion": "v2", "service": service})
    async with (
        running_app(settings, Adapters(milvus, store, store)) as app,
        BackupClient(app.address) as client,
    ):
        yield client


async def test_partitions_and_several_targets(milvus: FakeMilvus, client: BackupClient) -> None:
    created = await client.create_backup("b", collections=["shop."], partitions={"books": ["p"]})
    assert (await client.wait(created)).create_backup.row_count == 5
    mappings = [
        CollectionMapping(source="books", target="copy"),
        CollectionMapping(source="books", target="shop.copy", shard_count=3, description="new"),
    ]
    restored = await client.wait(await client.restore_backup("b", mappings=mappings))
    assert restored.restore_backup.collection_count == 2
    for name in ("copy", "shop.copy"):
        assert milvus.keys(named(name)) == list(range(100, 105))
    made = milvus.collection(named("shop.copy"))
    assert (made.description.shards, made.schema.description) == (3, "new")


async def test_conflicts_arrive_together_each_with_its_field(client: BackupClient) -> None:
    with pytest.raises(CollectionNotFound) as caught:
        await client.create_backup("b", collections=["shop.*", "no"], partitions={"books": ["q"]})
    assert [(fault.field, fault.description) for fault in caught.value.violations] == [
        ("collections[1]", "collection 'default.no' does not exist"),
        ("partitions[0].partitions[0]", "partition 'default.books/q' does not exist"),
    ]
    with pytest.raises(PartitionNotFound):
        await client.create_backup("b", partitions={"books": ["q"]})


async def test_a_plan_with_and_without_something_in_the_way(client: BackupClient) -> None:
    await client.wait(await client.create_backup("b"))
    renames = {"shop.*": "store.*", "books": "films"}
    good = await client.restore_backup("b", renames=renames, validate_only=True)
    assert good.state == OPERATION_STATE_SUCCEEDED
    assert not good.HasField("error")
    plan = good.restore_plan
    assert (plan.collection_count, plan.partition_count, list(plan.new_databases)) == (
        2,
        3,
        ["store"],
    )
    assert list(plan.collections[0].partitions) == ["_default", "p"]
    bad = await client.restore_backup("b", renames={"shop.orders": "books"}, validate_only=True)
    assert bad.state == OPERATION_STATE_FAILED
    assert bad.HasField("error")
    told = [(item.field, item.reason) for item in bad.restore_plan.obstacles]
    assert told == [
        ("renames['shop.orders']", "INVALID_REQUEST"),
        ("renames", "TARGET_ALREADY_EXISTS"),
    ]
    assert bad.restore_plan.obstacle_count == 2
