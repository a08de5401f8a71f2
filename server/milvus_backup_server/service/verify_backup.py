"""Verifying a backup: the use case and its checks."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.errors import BackupCorrupt, BackupError, Unavailable
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operation_record import OperationRecord
from milvus_backup_server.domain.operations import Caller, Operation, OperationKind, Result
from milvus_backup_server.domain.requests import VerifyRequest
from milvus_backup_server.domain.verification import Sample, VerifyLevel, VerifyResult
from milvus_backup_server.service.catalog import Catalog
from milvus_backup_server.service.checks import require_restorable
from milvus_backup_server.service.context import Environment, Repository
from milvus_backup_server.service.operations import OperationManager
from milvus_backup_server.service.restore_work import CheckedRestore
from milvus_backup_server.service.resuming import Continuation
from milvus_backup_server.service.running import OperationRequest, WorkInterrupted
from milvus_backup_server.service.tracker import Tracker
from milvus_backup_server.service.verify_progress import VerifyProgress
from milvus_backup_server.service.verify_report import VerifyReport
from milvus_backup_server.service.verify_restored import RestoredVerification
from milvus_backup_server.service.verify_run import CheckedVerify, VerifyRun

_SEED_BITS = 63


class VerifyBackup:
    """The use case: compare a backup with what was recorded of it.

    Milvus is needed by level RESTORED alone.
    """

    def __init__(
        self,
        environment: Environment,
        catalog: Catalog,
        operations: OperationManager,
        restored: RestoredVerification,
    ) -> None:
        self._environment = environment
        self._catalog = catalog
        self._operations = operations
        self._restored = restored
        self._reading = asyncio.Semaphore(environment.limits.objects_read)

    async def start(self, request: VerifyRequest, caller: Caller) -> Operation:
        """Check a request and begin the operation.

        Raises:
            InvalidRequest: A field is wrong.
            BackupNotFound: Nothing of that name is there.
            BackupNotRestorable: It is incomplete, or of a format that this service does not read.
            BinlogsNotInstalled: Level RESTORED reads rows, and what reads them is not installed.
            OperationConflict: Another operation works on the backup.
            StorageUnavailable, StorageDenied: The store does not answer, or refuses us.
            BackupError: Level RESTORED: anything that a restore is refused for.
        """
        request.check()
        known = await self._operations.repeated(request.request_id, request)
        if known is not None:
            return known
        repository = self._environment.registry.repository_at(request.place)
        asked = OperationRequest(
            footprint=Footprint(
                OperationKind.VERIFY_BACKUP, request.backup_name, place=repository.place
            ),
            caller=caller,
            original=request,
            request_id=request.request_id,
        )
        await self._operations.refuse_conflict(asked.footprint)
        await self._require_verifiable(repository, request.backup_name)
        checked: CheckedRestore | None = None
        if request.level is VerifyLevel.RESTORED:
            checked = await self._restored.check(request, asked.name)

        async def body(tracker: Tracker) -> Result:
            return await self._run(request, asked.name, tracker, checked)

        return await self._operations.begin(asked, body)

    async def _run(
        self,
        request: VerifyRequest,
        name: str,
        tracker: Tracker,
        checked: CheckedRestore | None = None,
        attempt: int = 1,
    ) -> VerifyResult:
        registry = self._environment.registry
        repository = registry.repository_at(request.place)
        progress = VerifyProgress(registry.repository().storage, name)
        if attempt > 1:
            await progress.load()

        async def restore(
            report: VerifyReport, tracker: Tracker
        ) -> Mapping[CollectionName, BackupError]:
            return await self._restored.run(
                request, checked, report, tracker, operation=name, attempt=attempt
            )

        run = VerifyRun(
            CheckedVerify(
                operation=name,
                layout=repository.layout(request.backup_name),
                repository=repository,
                level=request.level,
                sample=_sample(request, progress.sample_seed),
                some=bool(request.collections),
            ),
            self._environment.limits,
            self._reading,
            tracker,
            progress=progress,
            restore=restore if request.level is VerifyLevel.RESTORED else None,
        )
        async with _noting(progress, tracker):
            return await run.run()

    async def resumed(self, record: OperationRecord) -> Continuation:
        """Return how an interrupted verification goes on, or what it left is removed.

        What was read is not read again; what was restored is removed, and restored anew.
        """
        request, attempt = record.request, record.attempt + 1
        assert isinstance(request, VerifyRequest)  # noqa: S101 by the record's kind

        async def go_on(tracker: Tracker) -> Result:
            try:
                await self._clear(request, record.name, attempt, tracker)
            except asyncio.CancelledError:
                if tracker.cancel_requested:
                    await undo(tracker)
                raise
            return await self._run(request, record.name, tracker, attempt=attempt)

        async def undo(tracker: Tracker) -> None:
            await self._clear(request, record.name, attempt, tracker)
            progress = VerifyProgress(self._environment.registry.repository().storage, record.name)
            await progress.load()
            await progress.remove()

        async def check() -> None:
            repository = self._environment.registry.repository_at(request.place)
            await self._require_verifiable(repository, request.backup_name)
            if request.level is VerifyLevel.RESTORED:
                await self._restored.check(request, record.name)

        return Continuation(go_on, undo, check)

    async def _clear(
        self, request: VerifyRequest, name: str, attempt: int, tracker: Tracker
    ) -> None:
        """Remove what an attempt left in Milvus and in its bucket."""
        if request.level is VerifyLevel.RESTORED:
            await self._restored.clear(name, attempt, tracker)

    async def _require_verifiable(self, repository: Repository, name: str) -> None:
        try:
            backup = await self._catalog.of(repository).get_sound(name)
        except BackupCorrupt:
            return  # which the verification will tell in full
        require_restorable(backup)


@asynccontextmanager
async def _noting(progress: VerifyProgress, tracker: Tracker) -> AsyncIterator[None]:
    """Keep what is noted where a verification is interrupted, and remove it at any other end."""
    try:
        yield
    except (asyncio.CancelledError, WorkInterrupted, Unavailable) as error:
        if tracker.cancel_requested:
            await progress.remove()
            raise
        await progress.write()
        if isinstance(error, Unavailable):
            raise WorkInterrupted(error) from error
        raise
    except BaseException:
        await progress.remove()
        raise
    await progress.remove()


def _sample(request: VerifyRequest, seed_before: int) -> Sample:
    if request.sample_percent in (0, 100):
        return Sample()
    seed = request.sample_seed or seed_before or secrets.randbits(_SEED_BITS) + 1
    return Sample(request.sample_percent, seed)
