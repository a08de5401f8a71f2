"""The whole service in this process: its own composition, a real gRPC server, a real client."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup_client import BackupClient
from milvus_backup_server.app import RunningApp, running_app
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.settings import load
from milvus_backup_server.settings.models import Settings
from milvus_backup_server.wiring import open_adapters
from tests.support.environment import Environment, service_settings
from tests.support.milvus import MilvusStandalone

FAST = {
    "grpc": {"port": 0},
    "http": {"enabled": False},
    "milvus": {"pollSeconds": 0.05},
    "shutdownGraceSeconds": 1,
}


@dataclass(frozen=True)
class Service:
    """A running service and a client of it."""

    app: RunningApp
    client: BackupClient

    async def done(self, operation: Operation) -> Operation:
        """Wait for an operation's end and return it, whatever its outcome."""
        return await self.client.wait(operation, raise_on_failure=False)


@dataclass(frozen=True)
class Decorators:
    """What to put around the adapters."""

    gateway: Callable[[MilvusGateway], MilvusGateway] = lambda inner: inner
    milvus_store: Callable[[ObjectStore], ObjectStore] = lambda inner: inner
    backup_store: Callable[[ObjectStore], ObjectStore] = lambda inner: inner


def settings_of(values: Mapping[str, object]) -> Settings:
    """Read settings as the server reads its file, without the environment of this process."""
    with TemporaryDirectory() as directory:
        file = Path(directory) / "backup.yaml"
        file.write_text(json.dumps(values), encoding="utf-8")
        return load(str(file), environ={}).settings


def environment_settings(
    environment: Environment,
    milvus: MilvusStandalone | None = None,
    service: Mapping[str, object] | None = None,
    **storage: str,
) -> Settings:
    """Return settings for the servers of an environment, with short waits and any free port.

    Args:
        environment: The servers.
        milvus: Instead of the first Milvus.
        service: Sections below `service` that win.
        storage: `backup_bucket`, `backup_root`.
    """
    values: dict[str, Any] = service_settings(
        environment.seaweed, milvus or environment.milvus, **storage
    )
    return settings_of({**values, "service": {**FAST, **(service or {})}})


@asynccontextmanager
async def running_service(
    settings: Settings, decorators: Decorators | None = None
) -> AsyncIterator[Service]:
    """Run the service for the time of a block."""
    around = decorators or Decorators()
    async with AsyncExitStack() as stack:
        adapters = await open_adapters(stack, settings)
        adapters = replace(
            adapters,
            gateway=around.gateway(adapters.gateway),
            milvus_store=around.milvus_store(adapters.milvus_store),
            backup_store=around.backup_store(adapters.backup_store),
        )
        app = await stack.enter_async_context(running_app(settings, adapters))
        client = await stack.enter_async_context(BackupClient(app.address))
        yield Service(app, client)
