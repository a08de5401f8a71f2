"""What tests do with the Milvus in memory beyond the port, and its decorators."""

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer, MemoryStore
from milvus_backup_server.domain.errors import MilvusUnavailable
from milvus_backup_server.domain.milvus import (
    CollectionName,
    ImportOptions,
    ImportSource,
    ImportState,
)
from milvus_backup_server.domain.records import CollectionSchema, FieldSchema
from milvus_backup_server.ports.milvus import MilvusGateway
from tests.support.fake_milvus import FakeMilvus
from tests.support.gateways import (
    CountingGateway,
    DelayingGateway,
    FailingGateway,
    HookedGateway,
)

NAME, OTHER = CollectionName("default", "c"), CollectionName("default", "d")
SCHEMA = CollectionSchema(
    fields=(
        FieldSchema(name="pk", is_primary_key=True, data_type=5),
        FieldSchema(name="v", data_type=101),
    )
)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryServer().store("milvus")


@pytest.fixture
def milvus(store: MemoryStore) -> FakeMilvus:
    return FakeMilvus(store)


async def create(milvus: MilvusGateway, name: CollectionName = NAME) -> None:
    await milvus.create_collection(
        name, SCHEMA, shards=1, consistency_level=2, properties=(), partition_count=0
    )


async def flush(milvus: FakeMilvus) -> frozenset[int]:
    made = (await milvus.flush("default", ["c"]))["c"]
    assert not await milvus.is_flushed(NAME, made)
    assert await milvus.is_flushed(NAME, made)
    return made.segment_ids


async def directories(milvus: FakeMilvus) -> ImportSource:
    number = (await milvus.describe_collection(NAME)).collection_id
    (partition,) = await milvus.list_partitions(NAME)
    tail = f"{number}/{partition.partition_id}/"
    return ImportSource(f"files/insert_log/{tail}", f"files/delta_log/{tail}")


async def test_nothing_is_written_before_the_flush_is_done(
    milvus: FakeMilvus, store: MemoryStore
) -> None:
    await create(milvus)
    milvus.insert(NAME, [1, 2])
    await milvus.flush("default", ["c"])
    assert (await store.list_page("")).objects == ()
    (segment,) = await milvus.list_segments(NAME)
    assert segment.rows == 0


async def test_rows_come_and_go(milvus: FakeMilvus) -> None:
    await create(milvus)
    milvus.insert(NAME, [1, 2, 3])
    milvus.delete(NAME, [2])
    milvus.upsert(NAME, [3])
    milvus.insert(NAME, [1])
    assert milvus.keys(NAME) == [1, 1, 3]


async def test_compaction_replaces_segments_and_leaves_their_objects(
    milvus: FakeMilvus, store: MemoryStore
) -> None:
    await create(milvus)
    milvus.insert(NAME, [1, 2])
    await flush(milvus)
    milvus.insert(NAME, [3])
    milvus.delete(NAME, [1])
    old = await flush(milvus)
    before = {item.key for item in (await store.list_page("")).objects}
    (made,) = await milvus.compact(NAME)
    assert len(old) == 2
    assert [item.segment_id for item in await milvus.list_segments(NAME)] == [made]
    assert milvus.keys(NAME) == [2, 3]
    after = {item.key for item in (await store.list_page("")).objects}
    assert before < after
    await milvus.collect_garbage()
    left = {item.key for item in (await store.list_page("")).objects}
    assert left == after - before


async def test_imports_run_one_after_another_behind_a_gate(milvus: FakeMilvus) -> None:
    await create(milvus)
    milvus.insert(NAME, [1, 2])
    await flush(milvus)
    await create(milvus, OTHER)
    source = await directories(milvus)
    milvus.imports.gate.clear()
    jobs = [
        await milvus.submit_import(OTHER, "_default", [source], ImportOptions()) for _ in range(2)
    ]
    assert (await milvus.import_job(jobs[1])).state is ImportState.PENDING
    milvus.imports.gate.set()
    states = []
    for _ in range(4):
        await milvus.import_job(jobs[1])
        states.append([milvus.imports.jobs[job].state.value for job in jobs])
    assert states == [
        ["running", "pending"],
        ["completed", "pending"],
        ["completed", "running"],
        ["completed", "completed"],
    ]
    assert milvus.keys(OTHER) == [1, 1, 2, 2]
    read = milvus.imports.jobs[jobs[0]].read
    assert {key.split("/")[5] for key in read} == {"0", "1", "100", "101"}


async def test_imports_fail_as_told(milvus: FakeMilvus) -> None:
    await create(milvus)
    nothing = [ImportSource("no/such/")]
    milvus.imports.faults.append("out of luck")
    job = await milvus.submit_import(NAME, "_default", nothing, ImportOptions())
    await milvus.import_job(job)
    assert (await milvus.import_job(job)).reason == "out of luck"

    interrupted = await milvus.submit_import(NAME, "_default", nothing, ImportOptions())
    assert (await milvus.import_job(interrupted)).state is ImportState.RUNNING
    await milvus.imports.restart()
    assert (await milvus.import_job(interrupted)).state is ImportState.FAILED

    milvus.imports.forget(job)
    assert (await milvus.import_job(job)).state is ImportState.UNKNOWN


async def test_an_import_into_a_dropped_collection_fails(milvus: FakeMilvus) -> None:
    await create(milvus)
    job = await milvus.submit_import(NAME, "_default", [ImportSource("a/")], ImportOptions())
    await milvus.drop_collection(NAME)
    await milvus.import_job(job)
    assert (await milvus.import_job(job)).state is ImportState.FAILED


async def test_it_holds_ten_thousand_collections(milvus: FakeMilvus) -> None:
    names = [f"c{number}" for number in range(10_000)]
    for name in names:
        await create(milvus, CollectionName("default", name))
    assert len(await milvus.flush("default", names)) == 10_000
    assert len(await milvus.list_collections("default")) == 10_000


async def test_the_decorators_count_delay_fail_and_act(milvus: FakeMilvus) -> None:
    seen: list[str] = []

    async def hook(subject: str) -> None:
        seen.append(subject)

    hooked = HookedGateway(milvus, {"flush": hook})
    failing = FailingGateway(
        hooked, "create_collection", MilvusUnavailable("lost"), first=1, after=True
    )
    delaying = DelayingGateway(failing, {"": 0.0})
    counting = CountingGateway(delaying)
    gateway: MilvusGateway = counting

    with pytest.raises(MilvusUnavailable):
        await create(gateway)
    assert failing.injected == 1
    assert await gateway.has_collection(NAME)
    await create(gateway)
    await gateway.flush("default", ["c"])
    assert seen == ["default"]
    assert hooked.fired == {"flush": 1}
    assert counting.calls == {"create_collection": 2, "has_collection": 1, "flush": 1}
    assert counting.subjects[0] == ("create_collection", "default.c")
    assert counting.most_running == 1
