"""Limits of requests and bytes per second, which can be changed while they hold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

_BURST_SECONDS = 0.1
_WAITING_BYTES = 64 << 10


class Meter:
    """How far use is ahead of a rate.

    A request may pass while nothing is owed, whatever it then costs; the next ones wait until that is
    paid. So large ones pass, too, and the rate holds in the mean.

    Attributes:
        rate: Units per second; 0 is no limit.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self._owed = 0.0
        self._seen = clock()

    def delay(self) -> float:
        """Return the seconds until nothing is owed."""
        return max(0.0, self._settle() / self.rate) if self.rate else 0.0

    def charge(self, units: float) -> None:
        """Count what is used."""
        if self.rate:
            self._owed = self._settle() + units

    def change(self, rate: float) -> None:
        """Hold another rate from now on; what is owed is forgotten."""
        self.rate = rate
        self._owed, self._seen = 0.0, self._clock()

    def _settle(self) -> float:
        now = self._clock()
        # Unused time counts a little, or every late wake-up would be lost.
        self._owed = max(self._owed - (now - self._seen) * self.rate, -_BURST_SECONDS * self.rate)
        self._seen = now
        return self._owed


class RateLimiter:
    """The requests and bytes per second of all stores of a process.

    Args:
        requests_per_second: 0 is no limit.
        bytes_per_second: Read, written or copied by the store itself; 0 is no limit. Requests of less
            than 64 KiB count, and do not wait for it: a heartbeat must not be late because of copies.
    """

    def __init__(self, requests_per_second: float = 0, bytes_per_second: float = 0) -> None:
        self._requests = _Gate(requests_per_second)
        self._bytes = _Gate(bytes_per_second)

    def change(self, requests_per_second: float, bytes_per_second: float) -> None:
        """Hold other rates from now on, also for those who wait."""
        self._requests.change(requests_per_second)
        self._bytes.change(bytes_per_second)

    async def admit(self, size: int) -> None:
        """Wait until a request may be made that moves so many bytes, and count it."""
        await self._requests.enter(1)
        if size < _WAITING_BYTES:
            self.note(size)
        else:
            await self._bytes.enter(size)

    def note(self, size: int) -> None:
        """Count bytes that were known only afterwards."""
        self._bytes.meter.charge(size)


class _Gate:
    """A meter and those who wait for it, first come, first served."""

    def __init__(self, rate: float) -> None:
        self.meter = Meter(rate)
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    def change(self, rate: float) -> None:
        self.meter.change(rate)
        self._changed.set()

    async def enter(self, units: float) -> None:
        if not self.meter.rate and not self._turn.locked():
            return
        async with self._turn:
            while (delay := self.meter.delay()) > 0:
                self._changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._changed.wait()
            self.meter.charge(units)
