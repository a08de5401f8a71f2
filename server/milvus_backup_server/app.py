"""The composition root: builds the service, owns every lifetime, stops in the reverse order."""

from __future__ import annotations

import asyncio
import importlib.metadata
import ipaddress
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from milvus_backup_server.adapters.operation_log import StoreOperationLog
from milvus_backup_server.adapters.store_rates import RateLimiter
from milvus_backup_server.adapters.transfer import AsyncTransferEngine
from milvus_backup_server.api.server import ApiServer, Endpoint
from milvus_backup_server.domain.diagnostics import CheckState
from milvus_backup_server.http.options import HttpOptions
from milvus_backup_server.lifeline import watching_stdin
from milvus_backup_server.reloading import Read, reloading
from milvus_backup_server.service.catalog import Catalog
from milvus_backup_server.service.concurrency import beside
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
from milvus_backup_server.service.export_backup import ExportBackup
from milvus_backup_server.service.import_backup import ImportBackup
from milvus_backup_server.service.journal import Journal
from milvus_backup_server.service.operation_directory import OperationDirectory
from milvus_backup_server.service.operations import OperationManager
from milvus_backup_server.service.restore_backup import RestoreBackup
from milvus_backup_server.service.resumers import register
from milvus_backup_server.service.resuming import OperationControl
from milvus_backup_server.service.retrying import RetryOperation
from milvus_backup_server.service.sweep import Sweep
from milvus_backup_server.service.use_cases import UseCases
from milvus_backup_server.service.verify_backup import VerifyBackup
from milvus_backup_server.service.verify_restored import RestoredVerification
from milvus_backup_server.settings import Loaded
from milvus_backup_server.settings.models import ServiceSettings, Settings
from milvus_backup_server.wiring import (
    Adapters,
    binlog_reader,
    http_options,
    open_adapters,
    operation_limits,
    place_storages,
    recording_limits,
    retention,
    this_owner,
    transfer_settings,
    work_limits,
)

if TYPE_CHECKING:
    from milvus_backup_server.http.server import HttpServer

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

    def ask_at_once(self) -> None:
        """Ask for a stop without grace."""
        self.wanted.set()
        self.at_once.set()


@dataclass(frozen=True, slots=True)
class RunningApp:
    """A service that answers.

    Attributes:
        endpoint: Where it listens for gRPC.
        use_cases: What its faces call.
        http: Where it listens for HTTP; None if that is off.
        rates: How much its stores are asked for; can be changed.
    """

    endpoint: Endpoint
    use_cases: UseCases
    http: HttpOptions | None = None
    rates: RateLimiter = field(default_factory=RateLimiter)

    @property
    def address(self) -> str:
        """Where it listens, as gRPC clients take it."""
        return self.endpoint.target

    @property
    def url(self) -> str:
        """Where it listens, as HTTP clients take it; empty if it does not."""
        return f"http://{self.http.authority}" if self.http else ""


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
    # What is entered first is closed last: the servers stop before what their calls use.
    async with AsyncExitStack() as stack:
        outside = adapters or await open_adapters(stack, settings)
        journal = await stack.enter_async_context(_journal(settings, outside))
        operations = await stack.enter_async_context(
            OperationManager(operation_limits(settings), journal)
        )
        use_cases = build_use_cases(settings, outside, operations, journal)
        server = ApiServer(use_cases)
        stack.push_async_callback(server.stop)
        endpoint = await server.start(_endpoint(settings))
        http = await _serve_http(stack, settings, use_cases)
        if settings.service.operations.resume_at_start:
            await stack.enter_async_context(beside(use_cases.control.resume_all()))
        yield RunningApp(endpoint, use_cases, http, outside.rates)
        # Watchers are served up to the last state of what they watch; then no stream is open.
        await server.announce_stop()
        await _drain(operations, settings.service.shutdown_grace_seconds, stop or StopRequest())


async def serve(
    loaded: Loaded,
    read: Read,
    *,
    stop_with_stdin: bool = False,
    adapters: Adapters | None = None,
) -> None:
    """Run the service until a signal asks it to stop.

    Args:
        loaded: The settings.
        read: Reads them again.
        stop_with_stdin: Stop at once when standard input ends, too.
        adapters: Instead of those that the settings ask for; the caller closes them.

    Raises:
        BackupError: The settings cannot be used.
        OSError: The address is taken.
    """
    for warning in loaded.warnings:
        _log.warning("settings", warning=warning)
    _warn_of_open_addresses(loaded.settings.service)
    stop = StopRequest()
    with _signals(stop), watching_stdin(stop.ask_at_once) if stop_with_stdin else nullcontext():
        async with (
            running_app(loaded.settings, adapters, stop) as app,
            reloading(loaded, read, app.rates),
            # A service for one command has no time to lose; Check tells the same.
            nullcontext()
            if stop_with_stdin
            else beside(_tell_of_shared_store(app.use_cases.diagnostics)),
        ):
            _log.info(
                "serving",
                address=app.address,
                http=app.url,
                version=version(),
                file=str(loaded.file or ""),
            )
            await stop.wanted.wait()
            _log.info("stopping", grace_seconds=loaded.settings.service.shutdown_grace_seconds)
    _log.info("stopped")


def build_use_cases(
    settings: Settings, adapters: Adapters, operations: OperationManager, journal: Journal
) -> UseCases:
    """Put the use cases together; ``service.resuming`` tells how a kind becomes resumable."""
    near, far = settings.milvus.storage, settings.backup.storage
    milvus = Storage(_MILVUS, adapters.milvus_store, near.prefix, near.mount)
    backup = Storage(_BACKUP, adapters.backup_store, far.prefix, settings.backup_mount)
    management = settings.milvus.management.endpoint
    places = place_storages(settings, adapters)
    environment = Environment(
        registry=Registry(
            clusters={DEFAULT: Cluster(DEFAULT, adapters.gateway, milvus, management)},
            repositories={DEFAULT: Repository(DEFAULT, backup)},
            allowed=settings.places,
            elsewhere=places,
        ),
        limits=work_limits(settings),
        version=version(),
        owner=journal.owner,
    )
    stores = {storage.profile: storage.store for storage in (milvus, backup, *places.values())}
    engine = AsyncTransferEngine(stores, transfer_settings(settings), environment.limits.memory)
    directory = OperationDirectory(operations, journal)
    catalog = Catalog(environment, directory)
    control = OperationControl(operations, directory, journal)
    create = CreateBackup(environment, engine, operations)
    restore = RestoreBackup(environment, catalog, engine, operations)
    verify = VerifyBackup(
        environment, catalog, operations, RestoredVerification(restore.tools, binlog_reader)
    )
    register(control, environment, engine, restore, verify)
    return UseCases(
        create=create,
        restore=restore,
        delete=DeleteBackup(environment, operations, control),
        catalog=catalog,
        operations=operations,
        diagnostics=Diagnostics(environment, engine, operations),
        export=ExportBackup(environment, catalog, operations),
        import_=ImportBackup(environment, operations),
        verify=verify,
        sweep=Sweep(environment, operations, directory, control, restore.tools),
        directory=directory,
        control=control,
        retry=RetryOperation(directory, create, restore),
    )


def _journal(settings: Settings, adapters: Adapters) -> Journal:
    store = adapters.records_store or adapters.backup_store
    log = StoreOperationLog(store, settings.backup.storage.prefix, retention(settings))
    return Journal(log, this_owner(), recording_limits(settings))


async def _tell_of_shared_store(diagnostics: Diagnostics) -> None:
    """Warn where several services must not share the backups' store."""
    found = await diagnostics.shared_store()
    if found is not None and found.state is not CheckState.OK:
        _log.warning("the backups' store must not be shared", reason=found.message)


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
        if drained.done():
            await drained
        else:  # which does what the other had before it
            await operations.drain(0)
    finally:
        for task in (drained, hurried):
            task.cancel()
        await asyncio.gather(drained, hurried, return_exceptions=True)


def _endpoint(settings: Settings) -> Endpoint:
    grpc = settings.service.grpc
    return Endpoint(grpc.host, grpc.port, grpc.socket)


async def _serve_http(
    stack: AsyncExitStack, settings: Settings, use_cases: UseCases
) -> HttpOptions | None:
    """Serve HTTP until the stack is closed, and return where; None if the settings say no."""
    if not settings.service.http.enabled:
        return None
    options = http_options(settings, version())
    server = await asyncio.to_thread(_http_server, use_cases, options)
    stack.push_async_callback(server.stop)
    return await server.start()


def _http_server(use_cases: UseCases, options: HttpOptions) -> HttpServer:
    # Half a second that a service without HTTP, such as one for a single command, need not wait.
    from milvus_backup_server.http.server import HttpServer  # noqa: PLC0415

    return HttpServer(use_cases, options)


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


def _warn_of_open_addresses(service: ServiceSettings) -> None:
    grpc, http = service.grpc, service.http
    hosts = {grpc.host} if not grpc.socket else set()
    if http.enabled:
        hosts.add(http.host)
    for host in sorted(hosts):
        if not _is_loopback(host):
            _log.warning(
                "there is no authentication: whoever reaches the port may do all", host=host
            )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
