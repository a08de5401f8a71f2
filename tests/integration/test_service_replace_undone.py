"""A restore that replaces collections is interrupted while it gives names, and cancelled or resumed."""

import asyncio
from typing import Any

from milvus_backup_server.domain.errors import MilvusUnavailable
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.domain.restore_options import RestoreOptions
from milvus_backup_server.service.operations import OperationLimits
from tests.support.bodies import until
from tests.support.crash_checks import temporary
from tests.support.held_calls import BACKUP_STORE, GATEWAY
from tests.support.meanwhile import Meanwhile, failing
from tests.support.resumed_restores import interrupted, resume, undo
from tests.support.service import World, add_collection, flushed, keys_below, named, running

ONE = named("one")
DROP: dict[str, Any] = {"options": RestoreOptions(drop_existing_collections=True)}
SILENT = MilvusUnavailable("is silent")
QUICK = OperationLimits(cleanup_seconds=0.05)
JOURNALS = "backup/.milvus-backup/restores/"


async def test_a_cancel_that_was_killed_at_its_end_tells_the_second_time_of_nothing_that_is_gone() -> (
    None
):
    world = World()
    silence = Meanwhile(GATEWAY, "alter_alias", failing(SILENT), times=99)
    async with running(world, silence.decorators) as service:
        await flushed(world.milvus, await add_collection(world.milvus, "one", [0, 1, 2]))
        await service.create("b")
        world.milvus.insert(ONE, [900])
        world.milvus.point_alias(ONE, "first")
        operation = await service.end(await service.start_restore(**DROP))
    assert operation.state is OperationState.INTERRUPTED
    dead = Meanwhile(
        BACKUP_STORE, "list_page", asyncio.Event().wait, part=JOURNALS, first=2, shielded=False
    )
    async with running(world, dead.decorators, operations=QUICK) as service:
        undoing = asyncio.create_task(undo(service, interrupted(operation.name, **DROP)))
        await until(lambda: dead.fired == 1)
    undoing.cancel()
    assert temporary(world) == []
    assert await keys_below(world.backup_store, JOURNALS) != []
    async with running(world) as service:
        again = await undo(service, interrupted(operation.name, 2, **DROP))
    assert again.state is OperationState.CANCELLED
    assert [warning.message for warning in again.warnings] == []
    assert await keys_below(world.backup_store, JOURNALS) == []
    assert world.milvus.keys(ONE) == [0, 1, 2, 900]
    assert {alias.name: target for alias, target in world.milvus.aliases.items()} == {
        "first": "one"
    }


async def test_the_only_copy_stays_when_another_has_its_name_at_the_resume() -> None:
    world = World()
    silence = Meanwhile(GATEWAY, "rename_collection", failing(SILENT), times=10**9)
    async with running(world, silence.decorators) as service:
        for name in ("one", "two"):
            await flushed(world.milvus, await add_collection(world.milvus, name, [0, 1, 2]))
        await service.create("b")
        operation = await service.end(await service.start_restore(**DROP))
    assert silence.fired > 0
    assert operation.state is OperationState.INTERRUPTED
    assert "default.one" not in world.collections(), "the old one is gone"
    await add_collection(world.milvus, "one", [7])
    async with running(world) as service:
        resumed = await resume(service, interrupted(operation.name, **DROP))
    assert resumed.state is OperationState.PARTIALLY_SUCCEEDED
    (copy,) = temporary(world)
    assert world.milvus.keys(named(copy)) == [0, 1, 2]
    assert world.milvus.keys(ONE) == [7]
    assert [warning.message for warning in resumed.warnings] == [
        f"{copy} is default.one as restored, and stays: another collection has that name now"
    ]
    assert await keys_below(world.backup_store, JOURNALS) != []
