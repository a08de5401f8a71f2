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
    Flush,
    ImportOptions,
    ImportSource,
    ImportState,
)
from tests.e2e.gateway_conformance import PLAIN, ROOT, RealSubject, create, ended, flushed, until
from tests.support.clients import connected
from tests.support.datasets import make_all_types
from tests.support.environment import Environment
from tests.support.milvus import MilvusStandalone
from tests.support.rows import assert_same_rows, fetch_rows

pytestmark = pytest.mark.e2e


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
    settings = MilvusSettings(host=guarded.host, port=guarded.port, user=user, password=password)
    gateway = GrpcMilvusGateway(settings)
    start = time.monotonic()
    with pytest.raises(MilvusDenied) as caught:
        await gateway.version()
    assert time.monotonic() - start < 2
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
        call_seconds=2,
        retry_seconds=0.5,
    )
    gateway = GrpcMilvusGateway(settings)
    assert await gateway.list_databases() == ["default"]
    guarded.kill()
    start = time.monotonic()
    with pytest.raises(MilvusUnavailable):
        await gateway.list_databases()
    assert time.monotonic() - start < 3
    await asyncio.to_thread(guarded.start)
    assert await gateway.list_databases() == ["default"]
    await gateway.close()


async def test_an_import_in_place_gives_the_rows(
    subject: RealSubject, environment: Environment
) -> None:
    uri, gateway = environment.milvus.uri, subject.gateway
    source, target = (CollectionName("default", f"gateway_{end}") for end in ("from", "to"))
    dataset = await asyncio.to_thread(make_all_types, uri, name=source.name)
    flush = await flushed(subject, source)
    found = await gateway.describe_collection(source)
    await gateway.drop_collection(target)
    await gateway.create_collection(
        target,
        found.schema,
        shards=found.shards,
        consistency_level=found.consistency_level,
        properties=found.properties,
        partition_count=found.partition_count,
    )
    made = await gateway.describe_collection(target)
    assert made.schema == replace(found.schema, name=target.name)
    partitions = await gateway.list_partitions(source)
    names = [partition.name for partition in await gateway.list_partitions(target)]
    assert names == [partition.name for partition in partitions]

    rows = 0
    for partition in partitions:
        tail = f"{found.collection_id}/{partition.partition_id}/"
        directories = ImportSource(f"{ROOT}/insert_log/{tail}", f"{ROOT}/delta_log/{tail}")
        job = await gateway.submit_import(
            target, partition.name, [directories], ImportOptions(flush.moment)
        )
        done = await ended(subject, job)
        assert done.state is ImportState.COMPLETED
        rows += done.rows
    assert rows == len(dataset.rows) == 795
    for index in await gateway.list_indexes(source):
        await gateway.create_index(target, index)
    indexes = [await gateway.list_indexes(name) for name in (source, target)]
    assert [replace(index, index_id=0) for index in indexes[0]] == [
        replace(index, index_id=0) for index in indexes[1]
    ]
    restored = await asyncio.to_thread(fetch_rows, uri, "default", target.name)
    assert_same_rows(dataset.rows, restored)
    assert await gateway.load_state(target) == "Loaded"
    assert await gateway.load_state(target, names[0]) == "Loaded"
    for name in (source, target):
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


async def test_compaction_replaces_segments_and_leaves_their_objects(
    subject: RealSubject, environment: Environment
) -> None:
    name, gateway = CollectionName("default", "gateway_compacted"), subject.gateway
    await create(subject, name)
    flush: Flush | None = None
    for start in range(0, 40, 10):
        await subject.insert(name, range(start, start + 10))
        flush = await flushed(subject, name)
    assert flush is not None
    assert len(flush.segment_ids) == 4
    # Milvus compacts only what is indexed.
    await asyncio.to_thread(fetch_rows, environment.milvus.uri, "default", name.name)
    number = (await gateway.describe_collection(name)).collection_id
    before = set(await subject.objects(f"{ROOT}/insert_log/{number}/"))

    def compact() -> None:
        with connected(environment.milvus.uri) as client:
            client.compact(name.name)

    await asyncio.to_thread(compact)

    async def replaced() -> bool:
        listed = {segment.segment_id for segment in await gateway.list_segments(name)}
        return not flush.segment_ids <= listed

    await until(replaced)
    assert before < set(await subject.objects(f"{ROOT}/insert_log/{number}/"))
    await gateway.drop_collection(name)
