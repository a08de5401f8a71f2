"""For how long import jobs are waited for, by a clock that moves with each question about one."""

import asyncio
from dataclasses import replace

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.errors import MilvusUnavailable, OperationStalled
from milvus_backup_server.domain.milvus import ImportJob, ImportOptions, ImportState
from milvus_backup_server.service.importing import Import, ImportQueue, poll_pause
from tests.support.bodies import in_time, until
from tests.support.fake_milvus import FakeMilvus
from tests.support.gateways import HookedGateway
from tests.support.service import LIMITS, add_collection, named

STALL = 30
JOB = Import(named("c"), named("c"), "_default", (), ImportOptions(), parallel=True)


class Quiet:
    """Is told, and says nothing."""

    async def issuing(self) -> None: ...

    def is_wanted(self) -> bool:
        return True

    async def not_taken(self) -> None: ...

    async def issued(self, job_id: str) -> None: ...

    def seen(self, job: ImportJob) -> None: ...

    def waits_for_end(self) -> bool:
        return False


class Clock:
    """A second passes with each question."""

    def __init__(self) -> None:
        self.now = 0.0

    async def tick(self, _: str) -> None:
        self.now += 1

    def __call__(self) -> float:
        return self.now


async def queue(polls: int) -> tuple[FakeMilvus, ImportQueue, Clock]:
    """Return a Milvus whose jobs run one after another, each for so many questions, and a queue."""
    milvus, clock = FakeMilvus(MemoryServer().store("milvus")), Clock()
    await add_collection(milvus, "c", [])
    milvus.imports.polls = polls
    gateway = HookedGateway(milvus, {"import_job": clock.tick})
    limits = replace(LIMITS, import_stall_seconds=STALL)
    return milvus, ImportQueue(gateway, limits, clock), clock


async def test_a_job_that_waits_for_others_moves_as_they_do() -> None:
    _, jobs, clock = await queue(polls=10)
    done = await asyncio.gather(*(jobs.run(JOB, Quiet()) for _ in range(8)))
    assert [job.state for job in done] == [ImportState.COMPLETED] * 8
    assert clock.now > 2 * STALL


async def test_none_is_waited_for_when_none_moves() -> None:
    milvus, jobs, _ = await queue(polls=10)
    milvus.imports.gate.clear()
    with pytest.raises(OperationStalled, match=r"no progress for 30 s \(state pending\)"):
        await jobs.run(JOB, Quiet())


async def test_a_job_that_has_begun_moves_by_itself() -> None:
    _, jobs, _ = await queue(polls=STALL + 2)
    with pytest.raises(OperationStalled, match=r"\(state running\)"):
        await jobs.run(JOB, Quiet())


class Patient(Quiet):
    """Waits for the end of a job that it does not want any more."""

    def waits_for_end(self) -> bool:
        return True


class Room:
    """Turns imports away as long as it is full."""

    def __init__(self) -> None:
        self.full = True
        self.asked = 0
        self.refused = 0

    async def version(self, _: str) -> None:
        self.asked += 1

    async def submit(self, _: str) -> None:
        if self.full:
            self.refused += 1
            raise MilvusUnavailable("the number of jobs has reached the limit", code="2100")


async def test_who_is_cancelled_does_not_wait_for_the_room_that_another_waits_for() -> None:
    milvus, room = FakeMilvus(MemoryServer().store("milvus")), Room()
    await add_collection(milvus, "c", [])
    gateway = HookedGateway(milvus, {"version": room.version, "submit_import": room.submit})
    jobs = ImportQueue(gateway, replace(LIMITS, import_stall_seconds=STALL))
    first = asyncio.create_task(jobs.run(JOB, Quiet()))
    await until(lambda: room.refused > 1)
    other = asyncio.create_task(jobs.run(JOB, Patient()))
    await until(lambda: room.asked == 2)
    for _ in range(5):  # to where it waits
        await asyncio.sleep(0)
    other.cancel()
    with pytest.raises(asyncio.CancelledError):
        await in_time(other)
    assert not first.done()
    room.full = False
    assert (await first).state is ImportState.COMPLETED
    assert (await jobs.run(JOB, Quiet())).state is ImportState.COMPLETED


async def test_who_is_cancelled_before_it_began_leaves_the_turn_to_others() -> None:
    _, jobs, _ = await queue(polls=1)
    for steps in range(12):
        given_up = asyncio.create_task(jobs.run(JOB, Quiet()))
        for _ in range(steps):
            await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait({given_up})
    assert (await jobs.run(JOB, Quiet())).state is ImportState.COMPLETED


@pytest.mark.parametrize(
    ("jobs", "seconds"), [(1, 0.1), (4, 0.1), (40, 1.0), (120, 3.0), (768, 3.0)]
)
def test_many_jobs_are_asked_for_less_often(jobs: int, seconds: float) -> None:
    assert poll_pause(0.1, jobs) == pytest.approx(seconds)
    assert poll_pause(5.0, jobs) >= 5.0
