"""The operation log over a store: what is kept, for how long, and how many requests it costs."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.operation_log import StoreOperationLog
from milvus_backup_server.domain.errors import (
    BucketNotFound,
    ObjectAlreadyExists,
    ObjectChanged,
)
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operation_record import (
    OperationDetails,
    Owner,
)
from milvus_backup_server.domain.operations import (
    CollectionProgress,
    OperationState,
)
from milvus_backup_server.ports.operation_log import Retention
from tests.support.operation_records import NOW, OWNER, record
from tests.support.stores import CountingStore


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
async def store(server: MemoryServer) -> CountingStore:
    return CountingStore(server.store("b"))


async def names(log: StoreOperationLog) -> list[int]:
    """Return the numbers of the records that a log tells of."""
    return [int(item.name[-8:], 16) for item in await log.all()]


async def keys(store: CountingStore) -> list[str]:
    page = await store.list_page("root/.milvus-backup/")
    return [item.key.removeprefix("root/.milvus-backup/") for item in page.objects]


async def test_a_record_is_changed_by_who_knows_its_version(store: CountingStore) -> None:
    log, other = StoreOperationLog(store, "root"), StoreOperationLog(store, "root")
    first = await log.create(record(1, OperationState.RUNNING))
    with pytest.raises(ObjectAlreadyExists):
        await other.create(record(1))
    second = await other.replace(record(1, OperationState.CANCELLING), first.version)
    with pytest.raises(ObjectChanged):
        await log.replace(record(1), first.version)
    assert await log.read(first.record.name) == second
    assert await log.recent() == [second]


async def test_of_twenty_that_go_on_with_an_operation_one_does(store: CountingStore) -> None:
    log = StoreOperationLog(store, "root")
    known = await log.create(record(1, OperationState.RUNNING))
    taken = [replace(known.record, owner=Owner(f"{number:016x}")) for number in range(20)]
    tries = [StoreOperationLog(store, "root").replace(item, known.version) for item in taken]
    ended = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(end, ObjectChanged) for end in ended) == len(taken) - 1


async def test_a_thousand_are_listed_with_few_requests(store: CountingStore) -> None:
    log = StoreOperationLog(store, "root")
    for number in range(1000):
        await log.create(record(number))
        if number % 64 == 63:
            await log.tidy()
    fresh = StoreOperationLog(store, "root")
    store.calls.clear()
    assert await names(fresh) == list(range(1000))
    # 15 packs of 64, and 40 records that are not packed yet.
    assert store.calls == {"list_page": 2, "get": 15 + 40, "now": 1}
    store.calls.clear()
    assert len(await fresh.all()) == 1000
    assert store.calls == {"list_page": 2}, "what has been read is not read again"


async def test_a_long_history_is_read_in_brief_and_whole_when_it_is_shown(
    store: CountingStore,
) -> None:
    log = StoreOperationLog(store, "root")
    progress = CollectionProgress(CollectionName("default", "c"))
    given = record(3)
    long = replace(given, operation=replace(given.operation, collections=(progress,)))
    for number in range(64):
        await log.create(long if number == 3 else record(number))
    await log.tidy()
    fresh = StoreOperationLog(store, "root")
    brief = (await fresh.all())[3]
    assert brief.operation.collections == ()
    assert (brief.name, brief.operation.state) == (long.name, long.operation.state)
    store.calls.clear()
    assert fresh.whole(brief) == long
    assert store.calls == {}
    assert fresh.whole(record(1000)) == record(1000), "what is in no pack is whole"


async def test_a_packed_record_is_found_by_its_name(store: CountingStore) -> None:
    log = StoreOperationLog(store, "root")
    for number in range(64):
        await log.create(record(number))
    await log.tidy()
    assert [key.partition("/")[0] for key in await keys(store)] == ["history"]
    found = await StoreOperationLog(store, "root").read(record(5).name)
    assert found is not None
    assert (found.record, found.version) == (record(5), "")


async def test_what_has_not_ended_is_never_packed(store: CountingStore) -> None:
    log = StoreOperationLog(store, "root")
    for number in range(64):
        await log.create(record(number))
    await log.create(record(64, OperationState.INTERRUPTED))
    await log.create(record(65, OperationState.RUNNING))
    await log.tidy()
    assert [it.record.operation.state for it in await log.recent()] == [
        OperationState.INTERRUPTED,
        OperationState.RUNNING,
    ]
    assert await names(log) == list(range(66))


async def test_what_two_services_pack_at_once_is_told_once(store: CountingStore) -> None:
    logs = [StoreOperationLog(store, "root") for _ in range(2)]
    for number in range(64):
        await logs[0].create(record(number))
    await asyncio.gather(*(log.tidy() for log in logs))
    for log in logs:
        assert await names(log) == list(range(64))


async def test_the_newest_are_kept_and_everything_of_the_others_goes(store: CountingStore) -> None:
    log = StoreOperationLog(store, "root", Retention(number=70))
    for number in range(192):
        await log.create(record(number, request_id=f"id{number}"))
        await log.take_request_id(f"id{number}", record(number).name)
        if number == 3:
            await log.write_details(record(number).name, OperationDetails())
        await log.tidy()
    assert await names(log) == list(range(122, 192))
    left = await keys(store)
    # Packs go as a whole, when nothing in them is to be kept.
    assert sum(key.startswith("history/") for key in left) == 2
    assert sum(key.startswith("requests/") for key in left) == 128
    assert not any(key.startswith("details/") for key in left)
    assert await log.operation_of("id3") == ""
    assert await log.operation_of("id100") == record(100).name


async def test_what_ended_long_ago_is_not_kept(store: CountingStore) -> None:
    log = StoreOperationLog(store, "root", Retention(age=timedelta(days=2)))
    long_ago = NOW - timedelta(days=3)
    for number in range(64):
        await log.create(record(number, end=long_ago))
    await log.create(record(64, OperationState.INTERRUPTED, end=long_ago))
    await log.create(record(65, OperationState.RUNNING, end=long_ago))
    await log.create(record(66))
    assert await names(log) == [65, 66]
    await log.tidy()
    assert await keys(store) != []
    assert sorted(it.record.name for it in await log.recent()) == [record(65).name]
    assert await names(log) == [65, 66]


async def test_a_request_id_belongs_to_the_first(store: CountingStore) -> None:
    logs = [StoreOperationLog(store, "root") for _ in range(20)]
    takers = [log.take_request_id("ü/..", f"op{n}") for n, log in enumerate(logs)]
    winners = set(await asyncio.gather(*takers))
    assert winners == {await logs[0].operation_of("ü/..")}
    (winner,) = winners
    assert await logs[0].take_request_id("ü/..", "late", instead_of="another") == winner
    assert await logs[0].take_request_id("ü/..", "heir", instead_of=winner) == "heir"
    assert await logs[1].operation_of("ü/..") == "heir"
    assert all(key.isascii() and ".." not in key for key in await keys(store))


async def test_signs_of_life_are_judged_by_the_clock_of_the_store(store: CountingStore) -> None:
    log = StoreOperationLog(store, "root")
    assert await log.living(timedelta(days=1)) == frozenset()
    await log.beat(OWNER)
    assert await log.living(timedelta(seconds=20)) == {OWNER.instance}
    assert await log.living(timedelta(0)) == frozenset()
    await log.end(OWNER)
    assert await log.living(timedelta(days=1)) == frozenset()
    assert await keys(store) == []


async def test_long_details_come_back_and_are_missed_by_nobody(store: CountingStore) -> None:
    log = StoreOperationLog(store, "root")
    details = OperationDetails(
        tuple(CollectionProgress(CollectionName("d", f"c{number}")) for number in range(500))
    )
    await log.write_details("20260131t120000_00000001", details)
    assert await log.read_details("20260131t120000_00000001") == details
    assert await log.read_details("20260131t120000_00000002") is None


async def test_without_a_bucket_nothing_is_found_and_nothing_made(server: MemoryServer) -> None:
    log = StoreOperationLog(server.store("absent", create=False), "root")
    assert await log.all() == ()
    assert await log.recent() == []
    assert await log.read(record(1).name) is None
    assert await log.operation_of("id") == ""
    assert await log.read_details("x") is None
    assert await log.living(timedelta(days=1)) == frozenset()
    await log.tidy()
    with pytest.raises(BucketNotFound):
        await log.create(record(1))
    assert "absent" not in server.buckets
