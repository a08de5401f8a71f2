"""Creates of which some collections fail: the others are whole, and the backup never says more than it holds."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.errors import (
    BackupAlreadyExists,
    BackupNotRestorable,
    MilvusRefused,
    MilvusUnavailable,
    SourceInconsistent,
)
from milvus_backup_server.domain.manifest import ManifestMissing
from milvus_backup_server.domain.operations import (
    CollectionState,
    CreateResult,
    Operation,
    OperationState,
)
from tests.support.held_calls import BACKUP_STORE, GATEWAY, Gate, around_all
from tests.support.meanwhile import Meanwhile, failing
from tests.support.service import World, add_collection, named, running

FAILED, DONE = CollectionState.FAILED, CollectionState.SUCCEEDED
NO = MilvusRefused("no")
MISSING = ManifestMissing(
    db_name="default", collection_name="two", reason="MILVUS_REFUSED", message="no"
)


async def three_collections() -> World:
    world = World()
    for name in ("one", "two", "shop.one"):
        await add_collection(world.milvus, name, range(5))
    return world


def states(operation: Operation) -> dict[str, CollectionState]:
    return {str(item.source): item.state for item in operation.collections}


def at(method: str, **more: Any) -> Callable[[World], Meanwhile]:
    """Let a call to Milvus about `default.two` fail."""
    return lambda _: Meanwhile(GATEWAY, method, failing(NO), part="default.two", **more)


def copying(world: World) -> Meanwhile:
    """Let an object of `default.two` be copied in vain."""
    number = world.milvus.collection(named("two")).collection_id
    error = failing(SourceInconsistent("it is broken"))
    return Meanwhile(BACKUP_STORE, "copy", error, part=f"/{number}/", first=3)


@pytest.mark.parametrize("allow", [False, True], ids=["not allowed", "allowed"])
@pytest.mark.parametrize(
    "arrange",
    [at("is_flushed"), at("load_state"), copying],
    ids=["flushing", "planning", "copying"],
)
async def test_the_others_are_whole_and_the_backup_says_what_it_is(
    arrange: Callable[[World], Meanwhile], *, allow: bool
) -> None:
    world = await three_collections()
    meanwhile = arrange(world)
    async with running(world, meanwhile.decorators) as service:
        last = await service.end(await service.start_create(allow_partial=allow))
        backup = await service.catalog.get("b")
    assert meanwhile.fired == 1
    assert (last.state, last.error) == (OperationState.PARTIALLY_SUCCEEDED, None)
    assert states(last) == {"default.two": FAILED, "default.one": DONE, "shop.one": DONE}
    assert isinstance(last.result, CreateResult)
    assert (last.result.collection_count, last.result.row_count) == (2, 10)
    error = last.collections[0].error
    assert error is not None
    assert error.metadata["collection"] == "default.two"
    complete = "backup/b/meta/full_meta.json" in await world.backups()
    listed = "backup/b/meta/backup_meta.json" in await world.backups()
    assert complete == listed == allow
    assert backup.state is (BackupState.COMPLETE if allow else BackupState.INCOMPLETE)
    assert [it.collection_name for it in backup.missing] == (["two"] if allow else [])
    number = world.milvus.collection(named("two")).collection_id
    strays = [key for key in await world.backups() if f"_log/{number}/" in key]
    assert not (allow and strays)


async def test_a_complete_one_names_what_is_missing_and_restores_the_rest() -> None:
    world = await three_collections()
    async with running(world, at("is_flushed")(world).decorators) as service:
        await service.end(await service.start_create(allow_partial=True))
    async with running(world, generation=2) as service:
        backup = await service.catalog.get("b")
        (listed,) = (await service.catalog.list("", 10, full=False)).items
        assert (await service.verify()).state is OperationState.SUCCEEDED
        await service.restore(suffix="_r")
    assert backup.missing == listed.missing == (MISSING,)
    assert backup.notes == ("made without collections that failed: default.two",)
    assert (backup.collection_count, backup.exact) == (2, True)
    for name in ("one_r", "shop.one_r"):
        assert world.milvus.collection(named(name)).live_keys() == [0, 1, 2, 3, 4]
    assert "default.two_r" not in world.collections()
    number = world.milvus.collection(named("two")).collection_id
    assert not [key for key in await world.backups() if f"/{number}/" in key]
    full = json.loads(await world.backup_store.get("backup/b/meta/full_meta.json"))
    assert [it["collection_name"] for it in full["collection_backups"]] == ["one", "one"]


async def test_an_incomplete_one_is_not_restored_and_its_name_is_free_after_a_delete() -> None:
    world = await three_collections()
    async with running(world, at("is_flushed")(world).decorators) as service:
        await service.end(await service.start_create())
        with pytest.raises(BackupNotRestorable):
            await service.start_restore(suffix="_r")
        await service.delete()
        await service.create()
        assert (await service.catalog.get("b")).state is BackupState.COMPLETE


async def test_one_that_cannot_be_flushed_does_not_keep_those_of_its_database_from_it() -> None:
    world = await three_collections()
    flushes = Meanwhile(GATEWAY, "flush", failing(NO), part="default", times=2)
    async with running(world, flushes.decorators) as service:
        last = await service.end(await service.start_create(allow_partial=True))
    assert flushes.fired == 2  # that of both, and that of the first one alone
    assert last.state is OperationState.PARTIALLY_SUCCEEDED
    assert sorted(states(last).values(), key=str) == [FAILED, DONE, DONE]


@pytest.mark.parametrize("looked_at", ["/meta/manifest.", "/insert_log/{}/"])
async def test_what_a_successor_wrote_of_one_that_failed_stays(looked_at: str) -> None:
    world = await three_collections()
    number = world.milvus.collection(named("two")).collection_id
    theirs = {
        f"backup/b/meta/manifest.7/{number}.jsonl": b"{}",
        f"backup/b/binlogs/insert_log/{number}/1/1/1/0/1": b"row ids",
    }

    async def take_over() -> None:
        await world.backup_store.put("backup/b/meta/claim.json", b"another's")
        for key, data in theirs.items():
            await world.backup_store.put(key, data)

    broken, slept = copying(world), asyncio.Event()

    async def around(
        port: str, method: str, subject: str, call: Callable[[], Awaitable[Any]]
    ) -> Any:
        listed = method == "list_page" and looked_at.format(number) in subject
        if broken.fired and listed and not slept.is_set():
            slept.set()
            await take_over()
        return await broken(port, method, subject, call)

    async with running(world, around_all(around)) as service:
        error = await service.error(await service.start_create(allow_partial=True))
    assert slept.is_set()
    assert error.reason == "BACKUP_NAME_LOST"
    assert theirs.keys() <= (await world.objects()).keys()


async def test_when_every_collection_fails_the_create_has_failed_and_wrote_nothing() -> None:
    world = await three_collections()
    refusing = Meanwhile(GATEWAY, "load_state", failing(NO), times=9)
    async with running(world, refusing.decorators) as service:
        error = await service.error(await service.start_create(allow_partial=True))
    assert refusing.fired == 3
    assert error.reason == "MILVUS_REFUSED"
    assert named(error.metadata["collection"]) in {named(it) for it in ("one", "two", "shop.one")}
    assert await world.backups() == []


async def test_what_concerns_all_still_ends_the_create() -> None:
    world = await three_collections()
    down = failing(MilvusUnavailable("Milvus does not answer"))
    gone = Meanwhile(GATEWAY, "load_state", down, part="default.two")
    async with running(world, gone.decorators) as service:
        last = await service.end(await service.start_create(allow_partial=True))
    assert gone.fired == 1
    assert last.state is OperationState.INTERRUPTED
    assert states(last)["default.two"] is FAILED
    assert await world.backups() == []


async def test_a_wrong_bucket_is_not_taken_for_a_backup_of_the_empty_collections() -> None:
    world = await three_collections()
    await add_collection(world.milvus, "empty")

    async def lose() -> None:
        page = await world.milvus_store.list_page("files/")
        await world.milvus_store.delete([item.key for item in page.objects])

    lost = Meanwhile(GATEWAY, "load_state", lose, times=9)
    async with running(world, lost.decorators) as service:
        error = await service.error(await service.start_create(allow_partial=True))
    assert lost.fired >= 4
    assert error.reason == "SOURCE_STORAGE_MISMATCH"
    assert await world.backups() == []


async def test_a_cancel_after_one_failed_leaves_nothing() -> None:
    world = await three_collections()
    refusing = at("is_flushed")(world)
    async with running(world, refusing.decorators) as service:
        operation = await service.start_create()
        async for state in service.operations.watch(operation.name, 0.001):
            if state.failed_count:
                service.operations.cancel(operation.name)
                break
        last = await service.end(operation)
    assert refusing.fired == 1
    assert last.state is OperationState.CANCELLED
    assert await world.backups() == []


# --- retries


async def test_a_retry_copies_only_what_failed_into_the_same_backup() -> None:
    world = await three_collections()
    one = world.milvus.collection(named("one")).collection_id
    meanwhile = copying(world)
    async with running(world, meanwhile.decorators) as service:
        first = await service.end(await service.start_create(labels={"who": "me"}))
        copied = len([1 for _, method, _ in meanwhile.calls if method == "copy"])
        assert f"backup/b/meta/manifest.1/{one}.jsonl" in await world.backups()
        last = await service.end(await service.start_retry(first, "again"))
        again = [subject for _, method, subject in meanwhile.calls if method == "copy"][copied:]
        backup = await service.catalog.get("b")
        assert (await service.verify()).state is OperationState.SUCCEEDED
        await service.restore(suffix="_r")
    assert first.state is OperationState.PARTIALLY_SUCCEEDED
    assert (last.state, last.retry_of) == (OperationState.SUCCEEDED, first.name)
    assert states(last) == {"default.one": DONE, "default.two": DONE, "shop.one": DONE}
    number = world.milvus.collection(named("two")).collection_id
    assert again
    assert all(f"/{number}/" in subject for subject in again)
    assert (backup.state, backup.id, backup.labels) == (
        BackupState.COMPLETE,
        first.name,
        {"who": "me"},
    )
    assert (backup.collection_count, backup.missing) == (3, ())
    for name in ("one_r", "two_r", "shop.one_r"):
        assert world.milvus.collection(named(name)).live_keys() == [0, 1, 2, 3, 4]


async def test_what_could_not_even_be_planned_is_planned_by_the_retry_of_a_retry() -> None:
    world = await three_collections()
    refusing = Meanwhile(GATEWAY, "load_state", failing(NO), part="default.two", times=2)
    async with running(world, refusing.decorators) as service:
        first = await service.end(await service.start_create())
        second = await service.end(await service.start_retry(first))
        world.milvus.insert(named("two"), [77])
        third = await service.end(await service.start_retry(second))
        await service.restore(suffix="_r")
    partly = OperationState.PARTIALLY_SUCCEEDED
    assert [it.state for it in (first, second, third)] == [partly, partly, OperationState.SUCCEEDED]
    assert world.milvus.collection(named("two_r")).live_keys() == [0, 1, 2, 3, 4, 77]


async def test_a_retry_of_one_that_failed_makes_the_whole_backup() -> None:
    world = await three_collections()
    refusing = Meanwhile(GATEWAY, "load_state", failing(NO), times=3)
    async with running(world, refusing.decorators) as service:
        first = await service.end(await service.start_create())
        await service.end(await service.start_retry(first))
        backup = await service.catalog.get("b")
    assert first.state is OperationState.FAILED
    assert (backup.state, backup.collection_count) == (BackupState.COMPLETE, 3)


async def test_a_retry_that_is_cancelled_leaves_nothing() -> None:
    world = await three_collections()
    number = world.milvus.collection(named("two")).collection_id
    retries: list[Operation] = []
    cancelled: list[Operation] = []

    async def act() -> None:
        if not retries:
            raise SourceInconsistent("it is broken")
        if not cancelled:
            cancelled.append(service.operations.cancel(retries[0].name))

    meanwhile = Meanwhile(BACKUP_STORE, "copy", act, part=f"/{number}/", first=3, times=99)
    async with running(world, meanwhile.decorators) as service:
        first = await service.end(await service.start_create())
        retries.append(await service.start_retry(first))
        last = await service.end(retries[0])
    assert first.state is OperationState.PARTIALLY_SUCCEEDED
    assert len(cancelled) == 1
    assert last.state is OperationState.CANCELLED
    assert await world.backups() == []


async def test_a_backup_that_is_complete_without_what_failed_is_not_changed() -> None:
    world = await three_collections()
    async with running(world, at("is_flushed")(world).decorators) as service:
        first = await service.end(await service.start_create(allow_partial=True))
        before = await world.objects()
        with pytest.raises(BackupAlreadyExists, match="is not changed any more"):
            await service.start_retry(first)
    assert await world.objects() == before


async def test_a_name_that_is_another_s_meanwhile_is_not_retried_into() -> None:
    world = await three_collections()
    async with running(world, at("is_flushed")(world).decorators) as service:
        first = await service.end(await service.start_create())
        await service.delete()
        await service.create()
        with pytest.raises(BackupAlreadyExists):
            await service.start_retry(first)


async def test_one_that_was_finished_and_not_recorded_tells_of_what_it_lacks() -> None:
    world, records = await three_collections(), MemoryServer("records").store("records")
    gate = Gate(BACKUP_STORE, "put", part="full_meta.json", answer=True)
    refusing = at("load_state")(world)

    async def around(
        port: str, method: str, subject: str, call: Callable[[], Awaitable[Any]]
    ) -> Any:
        if gate.is_here(port, method, subject):
            return await gate.hold(call)
        return await refusing(port, method, subject, call)

    async with running(world, around_all(around), records=records) as service:
        operation = await service.start_create(allow_partial=True)
        await gate.reached.wait()
        await service.operations.drain(0)
        assert service.operations.get(operation.name).state is OperationState.INTERRUPTED
    async with running(world, records=records, generation=2) as service:
        last = await service.resume(operation.name)
        backup = await service.catalog.get("b")
    assert refusing.fired == 1
    assert (last.state, backup.state) == (
        OperationState.PARTIALLY_SUCCEEDED,
        BackupState.COMPLETE,
    )
    assert states(last) == {"default.one": DONE, "default.two": FAILED, "shop.one": DONE}
    (error,) = [item.error for item in last.collections if item.error is not None]
    assert (error.reason, error.message) == ("MILVUS_REFUSED", "no")
    assert isinstance(last.result, CreateResult)
    assert (last.result.collection_count, last.result.row_count) == (2, 10)
