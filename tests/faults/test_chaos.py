"""A store that fails most of the time: backup, verification and restore end exact all the same."""

from dataclasses import replace

import pytest

from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.domain.verification import VerifyLevel
from tests.support.faults import Fault
from tests.support.sample import assert_exact, drop, fill
from tests.support.seaweed_world import FaultyWorld, faulty_world
from tests.support.seaweedfs import SeaweedFS
from tests.support.service import LIMITS, running

pytestmark = [pytest.mark.s3, pytest.mark.xdist_group("faults")]

SEEDS = range(20)
# What a call may take is not asked here: many of its requests are repeated.
PATIENT = replace(LIMITS, check_seconds=60, cleanup_seconds=60)


def chaos(faulty: FaultyWorld, *, damaged: float, seconds: float) -> None:
    """Let 25 % of the requests fail, throttle 30 %, delay 15 %, damage a share of the bodies."""
    rules = faulty.proxy.rules
    rules.add(Fault.ERROR, probability=0.25)
    rules.add(Fault.SLOW_DOWN, probability=0.30 / 0.75)
    rules.add(Fault.WRONG_BODY, "GetObject", "PutObject", probability=damaged / 0.45)
    rules.add(Fault.DELAY, probability=0.15 / 0.45, seconds=seconds)


async def round_trip(faulty: FaultyWorld) -> None:
    """Back up, verify, restore and delete; all must end as if nothing was wrong."""
    world = faulty.world
    await fill(world)
    before = world.collections()
    async with running(world, faulty.decorators, limits=PATIENT) as service:
        await service.create("b")
        verified = await service.verify("b", level=VerifyLevel.CONTENT)
        assert verified.state is OperationState.SUCCEEDED, verified.error
        await service.restore("b", suffix="_r")
        assert_exact(world, "_r")
        await service.delete("b")
    await drop(world, "_r")
    assert world.collections() == before
    # Restores are remembered for a day.
    assert [key for key in await world.backups() if "/finished-restores/" not in key] == []
    assert await world.staged() == []
    assert await world.uploads() == []


def assert_counted(faulty: FaultyWorld) -> None:
    """Assert that there were many faults, that each was asked again once, and that this was counted."""
    injected, retries = faulty.proxy.rules.injected, faulty.retries.total()
    refused = injected[Fault.ERROR] + injected[Fault.SLOW_DOWN]
    assert injected[Fault.ERROR] > 20
    assert injected[Fault.SLOW_DOWN] > 20
    assert injected[Fault.DELAY] > 10
    assert refused <= retries <= refused + injected[Fault.WRONG_BODY]
    assert retries < len(faulty.proxy.log)


async def test_a_round_trip_through_chaos_is_exact(seaweed: SeaweedFS) -> None:
    async with faulty_world(seaweed, seed=1, staged=True) as faulty:
        chaos(faulty, damaged=0.04, seconds=0.05)
        await round_trip(faulty)
        assert faulty.proxy.rules.injected[Fault.WRONG_BODY] > 2
        assert_counted(faulty)


@pytest.mark.torture
@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
async def test_many_round_trips_through_chaos_are_exact(
    seaweed: SeaweedFS, seed: int, *, staged: bool
) -> None:
    async with faulty_world(seaweed, seed=seed, staged=staged) as faulty:
        chaos(faulty, damaged=0.01, seconds=0.25)
        await round_trip(faulty)
        assert_counted(faulty)


async def test_a_round_trip_over_a_network_that_breaks_is_exact(seaweed: SeaweedFS) -> None:
    async with faulty_world(seaweed, seed=2) as faulty:
        faults = (Fault.RESET, Fault.SHORT_BODY, Fault.LOST_ANSWER)
        for fault in faults:
            faulty.proxy.rules.add(fault, probability=0.1)
        await round_trip(faulty)
        injected = faulty.proxy.rules.injected
        assert min(injected[fault] for fault in faults) > 5
        assert faulty.retries.total() >= injected[Fault.RESET] + injected[Fault.LOST_ANSWER]
