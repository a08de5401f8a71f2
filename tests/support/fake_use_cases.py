"""Use cases that answer what a test wrote down, on a real API server and operation manager."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import grpc.aio

from milvus_backup_server.api.server import ApiServer, Endpoint
from milvus_backup_server.domain.backups import Backup, BackupCollectionSummary, Page
from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.diagnostics import CheckItem, ServerInfo
from milvus_backup_server.domain.operations import (
    Caller,
    DeleteResult,
    Operation,
    OperationKind,
    Result,
)
from milvus_backup_server.domain.places import Place
from milvus_backup_server.service.create_backup import CreateBackup
from milvus_backup_server.service.operation_directory import OperationDirectory
from milvus_backup_server.service.operations import OperationLimits, OperationManager
from milvus_backup_server.service.restore_backup import RestoreBackup
from milvus_backup_server.service.resuming import OperationControl
from milvus_backup_server.service.retrying import RetryOperation
from milvus_backup_server.service.running import OperationRequest
from milvus_backup_server.service.tracker import Tracker
from milvus_backup_server.service.use_cases import UseCases


@dataclass
class Job:
    """An operation that runs until its test lets it end."""

    name: str
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    trackers: list[Tracker] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False
    result: Result = field(default_factory=lambda: DeleteResult(1))

    async def tracker(self) -> Tracker:
        """Wait until it is at work and return what it reports to."""
        async with asyncio.timeout(60):
            await self.started.wait()
        return self.trackers[0]


class FakeStart:
    """A use case that begins operations: it notes the request and begins a ``Job``."""

    def __init__(self, operations: OperationManager, kind: OperationKind) -> None:
        self.asked: list[tuple[Any, Caller]] = []
        self.error: BaseException | None = None
        self.answer: Operation | None = None
        self.jobs: dict[str, Job] = {}
        self._operations = operations
        self._kind = kind

    async def start(self, request: Any, caller: Caller) -> Operation:
        self.asked.append((request, caller))
        if self.error:
            raise self.error
        return self.answer or await self.begin(request.backup_name, caller)

    async def begin(self, backup_name: str, caller: Caller = Caller()) -> Operation:  # noqa: B008 frozen
        asked = OperationRequest(Footprint(self._kind, backup_name), caller, object())
        job = self.jobs[asked.name] = Job(asked.name)

        async def body(tracker: Tracker) -> Result:
            job.trackers.append(tracker)
            job.started.set()
            try:
                await job.go_on.wait()
            except asyncio.CancelledError:
                job.cancelled = True
                raise
            return job.result

        return await self._operations.begin(asked, body)


class FakeCatalog:
    """Backups that a test put there."""

    def __init__(self) -> None:
        self.backups: dict[str, Backup] = {}
        self.summaries: tuple[BackupCollectionSummary, ...] = ()
        self.error: BaseException | None = None
        self.entered = asyncio.Event()
        self.never: asyncio.Event | None = None
        self.cancelled = asyncio.Event()

    def at(self, _: Place) -> FakeCatalog:
        return self

    async def get(self, name: str) -> Backup:
        self.entered.set()
        if self.error:
            raise self.error
        if self.never:
            try:
                await self.never.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        return self.backups[name]

    async def get_basic(self, name: str) -> Backup:
        return replace(self.backups[name], collections=())

    async def list(self, after: str, limit: int, *, full: bool) -> Page[Backup]:
        names = sorted(name for name in self.backups if name > after)
        items = tuple(self.backups[name] for name in names[:limit])
        return Page(items, items[-1].name if len(names) > limit else "")

    async def collections(
        self, name: str, offset: int, limit: int
    ) -> Page[BackupCollectionSummary]:
        end = offset + limit
        return Page(self.summaries[offset:end], str(end) if end < len(self.summaries) else "")


class FakeExport:
    """Archives that a test wrote down, chunk by chunk."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Caller]] = []
        self.chunks_of: tuple[bytes, ...] = ()
        self.error: BaseException | None = None

    async def start(self, request: Any, caller: Caller) -> FakeExport:
        self.asked.append((request, caller))
        return self

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        for chunk in self.chunks_of:
            yield chunk
        if self.error:
            raise self.error


class FakeImport:
    """Reads archives as far as a test wants, and answers what it wrote down."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Caller]] = []
        self.chunks: list[bytes] = []
        self.read: int | None = None
        self.error: BaseException | None = None
        self.answer: Operation | None = None

    async def run(self, request: Any, chunks: AsyncIterable[bytes], caller: Caller) -> Operation:
        self.asked.append((request, caller))
        async for chunk in chunks:
            self.chunks.append(chunk)
            if len(self.chunks) == self.read:
                break
        if self.error:
            raise self.error
        assert self.answer
        return self.answer


class FakeDiagnostics:
    """Answers that a test wrote down."""

    def __init__(self) -> None:
        self.items: tuple[CheckItem, ...] = ()
        self.info: ServerInfo | None = None

    async def check(self) -> tuple[CheckItem, ...]:
        return self.items

    async def server_info(self) -> ServerInfo:
        assert self.info
        return self.info


@dataclass(frozen=True)
class FakeApi:
    """A real server over the fakes, and a channel to it."""

    channel: grpc.aio.Channel
    operations: OperationManager
    create: FakeStart
    restore: FakeStart
    delete: FakeStart
    verify: FakeStart
    catalog: FakeCatalog
    diagnostics: FakeDiagnostics
    export: FakeExport
    import_: FakeImport
    use_cases: UseCases
    server: ApiServer
    target: str


@asynccontextmanager
async def serving_fakes(limits: OperationLimits | None = None) -> AsyncIterator[FakeApi]:
    """Serve the fakes on a free port."""
    async with OperationManager(limits) as operations:
        create = FakeStart(operations, OperationKind.CREATE_BACKUP)
        restore = FakeStart(operations, OperationKind.RESTORE_BACKUP)
        delete = FakeStart(operations, OperationKind.DELETE_BACKUP)
        catalog, diagnostics = FakeCatalog(), FakeDiagnostics()
        export, import_ = FakeExport(), FakeImport()
        verify = FakeStart(operations, OperationKind.VERIFY_BACKUP)
        fakes: list[Any] = [create, restore, delete, catalog, operations, diagnostics]
        directory = OperationDirectory(operations)
        fakes += [export, import_, verify, FakeStart(operations, OperationKind.SWEEP)]
        fakes += [directory, OperationControl(operations, directory)]
        begin = cast("CreateBackup", create), cast("RestoreBackup", restore)
        fakes.append(RetryOperation(directory, *begin))
        use_cases = UseCases(*fakes)
        server = ApiServer(use_cases)
        endpoint = await server.start(Endpoint(port=0))
        try:
            async with grpc.aio.insecure_channel(endpoint.target) as channel:
                yield FakeApi(
                    channel=channel,
                    operations=operations,
                    create=create,
                    restore=restore,
                    delete=delete,
                    verify=verify,
                    catalog=catalog,
                    diagnostics=diagnostics,
                    export=export,
                    import_=import_,
                    use_cases=use_cases,
                    server=server,
                    target=endpoint.target,
                )
        finally:
            await server.stop()


async def failure(call: Any) -> grpc.aio.AioRpcError:
    """Return the error of a call that must fail."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError(f"{cast('object', call)} did not fail")


async def running_job(api: FakeApi, backup_name: str = "a") -> Job:
    """Begin a create, and wait until it is at work."""
    job = api.create.jobs[(await api.create.begin(backup_name)).name]
    await job.tracker()
    return job
