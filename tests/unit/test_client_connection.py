from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from milvus_backup.v1 import backup_pb2, operation_pb2
from milvus_backup_client import (
    BackupClient,
    BackupServiceError,
    RetryPolicy,
    ServiceUnreachable,
)
from tests.support.scripted_service import (
    FOREVER,
    Pause,
    ScriptedService,
    serving,
)

QUICK = RetryPolicy(first_delay_seconds=0.01, max_delay_seconds=0.02)
SUCCEEDED = operation_pb2.Operation(name="op_1", state=operation_pb2.OPERATION_STATE_SUCCEEDED)
STARTED = operation_pb2.Operation(name="op_1", state=operation_pb2.OPERATION_STATE_PENDING)


@pytest.fixture
async def service() -> ScriptedService:
    return ScriptedService()


@pytest.fixture
async def client(service: ScriptedService) -> AsyncIterator[BackupClient]:
    async with serving(service) as address, BackupClient(address, retry=QUICK) as client:
        yield client


async def test_nobody_listens(tmp_path: Path) -> None:
    async with BackupClient(f"unix:{tmp_path}/none", retry=QUICK) as client:
        with pytest.raises(ServiceUnreachable):
            await client.get_backup("nightly")


async def test_a_unix_socket(service: ScriptedService, tmp_path: Path) -> None:
    service.on("GetBackup", backup_pb2.Backup(name="nightly"))
    async with (
        serving(service, f"unix:{tmp_path}/socket") as address,
        BackupClient(address) as client,
    ):
        assert (await client.get_backup("nightly")).name == "nightly"


async def test_the_program_names_itself(service: ScriptedService) -> None:
    service.on("GetBackup", backup_pb2.Backup())
    service.on("WatchOperation", SUCCEEDED)
    async with (
        serving(service) as address,
        BackupClient(address, user_agent="robot", metadata=[("x-ticket", "42")]) as client,
    ):
        await client.get_backup("nightly")
        await client.wait("op_1")
    assert [
        (str(sent["user-agent"]).partition("/")[0], sent["x-ticket"]) for sent in service.metadata
    ] == [("robot", "42"), ("robot", "42")]


async def test_a_client_may_be_made_before_its_loop(service: ScriptedService) -> None:
    service.on("GetBackup", backup_pb2.Backup(name="nightly"))

    def in_a_thread(address: str) -> str:
        client = BackupClient(address)

        async def use() -> str:
            async with client:
                return (await client.get_backup("nightly")).name

        return asyncio.run(use())

    async with serving(service) as address:
        assert await asyncio.to_thread(in_a_thread, address) == "nightly"


async def test_closing_fails_the_calls_that_wait(
    service: ScriptedService, client: BackupClient
) -> None:
    service.on("GetBackup", Pause(30))
    service.on("WatchOperation", STARTED, Pause(30))
    call = asyncio.create_task(client.get_backup("nightly"))
    watch = asyncio.create_task(client.wait("op_1"))
    await service.asked("GetBackup")
    await service.asked("WatchOperation")
    await client.close()
    for task in (call, watch):
        with pytest.raises(BackupServiceError, match="the client was closed"):
            await task
    with pytest.raises(BackupServiceError, match="the client was closed"):
        await client.get_backup("nightly")


async def test_cancelling_a_call_cancels_it(service: ScriptedService, client: BackupClient) -> None:
    service.on("GetBackup", FOREVER)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await client.get_backup("nightly")
