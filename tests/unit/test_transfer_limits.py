"""What the transfer engine holds at most, and what it leaves behind when it is stopped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.adapters.transfer import AsyncTransferEngine, TransferSettings
from milvus_backup_server.domain.errors import StorageDenied
from milvus_backup_server.domain.objects import ObjectInfo, TransferJob, Upload, UploadedPart
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.stores import CountingStore, DelayingStore, FailingStore, GatedStore
from tests.support.transfers import SMALL, Stores, run, stream_of, two_buckets, two_servers

SIZES = [0, 1, 9, 10, 11, 20, 29, 30, 31, 40, 99, 100]


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

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        await asyncio.sleep(0.001)
        info = await super().put(key, data, if_absent=if_absent, if_match=if_match)
        self._add(-len(data))
        return info

    async def upload_part(self, upload: Upload, number: int, data: bytes) -> UploadedPart:
        await asyncio.sleep(0.001)
        part = await super().upload_part(upload, number, data)
        self._add(-len(data))
        return part


@pytest.fixture
def near() -> Stores:
    return two_buckets()


@pytest.fixture
def far() -> Stores:
    return two_servers()


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
    assert asyncio.all_tasks() - before == set()  # others' tasks may have ended meanwhile
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
