"""A store that goes away for a while, or for good, or takes no more."""

import asyncio
from collections import Counter

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.store_wrappers import RetryPolicy
from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.operations import Operation, OperationState
from tests.support.faults import Fault
from tests.support.sample import assert_exact, fill
from tests.support.seaweed_world import FaultyWorld, faulty_world
from tests.support.seaweedfs import SeaweedFS
from tests.support.service import Service, running, succeeded

pytestmark = [pytest.mark.s3, pytest.mark.xdist_group("faults")]

TRIES = 6
COUNTED = RetryPolicy(
    total_seconds=600, max_attempts=TRIES, base_delay_seconds=0.02, max_delay_seconds=0.1
)
SHORT = RetryPolicy(total_seconds=0.5, base_delay_seconds=0.02, max_delay_seconds=0.1)


async def ended_unavailable(service: Service, operation: Operation) -> Operation:
    """Wait for an operation that ends because the store is away."""
    last = await service.end(operation)
    assert last.error is not None
    assert (last.state, last.error.reason) == (OperationState.INTERRUPTED, "OPERATION_INTERRUPTED")
    assert last.error.metadata["cause"] == "STORAGE_UNAVAILABLE"
    assert last.error.message.endswith("resume the operation, or cancel it")
    return last


async def assert_nothing_is_listed_as_whole(faulty: FaultyWorld, service: Service) -> None:
    assert "backup/b/meta/full_meta.json" not in await faulty.world.backups()
    assert "backup/b/meta/backup_meta.json" not in await faulty.world.backups()
    backup = await service.catalog.get("b")
    assert backup.state is BackupState.INCOMPLETE


async def away_for_a_while(faulty: FaultyWorld, service: Service, begun: Operation) -> None:
    """Let the store go when something is repeated, wait until much more is, and let it come back."""
    async with asyncio.timeout(60):
        while not faulty.retries:  # noqa: ASYNC110 - others count it
            await asyncio.sleep(0.01)
    await faulty.proxy.down()
    asked = faulty.retries.total()
    async with asyncio.timeout(60):
        while faulty.retries.total() < asked + 10:  # noqa: ASYNC110 - others count it
            await asyncio.sleep(0.01)
    assert not (service.operations.get(begun.name)).state.ends_watch
    await faulty.proxy.up()


async def test_an_operation_waits_for_a_store_that_comes_back(seaweed: SeaweedFS) -> None:
    async with faulty_world(seaweed) as faulty:
        await fill(faulty.world)
        async with running(faulty.world, faulty.decorators) as service:
            faulty.proxy.rules.add(Fault.RESET, "CopyObject", at=[3])
            operation = await service.start_create("b")
            await away_for_a_while(faulty, service, operation)
            succeeded(await service.end(operation))
            assert faulty.proxy.rules.injected[Fault.RESET] == 1
            faulty.retries.clear()
            # What a restore reads before it imports.
            faulty.proxy.rules.add(Fault.RESET, "GetObject", part="binlogs/", at=[3])
            operation = await service.start_restore("b", suffix="_r")
            await away_for_a_while(faulty, service, operation)
            succeeded(await service.end(operation))
            assert faulty.proxy.rules.injected[Fault.RESET] == 2
        assert_exact(faulty.world, "_r")


def most_asked(faulty: FaultyWorld) -> int:
    """Return how often the request was made that was made most often."""
    copies = Counter(str(request) for request in faulty.proxy.requests("CopyObject"))
    return max(copies.values())


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(COUNTED, id="tries"),
        pytest.param(SHORT, id="seconds", marks=pytest.mark.torture),
    ],
)
async def test_a_store_that_stays_away_ends_the_operation_within_its_budget(
    seaweed: SeaweedFS, policy: RetryPolicy
) -> None:
    records = MemoryServer("records").store("records")
    async with faulty_world(seaweed, policy=policy) as faulty:
        await fill(faulty.world)
        async with running(faulty.world, faulty.decorators, records=records) as service:
            await service.create("other")
            faulty.proxy.rules.add(Fault.SLOW_DOWN, "CopyObject", part="b/binlogs/")
            operation = await service.start_create("b")
            async with asyncio.timeout(
                30
            ):  # half a second of waiting, and what a busy machine adds
                last = await ended_unavailable(service, operation)
            assert "SlowDown" in (last.error.message if last.error else "")
            assert faulty.proxy.rules.injected[Fault.SLOW_DOWN] > 1
            assert faulty.retries["copy"] > 1
            if policy is COUNTED:
                assert most_asked(faulty) == TRIES
            faulty.proxy.rules.clear()
            await assert_nothing_is_listed_as_whole(faulty, service)
            last = succeeded(await service.resume(operation.name))
            assert last.name == operation.name
            assert (await service.catalog.get("b")).state is BackupState.COMPLETE
            await service.restore("b", suffix="_r")
        assert_exact(faulty.world, "_r")


async def test_a_full_store_ends_the_operation_and_harms_nothing(seaweed: SeaweedFS) -> None:
    async with faulty_world(seaweed, policy=SHORT) as faulty:
        await fill(faulty.world)
        async with running(faulty.world, faulty.decorators) as service:
            await service.create("other")
            other = await faulty.world.objects()
            # As SeaweedFS does over its quota: writes fail, reads and deletions go on.
            for operation in ("CopyObject", "PutObject"):
                faulty.proxy.rules.add(Fault.ERROR, operation, at=range(4, 10_000))
            await ended_unavailable(service, await service.start_create("b"))
            assert faulty.proxy.rules.injected[Fault.ERROR] > 1
            await assert_nothing_is_listed_as_whole(faulty, service)
            assert (await service.catalog.get("other")).state is BackupState.COMPLETE
            await service.delete("b")
            assert await faulty.world.objects() == other
            faulty.proxy.rules.clear()  # a restore keeps its journal in the store
            await service.restore("other", suffix="_r")
        assert_exact(faulty.world, "_r")
