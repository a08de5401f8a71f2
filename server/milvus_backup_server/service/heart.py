"""The sign of life that this service gives while it has operations at work."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.operation_record import Owner
from milvus_backup_server.ports.operation_log import OperationLog

_log = logging.getLogger(__name__)


class Heart:
    """Beats from the first operation on until none is at work; then others need not wait for us.

    Args:
        log: Where to.
        owner: We.
        seconds: Between two beats.
        needed: Tells whether anything is at work.
        look: Called before each beat: who slept looks first whether others have gone on without it.
        look_seconds: No look keeps the next beat waiting for longer.
    """

    def __init__(
        self,
        log: OperationLog,
        owner: Owner,
        seconds: float,
        *,
        needed: Callable[[], bool],
        look: Callable[[], Awaitable[None]],
        look_seconds: float,
    ) -> None:
        self._log = log
        self._owner = owner
        self._seconds = seconds
        self._needed = needed
        self._look = look
        self._look_seconds = look_seconds
        self._turn = asyncio.Lock()
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Give the first sign of life, unless it was given; BackupError if the store does not take it."""
        async with self._turn:
            if self.task is None:
                await self._log.beat(self._owner)
                self.task = asyncio.create_task(self._beat(), name="heartbeat")

    async def stop(self) -> None:
        """Tell that this service has ended."""
        async with self._turn:
            if self.task is None:
                return
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            self.task = None
            await self._end()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            with contextlib.suppress(BackupError, TimeoutError):  # the next beat tries again
                async with asyncio.timeout(self._look_seconds):
                    await self._look()
            async with self._turn:
                if not self._needed():
                    self.task = None
                    await self._end()
                    return
            try:
                await self._log.beat(self._owner)
            except BackupError as error:
                _log.warning("no sign of life could be given: %s", error.message)

    async def _end(self) -> None:
        with contextlib.suppress(BackupError):  # it runs out by itself
            await self._log.end(self._owner)
