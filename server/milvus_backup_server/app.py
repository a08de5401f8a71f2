"""The composition root: builds the service, owns every lifetime, stops in the reverse order."""

from __future__ import annotations

import asyncio
import importlib.metadata
import ipaddress
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog

from milvus_backup_server.adapters.transfer import AsyncTransferEngine
from milvus_backup_server.api.server import ApiServer, Endpoint
from milvus_backup_server.service.catalog import Catalog
from milvus_backup_server.service.context import (
    DEFAULT,
    Cluster,
    Environment,
    Registry,
    Repository,
    Storage,
)
from milvus_backup_server.service.create_backup import CreateBackup
from milvus_backup_server.service.delete_backup import DeleteBackup
from milvus_backup_server.service.diagnostics import Diagnostics
from milvus_backup_server.service.operations import OperationManager
from milvus_backup_server.service.restore_backup import RestoreBackup
from milvus_backup_server.service.use_cases import UseCases
from milvus_backup_server.settings import Loaded
from milvus_backup_server.settings_models import Settings
from milvus_backup_server.wiring import (
    Adapters,
    open_adapters,
    operation_limits,
    transfer_settings,
    work_limits,
)

_MILVUS: Final = "milvus"
_BACKUP: Final = "backup"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StopRequest:
    """How the service is asked to stop: once in peace, twice at once. Made inside a running loop."""

    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self) -> None:
        """Ask for a stop; asking again shortens it."""
        (self.at_once if self.wanted.is_set() else self.wanted).set()


@dataclass(frozen=True, slots=True)
class RunningApp:
    """A service that answers.

    Attributes:
        endpoint: Where it listens.
        use_cases: What its faces call.
    """

    endpoint: Endpoint
    use_cases: UseCases

    @property
    def address(self) -> str:
        """Where it listens, as gRPC clients take it."""
        return self.endpoint.target


@asynccontextmanager
async def running_app(
    settings: Settings, adapters: Adapters | None = None, stop: StopRequest | None = None
) -> AsyncIterator[RunningApp]:
    """Run the service for the time of a block, and stop it in peace behind it.

    Args:
        settings: The settings.
        adapters: Instead of those that the settings ask for; the caller closes them.
        stop: A second request there ends the grace of running operations.

    Raises:
        BackupError: The settings cannot be used.
        OSError: The address is taken.
    """
    # What is entered first is closed last: the server stops before what its calls use.
    async with AsyncExitStack() as stack:
        outside = adapters or await open_adapters(stack, settings)
        operations = await stack.enter_async_context(OperationManager(operation_limits(settings)))
        use_cases = build_use_cases(settings, outside, operations)
        server = ApiServer(use_cases)
        stack.push_async_callback(server.stop)
        endpoint = await server.start(_endpoint(settings))
        yield RunningApp(endpoint, use_cases)
        # Watchers are served up to the last state of what they watch; then no stream is open.
        await server.announce_stop()
        await _drain(operations, settings.service.shutdown_grace_seconds, stop or StopRequest())


async def serve(loaded: Loaded) -> None:
    """Run the service until a signal asks it to stop.

    Raises:
        BackupError: The settings cannot be used.
        OSError: The address is taken.
    """
    for warning in loaded.warnings:
        _log.warning("setting has no effect", warning=warning)
    _warn_of_open_address(loaded.settings.service.grpc.host, loaded.settings.service.grpc.socket)
    stop = StopRequest()
    with _signals(stop):
        async with running_app(loaded.settings, stop=stop) as app:
            _log.info(
                "serving", address=app.address, version=version(), file=str(loaded.file or "")
            )
            await stop.wanted.wait()
            _log.info("stopping", grace_seconds=loaded.settings.service.shutdown_grace_seconds)
    _log.info("stopped")


def build_use_cases(
    settings: Settings, adapters: Adapters, operations: OperationManager
) -> UseCases:
    """Put the use cases together."""
    milvus = Storage(_MILVUS, adapters.milvus_store, settings.milvus.storage.prefix)
    backup = Storage(_BACKUP, adapters.backup_store, settings.backup.storage.prefix)
    environment = Environment(
        registry=Registry(
            clusters={DEFAULT: Cluster(DEFAULT, adapters.gateway, milvus)},
            repositories={DEFAULT: Repository(DEFAULT, backup)},
        ),
        limits=work_limits(settings),
        version=version(),
    )
    stores = {storage.profile: storage.store for storage in (milvus, backup)}
    engine = AsyncTransferEngine(stores, transfer_settings(settings))
    catalog = Catalog(environment, operations)
    return UseCases(
        create=CreateBackup(environment, engine, operations),
        restore=RestoreBackup(environment, catalog, engine, operations),
        delete=DeleteBackup(environment, operations),
        catalog=catalog,
        operations=operations,
        diagnostics=Diagnostics(environment, operations),
    )


def version() -> str:
    """Return the version of this distribution."""
    try:
        return importlib.metadata.version("milvus-backup")
    except importlib.metadata.PackageNotFoundError:  # run from a folder that was never installed
        return "0"


async def _drain(operations: OperationManager, grace: float, stop: StopRequest) -> None:
    drained = asyncio.create_task(operations.drain(grace))
    hurried = asyncio.create_task(stop.at_once.wait())
    try:
        await asyncio.wait({drained, hurried}, return_when=asyncio.FIRST_COMPLETED)
        if not drained.done():
            await operations.drain(0)
        await drained
    finally:
        for task in (drained, hurried):
            task.cancel()
        await asyncio.gather(drained, hurried, return_exceptions=True)


def _endpoint(settings: Settings) -> Endpoint:
    grpc = settings.service.grpc
    return Endpoint(grpc.host, grpc.port, grpc.socket)


@contextmanager
def _signals(stop: StopRequest) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    chosen = (signal.SIGTERM, signal.SIGINT)
    for number in chosen:
        loop.add_signal_handler(number, stop.ask)
    try:
        yield
    finally:
        for number in chosen:
            loop.remove_signal_handler(number)


def _warn_of_open_address(host: str, socket: str) -> None:
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not socket and not loopback:
        _log.warning("there is no authentication: whoever reaches the port may do all", host=host)
