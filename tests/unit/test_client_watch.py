from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import grpc
import pytest

from milvus_backup.v1 import operation_pb2 as pb
from milvus_backup_client import (
    BackupClient,
    BackupServiceError,
    OperationCancelled,
    OperationInterrupted,
    OperationNotFound,
    OperationPartiallySucceeded,
    RetryPolicy,
    ServiceUnreachable,
    StorageUnavailable,
    error_of,
    has_ended,
    is_final,
)
from tests.support.scripted_service import (
    FOREVER,
    UNREACHABLE,
    Pause,
    ScriptedService,
    serving,
    status,
)

QUICK = RetryPolicy(first_delay_seconds=0.01, max_delay_seconds=0.02)


def state(revision: int, kind: pb.OperationState.ValueType, name: str = "op_1") -> pb.Operation:
    return pb.Operation(name=name, state=kind, revision=revision)


PENDING = state(1, pb.OPERATION_STATE_PENDING)
RUNNING = state(2, pb.OPERATION_STATE_RUNNING)
FURTHER = state(3, pb.OPERATION_STATE_RUNNING)
SUCCEEDED = state(4, pb.OPERATION_STATE_SUCCEEDED)
INTERRUPTED = state(4, pb.OPERATION_STATE_INTERRUPTED)


@pytest.fixture
async def service() -> ScriptedService:
    return ScriptedService()


@pytest.fixture
async def client(service: ScriptedService) -> AsyncIterator[BackupClient]:
    async with (
        serving(service) as address,
        BackupClient(address, retry=QUICK, reconnect_seconds=0.5) as client,
    ):
        yield client


async def test_a_watch_yields_every_state(service: ScriptedService, client: BackupClient) -> None:
    service.on("WatchOperation", PENDING, RUNNING, FURTHER, SUCCEEDED)
    seen = [found async for found in client.watch("op_1", min_interval_seconds=0.5)]
    assert seen == [PENDING, RUNNING, FURTHER, SUCCEEDED]
    (request,) = service.requests["WatchOperation"]
    assert request.name == "op_1"
    assert request.min_interval.ToMilliseconds() == 500


async def test_the_service_chooses_the_interval(
    service: ScriptedService, client: BackupClient
) -> None:
    service.on("WatchOperation", SUCCEEDED)
    assert [found async for found in client.watch(PENDING)] == [SUCCEEDED]
    assert not service.requests["WatchOperation"][0].HasField("min_interval")


async def test_a_broken_watch_goes_on_and_repeats_nothing(
    service: ScriptedService, client: BackupClient
) -> None:
    service.on("WatchOperation", PENDING, RUNNING, UNREACHABLE)
    service.on("WatchOperation", UNREACHABLE)
    service.on("WatchOperation", RUNNING, FURTHER, UNREACHABLE)
    service.on("WatchOperation", SUCCEEDED)
    seen = [found async for found in client.watch("op_1")]
    assert seen == [PENDING, RUNNING, FURTHER, SUCCEEDED]
    assert len(service.requests["WatchOperation"]) == 4


async def test_a_stream_cut_short_is_opened_again(
    service: ScriptedService, client: BackupClient
) -> None:
    service.on("WatchOperation")
    service.on("WatchOperation", RUNNING)
    service.on("WatchOperation", RUNNING, SUCCEEDED)
    assert [found async for found in client.watch("op_1")] == [RUNNING, SUCCEEDED]


async def test_the_service_restarts_during_a_watch(
    service: ScriptedService, tmp_path: Path
) -> None:
    address = f"unix:{tmp_path}/socket"
    service.on("WatchOperation", RUNNING, FOREVER)
    service.on("WatchOperation", FURTHER, SUCCEEDED)
    seen: list[pb.Operation] = []

    async def watch() -> None:
        async with BackupClient(address, retry=QUICK, reconnect_seconds=20) as client:
            seen.extend([found async for found in client.watch("op_1")])

    async with serving(service, address):
        watching = asyncio.create_task(watch())
        await service.asked("WatchOperation")
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)
    assert not watching.done()
    async with serving(service, address):
        await watching
    assert seen == [RUNNING, FURTHER, SUCCEEDED]


async def test_the_budget_ends_a_watch(service: ScriptedService, client: BackupClient) -> None:
    service.on("WatchOperation", RUNNING, UNREACHABLE)
    service.on("WatchOperation", UNREACHABLE)
    watch = client.watch("op_1")
    begin = time.monotonic()
    assert await anext(watch) == RUNNING
    with pytest.raises(ServiceUnreachable):
        await anext(watch)
    assert 0.4 < time.monotonic() - begin < 15


async def test_the_budget_is_for_silence(service: ScriptedService) -> None:
    for revision in range(1, 7):
        running = state(revision, pb.OPERATION_STATE_RUNNING)
        service.on("WatchOperation", Pause(0.4), running, UNREACHABLE)
    service.on("WatchOperation", state(7, pb.OPERATION_STATE_SUCCEEDED))
    async with (
        serving(service) as address,
        BackupClient(address, retry=QUICK, reconnect_seconds=2) as client,
    ):
        begin = time.monotonic()
        assert (await client.wait("op_1")).revision == 7
        assert time.monotonic() - begin > 2


async def test_other_failures_end_a_watch(service: ScriptedService, client: BackupClient) -> None:
    service.on("WatchOperation", RUNNING, UNREACHABLE)
    service.on("WatchOperation", status(grpc.StatusCode.NOT_FOUND, "OPERATION_NOT_FOUND"))
    with pytest.raises(OperationNotFound):
        await client.wait("op_1")
    assert len(service.requests["WatchOperation"]) == 2


async def test_an_interrupted_operation_ends_a_watch(
    service: ScriptedService, client: BackupClient
) -> None:
    service.on("WatchOperation", RUNNING, INTERRUPTED)
    assert [found async for found in client.watch("op_1")] == [RUNNING, INTERRUPTED]


async def test_leaving_a_watch_cancels_its_stream(
    service: ScriptedService, client: BackupClient
) -> None:
    service.on("WatchOperation", RUNNING, FOREVER)
    async with aclosing(client.watch("op_1")) as watch:
        async for found in watch:
            assert found == RUNNING
            break
    async with asyncio.timeout(60):
        await service.left()


async def test_many_operations(service: ScriptedService, client: BackupClient) -> None:
    other = state(1, pb.OPERATION_STATE_SUCCEEDED, "op_2")
    service.on("WatchOperations", RUNNING, other, UNREACHABLE)
    service.on("WatchOperations", RUNNING, other, SUCCEEDED)
    watch = client.watch_operations([PENDING, "op_2"], min_interval_seconds=2)
    assert [found async for found in watch] == [RUNNING, other, SUCCEEDED]
    request = service.requests["WatchOperations"][0]
    assert list(request.names) == ["op_1", "op_2"]
    assert request.min_interval.ToSeconds() == 2


async def test_wait_returns_the_last_state(service: ScriptedService, client: BackupClient) -> None:
    service.on("WatchOperation", RUNNING, SUCCEEDED)
    assert await client.wait("op_1") == SUCCEEDED


async def test_a_finished_operation_needs_no_call(
    service: ScriptedService, client: BackupClient
) -> None:
    assert await client.wait(SUCCEEDED) == SUCCEEDED
    assert [found async for found in client.watch(SUCCEEDED)] == [SUCCEEDED]
    assert not service.requests


async def test_an_interrupted_operation_may_have_gone_on(
    service: ScriptedService, client: BackupClient
) -> None:
    service.on("WatchOperation", state(5, pb.OPERATION_STATE_SUCCEEDED))
    assert (await client.wait(INTERRUPTED)).revision == 5


def ended(kind: pb.OperationState.ValueType, reason: str = "") -> pb.Operation:
    operation = state(9, kind)
    if reason:
        operation.error.CopyFrom(status(grpc.StatusCode.UNAVAILABLE, reason, "the bucket sleeps"))
    return operation


@pytest.mark.parametrize(
    ("operation", "kind", "text"),
    [
        (
            ended(pb.OPERATION_STATE_FAILED, "STORAGE_UNAVAILABLE"),
            StorageUnavailable,
            "the bucket sleeps (STORAGE_UNAVAILABLE)",
        ),
        (
            ended(pb.OPERATION_STATE_INTERRUPTED, "STORAGE_UNAVAILABLE"),
            StorageUnavailable,
            "the bucket sleeps (STORAGE_UNAVAILABLE)",
        ),
        (
            ended(pb.OPERATION_STATE_CANCELLED, "OPERATION_CANCELLED"),
            OperationCancelled,
            "the bucket sleeps (OPERATION_CANCELLED)",
        ),
        (
            ended(pb.OPERATION_STATE_FAILED),
            BackupServiceError,
            "operation op_1 gave no reason for its end",
        ),
        (
            ended(pb.OPERATION_STATE_CANCELLED),
            OperationCancelled,
            "operation op_1 gave no reason for its end (OPERATION_CANCELLED)",
        ),
        (
            ended(pb.OPERATION_STATE_INTERRUPTED),
            OperationInterrupted,
            "operation op_1 gave no reason for its end (OPERATION_INTERRUPTED)",
        ),
        (
            pb.Operation(
                name="op_1",
                state=pb.OPERATION_STATE_PARTIALLY_SUCCEEDED,
                collection_count=5,
                failed_collection_count=2,
            ),
            OperationPartiallySucceeded,
            "2 of 5 collections failed (OPERATION_PARTIALLY_SUCCEEDED)",
        ),
    ],
    ids=["failed", "interrupted", "cancelled", "no-why", "no-why-c", "no-why-i", "partial"],
)
async def test_wait_raises_what_the_operation_ended_with(
    service: ScriptedService,
    client: BackupClient,
    operation: pb.Operation,
    kind: type[BackupServiceError],
    text: str,
) -> None:
    service.on("WatchOperation", RUNNING, operation)
    with pytest.raises(kind) as caught:
        await client.wait("op_1")
    assert type(caught.value) is kind
    assert str(caught.value) == text
    assert caught.value.operation == operation
    assert await client.wait("op_1", raise_on_failure=False) == operation


def test_what_the_states_mean() -> None:
    every = [pb.Operation(state=kind) for kind in pb.OperationState.values()]
    assert [is_final(found) for found in every] == [False] * 5 + [True] * 4
    assert [has_ended(found) for found in every] == [False] * 4 + [True] * 5
    assert [error_of(found) is not None for found in every] == [
        *[False] * 4,
        True,  # INTERRUPTED
        False,  # SUCCEEDED
        True,  # PARTIALLY_SUCCEEDED
        True,  # FAILED
        True,  # CANCELLED
    ]
