"""A restore takes the place of collections that are there: each falls only when the new one is whole."""

import asyncio
from typing import Any

import pytest

from milvus_backup_server.domain.errors import MilvusRefused, MilvusUnavailable, TargetAlreadyExists
from milvus_backup_server.domain.operations import OperationState, RestorePlan
from milvus_backup_server.domain.restore_options import AliasMode, RestoreOptions
from milvus_backup_server.domain.targets import TargetAction
from milvus_backup_server.ports.milvus import MilvusGateway
from tests.support.fake_milvus_state import Key
from tests.support.gateways import FailingGateway, HookedGateway
from tests.support.running_service import Decorators
from tests.support.service import Service, World, add_collection, flushed, named, running

ONE, TWO = named("one"), named("shop.two")
BACKED_UP: dict[str, list[Key]] = {"one": [0, 1, 2], "shop.two": [0, 1]}
LATER: list[Key] = [900, 901]
DROP: dict[str, Any] = {"options": RestoreOptions(drop_existing_collections=True)}
REFUSED = MilvusRefused("Milvus refuses", subject="one", call="x")
SILENT = MilvusUnavailable("Milvus does not answer")


async def backed_up(service: Service) -> tuple[int, int]:
    """Back up two collections, write other rows into them, and return their ids."""
    milvus = service.world.milvus
    for text, keys in BACKED_UP.items():
        await flushed(milvus, await add_collection(milvus, text, keys))
    milvus.point_alias(ONE, "first")
    await service.create()
    for name in (ONE, TWO):
        milvus.delete(name, [0, 1, 2])
        milvus.insert(name, LATER)
    milvus.point_alias(ONE, "later")
    return milvus.collection(ONE).collection_id, milvus.collection(TWO).collection_id


def rows(world: World) -> list[list[Key]]:
    return [world.milvus.keys(name) for name in (ONE, TWO)]


def aliases(world: World) -> dict[str, str]:
    return {alias.name: target for alias, target in world.milvus.aliases.items()}


RESTORED = list(BACKED_UP.values())
OLD = [LATER, LATER]


async def test_the_old_ones_are_replaced_and_what_led_to_them_leads_to_the_new_ones() -> None:
    world = World()
    async with running(world) as service:
        ids = await backed_up(service)
        before = world.collections()
        planned = await service.start_restore(**DROP, validate_only=True)
        assert rows(world) == OLD
        operation = await service.restore(**DROP)
    assert isinstance(planned.result, RestorePlan)
    assert planned.result.dropped == (ONE, TWO)
    assert [it.aliases for it in planned.result.collections] == [("first", "later"), ()]
    assert {it.action for it in planned.result.collections} == {TargetAction.REPLACE}
    assert operation.warnings == ()
    assert rows(world) == RESTORED
    assert aliases(world) == {"first": "one", "later": "one"}
    assert world.collections() == before
    assert world.milvus.collection(ONE).collection_id not in ids


async def test_aliases_of_the_old_one_stay_also_when_none_are_restored() -> None:
    world = World()
    asked = RestoreOptions(drop_existing_collections=True, aliases=AliasMode.NONE)
    async with running(world) as service:
        await backed_up(service)
        await world.milvus.drop_alias("default", "first")
        await service.restore(options=asked)
    assert aliases(world) == {"later": "one"}


@pytest.mark.parametrize(
    ("method", "first", "after"),
    [
        ("submit_import", 1, False),
        ("create_collection", 1, True),
        ("alter_alias", 1, False),
        ("alter_alias", 2, True),
        ("drop_collection", 1, False),
    ],
)
async def test_a_failure_before_the_drop_leaves_the_old_one_as_it_was(
    method: str, first: int, *, after: bool
) -> None:
    world = World()
    failing: list[FailingGateway] = []

    def gateway(inner: MilvusGateway) -> MilvusGateway:
        failing.append(FailingGateway(inner, method, REFUSED, first=first, after=after))
        return failing[0]

    async with running(world, Decorators(gateway=gateway)) as service:
        ids = await backed_up(service)
        before = await world.traces()
        asked = await service.start_restore(collections=("one",), **DROP)
        assert await service.error(asked) is REFUSED
    assert failing[0].injected == 1
    assert world.milvus.collection(ONE).collection_id == ids[0]
    assert rows(world) == OLD
    assert aliases(world) == {"first": "one", "later": "one"}
    assert (await world.traces())[1:] == before[1:]


async def test_the_others_are_replaced_when_one_fails() -> None:
    world = World()

    def gateway(inner: MilvusGateway) -> MilvusGateway:
        return FailingGateway(inner, "submit_import", REFUSED)

    async with running(world, Decorators(gateway=gateway)) as service:
        await backed_up(service)
        operation = await service.end(await service.start_restore(**DROP))
    assert operation.state is OperationState.PARTIALLY_SUCCEEDED
    assert rows(world) == [LATER, BACKED_UP["shop.two"]]


@pytest.mark.parametrize(
    ("method", "error", "after"),
    [
        ("drop_collection", SILENT, True),
        ("rename_collection", REFUSED, False),
        ("rename_collection", SILENT, True),
    ],
)
async def test_from_the_drop_on_the_new_one_gets_the_name_whatever_fails(
    method: str, error: Exception, *, after: bool
) -> None:
    world = World()
    failing: list[FailingGateway] = []

    def gateway(inner: MilvusGateway) -> MilvusGateway:
        failing.append(FailingGateway(inner, method, error, after=after))
        return failing[0]

    async with running(world, Decorators(gateway=gateway)) as service:
        await backed_up(service)
        before = world.collections()
        operation = await service.restore(**DROP)
    assert failing[0].injected == 1
    assert operation.state is OperationState.SUCCEEDED
    assert rows(world) == RESTORED
    assert aliases(world) == {"first": "one", "later": "one"}
    assert world.collections() == before


async def test_when_the_name_is_refused_the_only_copy_stays_and_is_named() -> None:
    world = World()

    def gateway(inner: MilvusGateway) -> MilvusGateway:
        return FailingGateway(inner, "rename_collection", REFUSED, times=10)

    async with running(world, Decorators(gateway=gateway)) as service:
        await backed_up(service)
        operation = await service.end(await service.start_restore(collections=("one",), **DROP))
    assert operation.state is OperationState.FAILED
    (left,) = operation.warnings
    temporary = named(left.metadata["subject"])
    assert "is default.one as restored, and stays" in left.message
    assert world.milvus.keys(temporary) == BACKED_UP["one"]
    assert aliases(world) == {"first": temporary.name, "later": temporary.name}


@pytest.mark.parametrize(
    ("method", "replaced"),
    [("submit_import", False), ("alter_alias", False), ("rename_collection", True)],
)
async def test_a_cancel_keeps_one_of_the_two(method: str, *, replaced: bool) -> None:
    world, reached, go_on = World(), asyncio.Event(), asyncio.Event()

    async def hold(_: str) -> None:
        if not reached.is_set():
            reached.set()
            await go_on.wait()

    def gateway(inner: MilvusGateway) -> MilvusGateway:
        return HookedGateway(inner, {method: hold})

    async with running(world, Decorators(gateway=gateway)) as service:
        await backed_up(service)
        before = await world.traces()
        operation = await service.start_restore(collections=("one",), **DROP)
        await reached.wait()
        service.operations.cancel(operation.name)
        go_on.set()
        ended = await service.end(operation)
    assert ended.state is OperationState.CANCELLED
    assert world.milvus.keys(ONE) == (BACKED_UP["one"] if replaced else LATER)
    assert aliases(world) == {"first": "one", "later": "one"}
    assert (await world.traces())[1:] == before[1:]
    told = "default.one was restored whole and stays: what it replaces is gone"
    assert [it.message for it in ended.warnings] == ([told] if replaced else [])


async def test_a_collection_that_came_meanwhile_is_not_dropped() -> None:
    world = World()

    async def replace_it(_: str) -> None:
        await world.milvus.drop_collection(ONE)
        await add_collection(world.milvus, "one", [7])

    def gateway(inner: MilvusGateway) -> MilvusGateway:
        return HookedGateway(inner, {"submit_import": replace_it})

    async with running(world, Decorators(gateway=gateway)) as service:
        await backed_up(service)
        error = await service.error(await service.start_restore(collections=("one",), **DROP))
    assert isinstance(error, TargetAlreadyExists)
    assert "another one than when the restore began" in error.message
    assert world.milvus.keys(ONE) == [7]


async def test_an_alias_of_a_target_s_name_is_not_dropped() -> None:
    world = World()
    async with running(world) as service:
        await backed_up(service)
        world.milvus.point_alias(TWO, "uno")
        with pytest.raises(TargetAlreadyExists) as caught:
            await service.start_restore(renames={"one": "shop.uno"}, collections=("one",), **DROP)
    assert caught.value.message == "shop.uno is an alias of shop.two"
