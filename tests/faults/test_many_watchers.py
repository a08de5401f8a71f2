"""Many who watch, half of whom read nothing, and more operations than may wait."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from milvus_backup.v1.backup_service_pb2 import CreateBackupRequest
from milvus_backup.v1.backup_service_pb2_grpc import BackupServiceStub
from milvus_backup.v1.operation_pb2 import OPERATION_STATE_SUCCEEDED
from milvus_backup.v1.operation_service_pb2 import GetOperationRequest, WatchOperationRequest
from milvus_backup.v1.operation_service_pb2_grpc import OperationServiceStub
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.service.operations import OperationLimits
from tests.support.fake_use_cases import FakeApi, Job, failure, serving_fakes

_CONNECTIONS = 10


@dataclass
class Crowd:
    """Watchers of one operation: those that read, and those that never do."""

    reading: list[asyncio.Task[int]] = field(default_factory=list)
    stalled: list[object] = field(default_factory=list)

    async def last_states(self) -> set[int]:
        """Wait for the ends of those that read, and return the last states that they saw."""
        async with asyncio.timeout(60):
            return set(await asyncio.gather(*self.reading))


async def last_state(stub: OperationServiceStub, request: WatchOperationRequest) -> int:
    state = 0
    async for operation in stub.WatchOperation(request):
        state = operation.state
    return state


async def connected(api: FakeApi, stack: AsyncExitStack) -> OperationServiceStub:
    """Open a connection of its own."""
    channel = grpc.aio.insecure_channel(api.target, [("grpc.use_local_subchannel_pool", 1)])
    return OperationServiceStub(await stack.enter_async_context(channel))


@asynccontextmanager
async def crowd(api: FakeApi, job: Job, watchers: int) -> AsyncIterator[Crowd]:
    """Let so many watch, as often as the service has it; half of them read one state only."""
    request = WatchOperationRequest(name=job.name)
    made = Crowd()
    async with AsyncExitStack() as stack:
        stubs = [await connected(api, stack) for _ in range(_CONNECTIONS)]
        for number in range(watchers):
            stub = stubs[number % _CONNECTIONS]
            if number < watchers // 2:
                made.reading.append(asyncio.create_task(last_state(stub, request)))
                continue
            call = stub.WatchOperation(request)
            await call.read()
            made.stalled.append(call)
        yield made


async def latencies(api: FakeApi, job: Job, *, changes: int) -> list[float]:
    """Change the operation ten times a second, and return how long other calls took meanwhile."""
    stub, tracker = OperationServiceStub(api.channel), await job.tracker()
    taken = []
    for number in range(changes):
        tracker.wait_for(f"step {number}")
        await asyncio.sleep(0.1)
        start = time.perf_counter()
        await stub.GetOperation(GetOperationRequest(name=job.name))
        taken.append(time.perf_counter() - start)
    return sorted(taken)


async def begun(api: FakeApi) -> Job:
    job = api.create.jobs[(await api.create.begin("a")).name]
    await job.tracker()
    return job


async def test_watchers_that_read_nothing_hold_up_nobody() -> None:
    async with serving_fakes() as api:
        job = await begun(api)
        async with crowd(api, job, 40) as watching:
            taken = await latencies(api, job, changes=10)
            job.go_on.set()
            assert await watching.last_states() == {OPERATION_STATE_SUCCEEDED}
        assert (len(taken), len(watching.reading), len(watching.stalled)) == (10, 20, 20)


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
