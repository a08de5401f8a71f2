"""The transfer engine: what it copies how, what it holds at most, and what it leaves behind."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer, MemoryStore
from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.adapters.transfer import AsyncTransferEngine, TransferSettings
from milvus_backup_server.domain.errors import (
    CopyDenied,
    ObjectChanged,
    ObjectNotFound,
    StorageDenied,
    StorageUnavailable,
)
from milvus_backup_server.domain.objects import (
    ObjectInfo,
    TransferJob,
    TransferOutcome,
    Upload,
    UploadedPart,
)
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.stores import CountingStore, DelayingStore, FailingStore, GatedStore

SMALL = TransferSettings(
    workers=4,
    part_size_bytes=10,
    bytes_in_flight=40,
    copy_threshold_bytes=30,
    copy_part_size_bytes=20,
    parts_in_flight=2,
)


class BytesInFlight(StoreDecorator):
    """Measures the bytes from a `get` to the end of their `put`; stores share the count `held`."""

    def __init__(self, inner: ObjectStore, held: list[int]) -> None:
        super().__init__(inner)
        self.held = held
        self.peak = 0

    def _add(self, size: int) -> None:
        self.held[0] += size
        self.peak = max(self.peak, self.held[0])

    async def get(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> bytes:
        self._add(length or 0)
        return await super().get(key, offset=offset, length=length, if_match=if_match)

    async def put(self, key: str, data: bytes, *, if_absent: bool = False) -> ObjectInfo:
        await asyncio.sleep(0.001)
        info = await super().put(key, data, if_absent=if_absent)
        self._add(-len(data))
        return info

    async def upload_part(self, upload: Upload, number: int, data: bytes) -> UploadedPart:
        await asyncio.sleep(0.001)
        part = await super().upload_part(upload, number, data)
        self._add(-len(data))
        return part


class DamagingStore(StoreDecorator):
    """Changes what is read from it, every time in another way, some times."""

    def __init__(self, inner: ObjectStore, times: int) -> None:
        super().__init__(inner)
        self.injected = 0
        self._times = times

    async def get(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> bytes:
        data = await super().get(key, offset=offset, length=length, if_match=if_match)
        if self.injected == self._times:
            return data
        self.injected += 1
        return bytes([data[0] ^ self.injected]) + data[1:]


class EncryptingStore(StoreDecorator):
    """Has ETags that look like MD5s and are none, as stores with keys of their own."""

    async def put(self, key: str, data: bytes, *, if_absent: bool = False) -> ObjectInfo:
        info = await super().put(key, data, if_absent=if_absent)
        return ObjectInfo(key, info.size, info.etag[::-1])

    async def get(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> bytes:
        return await super().get(key, offset=offset, length=length, if_match=if_match[::-1])


class Source:
    """A bucket to copy from, and the jobs to copy it."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store

    async def job(self, key: str, data: bytes) -> TransferJob:
        info = await self.store.put(key, data)
        return TransferJob("source", key, "target", f"copy/{key}", info.size, info.etag)

    async def jobs(self, sizes: Iterable[int]) -> list[TransferJob]:
        return [
            await self.job(f"{n:03}", bytes(n % 250 for _ in range(s))) for n, s in enumerate(sizes)
        ]


async def stream_of(jobs: Iterable[TransferJob]) -> AsyncIterator[TransferJob]:
    for job in jobs:
        yield job


async def run(
    source: ObjectStore,
    target: ObjectStore,
    jobs: Iterable[TransferJob],
    settings: TransferSettings = SMALL,
) -> list[TransferOutcome]:
    """Transfer all jobs with a new engine; outcomes in the order of source keys."""
    engine = AsyncTransferEngine({"source": source, "target": target}, settings)
    async with aclosing(engine.transfer(stream_of(jobs))) as outcomes:
        found = [outcome async for outcome in outcomes]
    return sorted(found, key=lambda outcome: outcome.job.source_key)


async def one(source: ObjectStore, target: ObjectStore, job: TransferJob) -> TransferOutcome:
    [outcome] = await run(source, target, [job])
    return outcome


@pytest.fixture
def near() -> tuple[Source, MemoryStore]:
    """Two buckets of one server."""
    server = MemoryServer()
    return Source(server.store("source")), server.store("target")


@pytest.fixture
def far() -> tuple[Source, MemoryStore]:
    """Two buckets of two servers."""
    return Source(MemoryServer("one").store("source")), MemoryServer("two").store("target")


Stores = tuple[Source, MemoryStore]
SIZES = [0, 1, 9, 10, 11, 20, 29, 30, 31, 40, 99, 100]


async def same(store: MemoryStore, outcomes: Iterable[TransferOutcome], source: Source) -> bool:
    """Tell whether all copies are there with the content and ETag that the outcomes say."""
    for outcome in outcomes:
        copied = await store.head(outcome.job.target_key)
        data = await store.get(outcome.job.target_key)
        original = await source.store.get(outcome.job.source_key)
        if copied is None or copied.etag != outcome.etag or data != original:
            return False
    return True


# What is copied how


async def test_one_endpoint_copies_by_itself_in_parts_from_a_threshold(near: Stores) -> None:
    source, target = near
    reads, writes = CountingStore(source.store), CountingStore(target)
    outcomes = await run(reads, writes, await source.jobs([*SIZES, 1000]))
    assert [outcome.error for outcome in outcomes] == [None] * 13
    assert {outcome.mode for outcome in outcomes} == {"server"}
    assert await same(target, outcomes, source)
    assert reads.calls == {}, "no byte came through us"
    # 31 and 40 bytes make two parts of at most 20 each, 99 and 100 five, 1000 fifty.
    assert writes.calls == {
        "copy": 8,
        "start_upload": 5,
        "copy_part": 2 + 2 + 5 + 5 + 50,
        "complete_upload": 5,
    }


async def test_two_endpoints_stream_in_parts_from_the_part_size(far: Stores) -> None:
    source, target = far
    writes = CountingStore(target)
    outcomes = await run(source.store, writes, await source.jobs(SIZES))
    assert [outcome.error for outcome in outcomes] == [None] * 12
    assert {outcome.mode for outcome in outcomes} == {"stream"}
    assert await same(target, outcomes, source)
    assert writes.calls["put"] == 4
    assert writes.calls["complete_upload"] == 8
    for outcome in outcomes:
        data = await source.store.get(outcome.job.source_key)
        assert outcome.md5 == hashlib.md5(data, usedforsecurity=False).hexdigest()


async def test_an_upload_never_has_more_parts_than_s3_allows(far: Stores) -> None:
    source, target = far
    writes = CountingStore(target)
    settings = TransferSettings(workers=1, part_size_bytes=1, bytes_in_flight=100)
    [outcome] = await run(source.store, writes, await source.jobs([10_001]), settings)
    assert outcome.error is None
    assert writes.calls["upload_part"] == 5001
    assert await same(target, [outcome], source)


async def test_a_refused_copy_is_streamed_and_the_next_not_tried(near: Stores) -> None:
    source, target = near
    faults = FailingStore(target)
    faults.fail("copy", CopyDenied("other credentials"))
    faults.fail("copy_part", CopyDenied("other credentials"))
    settings = TransferSettings(workers=1, part_size_bytes=10, copy_threshold_bytes=30)
    outcomes = await run(source.store, faults, await source.jobs([40, *SIZES]), settings)
    assert [outcome.error for outcome in outcomes] == [None] * 13
    assert {(outcome.mode, outcome.copy_denied) for outcome in outcomes} == {("stream", True)}
    assert await same(target, outcomes, source)
    assert faults.injected == {"copy_part": 1}
    assert await target.list_uploads("") == []


# What fails


@pytest.mark.parametrize("size", [5, 25, 100])
@pytest.mark.parametrize("streamed", [False, True])
async def test_vanished_and_changed_sources_are_told_and_stop_no_other(
    near: Stores, far: Stores, size: int, streamed: bool
) -> None:
    source, target = far if streamed else near
    vanished, changed, fine = await source.jobs([size, size, size])
    await source.store.delete([vanished.source_key])
    await source.store.put(changed.source_key, b"new")
    outcomes = await run(source.store, target, [vanished, changed, fine])
    assert [type(outcome.error) for outcome in outcomes] == [
        ObjectNotFound,
        ObjectChanged,
        type(None),
    ]
    page = await target.list_page("")
    assert [info.key for info in page.objects] == [fine.target_key]
    assert await target.list_uploads("") == []


async def test_a_source_that_is_shorter_than_listed_has_changed(far: Stores) -> None:
    source, target = far
    info = await source.store.put("x", b"12345")
    for size in (9, 25):
        job = TransferJob("source", "x", "target", "y", size, info.etag)
        assert isinstance((await one(source.store, target, job)).error, ObjectChanged)
    assert await target.list_uploads("") == []


@pytest.mark.parametrize("method", ["put", "start_upload", "upload_part", "complete_upload"])
async def test_a_failed_write_leaves_no_upload(far: Stores, method: str) -> None:
    source, target = far
    faults = FailingStore(target)
    faults.fail(method, StorageDenied("no"))
    outcomes = await run(source.store, faults, await source.jobs([5, 100]))
    assert faults.injected[method] >= 1
    failed = [type(outcome.error) for outcome in outcomes if outcome.error]
    assert failed == [StorageDenied]
    assert await target.list_uploads("") == []


async def test_a_failing_list_of_jobs_fails_the_transfer(near: Stores) -> None:
    source, target = near

    async def jobs() -> AsyncIterator[TransferJob]:
        yield await source.job("x", b"1")
        raise StorageUnavailable("the listing broke off")

    engine = AsyncTransferEngine({"source": source.store, "target": target}, SMALL)
    async with aclosing(engine.transfer(jobs())) as outcomes:
        with pytest.raises(StorageUnavailable):
            [outcome async for outcome in outcomes]


# Damage on the way


async def test_damage_on_the_way_is_noticed_and_mended(far: Stores) -> None:
    source, target = far
    damaging = DamagingStore(source.store, 1)
    outcome = await one(damaging, target, await source.job("x", b"12345678"))
    assert damaging.injected == 1
    assert outcome.error is None
    assert await target.get(outcome.job.target_key) == b"12345678"


async def test_damage_at_every_try_is_an_error(far: Stores) -> None:
    source, target = far
    damaging = DamagingStore(source.store, 100)
    outcome = await one(damaging, target, await source.job("x", b"12345678"))
    assert damaging.injected == 6, "three tries, each read twice"
    assert isinstance(outcome.error, StorageUnavailable)


async def test_etags_that_only_look_like_md5_are_no_damage(far: Stores) -> None:
    source, target = far
    encrypting = EncryptingStore(target)
    counting = CountingStore(encrypting)
    settings = TransferSettings(workers=1)
    outcomes = await run(source.store, counting, await source.jobs([5, 6, 7]), settings)
    assert [outcome.error for outcome in outcomes] == [None] * 3
    assert counting.calls == {"put": 3, "get": 1}, "read back once, then it is known"


# What it holds at most


async def test_requests_and_bytes_stay_within_the_limits(far: Stores) -> None:
    source, target = far
    held = [0]
    reads = CountingStore(BytesInFlight(source.store, held))
    measured = BytesInFlight(target, held)
    outcomes = await run(reads, measured, await source.jobs([*SIZES * 5, 500]))
    assert [outcome.error for outcome in outcomes] == [None] * 61
    assert held == [0]
    assert 30 < measured.peak <= 40
    assert 1 < reads.peak <= 4


async def test_parts_of_an_object_stay_within_their_limit(near: Stores, far: Stores) -> None:
    settings = TransferSettings(
        workers=1,
        part_size_bytes=10,
        copy_threshold_bytes=10,
        copy_part_size_bytes=10,
        parts_in_flight=3,
    )
    for source, target in (near, far):
        writes = CountingStore(DelayingStore(target, 0.001))
        [outcome] = await run(source.store, writes, await source.jobs([200]), settings)
        assert outcome.error is None
        assert writes.peak == 3


async def test_the_bytes_of_failed_work_are_free_again(far: Stores) -> None:
    source, target = far
    faults = FailingStore(source.store)
    faults.fail("get", StorageDenied("no"), at=range(1, 31))
    outcomes = await run(faults, target, await source.jobs([100] * 40))
    assert faults.injected["get"] == 30
    assert len([outcome for outcome in outcomes if outcome.error is None]) == 10


async def test_calls_share_the_limit_of_bytes(far: Stores) -> None:
    source, target = far
    held = [0]
    reads, measured = BytesInFlight(source.store, held), BytesInFlight(target, held)
    engine = AsyncTransferEngine({"source": reads, "target": measured}, SMALL)
    jobs = await source.jobs([10] * 60)

    async def transfer(part: list[TransferJob]) -> int:
        async with aclosing(engine.transfer(stream_of(part))) as outcomes:
            return len([outcome async for outcome in outcomes if outcome.error is None])

    done = await asyncio.gather(*(transfer(jobs[start::3]) for start in range(3)))
    assert done == [20, 20, 20]
    assert measured.peak <= 40


async def test_jobs_are_drawn_as_they_are_worked_off(near: Stores) -> None:
    source, target = near
    gated = GatedStore(target, "copy")
    drawn = 0

    async def jobs() -> AsyncIterator[TransferJob]:
        nonlocal drawn
        for job in await source.jobs([5] * 100):
            drawn += 1
            yield job

    engine = AsyncTransferEngine({"source": source.store, "target": gated}, SMALL)
    async with aclosing(engine.transfer(jobs())) as outcomes:
        first = asyncio.ensure_future(anext(outcomes))
        await gated.wait_for(4)
        # Four with the workers, four in the queue, one in the hand.
        assert drawn <= 9
        gated.gate.set()
        assert (await first).error is None
        assert len([outcome async for outcome in outcomes]) == 99


async def test_a_slow_reader_holds_the_work_back(near: Stores) -> None:
    source, target = near
    counting = CountingStore(target)
    engine = AsyncTransferEngine({"source": source.store, "target": counting}, SMALL)
    async with aclosing(engine.transfer(stream_of(await source.jobs([5] * 100)))) as outcomes:
        await anext(outcomes)
        for _ in range(200):
            await asyncio.sleep(0)
        # One read, four results waiting, four workers that want to hand theirs over.
        assert counting.calls["copy"] <= 9


# Cancelling


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("method", ["start_upload", "upload_part", "complete_upload", "get"])
async def test_closing_leaves_no_upload_and_no_task(far: Stores, method: str, after: bool) -> None:
    source, target = far
    reads = GatedStore(source.store, *["get"] * (method == "get"), after=after)
    writes = GatedStore(target, method, after=after)
    engine = AsyncTransferEngine({"source": reads, "target": writes}, SMALL)
    before = asyncio.all_tasks()
    outcomes = engine.transfer(stream_of(await source.jobs([100] * 10)))
    first = asyncio.ensure_future(anext(outcomes))
    await (reads if method == "get" else writes).wait_for(1)
    first.cancel()
    writes.gate.set()  # what was sent is answered, and what is sent to clean up gets through
    await asyncio.wait({first})
    await outcomes.aclose()
    assert asyncio.all_tasks() == before
    assert await target.list_uploads("") == []


async def test_the_bytes_of_cancelled_work_are_free_again(far: Stores) -> None:
    source, target = far
    writes = GatedStore(target, "upload_part", "put")
    engine = AsyncTransferEngine({"source": source.store, "target": writes}, SMALL)
    jobs = await source.jobs([100, 5] * 5)
    outcomes = engine.transfer(stream_of(jobs))
    first = asyncio.ensure_future(anext(outcomes))
    await writes.wait_for(4)
    first.cancel()
    await asyncio.wait({first})
    await outcomes.aclose()
    writes.gate.set()
    async with aclosing(engine.transfer(stream_of(jobs))) as again:
        assert len([outcome async for outcome in again if outcome.error is None]) == 10
