"""Doing again what failed because Milvus did not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from milvus_backup_server.domain.errors import MilvusUnavailable
from milvus_backup_server.service.context import WorkLimits

T = TypeVar("T")


async def patiently(limits: WorkLimits, act: Callable[[], Awaitable[T]]) -> T:
    """Do something, again and again while Milvus does not answer, for the time of a clean-up."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limits.cleanup_seconds
    while True:
        try:
            return await act()
        except MilvusUnavailable:
            if loop.time() >= end:
                raise
            await asyncio.sleep(limits.poll_seconds)
