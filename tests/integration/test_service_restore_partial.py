"""Restores of which some collections fail: the others are restored, and nothing stays of those that failed."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from milvus_backup_server.domain.errors import (
    MilvusDenied,
    MilvusRefused,
    OperationConflict,
    OperationEnded,
    OperationNotFound,
    StorageDenied,
    TargetAlreadyExists,
)
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    CollectionState,
    Operation,
    OperationState,
    RestoreResult,
)
from milvus_backup_server.domain.renaming import CollectionMapping
from tests.support.held_calls import BACKUP_STORE, GATEWAY
from tests.support.meanwhile import Meanwhile, failing
from tests.support.running_service import Decorators
from tests.support.service import INDEX, LIMITS, World, add_collection, named, running

NAMES = ("one", "two", "shop.one")


async def with_backup(world: World | None = None) -> World:
    world = world or World()
    for name in NAMES:
        collection = await add_collection(world.milvus, name, range(5))
        await world.milvus.create_index(collection, INDEX)
    async with running(world) as service:
        await service.create("b")
    return world


async def restored(world: World, decorators: Decorators | None = None, **fields: Any) -> Operation:
    async with running(world, decorators, limits=LIMITS) as service:
        return await service.end(await service.start_restore(**{"suffix": "_r", **fields}))


def states(operation: Operation) -> dict[str, CollectionState]:
    return {str(item.target): item.state for item in operation.collections}


FAILED, DONE = CollectionState.FAILED, CollectionState.SUCCEEDED
STOPPED = CollectionState.STOPPED


async def damaged(world: World) -> Meanwhile:
    """Damage an object of `default.two`."""
    number = world.milvus.collection(named("two")).collection_id
    key = next(key for key in await world.backups() if f"/insert_log/{number}/" in key)
    await world.backup_store.put(key, b"?" + (await world.backup_store.get(key))[1:])
    return Meanwhile(GATEWAY, "none", failing(AssertionError()))


async def unimportable(world: World) -> Meanwhile:
    """Let the second import, that of `default.two`, fail."""

    async def fail() -> None:
        world.milvus.imports.faults.append("no such field")

    return Meanwhile(GATEWAY, "submit_import", fail, first=2)


async def refused(_: World) -> Meanwhile:
    """Let the second collection not be made."""
    return Meanwhile(GATEWAY, "create_collection", failing(MilvusRefused("no more")), first=2)


async def without_index(_: World) -> Meanwhile:
    """Let the index of the second collection not be made."""
    return Meanwhile(GATEWAY, "create_index", failing(MilvusRefused("no")), first=2)


async def taken(world: World) -> Meanwhile:
    """Let somebody make `default.two_r` before the first renaming."""

    async def make() -> None:
        await add_collection(world.milvus, "two_r", [77])

    return Meanwhile(GATEWAY, "rename_collection", make)


async def not_renamed(_: World) -> Meanwhile:
    return Meanwhile(GATEWAY, "rename_collection", failing(MilvusRefused("no")), first=2)


@dataclass(frozen=True)
class Fault:
    """A way in which `default.two` fails.

    Attributes:
        arrange: makes ready for it.
        reason: what it ends with.
        jobs: imports that ended well.
        left: what is there under its name, which is somebody else's.
    """

    arrange: Callable[[World], Awaitable[Meanwhile]]
    reason: str
    jobs: int
    left: Sequence[int] | None = None


@pytest.mark.parametrize(
    "fault",
    [
        Fault(damaged, "BACKUP_CORRUPT", 2),
        Fault(refused, "MILVUS_REFUSED", 2),
        Fault(unimportable, "IMPORT_FAILED", 2),
        Fault(without_index, "MILVUS_REFUSED", 3),
        Fault(taken, "TARGET_ALREADY_EXISTS", 3, left=[77]),
        Fault(not_renamed, "MILVUS_REFUSED", 3),
    ],
    ids=lambda fault: fault.arrange.__name__,
)
@pytest.mark.parametrize("bucket", ["a-bucket", "b-bucket"])
async def test_the_others_are_restored(fault: Fault, bucket: str) -> None:
    world = await with_backup(World(backup_bucket=bucket))
    before = world.collections()
    meanwhile = await fault.arrange(world)
    last = await restored(world, meanwhile.decorators, restore_indexes=True)
    assert last.state is OperationState.PARTIALLY_SUCCEEDED
    assert states(last) == {"default.two_r": FAILED, "default.one_r": DONE, "shop.one_r": DONE}
    assert (last.succeeded_count, last.failed_count, last.error) == (2, 1, None)
    error = last.collections[0].error
    assert error is not None
    assert (error.reason, error.metadata["collection"]) == (fault.reason, "default.two")
    assert isinstance(last.result, RestoreResult)
    assert (last.result.collection_count, last.result.import_job_count) == (2, fault.jobs)
    for name in ("one_r", "shop.one_r"):
        assert world.milvus.collection(named(name)).live_keys() == [0, 1, 2, 3, 4]
        assert [it.index_name for it in world.milvus.collection(named(name)).indexes] == ["by_v"]
    theirs = [] if fault.left is None else ["default.two_r"]
    assert world.collections() == sorted([*before, "default.one_r", "shop.one_r", *theirs])
    if fault.left is not None:
        assert world.milvus.collection(named("two_r")).live_keys() == fault.left
    assert await world.staged() == []
    assert last.warnings == ()


async def test_one_of_two_targets_of_a_source_may_fail() -> None:
    world = await with_backup()
    meanwhile = Meanwhile(GATEWAY, "create_collection", failing(MilvusRefused("no")))
    mappings = (CollectionMapping("one", "x"), CollectionMapping("one", "y"))
    last = await restored(world, meanwhile.decorators, suffix="", mappings=mappings)
    assert meanwhile.fired == 1
    assert last.state is OperationState.PARTIALLY_SUCCEEDED
    assert states(last) == {"default.x": FAILED, "default.y": DONE}
    assert world.milvus.collection(named("y")).live_keys() == [0, 1, 2, 3, 4]


async def test_when_every_collection_fails_the_restore_has_failed() -> None:
    world = await with_backup()
    before = await world.traces()
    refusing = Meanwhile(GATEWAY, "create_collection", failing(MilvusRefused("no")), times=9)
    last = await restored(world, refusing.decorators)
    assert refusing.fired == 3
    assert last.state is OperationState.FAILED
    assert last.error is not None
    assert (last.error.message, last.error.metadata["collection"]) == ("no", "default.one")
    assert set(states(last).values()) == {FAILED}
    assert await world.traces() == before


async def test_what_concerns_all_still_fails_the_restore_and_takes_everything_away() -> None:
    world = await with_backup()
    before = await world.traces()
    down = failing(MilvusDenied("Milvus does not let us"))
    gone = Meanwhile(GATEWAY, "create_collection", down, first=2)
    last = await restored(world, gone.decorators)
    assert gone.fired == 1
    assert last.state is OperationState.FAILED
    assert last.error is not None
    assert last.error.reason == "MILVUS_DENIED"
    assert states(last)["default.two_r"] is FAILED
    assert await world.traces() == before


async def test_a_cancel_after_one_failed_takes_everything_away() -> None:
    world = await with_backup()
    before = await world.traces()
    refusing = Meanwhile(GATEWAY, "create_collection", failing(MilvusRefused("no")))
    async with running(world, refusing.decorators) as service:
        world.milvus.imports.gate.clear()
        operation = await service.start_restore(suffix="_r")
        async for state in service.operations.watch(operation.name, 0.01):
            if state.failed_count and world.milvus.imports.jobs:
                break
        service.operations.cancel(operation.name)
        world.milvus.imports.gate.set()
        last = await service.end(operation)
    assert refusing.fired == 1
    assert last.state is OperationState.CANCELLED
    assert await world.traces() == before


async def test_what_cannot_be_taken_away_of_a_failed_collection_is_a_warning() -> None:
    world = await with_backup()
    world.milvus.imports.faults.append("no such field")
    stuck = Meanwhile(GATEWAY, "drop_collection", failing(MilvusRefused("busy")), times=9)
    last = await restored(world, stuck.decorators)
    assert stuck.fired == 1
    assert last.state is OperationState.PARTIALLY_SUCCEEDED
    (warning,) = last.warnings
    assert warning.reason == "LEFT_BEHIND"
    temporary = CollectionName(*warning.metadata["subject"].split("."))
    assert world.milvus.collection(temporary).live_keys() == []


# --- retries


async def test_a_retry_restores_only_what_failed() -> None:
    world = await with_backup()
    before = world.collections()
    refusing = Meanwhile(GATEWAY, "create_collection", failing(MilvusRefused("no")), first=2)
    async with running(world, refusing.decorators) as service:
        first = await service.end(await service.start_restore(suffix="_r", restore_indexes=True))
        begun = await service.start_retry(first, "again")
        last = await service.end(begun)
        assert (await service.start_retry(first, "again")).name == begun.name
    assert (first.state, last.state) == (
        OperationState.PARTIALLY_SUCCEEDED,
        OperationState.SUCCEEDED,
    )
    assert (begun.retry_of, last.retry_of, last.request_id) == (first.name, first.name, "again")
    assert begun.name != first.name
    assert states(last) == {"default.two_r": DONE}
    assert isinstance(last.result, RestoreResult)
    assert (last.result.collection_count, last.result.import_job_count) == (1, 1)
    made = ["default.one_r", "default.two_r", "shop.one_r"]
    assert world.collections() == sorted([*before, *made])
    for name in ("one_r", "two_r", "shop.one_r"):
        assert world.milvus.collection(named(name)).live_keys() == [0, 1, 2, 3, 4]
        assert [it.index_name for it in world.milvus.collection(named(name)).indexes] == ["by_v"]


async def test_a_retry_of_one_that_failed_as_a_whole_restores_everything() -> None:
    world = await with_backup()
    denied = failing(MilvusDenied("Milvus does not let us"))
    gone = Meanwhile(GATEWAY, "create_collection", denied, first=2)
    async with running(world, gone.decorators) as service:
        first = await service.end(await service.start_restore(suffix="_r"))
        last = await service.end(await service.start_retry(first))
    assert (first.state, last.state) == (OperationState.FAILED, OperationState.SUCCEEDED)
    assert set(states(last)) == {"default.one_r", "default.two_r", "shop.one_r"}


async def test_a_retry_that_fails_again_can_be_retried() -> None:
    world = await with_backup()
    mappings = (CollectionMapping("one", "x"), CollectionMapping("one", "y"))
    refusing = Meanwhile(
        GATEWAY, "create_collection", failing(MilvusRefused("no")), first=2, times=2
    )
    async with running(world, refusing.decorators) as service:
        first = await service.end(await service.start_restore(mappings=mappings))
        second = await service.end(await service.start_retry(first))
        third = await service.end(await service.start_retry(second))
    found = [(it.state, it.retry_of) for it in (first, second, third)]
    assert found == [
        (OperationState.PARTIALLY_SUCCEEDED, ""),
        (OperationState.FAILED, first.name),
        (OperationState.SUCCEEDED, second.name),
    ]
    assert states(third) == {"default.y": DONE}


async def test_what_cannot_be_retried() -> None:
    world = await with_backup()
    async with running(world) as service:
        done = await service.restore(suffix="_r")
        with pytest.raises(OperationEnded, match="has succeeded and cannot be retried"):
            await service.start_retry(done)
        deleted = await service.end(await service.start_delete())
        with pytest.raises(OperationEnded):
            await service.start_retry(deleted)
        with pytest.raises(OperationNotFound):
            await service.start_retry(replace(done, name="20261122t000000_00000000"))


async def test_nothing_is_retried_where_all_collections_are_restored() -> None:
    world = await with_backup()
    denied = failing(StorageDenied("the store does not let us"))
    noting = Meanwhile(BACKUP_STORE, "put", denied, part="/finished-restores/")
    async with running(world, noting.decorators) as service:
        first = await service.end(await service.start_restore(suffix="_r"))
        assert (first.state, noting.fired) == (OperationState.FAILED, 1)
        assert set(states(first).values()) == {DONE}
        with pytest.raises(OperationEnded, match="its collections are restored, all of them"):
            await service.start_retry(first)
    assert world.milvus.collection(named("two_r")).live_keys() == [0, 1, 2, 3, 4]


async def test_what_has_not_ended_is_not_retried() -> None:
    world = await with_backup()
    world.milvus.imports.gate.clear()
    async with running(world) as service:
        begun = await service.start_restore(suffix="_r")
        with pytest.raises(OperationConflict, match="has not ended"):
            await service.start_retry(begun)
        world.milvus.imports.gate.set()
        await service.end(begun)


async def test_a_target_that_was_made_meanwhile_stands_in_the_way_of_a_retry() -> None:
    world = await with_backup()
    refusing = Meanwhile(GATEWAY, "create_collection", failing(MilvusRefused("no")), first=2)
    async with running(world, refusing.decorators) as service:
        first = await service.end(await service.start_restore(suffix="_r"))
        await add_collection(world.milvus, "two_r")
        with pytest.raises(TargetAlreadyExists, match=r"default\.two_r"):
            await service.start_retry(first)
