"""The limit of requests in flight."""

import asyncio

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.store_wrappers import LimitedStore, RequestLimiter
from milvus_backup_server.domain.errors import ObjectNotFound
from tests.support.stores import CountingStore, DelayingStore, GatedStore


@pytest.mark.parametrize("limit", [1, 4])
async def test_requests_of_all_stores_together_keep_the_limit(limit: int) -> None:
    limiter = RequestLimiter(limit)
    server = MemoryServer()
    measured = CountingStore(DelayingStore(server.store("one"), 0.001))
    other = CountingStore(DelayingStore(server.store("two"), 0.001))
    stores = [LimitedStore(inner, limiter, deadline_seconds=30) for inner in (measured, other)]
    peaks = list[int]()

    async def put(number: int) -> None:
        await stores[number % 2].put(f"{number}", b"")
        peaks.append(measured.in_flight + other.in_flight)

    await asyncio.gather(*(put(number) for number in range(40)))
    assert measured.calls["put"] + other.calls["put"] == 40
    assert max(peaks) <= limit
    assert max(measured.peak, other.peak) <= limit
    assert measured.peak + other.peak >= limit, "the limit is used"


async def test_failed_and_cancelled_requests_give_their_slots_back() -> None:
    gated = GatedStore(MemoryServer().store("bucket"), "put")
    store = LimitedStore(gated, RequestLimiter(1), deadline_seconds=30)
    with pytest.raises(ObjectNotFound):
        await store.get("absent")
    held = asyncio.create_task(store.put("x", b"1"))
    await gated.wait_for(1)
    queued = asyncio.create_task(store.head("x"))
    await asyncio.sleep(0)
    queued.cancel()
    held.cancel()
    await asyncio.wait({queued, held})
    assert await store.head("x") is None
