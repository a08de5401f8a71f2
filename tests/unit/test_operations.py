"""Operations begin, run, end and are listed."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from milvus_backup_server.domain.errors import (
    OperationConflict,
    OperationNotFound,
    RequestIdReused,
    StorageDenied,
    StorageUnavailable,
    TooManyOperations,
)
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    Amount,
    CollectionProgress,
    CollectionState,
    DeleteResult,
    OperationKind,
    OperationState,
    Phase,
    Result,
)
from milvus_backup_server.service.concurrency import first_backup_error
from milvus_backup_server.service.operations import (
    OperationLimits,
    OperationManager,
)
from milvus_backup_server.service.running import finished
from milvus_backup_server.service.tracker import Tracker
from tests.support.bodies import RESULT, Held, asked, at_once, ended, in_time, state_of, until

PENDING = OperationState.PENDING
RUNNING = OperationState.RUNNING
SUCCEEDED = OperationState.SUCCEEDED
FAILED = OperationState.FAILED
CREATE = OperationKind.CREATE_BACKUP
RESTORE = OperationKind.RESTORE_BACKUP


@pytest.fixture
async def manager() -> AsyncIterator[OperationManager]:
    async with OperationManager(OperationLimits(cleanup_seconds=0.2)) as running:
        yield running


async def test_an_operation_runs_and_ends_with_its_result(manager: OperationManager) -> None:
    body = Held()
    first = await manager.begin(asked("nightly"), body)
    assert first.state is PENDING
    assert (first.backup_name, first.kind) == ("nightly", OperationKind.DELETE_BACKUP)
    assert (first.start_time, first.end_time, first.result) == (None, None, None)
    await in_time(body.running.wait())
    running = manager.get(first.name)
    assert running.state is RUNNING
    assert running.start_time is not None
    body.go.set()
    last = await ended(manager, first)
    assert (last.state, last.result, last.error) == (SUCCEEDED, RESULT, None)
    assert last.end_time is not None
    assert last.revision > running.revision > first.revision
    assert manager.get(first.name) == last


async def test_an_error_for_callers_is_recorded_as_it_is(manager: OperationManager) -> None:
    body = Held(error=StorageDenied("no", bucket="x"))
    body.go.set()
    last = await ended(manager, await manager.begin(asked(), body))
    assert last.state is FAILED
    assert isinstance(last.error, StorageDenied)
    assert last.error.metadata == {"bucket": "x"}
    assert last.result is None


async def test_an_error_inside_a_group_is_found(manager: OperationManager) -> None:
    inner = ExceptionGroup("inner", [ValueError("ours"), StorageUnavailable("later")])
    body = Held(error=ExceptionGroup("outer", [inner]))
    body.go.set()
    last = await ended(manager, await manager.begin(asked(), body))
    assert isinstance(last.error, StorageUnavailable)


async def test_a_fault_of_ours_tells_no_inner_text_but_is_logged(
    manager: OperationManager, caplog: pytest.LogCaptureFixture
) -> None:
    body = Held(error=KeyError("secret"))
    body.go.set()
    with caplog.at_level(logging.ERROR):
        last = await ended(manager, await manager.begin(asked(), body))
    assert last.state is FAILED
    assert last.error is not None
    assert last.error.reason == "INTERNAL"
    assert "secret" not in last.error.message
    assert "secret" in caplog.text


async def test_neither_failing_nor_cancelling_touches_what_runs_beside(
    manager: OperationManager,
) -> None:
    failing, steady = Held(error=StorageDenied("no")), Held()
    one = await manager.begin(asked("one"), failing)
    two = await manager.begin(asked("two"), steady)
    await in_time(steady.running.wait())
    failing.go.set()
    assert (await ended(manager, one)).state is FAILED
    cancelled = Held()
    three = await manager.begin(asked("three"), cancelled)
    await in_time(cancelled.running.wait())
    manager.cancel(three.name)
    assert (await ended(manager, three)).state is OperationState.CANCELLED
    assert state_of(manager, two) is RUNNING
    steady.go.set()
    assert (await ended(manager, two)).state is SUCCEEDED


# --- places


async def test_only_so_many_run_and_the_others_wait_in_their_order() -> None:
    async with OperationManager(OperationLimits(concurrent=2)) as manager:
        bodies = [Held() for _ in range(4)]
        operations = [await manager.begin(asked(f"b{it}"), body) for it, body in enumerate(bodies)]
        await in_time(bodies[1].running.wait())
        for _ in range(10):
            await asyncio.sleep(0)
        states = [state_of(manager, operation) for operation in operations]
        assert states == [RUNNING, RUNNING, PENDING, PENDING]
        bodies[0].go.set()
        await in_time(bodies[2].running.wait())
        assert not bodies[3].running.is_set()
        for body in bodies:
            body.go.set()
        assert [(await ended(manager, it)).state for it in operations] == [SUCCEEDED] * 4


async def test_those_that_wait_are_bounded() -> None:
    async with OperationManager(OperationLimits(concurrent=1, pending=2)) as manager:
        bodies = [Held() for _ in range(3)]
        for number, body in enumerate(bodies):
            await manager.begin(asked(f"b{number}"), body)
        with pytest.raises(TooManyOperations) as caught:
            await manager.begin(asked("b3"), at_once)
        assert caught.value.metadata == {"pending": "2"}
        bodies[0].go.set()
        await in_time(bodies[1].running.wait())
        await manager.begin(asked("b3"), at_once)


async def test_a_free_place_needs_no_room_among_those_that_wait() -> None:
    async with OperationManager(OperationLimits(concurrent=2, pending=0)) as manager:
        one, two = Held(), Held()
        await manager.begin(asked("one"), one)
        await manager.begin(asked("two"), two)  # before the first had its first step
        with pytest.raises(TooManyOperations):
            await manager.begin(asked("three"), at_once)
        await in_time(two.running.wait())
        with pytest.raises(TooManyOperations):
            await manager.begin(asked("three"), at_once)


async def test_a_refused_operation_leaves_no_trace(manager: OperationManager) -> None:
    body = Held()
    await manager.begin(asked("b"), body)
    with pytest.raises(OperationConflict):
        await manager.begin(asked("b", request_id="again"), at_once)
    assert len(manager.list("", 10).items) == 1
    assert await manager.repeated("again", "request") is None


# --- conflicts


async def test_a_conflict_names_the_operation_in_the_way(manager: OperationManager) -> None:
    body = Held()
    first = await manager.begin(asked("b", CREATE), body)
    with pytest.raises(OperationConflict) as caught:
        await manager.begin(asked("b", RESTORE), at_once)
    assert caught.value.metadata == {"operation": first.name, "backup": "b"}
    body.go.set()
    await ended(manager, first)
    assert (
        await ended(manager, await manager.begin(asked("b", RESTORE), at_once))
    ).state is SUCCEEDED


async def test_two_restores_into_one_target_conflict(manager: OperationManager) -> None:
    target = frozenset({CollectionName("default", "c")})
    await manager.begin(asked("one", RESTORE, targets=target), Held())
    with pytest.raises(OperationConflict):
        await manager.begin(asked("two", RESTORE, targets=target), at_once)


async def test_a_conflict_can_be_found_before_anything_else_is_asked(
    manager: OperationManager,
) -> None:
    request = asked("b", CREATE)
    await manager.refuse_conflict(request.footprint)
    await manager.begin(request, Held())
    with pytest.raises(OperationConflict):
        await manager.refuse_conflict(request.footprint)


async def test_backups_that_are_worked_on_are_told(manager: OperationManager) -> None:
    bodies = [Held() for _ in range(3)]
    kinds = (CREATE, RESTORE, OperationKind.DELETE_BACKUP)
    for kind, body in zip(kinds, bodies, strict=True):
        await manager.begin(asked(kind.value, kind), body)
    assert manager.active_backups() == {
        "create_backup": CREATE,
        "delete_backup": OperationKind.DELETE_BACKUP,
    }
    for body in bodies:
        body.go.set()
    await until(lambda: not manager.active_backups())


# --- request ids


async def test_the_same_request_id_gives_the_same_operation(manager: OperationManager) -> None:
    body = Held()
    first = await manager.begin(asked("b", original=("a", 1), request_id="id"), body)
    again = await manager.begin(asked("b", original=("a", 1), request_id="id"), at_once)
    assert again.name == first.name
    repeated = await manager.repeated("id", ("a", 1))
    assert repeated is not None
    assert repeated.name == first.name
    body.go.set()
    await ended(manager, first)
    after = await manager.begin(asked("b", original=("a", 1), request_id="id"), at_once)
    assert (after.name, after.state) == (first.name, SUCCEEDED)


async def test_the_same_request_id_with_another_request_is_an_error(
    manager: OperationManager,
) -> None:
    first = await manager.begin(asked("b", original=1, request_id="id"), Held())
    with pytest.raises(RequestIdReused) as caught:
        await manager.repeated("id", 2)
    assert caught.value.metadata == {
        "request_id": "id",
        "operation": first.name,
        "field": "request_id",
    }
    assert [item.field for item in caught.value.obstacles] == ["request_id"]
    assert caught.value.message == (
        f"request_id 'id' was used for another request ({first.name}); take a new one"
    )
    with pytest.raises(RequestIdReused):
        await manager.begin(asked("c", original=2, request_id="id"), at_once)


async def test_requests_without_an_id_are_always_new(manager: OperationManager) -> None:
    one = await manager.begin(asked("one"), at_once)
    two = await manager.begin(asked("two"), at_once)
    assert one.name != two.name
    assert await manager.repeated("", "request") is None


# --- looking


async def test_operations_are_listed_newest_first_in_pages(manager: OperationManager) -> None:
    names = [(await manager.begin(asked(f"b{number}"), at_once)).name for number in range(5)]
    newest_first = names[::-1]
    first = manager.list("", 2)
    assert [item.name for item in first.items] == newest_first[:2]
    assert first.next_key == newest_first[1]
    second = manager.list(first.next_key, 2)
    assert [item.name for item in second.items] == newest_first[2:4]
    third = manager.list(second.next_key, 2)
    assert [item.name for item in third.items] == newest_first[4:]
    assert third.next_key == ""
    assert manager.list("", 5).next_key == ""


async def test_lists_are_narrowed(manager: OperationManager) -> None:
    held = Held()
    one = await manager.begin(asked("one", CREATE), held)
    two = await manager.begin(asked("two", RESTORE), at_once)
    await ended(manager, two)

    def names(
        backup: str = "",
        kinds: frozenset[OperationKind] = frozenset(),
        states: frozenset[OperationState] = frozenset(),
    ) -> list[str]:
        return [item.name for item in manager.list("", 10, backup, kinds, states).items]

    assert names(backup="one") == [one.name]
    assert names(kinds=frozenset({RESTORE})) == [two.name]
    assert names(states=frozenset({RUNNING})) == [one.name]
    assert names(states=frozenset({RUNNING, SUCCEEDED})) == [two.name, one.name]
    assert names(backup="one", kinds=frozenset({RESTORE})) == []


async def test_ended_operations_are_forgotten_beyond_a_bound() -> None:
    async with OperationManager(OperationLimits(remembered=2)) as manager:
        running = await manager.begin(asked("running"), Held())
        operations = []
        for number in range(4):
            operation = await manager.begin(asked(f"b{number}", request_id=f"id{number}"), at_once)
            operations.append(await ended(manager, operation))
        await until(lambda: len(manager.list("", 10).items) == 3)
        known = [item.name for item in manager.list("", 10).items]
        assert known == [operations[3].name, operations[2].name, running.name]
        with pytest.raises(OperationNotFound):
            manager.get(operations[0].name)
        assert await manager.repeated("id0", "request") is None
        assert await manager.repeated("id3", "request") is not None


async def test_ended_operations_of_many_collections_are_forgotten_sooner() -> None:
    async def body(tracker: Tracker) -> Result:
        tracker.add_collections(
            CollectionProgress(CollectionName("default", f"c{number}")) for number in range(40)
        )
        return RESULT

    limits = OperationLimits(remembered=10, remembered_collections=100)
    async with OperationManager(limits) as manager:
        names = [
            (await ended(manager, await manager.begin(asked(f"b{number}"), body))).name
            for number in range(4)
        ]
        await until(lambda: len(manager.list("", 10).items) == 2)
        assert [item.name for item in manager.list("", 10).items] == [names[3], names[2]]
    async with OperationManager(OperationLimits(remembered_collections=1)) as manager:
        large = await ended(manager, await manager.begin(asked(), body))
        assert manager.get(large.name).collection_count == 40


async def test_a_page_behind_a_forgotten_operation_does_not_begin_anew() -> None:
    async with OperationManager(OperationLimits(remembered=1)) as manager:
        await manager.begin(asked("old", name="20260131t120001_aa"), Held())
        for number, name in enumerate(("20260131t120002_bb", "20260131t120003_cc")):
            await ended(manager, await manager.begin(asked(f"b{number}", name=name), at_once))
        await until(lambda: len(manager.list("", 10).items) == 2)
        left = [item.name for item in manager.list("20260131t120002_bb", 10).items]
        assert left == ["20260131t120001_aa"]


async def test_unknown_operations_are_not_found(manager: OperationManager) -> None:
    with pytest.raises(OperationNotFound):
        manager.get("nothing")
    with pytest.raises(OperationNotFound):
        manager.cancel("nothing")
    with pytest.raises(OperationNotFound):
        manager.collections("nothing", 0, 1)


async def test_pages_of_an_operation_s_collections(manager: OperationManager) -> None:
    names = [CollectionName("default", f"c{number}") for number in range(5)]

    async def body(tracker: Tracker) -> Result:
        tracker.add_collections(CollectionProgress(source=name) for name in names)
        tracker.enter(Phase.DELETING)
        tracker.advance(Amount(objects=1))
        tracker.collection(names[4], state=CollectionState.FAILED)
        return DeleteResult(1)

    last = await ended(manager, await manager.begin(asked(), body))
    assert (last.collection_count, last.failed_count, last.succeeded_count) == (5, 1, 0)
    assert last.collections[0].source == names[4]
    pages = [manager.collections(last.name, offset, 2) for offset in (0, 2, 4)]
    assert [[it.source for it in page.items] for page in pages] == [
        names[:2],
        names[2:4],
        names[4:],
    ]
    assert [page.next_key for page in pages] == ["2", "4", ""]
    assert manager.collections(last.name, 0, 5).next_key == ""


# --- what is not run


async def test_a_finished_operation_is_never_stored(manager: OperationManager) -> None:
    operation = finished(asked("b"), RESULT)
    assert (operation.state, operation.result) == (SUCCEEDED, RESULT)
    assert operation.end_time is not None
    assert manager.list("", 10).items == ()


def test_the_first_error_for_callers_in_a_group() -> None:
    wanted, other = StorageDenied("a"), StorageUnavailable("b")
    assert first_backup_error(wanted) is wanted
    group = ExceptionGroup("g", [ValueError(), ExceptionGroup("h", [wanted]), other])
    assert first_backup_error(group) is wanted
    assert first_backup_error(ValueError()) is None
    assert first_backup_error(ExceptionGroup("g", [ValueError()])) is None
