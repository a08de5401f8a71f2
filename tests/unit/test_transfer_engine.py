"""The transfer engine: what it copies how, what fails, and what was damaged on the way."""

import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import replace

import pytest

from milvus_backup_server.adapters.memory_store import MemoryStore
from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.adapters.transfer import (
    AsyncTransferEngine,
    CopyMode,
    TransferSettings,
)
from milvus_backup_server.domain.errors import (
    CopyDenied,
    ObjectChanged,
    ObjectNotFound,
    StorageDenied,
    StorageRefused,
    StorageUnavailable,
)
from milvus_backup_server.domain.objects import (
    ObjectInfo,
    StoreLocation,
    TransferJob,
    TransferOutcome,
)
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.stores import CountingStore, FailingStore
from tests.support.transfers import SMALL, Source, Stores, one, run, two_buckets, two_servers

SIZES = [0, 1, 9, 10, 11, 20, 29, 30, 31, 40, 99, 100]


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

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        info = await super().put(key, data, if_absent=if_absent, if_match=if_match[::-1])
        return ObjectInfo(key, info.size, info.etag[::-1])

    async def get(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> bytes:
        return await super().get(key, offset=offset, length=length, if_match=if_match[::-1])


@pytest.fixture
def near() -> Stores:
    return two_buckets()


@pytest.fixture
def far() -> Stores:
    return two_servers()


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


# Who copies, if the settings say it


async def test_streaming_never_asks_the_store_to_copy(near: Stores) -> None:
    source, target = near
    writes = CountingStore(target)
    settings = replace(SMALL, mode=CopyMode.STREAMING)
    outcomes = await run(source.store, writes, await source.jobs(SIZES), settings)
    assert [(outcome.error, outcome.mode) for outcome in outcomes] == [(None, "stream")] * 12
    assert await same(target, outcomes, source)
    assert not {"copy", "copy_part"} & writes.calls.keys()


async def test_direct_has_the_store_copy(near: Stores) -> None:
    source, target = near
    settings = replace(SMALL, mode=CopyMode.DIRECT)
    outcomes = await run(source.store, target, await source.jobs(SIZES), settings)
    assert [(outcome.error, outcome.mode) for outcome in outcomes] == [(None, "server")] * 12
    assert await same(target, outcomes, source)


async def test_direct_never_streams(near: Stores, far: Stores) -> None:
    settings = replace(SMALL, mode=CopyMode.DIRECT)
    source, target = far
    [outcome] = await run(source.store, target, await source.jobs([5]), settings)
    assert isinstance(outcome.error, StorageRefused)
    assert "transfer.mode is direct: the stores are at different addresses" in str(outcome.error)
    source, target = near
    faults = FailingStore(target)
    faults.fail("copy", CopyDenied("no right to read"))
    [outcome] = await run(source.store, faults, await source.jobs([5]), settings)
    assert faults.injected["copy"] == 1
    assert isinstance(outcome.error, StorageRefused)
    assert "transfer.mode is direct: no right to read" in str(outcome.error)
    assert not (await target.list_page("")).objects


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
    assert damaging.injected == 10, "five tries, each read twice"
    assert isinstance(outcome.error, StorageUnavailable)


async def test_etags_that_only_look_like_md5_are_no_damage(far: Stores) -> None:
    source, target = far
    encrypting = EncryptingStore(target)
    counting = CountingStore(encrypting)
    settings = TransferSettings(workers=1)
    outcomes = await run(source.store, counting, await source.jobs([5, 6, 7]), settings)
    assert [outcome.error for outcome in outcomes] == [None] * 3
    assert counting.calls == {"put": 3, "get": 1}, "read back once, then it is known"


class CloudStorage(CountingStore):
    """A store that makes no copies in parts."""

    @property
    def location(self) -> StoreLocation:
        return replace(super().location, provider="gcp")

    async def copy(
        self, source: StoreLocation, source_key: str, key: str, *, if_match: str, size: int = 0
    ) -> str:
        near = replace(source, provider="memory")
        return await super().copy(near, source_key, key, if_match=if_match, size=size)


async def test_where_parts_cannot_be_copied_large_objects_are_copied_at_once() -> None:
    source, target = two_buckets()
    counting = CloudStorage(target)
    job = await source.job("large", bytes(SMALL.copy_threshold_bytes * 3))
    outcome = await one(CloudStorage(source.store), counting, job)
    assert (outcome.error, outcome.mode) == (None, "server")
    assert (counting.calls["copy"], counting.calls["copy_part"]) == (1, 0)
    assert await target.get("copy/large") == bytes(SMALL.copy_threshold_bytes * 3)
