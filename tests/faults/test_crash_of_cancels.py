"""The service dies around any change of a cancel: what is interrupted then is swept up, or resumed to an exact end.

In `make test` it dies behind one of the changes, in `make torture` around all.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from milvus_backup_server.domain.operations import Operation
from tests.support.crash_cases import Check, assert_swept
from tests.support.crash_checks import (
    OTHER,
    assert_finals_are_whole,
    assert_restores,
    objects_of,
    remains,
    world_with,
)
from tests.support.crash_recovery import SOON, Crashed
from tests.support.crashes import Act, die, mutations
from tests.support.replacing_restores import BACKED_UP, LATER, aliased, replacing, rows
from tests.support.sample import assert_exact
from tests.support.service import Service, World, running, succeeded

pytestmark = pytest.mark.usefixtures("own_disk")


async def back_up(service: Service) -> Operation:
    return await service.start_create("b")


async def restore(service: Service) -> Operation:
    return await service.start_restore("b", suffix="_r", restore_indexes=True)


async def one_whole() -> World:
    return await world_with(OTHER)


async def both_whole() -> World:
    return await world_with(OTHER, "b", staged=True)


async def resumed_backup(crashed: Crashed, service: Service, name: str) -> None:
    succeeded(await service.resume(name))
    await assert_restores(crashed.world, service, "b")


async def resumed_restore(crashed: Crashed, service: Service, name: str) -> None:
    succeeded(await service.resume(name))
    assert_exact(crashed.world, "_r")
    assert await crashed.left() == []


async def resumed_replacement(crashed: Crashed, service: Service, name: str) -> None:
    succeeded(await service.resume(name))
    assert rows(crashed.world) == [BACKED_UP, BACKED_UP]
    assert await crashed.left() == []


async def swept_backup(crashed: Crashed, service: Service, name: str) -> None:
    await assert_swept(crashed, service, name)
    assert await remains(crashed.world) == []


async def swept_restore(crashed: Crashed, service: Service, name: str) -> None:
    await assert_swept(crashed, service, name)
    assert assert_finals_are_whole(crashed.world, "_r") == []


async def swept_replacement(crashed: Crashed, service: Service, name: str) -> None:
    await assert_swept(crashed, service, name)
    assert rows(crashed.world) == [BACKED_UP, LATER], (
        "of the first nothing but the new one was left"
    )


@dataclass(frozen=True)
class Cancelled:
    """An operation that is interrupted behind a change, and cancelled then.

    Attributes:
        behind: the kind of the change.
        number: which one of its kind; the last ones below 0.
    """

    make: Callable[[], Awaitable[World]]
    act: Act
    behind: str
    number: int
    check: Check

    async def run(self, at: int, *, after: bool) -> bool:
        """Let the service die at a change of the cancel; return whether there are so many."""
        crashed = await self._interrupted()
        others = [await objects_of(crashed.world, OTHER), await self._backup(crashed)]

        async def cancel(service: Service) -> Operation:
            return await service.use_cases.control.cancel(await crashed.interrupted(service))

        died = await die(crashed.world, cancel, at, after=after, records=crashed.records)
        if died:
            async with running(
                crashed.world, generation=3, records=crashed.records, recording=SOON
            ) as service:
                await self.check(crashed, service, await crashed.interrupted(service))
        assert [await objects_of(crashed.world, OTHER), await self._backup(crashed)] == others
        return died

    async def _interrupted(self) -> Crashed:
        changes = await mutations(await self.make(), self.act)
        numbers = [at for at, it in enumerate(changes, 1) if it.split()[0] == self.behind]
        crashed = Crashed(await self.make())
        at, records = numbers[self.number], crashed.records
        assert await die(crashed.world, self.act, at, after=True, records=records)
        async with running(crashed.world, records=records, recording=SOON) as service:
            await crashed.interrupted(service)
        return crashed

    async def _backup(self, crashed: Crashed) -> dict[str, bytes]:
        """Return the backup that is restored."""
        return {} if self.act is back_up else await objects_of(crashed.world, "b")


CASES = {
    "a backup is resumed": Cancelled(one_whole, back_up, "put", -2, resumed_backup),
    "a backup is swept": Cancelled(one_whole, back_up, "put", -2, swept_backup),
    "a restore is resumed": Cancelled(both_whole, restore, "submit_import", 0, resumed_restore),
    "a restore is swept": Cancelled(both_whole, restore, "submit_import", 0, swept_restore),
    "a restore that replaces is resumed": Cancelled(
        aliased, replacing, "drop_collection", 0, resumed_replacement
    ),
    "a restore that replaces is swept": Cancelled(
        aliased, replacing, "drop_collection", 0, swept_replacement
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_after_a_crash_of_a_cancel(case: Cancelled) -> None:
    assert await case.run(2, after=True)


@pytest.mark.torture
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_after_every_crash_of_a_cancel(case: Cancelled, *, after: bool) -> None:
    at = 1
    while await case.run(at, after=after):
        at += 1
    assert at > 2, "nothing to die in"
