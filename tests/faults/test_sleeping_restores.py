"""A restore that sleeps while another service resumes it harms nothing when it wakes up, be that ended or at work.

In `make test` it sleeps before some of its calls, in `make torture` before each of them.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from milvus_backup_server.domain.operations import Operation, OperationState
from tests.support.crash_checks import TEMPORARY, objects_of
from tests.support.crash_recovery import SOON, Crashed, sweep
from tests.support.crashes import Act
from tests.support.fake_milvus_state import Key
from tests.support.gateways import HookedGateway
from tests.support.held_calls import GATEWAY, Gate, Gates, around_all
from tests.support.replacing_restores import (
    BACKED_UP,
    LATER,
    NAMES,
    aliased,
    replacing,
    with_backup,
)
from tests.support.running_service import Decorators
from tests.support.service import Service, World, named, running, succeeded
from tests.support.sleeping import Sleep

pytestmark = pytest.mark.usefixtures("own_disk")


def finals(world: World) -> dict[str, tuple[int, list[Key]]]:
    """Return the ids and rows of the collections that have their final names."""
    found = world.milvus.databases["default"].items()
    return {
        name: (it.collection_id, it.live_keys())
        for name, it in found
        if not name.startswith(TEMPORARY)
    }


async def made(world: World) -> tuple[object, ...]:
    """Return what a restore makes, and what it reads."""
    return finals(world), dict(world.milvus.aliases), await objects_of(world, "b")


async def calls(world: World, sleep: Sleep, act: Act, around: Decorators) -> list[str]:
    """Return the calls of a restore that nobody disturbs."""
    async with running(world, around) as service:
        await service.end(await act(service))
    return sleep.seen


async def sleep_through(world: World, sleep: Sleep, act: Act, around: Decorators) -> str:
    """Let a restore sleep while it is ended elsewhere, and wake it up; return before which call it slept."""
    crashed, begun = Crashed(world), finals(world)
    records = sleep.records(crashed.records)
    async with running(world, around, records=records, recording=SOON) as sleeper:
        ending = asyncio.create_task(sleeper.end(await act(sleeper)))
        await asyncio.wait_for(sleep.asleep.wait(), 60)
        async with running(
            world, generation=2, records=crashed.records, recording=SOON
        ) as successor:
            name = await crashed.interrupted(successor)
            succeeded(await successor.resume(name))
            before = await made(world)
            assert before[0] != begun
            sleep.woken.set()
            assert (await ending).state is OperationState.INTERRUPTED
            assert await made(world) == before, sleep.seen[-1]
            found = await successor.use_cases.directory.get(name)
            assert found.state is OperationState.SUCCEEDED
            await sweep(successor)
            assert await made(world) == before
            assert await crashed.left() == []
    return sleep.seen[-1]


# --- it takes the place of others


async def sleep_before(at: int) -> str:
    sleep, world = Sleep(at), await aliased()
    call = await sleep_through(world, sleep, replacing, sleep.decorators)
    assert [rows for _, rows in finals(world).values()] == [BACKED_UP, BACKED_UP]
    return call


async def undisturbed() -> list[str]:
    sleep = Sleep()
    return await calls(await aliased(), sleep, replacing, sleep.decorators)


def first(seen: Sequence[str], call: str) -> int:
    """Return the number of the first call that begins so."""
    return next(number for number, it in enumerate(seen, 1) if it.startswith(call))


def points(seen: Sequence[str]) -> list[int]:
    """Return before which calls it may sleep, from the first on with which it makes something.

    Not before the drop of what it replaces: that is sent by then, and nothing can call it back.
    """
    drops = {f"drop_collection {named(name)}" for name in NAMES}
    begun = first(seen, "create_collection")
    return [at for at, call in enumerate(seen, 1) if at >= begun and call not in drops]


@pytest.mark.parametrize(
    ("call", "further"),
    [
        ("submit_import", 0),
        ("alter_alias", 0),
        ("drop_collection", -1),  # its last look at what it drops
        ("rename_collection", 0),
    ],
)
async def test_a_restore_that_wakes_up_takes_nothing_from_its_successor(
    call: str, further: int
) -> None:
    seen = await undisturbed()
    at = first(seen, call) + further
    assert (await sleep_before(at)).split()[0] == seen[at - 1].split()[0]


@pytest.mark.torture
@pytest.mark.parametrize("part", range(4))
async def test_a_restore_that_wakes_up_anywhere_takes_nothing_from_its_successor(part: int) -> None:
    for at in points(await undisturbed())[part::4]:
        await sleep_before(at)


# --- it wakes up while its successor is at work


async def wake_beside(at: int, gate: Gate) -> bool:
    """Let a restore sleep before a call, and wake it up while its successor is held back.

    Returns whether the successor came to where it is held back.
    """
    sleep, world, gates = Sleep(at), await aliased(), Gates()
    crashed, gates.gate = Crashed(world), gate
    records = sleep.records(crashed.records)
    async with running(world, sleep.decorators, records=records, recording=SOON) as sleeper:
        ending = asyncio.create_task(sleeper.end(await replacing(sleeper)))
        await asyncio.wait_for(sleep.asleep.wait(), 60)
        async with running(
            world, around_all(gates), generation=2, records=crashed.records, recording=SOON
        ) as successor:
            name = await crashed.interrupted(successor)
            going_on = asyncio.create_task(successor.resume(name))
            held = asyncio.create_task(gate.reached.wait())
            await asyncio.wait({going_on, held}, return_when=asyncio.FIRST_COMPLETED)
            held.cancel()
            sleep.woken.set()
            assert (await ending).state is OperationState.INTERRUPTED
            assert all(rows in (LATER, BACKED_UP) for _, rows in finals(world).values())
            gate.opened.set()
            succeeded(await going_on)
            await assert_replaced(crashed, successor)
    return gate.reached.is_set()


async def assert_replaced(crashed: Crashed, service: Service) -> None:
    """Assert that the restore is whole, and that a sweep takes nothing of it and leaves nothing else."""
    before = await made(crashed.world)
    assert [rows for _, rows in finals(crashed.world).values()] == [BACKED_UP, BACKED_UP]
    assert {it.name: to for it, to in crashed.world.milvus.aliases.items()} == {
        f"to_{name}": name for name in NAMES
    }
    await sweep(service)
    assert await made(crashed.world) == before
    assert await crashed.left() == []


def held_before(call: str, number: int = 1) -> Gate:
    return Gate(GATEWAY, call, number=number)


@pytest.mark.parametrize(
    ("call", "further", "held"),
    [
        ("create_collection", 0, "submit_import"),
        ("submit_import", 0, "submit_import"),
        ("submit_import", 0, "rename_collection"),
        ("drop_collection", -1, "drop_collection"),
        ("rename_collection", 0, "rename_collection"),
    ],
)
async def test_a_restore_that_wakes_up_beside_its_successor_harms_nothing(
    call: str, further: int, held: str
) -> None:
    at = first(await undisturbed(), call) + further
    assert await wake_beside(at, held_before(held))


@pytest.mark.torture
@pytest.mark.parametrize(
    ("held", "number"),
    [
        ("create_collection", 1),
        ("submit_import", 1),
        ("submit_import", 2),
        ("alter_alias", 1),
        ("drop_collection", 1),
        ("rename_collection", 1),
        ("rename_collection", 2),
    ],
)
async def test_a_restore_that_wakes_up_anywhere_beside_its_successor_harms_nothing(
    held: str, number: int
) -> None:
    met = [await wake_beside(at, held_before(held, number)) for at in points(await undisturbed())]
    assert any(met)


# --- it removes what it made


class Cancelled:
    """A restore that is cancelled when one collection has its name and the second is about to get it.

    Attributes:
        decorators: what goes around the service's ports.
    """

    def __init__(self, sleep: Sleep) -> None:
        around, hooks = sleep.decorators, {"rename_collection": self._cancel}
        self.decorators = replace(
            around, gateway=lambda it: HookedGateway(around.gateway(it), hooks)
        )
        self._service: Service | None = None
        self._named = 0

    async def __call__(self, service: Service) -> Operation:
        self._service = service
        return await service.start_restore("b", suffix="_r")

    async def _cancel(self, _: str) -> None:
        self._named += 1
        assert self._service is not None
        if self._named == len(NAMES):
            (operation,) = self._service.operations.list("", 1).items
            self._service.operations.cancel(operation.name)
            await asyncio.sleep(0)  # it is stopped here


async def test_a_cancelled_restore_that_wakes_up_does_not_remove_what_its_successor_made() -> None:
    sleep = Sleep()
    act = Cancelled(sleep)
    seen = await calls(await with_backup(), sleep, act, act.decorators)
    at = first(seen, "drop_collection default.one_r") - 1  # it is still the one that it made
    sleep, world = Sleep(at), await with_backup()
    act = Cancelled(sleep)
    call = await sleep_through(world, sleep, act, act.decorators)
    assert call == "describe_collection default.one_r"
    assert [finals(world)[f"{name}_r"][1] for name in NAMES] == [BACKED_UP, BACKED_UP]
