"""A restore that replaces collections dies, and the store took no journal of it: nothing is lost, and it is told.

In `make test` it dies at some of the changes, in `make torture` at all.
"""

import pytest

from milvus_backup_server.domain.errors import OperationNotResumable
from milvus_backup_server.domain.leftovers import LeftoverKind, LeftoverState
from milvus_backup_server.domain.operations import OperationState
from tests.support.crash_cases import PARTS, Case, part_of
from tests.support.crash_checks import temporary
from tests.support.crash_recovery import Crashed, sweep
from tests.support.refused_journals import assert_all_is_somewhere, leads_to, unwritten
from tests.support.replacing_restores import BACKED_UP, NAMES, replacing, rows
from tests.support.service import Service, succeeded

pytestmark = pytest.mark.usefixtures("own_disk")


async def swept(crashed: Crashed, service: Service, name: str) -> None:
    """What may be all that is left stays however often it is swept, and each sweep tells of it."""
    world = crashed.world
    assert_all_is_somewhere(world)
    for _ in range(2):
        result = await sweep(service)
        found = [it for it in result.leftovers if it.kind is LeftoverKind.COLLECTION]
        assert {it.state for it in found} <= {LeftoverState.KEPT}, "it was cancelled first"
        kept = {it.subject for it in found}
        assert kept == set(temporary(world))
        assert all("replaced" in it.note for it in found)
        assert_all_is_somewhere(world)
    ended = await service.use_cases.directory.get(name)
    assert ended.state is OperationState.CANCELLED
    told = {warning.metadata.get("subject") for warning in ended.warnings}
    assert set(temporary(world)) <= told


async def resumed(crashed: Crashed, service: Service, name: str) -> None:
    """Either it goes on to an exact end, or it is refused and nothing has changed."""
    world = crashed.world
    before = world.collections(), dict(world.milvus.aliases)
    if refusal := await refused(service, name):
        assert any(it in refusal for it in temporary(world))
        assert (world.collections(), world.milvus.aliases) == before
        assert_all_is_somewhere(world)
        return
    assert rows(world) == [BACKED_UP, BACKED_UP]
    assert leads_to(world) == NAMES[1]
    await sweep(service)
    assert await crashed.left() == []


async def refused(service: Service, name: str) -> str:
    """Resume it to its end, or return why it is not resumed."""
    try:
        operation = await service.resume(name)
    except OperationNotResumable as error:
        return error.message
    succeeded(operation)
    return ""


CASES = {
    "it is swept": Case(
        replacing,
        swept,
        make=unwritten,
        at=("submit_import", "alter_alias", "drop_collection", "rename_collection"),
    ),
    "it is resumed": Case(
        replacing, resumed, make=unwritten, at=("alter_alias", "drop_collection")
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
