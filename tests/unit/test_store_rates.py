"""Limits of requests and bytes per second."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.store_rates import Meter, RateLimiter
from milvus_backup_server.adapters.store_wrappers import LimitedStore, RequestLimiter
from milvus_backup_server.domain.errors import StorageUnavailable
from milvus_backup_server.domain.objects import Upload, UploadedPart
from tests.support.stores import CountingStore, GatedStore

KIB = 1 << 10


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_a_rate_nobody_waits() -> None:
    meter = Meter(0, Clock())
    meter.charge(1 << 40)
    assert meter.delay() == 0


@pytest.mark.parametrize(("units", "seconds"), [(10, 0.0), (11, 0.1), (30, 2.0), (500, 49.0)])
def test_what_is_used_is_paid_in_time(units: int, seconds: float) -> None:
    clock = Clock()
    meter = Meter(10, clock)
    clock.now += 1000  # unused time counts, but no more than a tenth of a second of it
    meter.charge(units - 9)
    assert meter.delay() == pytest.approx(max(0.0, seconds))


def test_the_rate_holds_in_the_mean() -> None:
    clock = Clock()
    meter = Meter(50, clock)
    passed = 0
    while clock.now < 110:
        if meter.delay() == 0:
            meter.charge(7)
            passed += 7
        clock.now += 0.003
    assert 490 <= passed <= 515


def test_another_rate_forgets_what_was_owed() -> None:
    clock = Clock()
    meter = Meter(1, clock)
    meter.charge(1000)
    assert meter.delay() == 1000
    meter.change(2)
    assert meter.delay() == 0
    meter.charge(10)
    assert meter.delay() == 5


async def test_requests_per_second() -> None:
    inner = CountingStore(MemoryServer().store("bucket"))
    store = LimitedStore(inner, RequestLimiter(64, RateLimiter(200)), deadline_seconds=30)
    begun = time.monotonic()
    await asyncio.gather(*(store.head("x") for _ in range(61)))
    # The first twenty may be at once; never timed from above.
    assert time.monotonic() - begun >= 0.19
    assert inner.calls["head"] == 61


@pytest.mark.parametrize("method", ["put", "get", "copy", "upload_part", "copy_part"])
async def test_all_that_moves_bytes_waits_for_them(method: str) -> None:
    inner = CountingStore(MemoryServer().store("bucket"))
    data = bytes(100 * KIB)
    source = await inner.put("source", data)
    upload = await inner.start_upload("x")
    rates = RateLimiter(0, 1)
    store = LimitedStore(inner, RequestLimiter(64, rates), deadline_seconds=30)

    async def ask(number: int) -> object:
        requests: dict[str, Callable[[], Awaitable[object]]] = {
            "put": lambda: store.put(f"{number}", data),
            "get": lambda: store.get("source", length=len(data)),
            "copy": lambda: store.copy(
                inner.location, "source", f"{number}", if_match=source.etag, size=len(data)
            ),
            "upload_part": lambda: store.upload_part(upload, number, data),
            "copy_part": lambda: store.copy_part(
                upload,
                number,
                inner.location,
                "source",
                offset=0,
                length=len(data),
                if_match=source.etag,
            ),
        }
        return await requests[method]()

    before = inner.calls[method]
    await ask(1)  # nothing is owed yet
    waiting = asyncio.create_task(ask(2))
    await store.put("a heartbeat", b"small")
    await store.head("source")
    assert inner.calls[method] - before == (2 if method == "put" else 1)
    assert not waiting.done()
    rates.change(0, 0)
    await waiting
    assert inner.calls[method] - before == (3 if method == "put" else 2)


async def test_a_read_to_the_end_counts_behind_it() -> None:
    inner = MemoryServer().store("bucket")
    await inner.put("x", bytes(100 * KIB))
    rates = RateLimiter(0, 1)
    store = LimitedStore(inner, RequestLimiter(64, rates), deadline_seconds=30)
    await store.get("x")
    waiting = asyncio.create_task(store.get("x", length=100 * KIB))
    await asyncio.sleep(0)
    await store.head("x")
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait({waiting})
    rates.change(0, 0)
    assert len(await store.get("x", length=100 * KIB)) == 100 * KIB


async def test_whoever_waits_for_the_rate_holds_no_slot() -> None:
    inner = MemoryServer().store("bucket")
    await inner.put("x", bytes(100 * KIB))
    store = LimitedStore(inner, RequestLimiter(1, RateLimiter(0, 1)), deadline_seconds=30)
    await store.get("x")
    waiting = asyncio.create_task(store.get("x", length=100 * KIB))
    await asyncio.sleep(0)
    assert await store.head("x")
    waiting.cancel()
    await asyncio.wait({waiting})


async def test_the_deadline_grows_with_the_size() -> None:
    gated = GatedStore(
        MemoryServer().store("bucket"), "copy", "upload_part", "complete_upload", "head"
    )
    store = LimitedStore(
        gated, RequestLimiter(4), deadline_seconds=0.01, slowest_bytes_per_second=1000
    )
    with pytest.raises(StorageUnavailable, match=r"did not finish head in 0.01 s"):
        await store.head("x")
    with pytest.raises(StorageUnavailable, match=r"did not finish copy in 0.11 s"):
        await store.copy(store.location, "x", "y", if_match="", size=100)
    with pytest.raises(StorageUnavailable, match=r"did not finish upload_part in 0.06 s"):
        await store.upload_part(Upload("x", "u"), 1, bytes(50))
    with pytest.raises(StorageUnavailable, match=r"did not finish complete_upload in 0.07 s"):
        await store.complete_upload(
            Upload("x", "u"), [UploadedPart(1, "a", 40), UploadedPart(2, "b", 20)]
        )
