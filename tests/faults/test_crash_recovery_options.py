"""The same as in `test_crash_recovery.py` for restores under options: what is resumed is exact, what is swept is gone.

In `make test` the service dies at some of the changes, in `make torture` at all.
"""

import pytest

from milvus_backup_server.domain.errors import OperationNotResumable
from tests.support.crash_cases import PARTS, Case, assert_swept, part_of
from tests.support.crash_checks import objects_of
from tests.support.crash_recovery import Crashed
from tests.support.filling_restores import (
    assert_imports_ended,
    assert_nothing_lost,
    filling,
    with_targets,
)
from tests.support.served_restores import assert_served, served, serving, with_functions
from tests.support.service import Service, succeeded

pytestmark = pytest.mark.usefixtures("own_disk")


async def resumed_serving(crashed: Crashed, service: Service, name: str) -> None:
    served(crashed.world)
    succeeded(await service.resume(name))
    assert_served(crashed.world)
    assert await crashed.left() == []


async def swept_serving(crashed: Crashed, service: Service, name: str) -> None:
    backup = await objects_of(crashed.world, "b")
    whole = served(crashed.world)
    await assert_swept(crashed, service, name)
    assert served(crashed.world) == whole
    assert await objects_of(crashed.world, "b") == backup


async def swept_filling(crashed: Crashed, service: Service, name: str) -> None:
    """It cannot be resumed: nobody knows what is in the collections, which had rows of their own."""
    world = crashed.world
    backup, there = await objects_of(world, "b"), world.collections()
    with pytest.raises(OperationNotResumable, match="restore again"):
        await service.resume(name)
    assert_nothing_lost(world)
    await assert_swept(crashed, service, name)
    assert_nothing_lost(world)
    assert_imports_ended(world)
    assert world.collections() == there
    assert await objects_of(world, "b") == backup
    ended = await service.use_cases.directory.get(name)
    assert [warning.message for warning in ended.warnings] == [
        f"{it} existed before: what was made in it or imported into it by then stays"
        for it in ("default.one_there", "default.two_there")
    ]


CASES = {
    "a restore that loads and adds fields is resumed": Case(
        serving,
        resumed_serving,
        make=with_functions,
        at=("add_field", "alter_properties", "create_alias", "load_collection"),
    ),
    "a restore that loads and adds fields is swept": Case(
        serving, swept_serving, make=with_functions, at=("add_field", "load_collection")
    ),
    "a restore that fills collections is swept": Case(
        filling, swept_filling, make=with_targets, at=("submit_import", "drop_index")
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_after_some_crashes(case: Case) -> None:
    await case.run(await case.some())


@pytest.mark.torture
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_after_every_crash(case: Case, part: int) -> None:
    await case.run(part_of(await case.points(), part))
