"""Settings read again while the service runs, when SIGHUP asks: those that can change take effect."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog

from milvus_backup_server.adapters.store_rates import RateLimiter
from milvus_backup_server.domain.errors import FieldViolation, InvalidSettings
from milvus_backup_server.settings import Loaded, Settings
from milvus_backup_server.wiring import rates_of

_RELOADED: Final = frozenset({"service.limits.requestsPerSecond", "service.limits.mibPerSecond"})

_log = structlog.get_logger(__name__)

Read = Callable[[], Loaded]
"""Reads the settings from where they were read at the start."""


@asynccontextmanager
async def reloading(loaded: Loaded, read: Read, rates: RateLimiter) -> AsyncIterator[None]:
    """Read the settings again at each SIGHUP, for the time of a block."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, asked.set)
    task = asyncio.create_task(_follow(asked, loaded, read, rates))
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _follow(asked: asyncio.Event, loaded: Loaded, read: Read, rates: RateLimiter) -> None:
    while True:
        await asked.wait()
        asked.clear()
        try:
            again = await asyncio.to_thread(_read_again, loaded.file, read)
        except InvalidSettings as error:
            faults = [f"{fault.field}: {fault.description}" for fault in error.violations]
            _log.error("settings not read again, the old ones hold", faults=faults)
            continue
        _apply(again.settings, loaded.settings, rates)


def _read_again(file: Path | None, read: Read) -> Loaded:
    """Read the settings, unless what was their file would give the defaults, or nothing ever.

    So a shell's ``<(...)`` is read to its end once, and a pipe would be waited for.

    Raises:
        InvalidSettings: Something is wrong with them.
    """
    if file is not None and not file.is_file():
        text = f"{file} cannot be read again: it is gone, or a pipe"
        raise InvalidSettings(FieldViolation("--config", text))
    return read()


def _apply(new: Settings, running: Settings, rates: RateLimiter) -> None:
    old = running.values_by_key()
    changed = {key for key, value in new.values_by_key().items() if value != old[key]}
    requests, size = rates_of(new)
    rates.change(requests, size)
    _log.info("settings read again", requests_per_second=requests, bytes_per_second=size)
    if waiting := sorted(changed - _RELOADED):
        _log.warning("settings that need a restart", keys=waiting)
