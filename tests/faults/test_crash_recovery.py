"""The service dies around any change: the next one resumes the operation to an exact end, or sweeps it up.

In `make test` it dies at some of the changes, in `make torture` at all.
"""

import pytest

from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.errors import BackupNotFound
from milvus_backup_server.domain.operations import Operation, RestoreResult
from tests.support.crash_cases import PARTS, Case, assert_swept, part_of
from tests.support.crash_checks import (
    assert_finals_are_whole,
    assert_listed_is_whole,
    objects_of,
    remains,
)
from tests.support.crash_recovery import Crashed
from tests.support.replacing_restores import (
    BACKED_UP,
    LATER,
    NAMES,
    aliased,
    replacing,
    rows,
)
from tests.support.sample import assert_exact
from tests.support.service import Service, World, succeeded

pytestmark = pytest.mark.usefixtures("own_disk")


async def back_up(service: Service) -> Operation:
    return await service.start_create("b")


async def restore(service: Service) -> Operation:
    return await service.start_restore("b", suffix="_r", restore_indexes=True)


async def delete(service: Service) -> Operation:
    return await service.start_delete("b")


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
    await case.run(await case.some())


@pytest.mark.torture
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_after_every_crash(case: Case, part: int) -> None:
    await case.run(part_of(await case.points(), part))
