"""Many who watch, half of whom read nothing, and more operations than may wait."""

import asyncio
import json
import statistics
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from milvus_backup.v1.backup_service_pb2 import CreateBackupRequest
from milvus_backup.v1.backup_service_pb2_grpc import BackupServiceStub
from milvus_backup.v1.operation_pb2 import OPERATION_STATE_SUCCEEDED
from milvus_backup.v1.operation_service_pb2 import GetOperationRequest
from milvus_backup.v1.operation_service_pb2_grpc import OperationServiceStub
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.service.operations import OperationLimits
from tests.support.fake_use_cases import FakeApi, Job, failure, serving_fakes
from tests.support.watchers import crowd

Figures = dict[str, Any]
"""Those of `tests.bench.watchers`."""

_WATCHERS, _CHANGES = 200, 10
_ROOT = Path(__file__).parents[2]
_RUNS = 3
_ANSWERS_MS = 50
_NOISE_MIB = 4
_CROWD_MIB = 200 * 0.1  # for a stream and its connection


async def change(api: FakeApi, job: Job) -> int:
    """Change an operation ten times a second, and ask for it in between; return how often that worked."""
    stub, tracker = OperationServiceStub(api.channel), await job.tracker()
    answers = 0
    for number in range(_CHANGES):
        tracker.wait_for(f"step {number}")
        await asyncio.sleep(0.1)
        answer = await stub.GetOperation(GetOperationRequest(name=job.name))
        answers += answer.progress.waiting_for == f"step {number}"
    return answers


async def begun(api: FakeApi) -> Job:
    job = api.create.jobs[(await api.create.begin("a")).name]
    await job.tracker()
    return job


async def test_watchers_that_read_nothing_hold_up_nobody() -> None:
    async with serving_fakes() as api:
        job = await begun(api)
        async with crowd(api.target, job.name, _WATCHERS) as watching:
            assert await change(api, job) == _CHANGES
            job.go_on.set()
            async with asyncio.timeout(60):
                states = await watching.last_states()
        assert states == [OPERATION_STATE_SUCCEEDED] * (_WATCHERS // 2)
        assert len(watching.stalled) == _WATCHERS // 2


async def bench() -> Figures:
    """Run the bench, which has a process for each of those in it, and return its figures."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.watchers", "json", cwd=_ROOT, stdout=PIPE
    )
    try:
        told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    figures: Figures = json.loads(told)
    return figures


def more(run: Figures, what: str, part: str) -> float:
    """Return by how much something is more in a part of a run than while nobody watched."""
    return float(run[part][what] - run["alone"][what])


@pytest.mark.torture
@pytest.mark.timeout(600)
async def test_watchers_cost_others_little_time_and_the_service_no_memory() -> None:
    runs = [await bench() for _ in range(_RUNS)]
    assert [run["told"] for run in runs] == [_WATCHERS // 2] * _RUNS
    # A busy machine lets everybody wait now and then: what is the watchers' doing is in every run.
    waits = [max(more(run, "p99", part) for part in ("first", "second")) for run in runs]
    assert min(waits) < _ANSWERS_MS, runs
    held = [(more(run, "mib", "first"), more(run, "mib", "second")) for run in runs]
    assert statistics.median(first for first, _ in held) < _CROWD_MIB, runs
    assert statistics.median(second - first for first, second in held) < _NOISE_MIB, runs


def retry_seconds(error: grpc.aio.AioRpcError) -> int:
    """Return when a refused call says to come again."""
    status, hint = rpc_status.from_call(error), RetryInfo()  # type: ignore[arg-type]
    assert status is not None
    assert any(item.Unpack(hint) for item in status.details)
    return hint.retry_delay.seconds


@pytest.mark.parametrize("pending", [10, pytest.param(1000, marks=pytest.mark.torture)])
async def test_a_full_queue_refuses_more_and_says_when_to_come_again(pending: int) -> None:
    limits = OperationLimits(concurrent=2, pending=pending)
    async with serving_fakes(limits) as api:
        for number in range(2 + pending):  # at work, and waiting
            await api.create.begin(f"b{number}")
        stub = BackupServiceStub(api.channel)
        error = await failure(stub.CreateBackup(CreateBackupRequest(backup_name="late")))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert retry_seconds(error) > 0
        assert api.operations.count(OperationState.PENDING) == pending
        for job in list(api.create.jobs.values())[:-1]:  # the last one was refused
            job.go_on.set()
