"""Making a backup of an archive that a caller sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable

from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.errors import (
    BackupError,
    FieldViolation,
    InvalidRequest,
    OperationStalled,
)
from milvus_backup_server.domain.names import BACKUP_NAME_RULE, is_backup_name
from milvus_backup_server.domain.operations import Caller, Operation, OperationKind, Result
from milvus_backup_server.domain.requests import ImportRequest
from milvus_backup_server.service.archive_reader import ArchiveOpening
from milvus_backup_server.service.checks import Deadline, require_bucket
from milvus_backup_server.service.claim import refuse_taken_name
from milvus_backup_server.service.context import Environment, Repository
from milvus_backup_server.service.import_run import CheckedImport, ImportRun
from milvus_backup_server.service.operations import OperationManager
from milvus_backup_server.service.pipe import Pipe
from milvus_backup_server.service.running import OperationRequest
from milvus_backup_server.service.streams import caller_is_gone, refuse_many_streams, succeeded
from milvus_backup_server.service.tracker import Tracker


class ImportBackup:
    """The use case: make a backup of an archive."""

    def __init__(self, environment: Environment, operations: OperationManager) -> None:
        self._environment = environment
        self._operations = operations
        self._unnamed = 0

    async def run(
        self, request: ImportRequest, chunks: AsyncIterable[bytes], caller: Caller
    ) -> Operation:
        """Read an archive to its end and return the operation that made a backup of it.

        The call is the work: cancelled, it ends the operation. So does a CancelOperation.

        Args:
            request: What to make.
            chunks: The archive, plain or in gzip, in pieces of any size. Read no faster than it is
                written; what it raises ends the operation.
            caller: Who sends it.

        Raises:
            InvalidRequest: The name is not allowed, or the archive's own is not and none was given.
            ArchiveInvalid: The archive is damaged, or holds what no backup does.
            BackupCorrupt: Its files do not agree with each other.
            BackupNotRestorable: It is of a newer or other format.
            BackupAlreadyExists: The name is taken.
            OperationConflict: Another operation works on a backup of that name.
            TooManyOperations: Too many exports and imports run.
            OperationStalled: The caller sent nothing for too long.
            OperationCancelled, OperationInterrupted: As they say.
            BucketNotFound, StorageDenied, StorageUnavailable: As they say.
        """
        request.check()
        limit = self._environment.limits.streams
        refuse_many_streams(self._operations, limit, self._unnamed)
        repository = self._environment.registry.repository_at(request.place)
        opening = ArchiveOpening(chunks)
        name = request.backup_name or await self._name_of(opening)
        asked = OperationRequest(
            footprint=Footprint(OperationKind.IMPORT_BACKUP, name, place=repository.place),
            caller=caller,
            original=request,
            at_once=True,
        )
        await self._operations.refuse_conflict(asked.footprint)
        await self._check(repository, name)
        pipe = Pipe(writer_seconds=self._environment.limits.stream_stall_seconds)
        checked = CheckedImport(asked.name, name, repository)

        async def body(tracker: Tracker) -> Result:
            return await ImportRun(checked, pipe, self._environment, tracker).run()

        # Others may have begun meanwhile.
        refuse_many_streams(self._operations, limit)
        return await self._worked_off(await self._operations.begin(asked, body), opening, pipe)

    async def _name_of(self, opening: ArchiveOpening) -> str:
        seconds = self._environment.limits.stream_stall_seconds
        self._unnamed += 1
        try:
            async with asyncio.timeout(seconds):
                name = await opening.top()
        except TimeoutError:
            raise OperationStalled(
                f"the caller sent no archive within {seconds:g} s",
                waited_for="the caller of the stream",
            ) from None
        finally:
            self._unnamed -= 1
        if not is_backup_name(name):
            raise InvalidRequest(
                FieldViolation(
                    "backup_name",
                    f"is required: {name[:128]!r}, the archive's top directory, is not allowed: "
                    f"{BACKUP_NAME_RULE}",
                )
            )
        return name

    async def _check(self, repository: Repository, name: str) -> None:
        limits = self._environment.limits
        async with Deadline(limits.check_seconds).asking_store(repository.storage):
            if not limits.create_bucket:
                await require_bucket(repository.storage, repository.setting)
            if await repository.storage.store.bucket_exists():
                await refuse_taken_name(repository.storage.store, repository.layout(name))

    async def _worked_off(
        self, operation: Operation, opening: ArchiveOpening, pipe: Pipe
    ) -> Operation:
        """Feed the operation to its end; an end that comes before that of the archive ends the feeding."""
        feeding = asyncio.create_task(_feed(pipe, opening))
        try:
            return await succeeded(self._operations, operation.name)
        finally:
            pipe.fail(caller_is_gone())  # without effect where the operation has ended
            feeding.cancel()
            await asyncio.wait({feeding})
            if not feeding.cancelled() and (failure := feeding.exception()) is not None:
                raise failure


async def _feed(pipe: Pipe, opening: ArchiveOpening) -> None:
    try:
        async for chunk in opening.chunks():
            await pipe.put(chunk)
    except BackupError as error:
        pipe.fail(error)
    except BaseException:
        pipe.fail(caller_is_gone())
        raise
    else:
        pipe.close()
