"""The layer that retries: what it repeats, when it stops, and answers that were lost."""

import asyncio
from collections import Counter

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.store_wrappers import (
    LimitedStore,
    RequestLimiter,
    RetryingStore,
    RetryPolicy,
)
from milvus_backup_server.domain.errors import (
    BackupError,
    ObjectAlreadyExists,
    ObjectChanged,
    ObjectNotFound,
    StorageDenied,
    StorageUnavailable,
    UploadNotFound,
)
from milvus_backup_server.domain.objects import UploadedPart
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.stores import CountingStore, FailingStore, GatedStore

PATIENT = RetryPolicy(total_seconds=30, max_attempts=6, base_delay_seconds=0)
LOST = StorageUnavailable("lost")


class Rig:
    """A memory store behind faults, behind the retries; counts the tries and the retries."""

    def __init__(self, policy: RetryPolicy = PATIENT) -> None:
        self.memory = MemoryServer().store("bucket")
        self.faults = FailingStore(self.memory)
        self.tries = CountingStore(self.faults)
        self.retries: Counter[str] = Counter()
        self.store: ObjectStore = RetryingStore(self.tries, policy, self._count)

    def _count(self, method: str, error: StorageUnavailable) -> None:
        assert error is LOST
        self.retries[method] += 1


async def test_a_passing_fault_is_repeated_and_reported() -> None:
    rig = Rig()
    rig.faults.fail("put", LOST, at=[1, 2, 3])
    await rig.store.put("x", b"1")
    assert await rig.memory.get("x") == b"1"
    assert rig.faults.injected["put"] == 3
    assert rig.retries == {"put": 3}


async def test_the_number_of_tries_is_bounded() -> None:
    rig = Rig()
    rig.faults.fail("get", LOST)
    with pytest.raises(StorageUnavailable) as raised:
        await rig.store.get("x")
    assert raised.value is LOST
    assert rig.tries.calls["get"] == 6
    assert rig.retries == {"get": 5}


async def test_no_try_begins_when_the_time_is_used_up() -> None:
    rig = Rig(RetryPolicy(total_seconds=0, max_attempts=1000, base_delay_seconds=0.001))
    rig.faults.fail("get", LOST)
    with pytest.raises(StorageUnavailable):
        await rig.store.get("x")
    assert rig.tries.calls["get"] == 1


async def test_what_will_not_pass_is_not_repeated() -> None:
    rig = Rig()
    rig.faults.fail("list_page", StorageDenied("no"))
    with pytest.raises(StorageDenied):
        await rig.store.list_page("")
    assert rig.faults.injected["list_page"] == 1
    assert rig.tries.calls["list_page"] == 1


def test_pauses_grow_to_a_limit_and_are_not_all_alike() -> None:
    policy = RetryPolicy(base_delay_seconds=1, max_delay_seconds=8)
    longest = [max(policy.pause(failures) for _ in range(300)) for failures in range(1, 7)]
    for limit, seen in zip([1, 2, 4, 8, 8, 8], longest, strict=True):
        assert limit / 2 < seen <= limit
    assert len({policy.pause(3) for _ in range(20)}) > 1
    assert policy.pause(10_000) <= 8


# Answers that were lost


async def test_our_own_creation_is_no_conflict() -> None:
    rig = Rig()
    rig.faults.fail("put", LOST, at=[1, 2], lose_answer=True)
    info = await rig.store.put("claim", b"owner 1", if_absent=True)
    assert rig.faults.injected["put"] == 1, "the second try was answered: it exists"
    assert info == await rig.memory.head("claim")


async def test_our_own_replacement_is_no_conflict() -> None:
    rig = Rig()
    known = await rig.memory.put("record", b"1")
    rig.faults.fail("put", LOST, at=[1], lose_answer=True)
    info = await rig.store.put("record", b"2", if_match=known.etag)
    assert rig.faults.injected["put"] == 1, "the second try was answered: it is another one"
    assert info == await rig.memory.head("record")


async def test_another_ones_creation_stays_a_conflict_after_a_retry() -> None:
    rig = Rig()
    rig.faults.fail("put", LOST, at=[1])
    await rig.memory.put("claim", b"owner 2")
    for own in (b"owner 1", b"the first owner"):
        with pytest.raises(ObjectAlreadyExists):
            await rig.store.put("claim", own, if_absent=True)
    assert rig.faults.injected["put"] == 1
    assert await rig.memory.get("claim") == b"owner 2"


@pytest.mark.parametrize("gone", [ObjectNotFound("gone"), ObjectChanged("other")])
async def test_a_conflict_stays_one_when_what_is_there_goes_while_it_is_looked_at(
    gone: BackupError,
) -> None:
    rig = Rig()
    rig.faults.fail("put", LOST, at=[1])
    rig.faults.fail("get", gone)
    await rig.memory.put("x", b"2")
    with pytest.raises(ObjectAlreadyExists):
        await rig.store.put("x", b"1", if_absent=True)
    assert rig.faults.injected == {"put": 1, "get": 1}


async def test_a_conflict_at_the_first_try_is_not_looked_into() -> None:
    rig = Rig()
    await rig.memory.put("claim", b"same")
    with pytest.raises(ObjectAlreadyExists):
        await rig.store.put("claim", b"same", if_absent=True)
    assert rig.tries.calls == {"put": 1}


async def test_an_upload_that_we_completed_is_complete() -> None:
    rig = Rig()
    rig.faults.fail("complete_upload", LOST, at=[1], lose_answer=True)
    upload = await rig.store.start_upload("x")
    parts = [await rig.store.upload_part(upload, n, bytes([n])) for n in (1, 2)]
    etag = await rig.store.complete_upload(upload, parts)
    assert rig.faults.injected["complete_upload"] == 1
    found = await rig.memory.head("x")
    assert found is not None
    assert found.etag == etag
    assert await rig.memory.get("x") == b"\1\2"


@pytest.mark.parametrize("there", [None, b"another object", b"\1\2"])
async def test_an_upload_that_is_gone_stays_gone(there: bytes | None) -> None:
    rig = Rig()
    rig.faults.fail("complete_upload", LOST, at=[1])
    upload = await rig.store.start_upload("x")
    parts = [await rig.store.upload_part(upload, n, bytes([n])) for n in (1, 2)]
    await rig.memory.abort_upload(upload)
    if there is not None:
        await rig.memory.put("x", there)
    with pytest.raises(UploadNotFound):
        await rig.store.complete_upload(upload, parts)
    assert rig.faults.injected["complete_upload"] == 1


async def test_parts_of_another_upload_are_not_ours() -> None:
    rig = Rig()
    rig.faults.fail("complete_upload", LOST, at=[2])
    other = await rig.memory.start_upload("x")
    await rig.store.complete_upload(other, [await rig.memory.upload_part(other, 1, b"theirs")])
    upload = await rig.store.start_upload("x")
    part = await rig.store.upload_part(upload, 1, b"ours")
    await rig.memory.abort_upload(upload)
    with pytest.raises(UploadNotFound):
        await rig.store.complete_upload(upload, [part])
    assert rig.faults.injected["complete_upload"] == 1


async def test_parts_without_md5_are_known_by_their_number() -> None:
    rig = Rig()
    rig.faults.fail("complete_upload", LOST, at=[2])
    other = await rig.memory.start_upload("x")
    etag = await rig.store.complete_upload(other, [await rig.memory.upload_part(other, 1, b"1")])
    upload = await rig.store.start_upload("x")
    await rig.memory.abort_upload(upload)
    opaque = UploadedPart(1, "encrypted")
    assert await rig.store.complete_upload(upload, [opaque]) == etag
    assert rig.faults.injected["complete_upload"] == 1
    rig.faults.fail("complete_upload", LOST, at=[4])
    with pytest.raises(UploadNotFound):
        await rig.store.complete_upload(upload, [opaque, UploadedPart(2, "encrypted")])
    assert rig.faults.injected["complete_upload"] == 2


# Together with the limit


async def test_a_pause_holds_no_slot() -> None:
    memory = MemoryServer().store("bucket")
    faults = FailingStore(memory)
    faults.fail("get", LOST)
    limited = LimitedStore(faults, RequestLimiter(1), deadline_seconds=30)
    forever = RetryPolicy(total_seconds=1e9, base_delay_seconds=1e6, max_delay_seconds=1e6)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(RetryingStore(limited, forever).get("x"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert faults.injected["get"] == 1
        await RetryingStore(limited, forever).put("y", b"1")
        assert not waiting.done()
        waiting.cancel()


async def test_a_request_beyond_its_deadline_is_given_up_and_repeated() -> None:
    gated = GatedStore(MemoryServer().store("bucket"), "put")
    tries = CountingStore(gated)
    limited = LimitedStore(tries, RequestLimiter(1), deadline_seconds=0.01)
    policy = RetryPolicy(max_attempts=3, base_delay_seconds=0)
    with pytest.raises(StorageUnavailable):
        await RetryingStore(limited, policy).put("x", b"1")
    assert tries.calls["put"] == 3
    assert gated.waiting == 0
    gated.gate.set()
    await limited.put("x", b"1")
