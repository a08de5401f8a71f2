"""Chunks on their way from one task to another: one at a time, and each side learns when the other is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from milvus_backup_server.domain.errors import BackupError, OperationStalled
from milvus_backup_server.service.running import Broadcast


class Pipe:
    """Between the task that serves a caller's stream and the operation that works on it.

    Args:
        reader_seconds: How long a writer waits for the reader; None: for as long as it takes.
        writer_seconds: How long a reader waits for the writer; None: for as long as it takes.
    """

    def __init__(
        self, *, reader_seconds: float | None = None, writer_seconds: float | None = None
    ) -> None:
        self._reader_seconds = reader_seconds
        self._writer_seconds = writer_seconds
        self._changed = Broadcast()
        self._chunk: bytes | None = None
        self._closed = False
        self._error: BackupError | None = None

    async def put(self, chunk: bytes) -> None:
        """Hand over a chunk as soon as the one before it was taken.

        Raises:
            OperationStalled: The reader took nothing for too long.
            BackupError: What the other side failed with.
        """
        await self._until(lambda: self._chunk is None, self._reader_seconds, "took nothing")
        self._chunk = chunk
        self._changed.notify()

    async def get(self) -> bytes | None:
        """Return the next chunk, None behind the last one; errors as in ``put``."""
        await self._until(
            lambda: self._closed or self._chunk is not None, self._writer_seconds, "sent nothing"
        )
        chunk, self._chunk = self._chunk, None
        self._changed.notify()
        return chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the chunks up to the end; errors as in ``put``."""
        while (chunk := await self.get()) is not None:
            yield chunk

    async def drain(self) -> None:
        """Wait until the last chunk was taken; errors as in ``put``."""
        await self._until(lambda: self._chunk is None, self._reader_seconds, "took nothing")

    def close(self) -> None:
        """Tell the reader that there is no more."""
        self._closed = True
        self._changed.notify()

    def fail(self, error: BackupError) -> None:
        """Raise an error on the other side, which then need not go on."""
        if self._error is None:
            self._error = error
        self._changed.notify()

    async def _until(self, ready: Callable[[], bool], seconds: float | None, what: str) -> None:
        try:
            async with asyncio.timeout(seconds):
                while self._error is None and not ready():
                    await self._changed.wait_beyond(self._changed.version)
        except TimeoutError:
            raise OperationStalled(
                f"the caller {what} for {seconds:g} s", waited_for="the caller of the stream"
            ) from None
        if self._error is not None:
            raise self._error
