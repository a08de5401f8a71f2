"""Sending a backup to a caller as an archive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.operations import Caller, Operation, OperationKind, Result
from milvus_backup_server.domain.requests import ExportRequest
from milvus_backup_server.service.catalog import Catalog
from milvus_backup_server.service.checks import require_restorable
from milvus_backup_server.service.context import Environment
from milvus_backup_server.service.export_run import CheckedExport, ExportRun
from milvus_backup_server.service.operations import OperationManager
from milvus_backup_server.service.pipe import Pipe
from milvus_backup_server.service.running import OperationRequest
from milvus_backup_server.service.streams import caller_is_gone, refuse_many_streams, succeeded
from milvus_backup_server.service.tracker import Tracker


class ArchiveChunks:
    """An archive in chunks of at most 1 MiB, to be read once, and closed if it is not read to its end.

    The operation works no faster than they are read, and ends when this is closed. Reading raises
    what the operation ended with, if that is not success: then the archive is not whole.
    """

    def __init__(self, pipe: Pipe, operations: OperationManager, name: str) -> None:
        self._pipe = pipe
        self._operations = operations
        self._name = name

    def __aiter__(self) -> Self:
        """Read it."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk."""
        chunk = await self._pipe.get()
        if chunk is None:
            await succeeded(self._operations, self._name)
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Read no more, also if nothing was read yet."""
        self._pipe.fail(caller_is_gone())  # without effect where the operation has ended


@dataclass(frozen=True, slots=True)
class Export:
    """An archive on its way.

    Attributes:
        operation: The operation that sends it, as it began.
    """

    operation: Operation
    _chunks: ArchiveChunks

    def chunks(self) -> ArchiveChunks:
        """Return the archive."""
        return self._chunks


class ExportBackup:
    """The use case: send a backup as an archive."""

    def __init__(
        self, environment: Environment, catalog: Catalog, operations: OperationManager
    ) -> None:
        self._environment = environment
        self._catalog = catalog
        self._operations = operations

    async def start(self, request: ExportRequest, caller: Caller) -> Export:
        """Check a request and begin the operation, which waits for the chunks to be read.

        Raises:
            InvalidRequest: The name is not allowed.
            BackupNotFound, BackupCorrupt: As they say.
            BackupNotRestorable: It is incomplete, or of another format.
            OperationConflict: Another operation changes the backup.
            TooManyOperations: Too many exports and imports run.
            StorageDenied, StorageUnavailable: As they say.
        """
        request.check()
        limits = self._environment.limits
        refuse_many_streams(self._operations, limits.streams)
        repository = self._environment.registry.repository_at(request.place)
        asked = OperationRequest(
            footprint=Footprint(
                OperationKind.EXPORT_BACKUP, request.backup_name, place=repository.place
            ),
            caller=caller,
            original=request,
            at_once=True,
        )
        await self._operations.refuse_conflict(asked.footprint)
        backup = await self._catalog.of(repository).get_sound(request.backup_name)
        require_restorable(backup)
        checked = CheckedExport(backup.name, repository, backup.create_time)
        pipe = Pipe(reader_seconds=limits.stream_stall_seconds)

        async def body(tracker: Tracker) -> Result:
            return await ExportRun(checked, pipe, limits, tracker).run()

        refuse_many_streams(self._operations, limits.streams)  # others may have begun meanwhile
        operation = await self._operations.begin(asked, body)
        return Export(operation, ArchiveChunks(pipe, self._operations, operation.name))
