"""What only a real Milvus can show about the gateway; the rest is in the conformance tests."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from milvus_backup_server.adapters.milvus import GrpcMilvusGateway, MilvusSettings
from milvus_backup_server.domain.errors import MilvusDenied, MilvusRefused, MilvusUnavailable
from milvus_backup_server.domain.milvus import (
    CollectionName,
)
from milvus_backup_server.domain.records import CollectionSchema, IndexInfo
from tests.e2e.gateway_conformance import PLAIN, RealSubject, create
from tests.support.clients import connected
from tests.support.environment import Environment
from tests.support.milvus import MilvusStandalone
from tests.support.rows import fetch_rows

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-one")]


ALL_TYPES = CollectionSchema.from_json(
    {
        "description": "every type of 2.3",
        "fields": [
            {
                "fieldID": 100,
                "name": "pk",
                "is_primary_key": True,
                "data_type": 21,
                "type_params": [{"key": "max_length", "value": "64"}],
            },
            {
                "fieldID": 101,
                "name": "tenant",
                "description": "the partition key",
                "data_type": 5,
                "is_partition_key": True,
            },
            *(
                {"fieldID": 102 + place, "name": f"type_{number}", "data_type": number}
                for place, number in enumerate((1, 2, 3, 4, 5, 10, 11, 23))
            ),
            {
                "fieldID": 110,
                "name": "numbers",
                "data_type": 22,
                "type_params": [{"key": "max_capacity", "value": "16"}],
                "element_type": 5,
            },
            {
                "fieldID": 111,
                "name": "texts",
                "data_type": 22,
                "type_params": [
                    {"key": "max_length", "value": "32"},
                    {"key": "max_capacity", "value": "8"},
                ],
                "element_type": 21,
            },
            {
                "fieldID": 112,
                "name": "v",
                "data_type": 101,
                "type_params": [{"key": "dim", "value": "16"}],
            },
        ],
        "enable_dynamic_field": True,
    }
)

INDEXES = [
    IndexInfo(
        field_name="v",
        index_name="vidx",
        index_type="HNSW",
        params={
            "M": "16",
            "efConstruction": "100",
            "index_type": "HNSW",
            "metric_type": "COSINE",
        },
    ),
    IndexInfo(field_name="type_5", index_name="sidx"),
    IndexInfo(field_name="pk", index_name="tidx", index_type="Trie", params={"index_type": "Trie"}),
]


@pytest.fixture
async def subject(environment: Environment) -> AsyncIterator[RealSubject]:
    made = RealSubject(environment)
    yield made
    await made.close()


@pytest.fixture(scope="module")
def guarded(environment: Environment) -> Iterator[MilvusStandalone]:
    with MilvusStandalone(environment.seaweed, "milvus-guarded", authorization=True) as milvus:
        yield milvus


@pytest.mark.parametrize(
    ("user", "password"),
    [("", ""), ("root", "wrong"), ("nobody", "Milvus")],
    ids=["no user", "wrong password", "unknown user"],
)
async def test_wrong_credentials_are_denied_at_once(
    guarded: MilvusStandalone, user: str, password: str
) -> None:
    settings = MilvusSettings(
        host=guarded.host,
        port=guarded.port,
        user=user,
        password=password,
        call_seconds=90,
        retry_seconds=60,
    )
    gateway = GrpcMilvusGateway(settings)
    start = time.monotonic()
    with pytest.raises(MilvusDenied) as caught:
        await gateway.version()
    assert time.monotonic() - start < 30
    assert "wrong" not in str(caught.value)
    right = GrpcMilvusGateway(replace(settings, user="root", password="Milvus"))
    assert await right.list_databases() == ["default"]
    await gateway.close()
    await right.close()


async def test_goes_on_after_a_restart(guarded: MilvusStandalone) -> None:
    settings = MilvusSettings(
        host=guarded.host,
        port=guarded.port,
        user="root",
        password="Milvus",
        call_seconds=60,
        retry_seconds=0.5,
    )
    gateway = GrpcMilvusGateway(settings)
    assert await gateway.list_databases() == ["default"]
    guarded.kill()
    start = time.monotonic()
    with pytest.raises(MilvusUnavailable):
        await gateway.list_databases()
    assert time.monotonic() - start < 30
    await asyncio.to_thread(guarded.start)
    assert await gateway.list_databases() == ["default"]
    await gateway.close()


async def test_every_type_comes_back_as_it_was_made(subject: RealSubject) -> None:
    name, gateway = CollectionName("default", "gateway_types"), subject.gateway
    await create(subject, name, ALL_TYPES, 3)
    found = await gateway.describe_collection(name)
    assert found.schema.to_json() == replace(ALL_TYPES, name=name.name).to_json()
    for index in INDEXES:
        await gateway.create_index(name, index)
    listed = await gateway.list_indexes(name)
    assert [replace(index, index_id=0) for index in listed] == INDEXES
    await gateway.drop_collection(name)


async def test_a_loaded_collection_with_an_alias_is_renamed(
    subject: RealSubject, environment: Environment
) -> None:
    old, new, alias = (CollectionName("default", f"renamed_{end}") for end in ("old", "new", "al"))
    await create(subject, old)
    await subject.insert(old, range(10))

    def load() -> None:
        with connected(environment.milvus.uri) as client:
            client.create_alias(old.name, alias.name)

    await asyncio.to_thread(load)
    await asyncio.to_thread(fetch_rows, environment.milvus.uri, "default", old.name)
    await subject.gateway.rename_collection(old, new.name)
    found = await subject.gateway.describe_collection(alias)
    assert (found.name, found.aliases) == (new, (alias.name,))
    assert found.schema == replace(PLAIN, name=new.name)
    assert await subject.gateway.has_collection(alias)
    assert await subject.gateway.load_state(new) == "Loaded"
    with pytest.raises(MilvusRefused):
        await subject.gateway.rename_collection(new, alias.name)
    assert (
        len(await asyncio.to_thread(fetch_rows, environment.milvus.uri, "default", new.name)) == 10
    )
    await subject.gateway.drop_collection(new)
