"""A limit of bytes in memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ByteBudget:
    """Grants bytes up to a limit, first come, first served: large claims are not passed over.

    A claim above the limit gets the whole limit, so it waits until it is alone.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = limit
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def used(self) -> int:
        """Bytes that are granted now."""
        return self.limit - self._free

    async def acquire(self, size: int) -> int:
        """Wait for bytes; return how many to give back."""
        granted = min(size, self.limit)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((granted, turn))
        self._grant()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # granted in the same moment
                self._free += granted
            self._grant()
            raise
        return granted

    def release(self, granted: int) -> None:
        """Give bytes back."""
        self._free += granted
        self._grant()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Hold bytes in the body."""
        granted = await self.acquire(size)
        try:
            yield
        finally:
            self.release(granted)

    def _grant(self) -> None:
        while self._waiting:
            granted, turn = self._waiting[0]
            if turn.done():  # cancelled while it waited
                self._waiting.popleft()
                continue
            if granted > self._free:
                return
            self._waiting.popleft()
            self._free -= granted
            turn.set_result(None)
