"""One suite for the real Milvus and the one in memory, so that tests on the latter mean something."""

import asyncio
import re
from dataclasses import replace

import pytest

from milvus_backup_server.domain.errors import (
    CollectionNotFound,
    DatabaseNotFound,
    MilvusRefused,
)
from milvus_backup_server.domain.milvus import (
    CollectionName,
    ImportJob,
    ImportSource,
    ImportState,
    Partition,
    physical_milliseconds,
)
from milvus_backup_server.domain.records import IndexInfo, KeyValue
from tests.e2e.gateway_conformance import (
    FLAT,
    KEYED,
    PLAIN,
    ROOT,
    NewName,
    SimulatedSubject,
    Subject,
    clock_past,
    create,
    ended,
    flushed,
)

pytestmark = pytest.mark.xdist_group("milvus-one")

NOWHERE = CollectionName("default", "nowhere")


async def test_tells_its_version(subject: Subject) -> None:
    simulated = isinstance(subject, SimulatedSubject)
    version = await subject.gateway.version()
    assert version.startswith("2.5.27" if simulated else "v2.3.5")


async def test_timestamps_grow_and_the_clock_moves_on(subject: Subject) -> None:
    first = last = await subject.gateway.allocate_timestamp()
    async with asyncio.timeout(60):
        while physical_milliseconds(last) == physical_milliseconds(first):
            following = await subject.gateway.allocate_timestamp()
            assert following > last
            last = following


async def test_databases(subject: Subject) -> None:
    await subject.gateway.create_database("conformance")
    await subject.gateway.create_database("conformance")
    assert {"conformance", "default"} <= set(await subject.gateway.list_databases())
    assert await subject.gateway.list_collections("conformance") == []
    await create(subject, CollectionName("conformance", "in_it"))
    with pytest.raises(MilvusRefused):
        await subject.gateway.drop_database("conformance")
    await subject.gateway.drop_collection(CollectionName("conformance", "in_it"))
    await subject.gateway.drop_database("conformance")
    await subject.gateway.drop_database("conformance")
    assert "conformance" not in await subject.gateway.list_databases()


async def test_a_database_that_is_not_there(subject: Subject) -> None:
    with pytest.raises(DatabaseNotFound):
        await subject.gateway.list_collections("no_such_database")
    with pytest.raises(DatabaseNotFound):
        await create(subject, CollectionName("no_such_database", "c"))
    assert not await subject.gateway.has_collection(CollectionName("no_such_database", "c"))
    # Milvus 2.3 speaks of the collection, later ones of the database.
    with pytest.raises((CollectionNotFound, DatabaseNotFound)):
        await subject.gateway.describe_collection(CollectionName("no_such_database", "c"))


async def test_a_collection_in_a_database(subject: Subject) -> None:
    name = CollectionName("conformance_2", "a_collection")
    await subject.gateway.create_database(name.database)
    await create(subject, name)
    assert await subject.gateway.list_collections(name.database) == [name]
    assert (await subject.gateway.describe_collection(name)).name == name
    await subject.gateway.rename_collection(name, "another")
    renamed = CollectionName(name.database, "another")
    assert await subject.gateway.list_collections(name.database) == [renamed]
    assert not await subject.gateway.has_collection(CollectionName("default", "another"))
    await subject.gateway.drop_collection(renamed)
    await subject.gateway.drop_database(name.database)


async def test_a_collection_is_described_as_it_was_made(
    subject: Subject, new_name: NewName
) -> None:
    name = new_name()
    await create(subject, name)
    found = await subject.gateway.describe_collection(name)
    assert found.name == name
    assert found.schema == replace(PLAIN, name=name.name)
    assert (found.shards, found.consistency_level, found.partition_count) == (1, 1, 1)
    assert found.properties == (KeyValue(key="collection.ttl.seconds", value="86400"),)
    assert len(found.virtual_channels) == len(found.physical_channels) == 1
    assert found.created_timestamp > 0
    assert found.aliases == ()
    assert name in await subject.gateway.list_collections("default")
    assert await subject.gateway.has_collection(name)
    assert await subject.gateway.load_state(name) == "NotLoad"
    assert await subject.gateway.load_state(name, "_default") == "NotLoad"


async def test_creating_again_is_fine_with_the_same_schema_only(
    subject: Subject, new_name: NewName
) -> None:
    name = new_name()
    await create(subject, name)
    before = await subject.gateway.describe_collection(name)
    await create(subject, name)
    assert await subject.gateway.describe_collection(name) == before
    with pytest.raises(MilvusRefused):
        await create(subject, name, replace(PLAIN, fields=KEYED.fields), 2)


async def test_partitions(subject: Subject, new_name: NewName) -> None:
    name = new_name()
    await create(subject, name)
    for partition in ("p2", "p1", "p2"):
        await subject.gateway.create_partition(name, partition)
    found = await subject.gateway.list_partitions(name)
    assert [partition.name for partition in found] == ["_default", "p2", "p1"]
    assert sorted(found, key=_partition_id) == found


def _partition_id(partition: Partition) -> int:
    return partition.partition_id


async def test_a_partition_key_has_its_partitions(subject: Subject, new_name: NewName) -> None:
    name = new_name()
    await create(subject, name, KEYED, 3)
    found = await subject.gateway.describe_collection(name)
    assert found.schema == replace(KEYED, name=name.name)
    assert found.partition_count == 3
    names = [partition.name for partition in await subject.gateway.list_partitions(name)]
    assert names == ["_default_0", "_default_1", "_default_2"]
    with pytest.raises(MilvusRefused):
        await subject.gateway.create_partition(name, "p1")


async def test_a_number_of_partitions_needs_a_partition_key(
    subject: Subject, new_name: NewName
) -> None:
    with pytest.raises(MilvusRefused):
        await create(subject, new_name(), PLAIN, 3)


async def test_indexes(subject: Subject, new_name: NewName) -> None:
    name = new_name()
    await create(subject, name)
    assert await subject.gateway.list_indexes(name) == []
    await subject.gateway.create_index(name, FLAT)
    await subject.gateway.create_index(name, FLAT)
    await subject.gateway.create_index(name, IndexInfo(field_name="pk", index_name="pi"))
    found = await subject.gateway.list_indexes(name)
    assert [replace(index, index_id=0) for index in found] == [
        FLAT,
        IndexInfo(field_name="pk", index_name="pi"),
    ]
    assert all(index.index_id for index in found)
    with pytest.raises(MilvusRefused):
        await subject.gateway.create_index(name, replace(FLAT, params={"metric_type": "IP"}))


async def test_what_is_not_there(subject: Subject) -> None:
    gateway = subject.gateway
    assert not await gateway.has_collection(NOWHERE)
    await gateway.drop_collection(NOWHERE)
    for call in (
        gateway.describe_collection,
        gateway.list_partitions,
        gateway.list_indexes,
        gateway.load_state,
        gateway.list_segments,
        gateway.list_imports,
    ):
        with pytest.raises(CollectionNotFound):
            await call(NOWHERE)
    with pytest.raises(CollectionNotFound) as caught:
        await gateway.flush("default", ["nowhere"])
    assert caught.value.resource_name == "default.nowhere"
    with pytest.raises(CollectionNotFound):
        await gateway.rename_collection(NOWHERE, "elsewhere")
    assert await gateway.import_job("123") == ImportJob("123", ImportState.UNKNOWN)


async def test_renaming(subject: Subject, new_name: NewName) -> None:
    old, new, taken = new_name(), new_name(), new_name()
    await create(subject, old)
    await create(subject, taken)
    number = (await subject.gateway.describe_collection(old)).collection_id
    with pytest.raises(MilvusRefused):
        await subject.gateway.rename_collection(old, taken.name)
    await subject.gateway.rename_collection(old, new.name)
    found = await subject.gateway.describe_collection(new)
    assert (found.collection_id, found.name, found.schema.name) == (number, new, new.name)
    assert not await subject.gateway.has_collection(old)


async def test_a_flush_tells_its_moment_and_segments(subject: Subject, new_name: NewName) -> None:
    name = new_name()
    await create(subject, name)
    await subject.insert(name, range(100))
    before = await subject.gateway.allocate_timestamp()
    flush = await flushed(subject, name)
    after = await subject.gateway.allocate_timestamp()
    assert before < flush.moment < after
    assert flush.sealed_ids == flush.segment_ids
    assert flush.seal_time >= physical_milliseconds(before) // 1000
    segments = await subject.gateway.list_segments(name)
    assert {segment.segment_id for segment in segments} == flush.segment_ids
    assert sum(segment.rows for segment in segments) == 100
    found = await subject.gateway.describe_collection(name)
    (segment, *_) = segments
    prefix = f"{ROOT}/insert_log/{found.collection_id}/{segment.partition_id}/{segment.segment_id}/"
    fields = {key.removeprefix(prefix).split("/")[0] for key in await subject.objects(prefix)}
    assert fields == {"0", "1", "100", "101"}

    again = await flushed(subject, name)
    assert again.moment > flush.moment
    assert again.segment_ids == flush.segment_ids
    assert again.sealed_ids == frozenset()


async def test_an_import_ends_at_the_moment(subject: Subject, new_name: NewName) -> None:
    source, target, everything = new_name(), new_name(), new_name()
    await create(subject, source)
    await subject.insert(source, range(100))
    await subject.delete(source, [0, 1, 2])
    # Within one step of the clock the moment, rounded down, would be before these rows.
    await clock_past(subject, await subject.gateway.allocate_timestamp())
    first = await flushed(subject, source)
    await clock_past(subject, first.moment)
    await subject.insert(source, range(100, 150))
    await subject.delete(source, [3, 4])
    second = await flushed(subject, source)
    assert first.segment_ids <= second.segment_ids

    directories = await _directories(subject, source)
    await create(subject, target)
    await create(subject, everything)
    jobs = [
        await subject.gateway.submit_import(
            into, "_default", [directories], replace(subject.options, moment=moment)
        )
        for into, moment in ((target, first.moment), (everything, None))
    ]
    cut, whole = [await ended(subject, job) for job in jobs]
    assert (cut.state, cut.rows) == (ImportState.COMPLETED, 97)
    assert (whole.state, whole.rows) == (ImportState.COMPLETED, 145)
    segments = await subject.gateway.list_segments(target)
    assert sum(segment.rows for segment in segments) == 97

    found = await subject.gateway.describe_collection(target)
    (listed,) = await subject.gateway.list_imports(target)
    assert (listed.job_id, listed.state) == (jobs[0], ImportState.COMPLETED)
    if subject.options.rest:  # which tells no more in its list
        return
    assert listed == cut
    assert listed.files == (directories.insert, directories.delta)
    assert listed.collection_id == found.collection_id
    assert listed.partition == "_default"


async def test_imports_that_cannot_work(subject: Subject, new_name: NewName) -> None:
    source, target = new_name(), new_name()
    await create(subject, source)
    await subject.insert(source, range(10))
    await flushed(subject, source)
    await create(subject, target, KEYED, 1)
    directories, gateway = await _directories(subject, source), subject.gateway
    with pytest.raises(MilvusRefused):
        await gateway.submit_import(target, "no_such", [directories], subject.options)
    with pytest.raises(MilvusRefused):
        await gateway.submit_import(target, "", [directories], subject.options)
    job = await gateway.submit_import(target, "_default_0", [directories], subject.options)
    failed = await ended(subject, job)
    assert failed.state is ImportState.FAILED
    # Of the partition key, which the source lacks, in the words of 2.3 and of 2.5.
    assert re.search("the field 102 has no binlog file|no binlog for field:tenant", failed.reason)


async def test_nothing_to_import_is_a_success(subject: Subject, new_name: NewName) -> None:
    name = new_name()
    await create(subject, name)
    nothing = ImportSource("no/such/insert_log/", "no/such/delta_log/")
    if subject.options.hybrid_end_ts:  # as Milvus 2.4 and later, which look before
        with pytest.raises(MilvusRefused, match="no binlog to import"):
            await subject.gateway.submit_import(name, "_default", [nothing], subject.options)
        return
    job = await subject.gateway.submit_import(name, "_default", [nothing], subject.options)
    done = await ended(subject, job)
    assert (done.state, done.rows) == (ImportState.COMPLETED, 0)


async def _directories(subject: Subject, name: CollectionName) -> ImportSource:
    number = (await subject.gateway.describe_collection(name)).collection_id
    (partition,) = await subject.gateway.list_partitions(name)
    tail = f"{number}/{partition.partition_id}/"
    return ImportSource(f"{ROOT}/insert_log/{tail}", f"{ROOT}/delta_log/{tail}")


async def test_aliases(subject: Subject, new_name: NewName) -> None:
    gateway, one, two = subject.gateway, new_name(), new_name()
    alias = CollectionName("default", f"{one.name}_alias")
    await create(subject, one)
    await create(subject, two)
    await gateway.create_alias(one, alias.name)
    await gateway.create_alias(one, alias.name)
    for taken in (alias.name, one.name):
        with pytest.raises(MilvusRefused):
            await gateway.create_alias(two, taken)
    await gateway.alter_alias(two, alias.name)
    await gateway.rename_collection(two, f"{two.name}_renamed")
    renamed = replace(two, name=f"{two.name}_renamed")
    found = await gateway.describe_collection(alias)
    assert (found.name, found.aliases) == (renamed, (alias.name,))
    # What a dropped collection was called is free again.
    await gateway.drop_collection(renamed)
    assert not await gateway.has_collection(alias)
    await gateway.create_alias(one, alias.name)
    assert (await gateway.describe_collection(alias)).name == one
    await gateway.drop_alias("default", alias.name)
    await gateway.drop_alias("default", alias.name)
    assert (await gateway.describe_collection(one)).aliases == ()
    with pytest.raises(MilvusRefused):
        await gateway.alter_alias(one, alias.name)


async def test_indexes_are_dropped(subject: Subject, new_name: NewName) -> None:
    gateway, name = subject.gateway, new_name()
    await create(subject, name)
    await gateway.create_index(name, FLAT)
    await gateway.drop_index(name, FLAT)
    await gateway.drop_index(name, FLAT)
    assert await gateway.list_indexes(name) == []
