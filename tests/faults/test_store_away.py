"""A store that goes away for a while, or for good, or takes no more."""

import asyncio

import pytest

from milvus_backup_server.adapters.store_wrappers import RetryPolicy
from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.operations import Operation, OperationState
from tests.support.faults import Fault
from tests.support.sample import assert_exact, fill
from tests.support.seaweed_world import FaultyWorld, faulty_world
from tests.support.seaweedfs import SeaweedFS
from tests.support.service import Service, running

pytestmark = [pytest.mark.s3, pytest.mark.xdist_group("faults")]

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


async def test_an_operation_waits_for_a_store_that_comes_back(seaweed: SeaweedFS) -> None:
    async with faulty_world(seaweed) as faulty:
        await fill(faulty.world)
        faulty.proxy.rules.add(Fault.RESET, "CopyObject", at=[3])
        async with running(faulty.world, faulty.decorators) as service:
            operation = await service.start_create("b")
            async with asyncio.timeout(30):
                while not faulty.retries:  # noqa: ASYNC110 - others count it
                    await asyncio.sleep(0.01)
            await faulty.proxy.down()
            asked = faulty.retries.total()
            async with asyncio.timeout(30):
                while faulty.retries.total() < asked + 10:  # noqa: ASYNC110 - others count it
                    await asyncio.sleep(0.01)
            assert not (service.operations.get(operation.name)).state.ends_watch
            await faulty.proxy.up()
            await service.end(operation)
            await service.restore("b", suffix="_r")
        assert_exact(faulty.world, "_r")


async def test_a_store_that_stays_away_ends_the_operation_within_its_budget(
    seaweed: SeaweedFS,
) -> None:
    async with faulty_world(seaweed, policy=SHORT) as faulty:
        await fill(faulty.world)
        async with running(faulty.world, faulty.decorators) as service:
            await service.create("other")
            faulty.proxy.rules.add(Fault.SLOW_DOWN, part="binlogs/")
            operation = await service.start_create("b")
            last = await ended_unavailable(service, operation)
            assert "SlowDown" in (last.error.message if last.error else "")
            assert faulty.proxy.rules.injected[Fault.SLOW_DOWN] > 1
            assert faulty.retries["copy"] > 1
            faulty.proxy.rules.clear()
            await assert_nothing_is_listed_as_whole(faulty, service)
            await service.delete("b")
            await service.create("b")
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
