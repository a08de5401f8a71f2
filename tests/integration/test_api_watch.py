"""Watching: the present state at once, the last state always, and never any harm to the work."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration

from milvus_backup.v1 import operation_pb2
from milvus_backup.v1.operation_service_pb2 import WatchOperationRequest, WatchOperationsRequest
from milvus_backup.v1.operation_service_pb2_grpc import OperationServiceStub
from milvus_backup_server.domain.operations import OperationState, Phase
from tests.support.fake_use_cases import FakeApi, running_job, serving_fakes

SUCCEEDED = operation_pb2.OPERATION_STATE_SUCCEEDED


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with serving_fakes() as served:
        yield served


async def test_a_watch_begins_with_the_present_and_ends_with_the_last_state(api: FakeApi) -> None:
    job = await running_job(api)
    stub = OperationServiceStub(api.channel)
    states, phases = [], []
    async for operation in stub.WatchOperation(WatchOperationRequest(name=job.name)):
        states.append(operation.state)
        phases.append(operation.progress.phase)
        if len(states) == 1:
            (await job.tracker()).enter(Phase.COPYING)
        else:
            job.go_on.set()
    assert (states[0], states[-1]) == (operation_pb2.OPERATION_STATE_RUNNING, SUCCEEDED)
    assert operation_pb2.OPERATION_PHASE_COPYING in phases


async def test_a_watch_of_an_ended_operation_gives_it_once(api: FakeApi) -> None:
    job = await running_job(api)
    job.go_on.set()
    request = WatchOperationRequest(name=job.name)
    stub = OperationServiceStub(api.channel)
    first = [operation.state async for operation in stub.WatchOperation(request)]
    second = [operation.state async for operation in stub.WatchOperation(request)]
    assert (first[-1], second) == (SUCCEEDED, [SUCCEEDED])


@pytest.mark.parametrize("how", ["cancel", "deadline"])
async def test_a_stream_that_is_given_up_stops_nothing(api: FakeApi, how: str) -> None:
    job = await running_job(api)
    timeout = 0.3 if how == "deadline" else None
    call = OperationServiceStub(api.channel).WatchOperation(
        WatchOperationRequest(name=job.name), timeout=timeout
    )
    await call.read()
    if how == "cancel":
        call.cancel()
    else:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.sleep(0.1)
    assert api.operations.get(job.name).state is OperationState.RUNNING
    assert not job.cancelled
    job.go_on.set()
    again = OperationServiceStub(api.channel).WatchOperation(WatchOperationRequest(name=job.name))
    assert [operation.state async for operation in again][-1] == SUCCEEDED


async def test_many_are_watched_in_one_stream(api: FakeApi) -> None:
    jobs = [await running_job(api, f"b{number}") for number in range(2)]
    names = [job.name for job in jobs]
    last: dict[str, int] = {}
    request = WatchOperationsRequest(names=names)
    request.min_interval.nanos = 10_000_000
    async for operation in OperationServiceStub(api.channel).WatchOperations(request):
        last[operation.name] = operation.state
        if len(last) == len(jobs):
            for job in jobs:
                job.go_on.set()
    assert last == dict.fromkeys(names, SUCCEEDED)


async def test_at_most_one_message_in_an_interval_but_the_last_is_not_held_back(
    api: FakeApi,
) -> None:
    job = await running_job(api)
    request = WatchOperationRequest(name=job.name)
    request.min_interval.seconds = 30
    call = OperationServiceStub(api.channel).WatchOperation(request)
    tracker, states = await job.tracker(), []
    async with asyncio.timeout(20):
        async for operation in call:
            states.append(operation.state)
            for number in range(100):
                tracker.wait_for(f"step {number}")
            job.go_on.set()
    assert states == [operation_pb2.OPERATION_STATE_RUNNING, SUCCEEDED]


async def test_a_stream_that_nobody_reads_costs_no_memory_and_holds_up_no_other(
    api: FakeApi,
) -> None:
    changes = 20_000
    job = await running_job(api)
    tracker = await job.tracker()
    stub = OperationServiceStub(api.channel)
    request = WatchOperationRequest(name=job.name, min_interval=Duration())
    stalled = stub.WatchOperation(request)
    await stalled.read()
    last: list[operation_pb2.Operation] = []

    async def read() -> None:
        async for operation in stub.WatchOperation(request):
            last[:] = [operation]

    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        reading = asyncio.create_task(read())
        for number in range(1, changes + 1):
            tracker.wait_for(f"change {number}")
            if number % 200 == 0:
                await asyncio.sleep(0)
        job.go_on.set()
        async with asyncio.timeout(60):
            await reading
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert last[0].state == SUCCEEDED
    assert peak - before < 10_000_000
    left = []
    while isinstance(operation := await stalled.read(), operation_pb2.Operation):
        left.append(operation.state)
    assert left[-1] == SUCCEEDED
    assert len(left) < changes / 2  # what it did not read was skipped
