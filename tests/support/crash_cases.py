"""An operation in whose course the service dies around any change, and what the next service makes of it."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from milvus_backup_server.domain.leftovers import LeftoverState
from tests.support.crash_checks import OTHER, objects_of, world_with
from tests.support.crash_recovery import SOON, Crashed, sweep
from tests.support.crashes import Act, die, mutations
from tests.support.service import Service, World, running

PARTS = range(4)
"""Into which the points of all changes are divided."""
_SOME = 5

Check = Callable[[Crashed, Service, str], Awaitable[None]]
"""What must hold, by the world, the next service and the name of the operation."""
Points = Sequence[tuple[int, bool]]
"""Where to die: at which change, and whether after it."""


@dataclass(frozen=True)
class Case:
    """An operation, and what is checked after a crash of it.

    Attributes:
        at: the kinds of changes that `make test` lets it die around; a few of all if there are none.
    """

    act: Act
    check: Check
    backups: tuple[str, ...] = ()
    staged: bool = False
    make: Callable[[], Awaitable[World]] | None = None
    at: tuple[str, ...] = ()

    async def world(self) -> World:
        """Make the world in which the service dies."""
        if self.make is not None:
            return await self.make()
        return await world_with(OTHER, *self.backups, staged=self.staged)

    async def changes(self) -> list[str]:
        """Return what it changes."""
        changes = await mutations(await self.world(), self.act)
        assert len(changes) >= 5, "nothing to die in"
        return changes

    async def points(self) -> Points:
        """Return where it can die: before and after each change."""
        return around(range(1, len(await self.changes()) + 1))

    async def some(self) -> Points:
        """Return a few of the points."""
        if not self.at:
            points = await self.points()
            step = max(len(points) // _SOME, 1)
            return [*points[:: step | 1], points[-1]]
        kinds = [change.split()[0] for change in await self.changes()]
        return around(kinds.index(kind) + 1 for kind in self.at)

    async def run(self, points: Points) -> None:
        """Let it die there, each time in another world."""
        for at, after in points:
            world = await self.world()
            other = await objects_of(world, OTHER)
            await _crash(world, self.act, at, after=after, check=self.check)
            assert await objects_of(world, OTHER) == other


def around(changes: Iterable[int]) -> Points:
    """Return the points before and after changes, which are counted from 1."""
    return [(at, after) for at in changes for after in (False, True)]


def part_of(points: Points, part: int) -> Points:
    """Return one of `PARTS` of the points."""
    return points[part :: len(PARTS)]


async def _crash(world: World, act: Act, at: int, *, after: bool, check: Check) -> None:
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
