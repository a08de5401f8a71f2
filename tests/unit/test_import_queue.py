"""For how long import jobs are waited for, by a clock that moves with each question about one."""

import asyncio
from dataclasses import replace

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.errors import OperationStalled
from milvus_backup_server.domain.milvus import ImportJob, ImportOptions, ImportState
from milvus_backup_server.service.importing import Import, ImportQueue, poll_pause
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


@pytest.mark.parametrize(
    ("jobs", "seconds"), [(1, 0.1), (4, 0.1), (40, 1.0), (120, 3.0), (768, 3.0)]
)
def test_many_jobs_are_asked_for_less_often(jobs: int, seconds: float) -> None:
    assert poll_pause(0.1, jobs) == pytest.approx(seconds)
    assert poll_pause(5.0, jobs) >= 5.0
