"""The service dies around any change: the next one resumes the operation to an exact end, or sweeps it up.

In `make test` it dies at some of the changes, in `make torture` at all.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import pytest

from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.errors import BackupNotFound
from milvus_backup_server.domain.leftovers import LeftoverState
from milvus_backup_server.domain.operations import Operation, RestoreResult
from tests.support.crash_checks import (
    OTHER,
    assert_finals_are_whole,
    assert_listed_is_whole,
    objects_of,
    remains,
    world_with,
)
from tests.support.crash_recovery import SOON, Crashed, sweep
from tests.support.crashes import Act, die, mutations
from tests.support.replacing_restores import (
    BACKED_UP,
    LATER,
    NAMES,
    aliased,
    replacing,
    rows,
)
from tests.support.sample import assert_exact
from tests.support.service import Service, World, running, succeeded

pytestmark = pytest.mark.usefixtures("own_disk")


async def back_up(service: Service) -> Operation:
    return await service.start_create("b")


async def restore(service: Service) -> Operation:
    return await service.start_restore("b", suffix="_r", restore_indexes=True)


async def delete(service: Service) -> Operation:
    return await service.start_delete("b")


Check = Callable[[Crashed, Service, str], Awaitable[None]]


async def crash(world: World, act: Act, at: int, *, after: bool, check: Check) -> None:
    """Let a service die, start another one and let it check what becomes of the operation."""
    crashed = Crashed(world)
    assert await die(world, act, at, after=after, records=crashed.records)
    records = crashed.records
    async with running(world, generation=2, records=records, recording=SOON) as service:
        await check(crashed, service, await crashed.interrupted(service))


async def assert_swept(crashed: Crashed, service: Service, name: str) -> None:
    """Sweep instead of going on: nothing of the operation stays, and a second sweep finds nothing."""
    result = await sweep(service)
    assert result.by_state.get(LeftoverState.FAILED, 0) == 0, result.leftovers
    assert await crashed.left() == []
    assert (await service.use_cases.directory.get(name)).state.final
    assert (await sweep(service)).leftovers == ()


async def state_of(service: Service, name: str = "b") -> BackupState | None:
    try:
        return (await service.catalog.get(name)).state
    except BackupNotFound:
        return None


# --- what is resumed


async def resumed_restore(crashed: Crashed, service: Service, name: str) -> None:
    last = succeeded(await service.resume(name))
    assert isinstance(last.result, RestoreResult)
    assert (last.result.collection_count, last.result.row_count) == (2, 15)
    assert_exact(crashed.world, "_r")
    assert await crashed.left() == []


def assert_nothing_misses(world: World) -> None:
    """Assert that each collection that is replaced is whole, old or new, with what leads to it."""
    assert all(found in (LATER, BACKED_UP) for found in rows(world))
    assert {alias.name: name for alias, name in world.milvus.aliases.items()} == {
        f"to_{name}": name for name in NAMES
    }


async def resumed_replacement(crashed: Crashed, service: Service, name: str) -> None:
    succeeded(await service.resume(name))
    assert rows(crashed.world) == [BACKED_UP, BACKED_UP]
    assert_nothing_misses(crashed.world)
    assert await crashed.left() == []


# --- what is swept up


async def swept_backup(crashed: Crashed, service: Service, name: str) -> None:
    before = await state_of(service)
    await assert_swept(crashed, service, name)
    if before is BackupState.COMPLETE:
        assert await assert_listed_is_whole(crashed.world, service) is BackupState.COMPLETE
    else:
        assert await remains(crashed.world) == []


async def swept_restore(crashed: Crashed, service: Service, name: str) -> None:
    backup = await objects_of(crashed.world, "b")
    whole = assert_finals_are_whole(crashed.world, "_r")
    await assert_swept(crashed, service, name)
    assert assert_finals_are_whole(crashed.world, "_r") == whole
    assert await objects_of(crashed.world, "b") == backup


async def swept_replacement(crashed: Crashed, service: Service, name: str) -> None:
    backup = await objects_of(crashed.world, "b")
    await assert_swept(crashed, service, name)
    assert_nothing_misses(crashed.world)
    assert await objects_of(crashed.world, "b") == backup


async def swept_delete(crashed: Crashed, service: Service, name: str) -> None:
    before = await state_of(service)
    await assert_swept(crashed, service, name)
    if before is BackupState.COMPLETE:
        assert await assert_listed_is_whole(crashed.world, service) is BackupState.COMPLETE
    else:
        assert await remains(crashed.world) == []


@dataclass(frozen=True)
class Case:
    """An operation, and what is checked after a crash of it."""

    act: Act
    check: Check
    backups: tuple[str, ...] = ()
    staged: bool = False
    make: Callable[[], Awaitable[World]] | None = None

    async def world(self) -> World:
        if self.make is not None:
            return await self.make()
        return await world_with(OTHER, *self.backups, staged=self.staged)

    async def points(self) -> list[tuple[int, bool]]:
        count = len(await mutations(await self.world(), self.act))
        assert count >= 5, "nothing to die in"
        return [(at, after) for at in range(1, count + 1) for after in (False, True)]

    async def run(self, points: Iterable[tuple[int, bool]]) -> None:
        for at, after in points:
            world = await self.world()
            other = await objects_of(world, OTHER)
            await crash(world, self.act, at, after=after, check=self.check)
            assert await objects_of(world, OTHER) == other


CASES = {
    "a restore is resumed": Case(restore, resumed_restore, ("b",), staged=True),
    "a restore that replaces is resumed": Case(replacing, resumed_replacement, make=aliased),
    "a backup is swept": Case(back_up, swept_backup),
    "a restore is swept": Case(restore, swept_restore, ("b",), staged=True),
    "a restore that replaces is swept": Case(replacing, swept_replacement, make=aliased),
    "a delete is swept": Case(delete, swept_delete, ("b",)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_after_some_crashes(case: Case) -> None:
    points = await case.points()
    step = max(len(points) // 5, 1)
    await case.run([*points[:: step | 1], points[-1]])


@pytest.mark.torture
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_after_every_crash(case: Case, part: int) -> None:
    await case.run((await case.points())[part::4])
