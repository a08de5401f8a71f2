"""What becomes of one request to a real store when the network or the store does something to it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from milvus_backup_server.adapters.store_wrappers import RetryPolicy
from milvus_backup_server.domain.errors import ObjectAlreadyExists, StorageUnavailable
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.faults import Fault
from tests.support.seaweed_world import FaultyWorld, faulty_world
from tests.support.seaweedfs import SeaweedFS

pytestmark = [pytest.mark.s3, pytest.mark.xdist_group("faults")]

DATA = bytes(range(256))
PASSING = [Fault.RESET, Fault.ERROR, Fault.SLOW_DOWN, Fault.LOST_ANSWER]


@dataclass
class Rig:
    """A store behind the proxy, and the same store reached directly."""

    faulty: FaultyWorld
    store: ObjectStore
    direct: ObjectStore

    async def after(
        self, fault: Fault, operation: str, request: Callable[[], Awaitable[object]]
    ) -> object:
        """Make a request whose first try gets a fault, and return what it gives."""
        faulty, rules = self.faulty, self.faulty.proxy.rules
        faulty.retries.clear()
        rules.injected.clear()
        rules.add(fault, operation, at=[1])
        try:
            return await request()
        finally:
            rules.clear()
            assert rules.injected[fault] == 1


@pytest.fixture
async def rig(seaweed: SeaweedFS) -> AsyncIterator[Rig]:
    async with faulty_world(seaweed, policy=RetryPolicy(base_delay_seconds=0.01)) as faulty:
        direct = faulty.world.milvus_store
        await direct.put("there", DATA)
        yield Rig(faulty, faulty.decorators.milvus_store(direct), direct)


async def test_each_fault_of_each_request_costs_one_retry(rig: Rig) -> None:
    store, location = rig.store, rig.store.location
    requests: dict[str, tuple[str, Callable[[], Awaitable[object]]]] = {
        "HeadObject": ("head", lambda: store.head("there")),
        "GetObject": ("get", lambda: store.get("there")),
        "PutObject": ("put", lambda: store.put("new", DATA, if_absent=True)),
        "CopyObject": ("copy", lambda: store.copy(location, "there", "copy", if_match="")),
        "ListObjectsV2": ("list_page", lambda: store.list_page("")),
        "DeleteObjects": ("delete", lambda: store.delete(["new", "copy"])),
    }
    for fault in PASSING:
        for operation, (method, request) in requests.items():
            await rig.after(fault, operation, request)
            assert rig.faulty.retries == {method: 1}, (fault, operation)
        assert [item.key for item in (await rig.direct.list_page("")).objects] == ["there"]


async def test_our_own_write_is_no_conflict_after_a_lost_answer(rig: Rig) -> None:
    await rig.after(
        Fault.LOST_ANSWER, "PutObject", lambda: rig.store.put("x", DATA, if_absent=True)
    )
    statuses = [item.status for item in rig.faulty.proxy.requests("PutObject")]
    assert statuses == [200, 412]
    with pytest.raises(ObjectAlreadyExists):
        await rig.store.put("x", b"of another", if_absent=True)
    assert await rig.direct.get("x") == DATA


async def test_a_condition_that_the_store_refuses_is_a_conflict(rig: Rig) -> None:
    with pytest.raises(ObjectAlreadyExists):
        await rig.after(
            Fault.PRECONDITION_FAILED, "PutObject", lambda: rig.store.put("x", DATA, if_absent=True)
        )
    assert await rig.direct.head("x") is None


@pytest.mark.parametrize("fault", [Fault.WRONG_BODY, Fault.SHORT_BODY])
async def test_bytes_that_arrive_damaged_are_read_again(rig: Rig, fault: Fault) -> None:
    assert await rig.after(fault, "GetObject", lambda: rig.store.get("there")) == DATA
    assert rig.faulty.retries == {"get": 1}


async def test_bytes_that_are_damaged_on_their_way_to_the_store_are_not_stored(rig: Rig) -> None:
    await rig.after(Fault.WRONG_BODY, "PutObject", lambda: rig.store.put("x", DATA))
    assert [item.status for item in rig.faulty.proxy.requests("PutObject")] == [400, 200]
    assert await rig.direct.get("x") == DATA


async def test_a_request_that_nobody_answers_ends_at_its_deadline(seaweed: SeaweedFS) -> None:
    policy = RetryPolicy(total_seconds=3, base_delay_seconds=0.01)
    async with faulty_world(seaweed, policy=policy, deadline=1) as faulty:
        store = faulty.decorators.milvus_store(faulty.world.milvus_store)
        faulty.proxy.rules.add(Fault.DROP)
        with pytest.raises(StorageUnavailable):
            await store.head("x")
        assert faulty.proxy.rules.injected[Fault.DROP] >= 1
