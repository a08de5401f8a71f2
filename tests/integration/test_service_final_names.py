"""Final names: whose they are when somebody takes one meanwhile, and what stays when naming fails."""

from dataclasses import replace

from milvus_backup_server.domain.errors import (
    BackupError,
    MilvusDenied,
    MilvusRefused,
    TargetAlreadyExists,
)
from milvus_backup_server.domain.operations import Operation
from tests.support.crash_checks import temporary
from tests.support.held_calls import GATEWAY
from tests.support.meanwhile import Meanwhile, failing
from tests.support.service import add_collection, named, running
from tests.support.two_partitions import ROWS, with_backup


def failure(operation: Operation) -> BackupError:
    """Return why the one collection of an operation failed that did."""
    (error,) = (item.error for item in operation.collections if item.error)
    return error


async def test_a_target_made_meanwhile_by_someone_else_is_theirs() -> None:
    world = await with_backup()

    async def make() -> None:
        await add_collection(world.milvus, "two_r", range(900, 903))

    meanwhile = Meanwhile(GATEWAY, "submit_import", make)
    async with running(world, meanwhile.decorators) as service:
        last = await service.end(await service.start_restore(suffix="_r"))
    assert meanwhile.fired == 1
    assert isinstance(failure(last), TargetAlreadyExists)
    assert "default.two_r was made while it was being restored" in failure(last).message
    assert world.milvus.keys(named("two_r")) == [900, 901, 902]
    assert world.milvus.keys(named("one_r")) == ROWS
    assert temporary(world) == []


async def test_a_target_made_between_the_look_and_the_renaming_is_theirs() -> None:
    world = await with_backup()

    async def make() -> None:
        await add_collection(world.milvus, "one_r", range(900, 903))

    meanwhile = Meanwhile(GATEWAY, "rename_collection", make)
    async with running(world, meanwhile.decorators) as service:
        last = await service.end(await service.start_restore(suffix="_r"))
    assert meanwhile.fired == 1
    assert failure(last).reason == "MILVUS_REFUSED"
    assert world.milvus.keys(named("one_r")) == [900, 901, 902]
    assert temporary(world) == []


DENIED = MilvusDenied("no more")


async def test_what_has_its_final_name_is_whole_and_stays_when_the_restore_fails() -> None:
    world = await with_backup()
    lost = Meanwhile(GATEWAY, "rename_collection", failing(DENIED), first=2, after=True)
    async with running(world, lost.decorators) as service:
        last = await service.end(await service.start_restore(suffix="_r"))
    assert lost.fired == 1
    assert last.error is not None
    assert last.error.reason == "MILVUS_DENIED"
    assert last.error.metadata["collection"] == "default.two"
    assert [warning.message for warning in last.warnings] == [
        "default.one_r was restored whole and stays",
        "default.two_r was restored whole and stays",
    ]
    assert world.milvus.keys(named("one_r")) == world.milvus.keys(named("one"))
    assert temporary(world) == []


async def test_nothing_is_said_to_stay_where_no_renaming_was_done() -> None:
    world = await with_backup()
    refused = Meanwhile(GATEWAY, "rename_collection", failing(DENIED), first=2)
    async with running(world, refused.decorators) as service:
        last = await service.end(await service.start_restore(suffix="_r"))
    assert refused.fired == 1
    assert [warning.message for warning in last.warnings] == [
        "default.one_r was restored whole and stays"
    ]
    assert not [name for name in world.collections() if name.endswith("two_r")]


async def test_what_cannot_be_looked_for_may_stay() -> None:
    world = await with_backup()
    refused = Meanwhile(GATEWAY, "rename_collection", failing(DENIED), first=2)
    unseen = Meanwhile(
        GATEWAY, "describe_collection", failing(MilvusRefused("not now")), part="default.one_r"
    )
    both = replace(
        refused.decorators,
        gateway=lambda it: refused.decorators.gateway(unseen.decorators.gateway(it)),
    )
    async with running(world, both) as service:
        last = await service.end(await service.start_restore(suffix="_r"))
    assert refused.fired == unseen.fired == 1
    assert [warning.message for warning in last.warnings] == [
        "default.one_r may have been restored whole and stay: not now"
    ]
