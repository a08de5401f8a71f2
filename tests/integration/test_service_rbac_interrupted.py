"""A restore that adds users is interrupted: what it added is told, by whoever goes on or undoes it."""

from typing import Any

import pytest

from milvus_backup_server.domain.errors import MilvusUnavailable
from milvus_backup_server.domain.operations import OperationState, RestoreResult
from milvus_backup_server.domain.rbac import RbacCounts
from milvus_backup_server.domain.records import RbacMeta
from milvus_backup_server.domain.restore_options import RestoreOptions
from tests.support.crashes import die, mutations
from tests.support.fake_milvus import FakeMilvus
from tests.support.gateways import FailingGateway
from tests.support.resumed_restores import Begun, interrupted, resume, undo
from tests.support.running_service import Decorators
from tests.support.service import ROOT, World, add_collection, running

ACCESS = RbacMeta.from_json(
    {
        "users": [
            {"user": "ann", "password": "hash", "roles": [{"name": "reader"}]},
            {"user": "bob", "password": "hash"},
        ],
        "roles": [{"name": "reader"}, {"name": "writer"}],
        "privilege_groups": [{"group_name": "looking", "privileges": [{"name": "Query"}]}],
    }
)
ALL = RbacCounts(users=2, roles=2, privilege_groups=1)
STAY = "the users, roles and grants that were added to Milvus stay"
FIELDS: dict[str, Any] = {"suffix": "_r", "options": RestoreOptions(rbac=True)}


def world_of_2_6() -> World:
    world = World()
    world.milvus = FakeMilvus(world.milvus_store, ROOT, version="2.6.18")
    return world


async def interrupted_after_users(world: World) -> str:
    """Restore until Milvus is down when a collection gets its name; return the restore's name."""
    await add_collection(world.milvus, "one", range(5))
    world.milvus.access = ACCESS
    down = MilvusUnavailable("it is down")
    around = Decorators(gateway=lambda it: FailingGateway(it, "rename_collection", down, times=9))
    async with running(world, around, records=world.backup_store) as service:
        await service.create(rbac=True)
        world.milvus.access = RbacMeta()
        last = await service.end(await service.start_restore(**FIELDS))
    assert last.state is OperationState.INTERRUPTED
    assert world.milvus.access == ACCESS
    return last.name


async def test_a_resumed_restore_tells_of_users_that_were_added_before() -> None:
    world = world_of_2_6()
    name = await interrupted_after_users(world)
    async with running(world, records=world.backup_store) as service:
        last = await service.resume(name)
    assert last.state is OperationState.SUCCEEDED, last.error
    assert isinstance(last.result, RestoreResult)
    assert last.result.rbac == ALL
    assert world.milvus.access == ACCESS


async def test_a_cancel_of_an_interrupted_restore_says_that_users_stay() -> None:
    world = world_of_2_6()
    name = await interrupted_after_users(world)
    async with running(world, records=world.backup_store) as service:
        last = await service.end(await service.use_cases.control.cancel(name))
    assert last.state is OperationState.CANCELLED
    assert STAY in {warning.message for warning in last.warnings}
    assert world.collections() == ["default.", "default.one"]


# --- the service dies while Milvus is asked to add them


async def backed_up() -> World:
    world = world_of_2_6()
    await add_collection(world.milvus, "one", range(5))
    world.milvus.access = ACCESS
    async with running(world) as service:
        await service.create(rbac=True)
    world.milvus.access = RbacMeta()
    return world


async def died_at_users(world: World, *, after: bool) -> str:
    """Let the service die when it adds the users; return the restore's name."""
    steps = await mutations(await backed_up(), Begun(FIELDS))
    at = 1 + next(number for number, step in enumerate(steps) if step.startswith("restore_rbac"))
    begun = Begun(FIELDS)
    assert await die(world, begun, at, after=after)
    assert world.milvus.access == (ACCESS if after else RbacMeta())
    return begun.name


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_each_user_is_counted_once_after_a_crash(*, after: bool) -> None:
    world = await backed_up()
    name = await died_at_users(world, after=after)
    async with running(world) as service:
        last = await resume(service, interrupted(name, **FIELDS))
    assert last.state is OperationState.SUCCEEDED, last.error
    assert isinstance(last.result, RestoreResult)
    assert last.result.rbac == ALL
    assert world.milvus.access == ACCESS


async def test_a_cancel_after_the_crash_says_that_users_stay() -> None:
    world = await backed_up()
    name = await died_at_users(world, after=True)
    async with running(world) as service:
        last = await undo(service, interrupted(name, **FIELDS))
    assert last.state is OperationState.CANCELLED
    assert STAY in [warning.message for warning in last.warnings]
    assert world.collections() == ["default.", "default.one"]
