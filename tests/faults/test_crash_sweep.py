"""The service dies before and after every single mutation of a backup, a restore and a delete.

In `make test` it dies at some of them, those at the end of a backup among them; in `make torture` at all.
"""

from collections.abc import Sequence

import pytest

from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.operations import Operation
from tests.support.crash_checks import (
    OTHER,
    assert_finals_are_whole,
    assert_listed_is_whole,
    assert_restores,
    objects_of,
    remains,
    temporary,
    world_with,
)
from tests.support.crashes import Act, die, mutations
from tests.support.sample import assert_exact, drop
from tests.support.service import Service, World, running

Points = Sequence[tuple[int, bool]]


async def back_up(service: Service) -> Operation:
    return await service.start_create("b")


async def restore(service: Service) -> Operation:
    return await service.start_restore("b", suffix="_r")


async def delete(service: Service) -> Operation:
    return await service.start_delete("b")


async def points(world: World, act: Act, *, every: int, last: int = 0) -> Points:
    """Return where to die: at every n-th mutation and at the last ones, before and after each."""
    count = len(await mutations(world, act))
    assert count >= 5, "nothing to die in"
    return [
        (at, after)
        for at in range(1, count + 1)
        if (at - 1) % every == 0 or at > count - last
        for after in (False, True)
    ]


async def crash_backup(at: int, *, after: bool) -> None:
    world = await world_with(OTHER)
    before = await objects_of(world, OTHER), world.collections()
    assert await die(world, back_up, at, after=after)
    async with running(world, generation=2) as service:
        state = await assert_listed_is_whole(world, service)
        if state is not BackupState.COMPLETE:
            if state is not None:
                await service.delete("b")
            await service.create("b")
        await assert_restores(world, service, "b")
        await service.delete("b")
    assert (await objects_of(world, OTHER), world.collections()) == before
    assert await remains(world) == []


async def crash_restore(at: int, *, after: bool, staged: bool) -> None:
    world = await world_with("b", OTHER, staged=staged)
    before = [await objects_of(world, name) for name in ("b", OTHER)], world.collections()
    assert await die(world, restore, at, after=after)
    assert_finals_are_whole(world, "_r")
    async with running(world, generation=2) as service:
        await service.restore("b", suffix="_again")
        assert_exact(world, "_again")
    for suffix in ("_again", "_r"):
        await drop(world, suffix)
    assert [await objects_of(world, name) for name in ("b", OTHER)] == before[0]
    assert [name for name in world.collections() if name not in temporary(world)] == before[1]


async def crash_delete(at: int, *, after: bool) -> None:
    world = await world_with("b", OTHER)
    other = await objects_of(world, OTHER)
    assert await die(world, delete, at, after=after)
    async with running(world, generation=2) as service:
        if await assert_listed_is_whole(world, service) is not None:
            await service.delete("b")
        assert await remains(world) == []
        await service.create("b")
        await assert_restores(world, service, "b")
    assert await objects_of(world, OTHER) == other


async def sweep_backup(*, every: int, last: int) -> None:
    for at, after in await points(await world_with(OTHER), back_up, every=every, last=last):
        await crash_backup(at, after=after)


async def sweep_restore(*, every: int, staged: bool) -> None:
    for at, after in await points(await world_with("b", staged=staged), restore, every=every):
        await crash_restore(at, after=after, staged=staged)


async def sweep_delete(*, every: int) -> None:
    for at, after in await points(await world_with("b", OTHER), delete, every=every):
        await crash_delete(at, after=after)


async def test_no_crash_of_a_backup_leaves_one_that_is_listed_and_not_whole() -> None:
    await sweep_backup(every=8, last=10)


async def test_no_crash_of_a_restore_leaves_a_collection_in_part_under_its_name() -> None:
    await sweep_restore(every=3, staged=False)


async def test_no_crash_of_a_delete_leaves_a_backup_that_is_listed_and_not_whole() -> None:
    await sweep_delete(every=1)


@pytest.mark.torture
async def test_every_crash_of_a_backup() -> None:
    await sweep_backup(every=1, last=0)


@pytest.mark.torture
@pytest.mark.parametrize("staged", [False, True])
async def test_every_crash_of_a_restore(*, staged: bool) -> None:
    await sweep_restore(every=1, staged=staged)
