"""Operations on record: told after a restart and by other services, resumed, cancelled from afar."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from milvus_backup_server.domain.errors import (
    OperationConflict,
    OperationEnded,
    OperationInterrupted,
    OperationNotFound,
    OperationNotResumable,
    RequestIdReused,
)
from milvus_backup_server.domain.operations import (
    DeleteResult,
    OperationKind,
    OperationState,
    Result,
)
from milvus_backup_server.domain.requests import DeleteRequest
from milvus_backup_server.service.tracker import Tracker
from tests.support.replicas import (
    DELETE,
    QUICK,
    Replicas,
    Work,
    asked,
    at_once,
    crash,
    replicas,
    resuming,
)

CREATE = OperationKind.CREATE_BACKUP
CANCELLED = OperationState.CANCELLED
CANCELLING = OperationState.CANCELLING
INTERRUPTED = OperationState.INTERRUPTED
RUNNING = OperationState.RUNNING
SUCCEEDED = OperationState.SUCCEEDED


@pytest.fixture
async def world() -> AsyncIterator[Replicas]:
    async with replicas() as found:
        yield found


# --- told


async def test_what_has_ended_is_told_by_a_service_that_comes_later(world: Replicas) -> None:
    first = await world.start()
    name = await first.begin(asked(task_id="mine"), at_once)
    ended = await first.manager.end_of(name)
    await first.on_record(name, SUCCEEDED)
    second = await world.start()
    assert await second.directory.get(name) == ended
    assert await second.directory.find("mine") == ended
    assert (await second.directory.list("", 10)).items == (ended,)


async def test_what_another_service_runs_is_told_with_its_owner(world: Replicas) -> None:
    first, second, work = await world.start(), await world.start(), Work()
    name = await first.begin(asked(), work)
    seen = await second.becomes(name, RUNNING)
    assert (seen.owner, seen.backup_name) == (str(first.owner), "b")
    assert (await first.directory.get(name)).owner == ""
    assert await second.directory.active_backups() == {"b": DELETE}
    work.go.set()
    last = await second.becomes(name, SUCCEEDED)
    assert (last.owner, last.result) == ("", DeleteResult(7))
    assert await second.directory.active_backups() == {}


async def test_what_a_vanished_service_ran_is_interrupted_and_says_who_ran_it(
    world: Replicas,
) -> None:
    first, second, work = await world.start(), await world.start(), Work()
    name = await first.begin(asked(), work)
    await second.becomes(name, RUNNING)
    await crash(first)
    seen = await second.becomes(name, INTERRUPTED)
    assert isinstance(seen.error, OperationInterrupted)
    assert str(first.owner) in seen.error.message
    states = {it.name: it.state for it in (await second.directory.list("", 10)).items}
    assert states == {name: INTERRUPTED}


async def test_whoever_finds_what_a_vanished_service_ran_writes_it_down(world: Replicas) -> None:
    first, second, work = await world.start(), await world.start(), Work()
    name = await first.begin(asked(), work)
    await second.becomes(name, RUNNING)
    await crash(first)
    await second.becomes(name, INTERRUPTED)
    written = await second.on_record(name, INTERRUPTED)
    assert written.owner == first.owner
    assert written.operation.end_time is not None
    assert written.operation.error is not None
    assert str(first.owner) in written.operation.error.message


async def test_a_service_that_was_only_cut_off_goes_on_with_what_was_written_down(
    world: Replicas,
) -> None:
    first, second, work = await world.start(), await world.start(), Work()
    name = await first.begin(asked(), work)
    found = await first.on_record(name, RUNNING)
    stored = await second.log.read(name)
    assert stored is not None
    ended = found.judged(frozenset())
    assert ended.operation.state is INTERRUPTED
    await second.log.replace(ended, stored.version)
    work.go.set()
    assert (await first.manager.end_of(name)).state is SUCCEEDED
    await first.on_record(name, SUCCEEDED)


async def test_a_service_that_stops_in_peace_leaves_the_truth_at_once(world: Replicas) -> None:
    first, second, work = await world.start(), await world.start(), Work()
    name = await first.begin(asked(), work)
    await first.manager.drain(0)
    await first.journal.__aexit__(None, None, None)
    assert (await second.directory.get(name)).state is INTERRUPTED
    assert await world.keys("owners/") == []


async def test_an_idle_service_takes_its_sign_of_life_back(world: Replicas) -> None:
    first = await world.start()
    name = await first.begin(asked(), at_once)
    await first.on_record(name, SUCCEEDED)
    async with asyncio.timeout(60):
        await world.gone("owners/")
    again = await first.begin(asked(), at_once)
    await first.on_record(again, SUCCEEDED)


async def test_names_from_outside_never_become_part_of_a_key(world: Replicas) -> None:
    service = await world.start()
    await world.store.put("root/.milvus-backup/operations/evil.json", b"{}")
    for name in ("evil", "../operations/evil", "", "20261122t200102_6437f62d"):
        with pytest.raises(OperationNotFound):
            await service.directory.get(name)


async def test_a_damaged_record_hides_no_other(world: Replicas) -> None:
    service = await world.start()
    name = await service.begin(asked(), at_once)
    await service.on_record(name, SUCCEEDED)
    await world.store.put("root/.milvus-backup/operations/20261122t200102_6437f62d.json", b"{")
    other = await world.start()
    assert [it.name for it in (await other.directory.list("", 10)).items] == [name]


# --- conflicts


async def test_what_is_in_the_way_may_run_in_another_service(world: Replicas) -> None:
    first, second, work = await world.start(), await world.start(), Work()
    name = await first.begin(asked(), work)
    for attempt in (
        second.manager.refuse_conflict(asked(kind=CREATE).footprint),
        second.manager.begin(asked(kind=CREATE), at_once),
    ):
        with pytest.raises(OperationConflict) as caught:
            await attempt
        assert caught.value.metadata["operation"] == name
        assert str(first.owner) in caught.value.message
    assert (await second.directory.list("", 10)).items[0].name == name
    await second.begin(asked("another"), at_once)
    work.go.set()
    await first.on_record(name, SUCCEEDED)
    await second.begin(asked(kind=CREATE), at_once)


async def test_of_operations_in_each_others_way_begun_at_once_one_runs(world: Replicas) -> None:
    services = [await world.start() for _ in range(4)]
    work = Work()
    tries = [service.manager.begin(asked(), work) for service in services]
    ended = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(end, OperationConflict) for end in ended) == len(services) - 1
    assert len(await world.keys("operations/")) == 1


async def test_what_a_vanished_service_left_is_in_nobodys_way(world: Replicas) -> None:
    first, second = await world.start(), await world.start()
    name = await first.begin(asked(), Work())
    await crash(first)
    await second.becomes(name, INTERRUPTED)
    await second.begin(asked(), at_once)


# --- request ids


async def test_a_request_id_means_the_same_operation_after_a_restart(world: Replicas) -> None:
    first, second = await world.start(), await world.start()
    name = await first.begin(asked(request_id="ü/../1"), at_once)
    await first.on_record(name, SUCCEEDED)
    found = await second.manager.repeated("ü/../1", DeleteRequest("b"))
    assert found is not None
    assert (found.name, found.state) == (name, SUCCEEDED)
    assert (await second.manager.begin(asked(request_id="ü/../1"), at_once)).name == name
    with pytest.raises(RequestIdReused):
        await second.manager.repeated("ü/../1", DeleteRequest("c"))
    assert not [key for key in await world.keys() if "ü" in key or ".." in key]


async def test_of_two_services_with_one_request_id_both_tell_of_one_operation(
    world: Replicas,
) -> None:
    services = [await world.start() for _ in range(4)]
    work = Work()
    begun = await asyncio.gather(
        *(
            service.manager.begin(asked("b", OperationKind.VERIFY_BACKUP, request_id="once"), work)
            for service in services
        )
    )
    assert len({operation.name for operation in begun}) == 1
    assert len(await world.keys("operations/")) == 1


# --- resume


async def test_an_interrupted_operation_goes_on_under_its_name(world: Replicas) -> None:
    first, work = await world.start(), Work()
    name = await first.begin(asked(task_id="mine"), work)
    await first.on_record(name, RUNNING)
    await crash(first)
    go_on = Work()
    second = await world.start(resumers={DELETE: resuming(go_on)})
    before = await second.becomes(name, INTERRUPTED)
    resumed = await second.control.resume(name)
    assert (resumed.name, resumed.create_time) == (name, before.create_time)
    assert resumed.revision > before.revision
    await second.becomes(name, RUNNING)
    go_on.go.set()
    last = await second.becomes(name, SUCCEEDED)
    assert (last.error, last.result, last.request_id) == (None, DeleteResult(7), "")
    record = await second.on_record(name, SUCCEEDED)
    assert (record.attempt, record.owner) == (2, second.owner)


async def test_only_one_of_several_services_resumes(world: Replicas) -> None:
    first, go_on = await world.start(), Work()
    name = await first.begin(asked(), Work())
    await first.on_record(name, RUNNING)
    await crash(first)
    others = [await world.start(resumers={DELETE: resuming(go_on)}) for _ in range(3)]
    for other in others:
        await other.becomes(name, INTERRUPTED)
    tries = await asyncio.gather(
        *(other.control.resume(name) for other in others), return_exceptions=True
    )
    lost = [end for end in tries if isinstance(end, OperationConflict | OperationNotResumable)]
    assert len(lost) == len(others) - 1
    go_on.go.set()
    for other in others:
        await other.becomes(name, SUCCEEDED)
    assert len(go_on.trackers) == 1


async def test_who_slept_loses_what_another_has_resumed(world: Replicas) -> None:
    sleeper, asleep = await world.start(), Work()
    name = await sleeper.begin(asked(), asleep)
    record = await sleeper.on_record(name, RUNNING)
    go_on = Work()
    second = await world.start(resumers={DELETE: resuming(go_on)})
    # What another does after the heartbeat ran out, while the sleeper does not look.
    stored = await second.log.read(name)
    assert stored is not None
    await second.log.replace(
        type(record)(
            operation=record.operation,
            footprint=record.footprint,
            request=record.request,
            owner=second.owner,
            attempt=2,
            accepted=True,
        ),
        stored.version,
    )
    with pytest.raises(OperationInterrupted, match="another service"):
        await asleep.trackers[0].require_owner()
    await sleeper.manager.end_of(name)
    assert asleep.stopped == [False], "interrupted, not cancelled: nothing is cleaned up"
    found = await second.log.read(name)
    assert found is not None
    assert found.record.owner == second.owner


@pytest.mark.parametrize("kind", OperationKind)
async def test_what_cannot_be_resumed_says_what_to_do(world: Replicas, kind: OperationKind) -> None:
    first = await world.start()
    name = await first.begin(asked(kind=kind), Work())
    await first.manager.drain(0)
    with pytest.raises(OperationNotResumable, match=r"again"):
        await first.control.resume(name)
    with pytest.raises(OperationEnded):
        await first.control.cancel(name)


async def test_only_what_is_interrupted_is_resumed(world: Replicas) -> None:
    first = await world.start(resumers={DELETE: resuming(at_once)})
    second = await world.start(resumers={DELETE: resuming(at_once)})
    work = Work()
    name = await first.begin(asked(), work)
    for service in (first, second):
        with pytest.raises(OperationNotResumable, match="it runs"):
            await service.control.resume(name)
    work.go.set()
    await first.on_record(name, SUCCEEDED)
    for service in (first, second):
        with pytest.raises(OperationNotResumable, match="succeeded"):
            await service.control.resume(name)
    with pytest.raises(OperationNotFound):
        await second.control.resume("20261122t200102_6437f62d")


async def test_all_that_can_be_is_resumed_at_start(world: Replicas) -> None:
    first = await world.start()
    name = await first.begin(asked("one"), Work())
    other = await first.begin(asked("two", CREATE), Work())
    for each in (name, other):
        await first.on_record(each, RUNNING)
    await crash(first)
    second = await world.start(resumers={DELETE: resuming(at_once)})
    await second.becomes(name, INTERRUPTED)
    await second.control.resume_all()
    await second.becomes(name, SUCCEEDED)
    assert (await second.directory.get(other)).state is INTERRUPTED


async def test_what_a_killed_service_was_at_is_resumed_by_one_that_starts_at_once(
    world: Replicas,
) -> None:
    first, living = await world.start(), await world.start()
    name = await first.begin(asked("one"), Work())
    work = Work()
    other = await living.begin(asked("two"), work)
    for service, each in ((first, name), (living, other)):
        await service.on_record(each, RUNNING)
    await crash(first)
    second = await world.start(resumers={DELETE: resuming(at_once)})
    assert (await second.directory.get(name)).state is RUNNING  # as far as anybody can tell
    await second.control.resume_all()
    await second.becomes(name, SUCCEEDED)
    assert (await second.directory.get(other)).state is RUNNING
    work.go.set()
    await second.becomes(other, SUCCEEDED)


# --- cancel


async def test_a_cancel_reaches_the_service_that_runs_it(world: Replicas) -> None:
    first, second, work = await world.start(), await world.start(), Work()
    name = await first.begin(asked(), work)
    await second.becomes(name, RUNNING)
    assert (await second.control.cancel(name)).state is CANCELLING
    assert (await second.control.cancel(name)).state in {CANCELLING, CANCELLED}
    await second.becomes(name, CANCELLED)
    assert work.stopped == [True]
    with pytest.raises(OperationEnded):
        await second.control.cancel(name)


async def test_an_interrupted_operation_is_cancelled_by_undoing_it(world: Replicas) -> None:
    first, undone = await world.start(), []

    async def undo(tracker: Tracker) -> Result:
        undone.append(tracker.cancel_requested)
        return DeleteResult(0)

    name = await first.begin(asked(), Work())
    await first.on_record(name, RUNNING)
    await crash(first)
    second = await world.start(resumers={DELETE: resuming(at_once, undo)})
    await second.becomes(name, INTERRUPTED)
    assert (await second.control.cancel(name)).state is CANCELLING
    await second.becomes(name, CANCELLED)
    assert undone == [True]
    assert (await second.on_record(name, CANCELLED)).attempt == 2


async def test_a_cancel_that_comes_after_the_end_leaves_the_end_as_it_is(world: Replicas) -> None:
    # The owner looks for a cancel only when it writes.
    slow = replace(QUICK, heartbeat=60.0, lost_after=600.0, progress=60.0)
    first, second, work = await world.start(limits=slow), await world.start(limits=slow), Work()
    name = await first.begin(asked(), work)
    await first.on_record(name, RUNNING)
    assert (await second.control.cancel(name)).state is CANCELLING
    work.go.set()
    assert (await second.becomes(name, SUCCEEDED)).result == DeleteResult(7)
    assert (await first.directory.get(name)).state is SUCCEEDED
    await second.begin(asked(), at_once)
