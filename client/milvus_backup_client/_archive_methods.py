"""The methods of BackupService that stream archives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from milvus_backup.v1.backup_pb2 import BackupPlace
from milvus_backup.v1.backup_service_pb2 import ExportBackupRequest, ImportBackupRequest
from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup_client._calls import translated
from milvus_backup_client._connection import Connection

_CHUNK_BYTES = 512 * 1024
# By this the service tells in its initial metadata that it needs no more chunks.
_STOP_SENDING = "x-milvus-backup-stop-sending"

_ImportCall = grpc.aio.StreamUnaryCall[ImportBackupRequest, Operation]


class ArchiveMethods:
    """Part of BackupClient: backups sent and received as archives."""

    _connection: Connection

    async def export_backup(
        self, backup_name: str, *, place: BackupPlace | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield a whole backup as a tar archive, in chunks of at most 1 MiB.

        The archive is whole when the generator ends; if it raises, or is left before, what was
        yielded is only a part of it. Leaving it ends the operation in the service. It has no
        deadline and is not repeated.

        Args:
            backup_name: A complete or legacy backup.
            place: Where it lies, as in ``create_backup``.
        """
        with translated():
            call = self._connection.backups.ExportBackup(
                ExportBackupRequest(backup_name=backup_name, place=place),
                metadata=self._connection.metadata,
            )
            try:
                async for message in call:
                    yield message.chunk
            finally:
                call.cancel()

    async def import_backup(
        self,
        chunks: AsyncIterable[bytes],
        backup_name: str | None = None,
        *,
        place: BackupPlace | None = None,
    ) -> Operation:
        """Make a backup of an archive: of ``export_backup``, or of a backup's directory packed by tar.

        The call is the work: cancelled, it ends the operation, which removes what it wrote. It has no
        deadline and is not repeated.

        Args:
            chunks: The archive, plain or in gzip, in pieces of any size. Read no faster than the
                service takes them; what it raises ends the call.
            backup_name: The backup to make; None: the name of the archive's top directory.
            place: Where it is to lie, as in ``create_backup``.

        Returns:
            The operation, which has succeeded.
        """
        with translated():
            call = self._connection.backups.ImportBackup(metadata=self._connection.metadata)
            try:
                return await _send(
                    call,
                    _messages(
                        chunks, ImportBackupRequest(backup_name=backup_name or "", place=place)
                    ),
                )
            finally:
                call.cancel()


async def _send(
    call: _ImportCall, messages: AsyncGenerator[ImportBackupRequest, None]
) -> Operation:
    stopped = asyncio.ensure_future(_stopped(call))
    try:
        async with aclosing(messages), aclosing(_until(stopped, messages)) as wanted:
            async for message in wanted:
                await call.write(message)
        await call.done_writing()
    except asyncio.InvalidStateError:
        pass  # the call has ended; how, is told below
    finally:
        stopped.cancel()
    return await call


async def _stopped(call: _ImportCall) -> None:
    """Return when the service needs no more chunks; never if it only goes away."""
    metadata = await call.initial_metadata()
    if _STOP_SENDING not in (metadata or ()):
        await asyncio.get_running_loop().create_future()


async def _until(
    stopped: asyncio.Future[None], messages: AsyncGenerator[ImportBackupRequest, None]
) -> AsyncGenerator[ImportBackupRequest, None]:
    """Yield messages until there are no more or something happens, whichever comes first."""
    while True:
        following = asyncio.ensure_future(anext(messages))
        either: set[asyncio.Future[Any]] = {following, stopped}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                return
            yield following.result()
        except StopAsyncIteration:
            return
        finally:
            following.cancel()
            await asyncio.wait({following})


async def _messages(
    chunks: AsyncIterable[bytes], first: ImportBackupRequest
) -> AsyncGenerator[ImportBackupRequest, None]:
    yield first
    async for piece in _pieces(chunks):
        yield ImportBackupRequest(chunk=piece)


async def _pieces(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        for offset in range(0, len(chunk), _CHUNK_BYTES):
            yield chunk[offset : offset + _CHUNK_BYTES]
