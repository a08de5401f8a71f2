"""The service as a process of its own, as it is deployed: started, asked, signalled, killed."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from milvus_backup_client import BackupClient, errors
from tests.support.processes import ChildProcess, free_ports, plain_environment
from tests.support.relay import Relay
from tests.support.s3_proxy import S3Proxy

Values = dict[str, Any]

START_SECONDS = 90
STOP_SECONDS = 90
SECONDS = 10
"""Within which an answer comes, whatever is down."""
GRACE = 1
"""What a service has to come to its end, in seconds."""
SOON_LOST: Values = {"operations": {"heartbeatSeconds": 0.5, "lostAfterSeconds": 3}}
"""Settings by which a service that was killed counts as gone soon."""


@dataclass
class Process:
    """`python -m milvus_backup_server`, its client, and its health."""

    child: ChildProcess
    client: BackupClient
    address: str

    async def health(self) -> int:
        async with grpc.aio.insecure_channel(self.address) as channel:
            stub: Any = HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
            return int(answer.status)

    async def is_well(self) -> bool:
        return (await self.client.check()).ok

    async def is_stopping(self) -> bool:
        return await self.health() == health_pb2.HealthCheckResponse.NOT_SERVING

    async def exit_code(self) -> int:
        return await asyncio.to_thread(self.child.wait, STOP_SECONDS)

    async def listed(self) -> dict[str, int]:
        """Return the backups of the repository and their states."""
        return {backup.name: backup.state async for backup in self.client.list_backups()}


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await condition():
            return
        await asyncio.sleep(0.1)


def launch(values: Values, port: int, directory: Path, **service: object) -> ChildProcess:
    """Start the service as a process; it may not answer yet."""
    settings = directory / f"backup-{port}.yaml"
    chosen = {
        "grpc": {"port": port},
        "http": {"port": 0},
        "shutdownGraceSeconds": GRACE,
        **service,
    }
    settings.write_text(json.dumps({**values, "service": chosen}), encoding="utf-8")
    return ChildProcess(
        [sys.executable, "-m", "milvus_backup_server", "--config", settings],
        directory=directory / "run",
        log=directory / f"server-{port}.log",
        environment=plain_environment(),
    )


@asynccontextmanager
async def serving(
    values: Values, directory: Path, port: int = 0, **service: object
) -> AsyncIterator[Process]:
    """Run the service as a process for the time of a block, and kill what is left of it."""
    port = port or free_ports(1)[0]
    child = launch(values, port, directory, **service)
    address = f"127.0.0.1:{port}"
    try:
        async with BackupClient(address, reconnect_seconds=START_SECONDS) as client:
            async with asyncio.timeout(START_SECONDS):
                await answers(client, child)
            yield Process(child, client, address)
    finally:
        await asyncio.to_thread(child.kill)


async def answers(client: BackupClient, child: ChildProcess) -> None:
    while True:
        try:
            await client.get_operation("operations/nothing", timeout_seconds=2)
        except errors.OperationNotFound:
            return
        except (errors.ServiceUnreachable, errors.DeadlineExceeded):
            assert child.running, child.log_tail()
            await asyncio.sleep(0.1)


async def importing(client: BackupClient, name: str, into: str) -> None:
    """Wait until Milvus imports into a collection."""
    while True:
        waiting = (await client.get_operation(name)).progress.waiting_for
        if waiting.startswith("import job") and f"into default.{into} (running" in waiting:
            return
        await asyncio.sleep(0.05)


def through(between: Relay | S3Proxy, values: Values) -> Values:
    """Return settings with both stores behind a relay or a proxy."""
    for whose in ("milvus", "backup"):
        values[whose]["storage"]["port"] = between.port
    return values
