"""Task groups that fail with the error itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


@asynccontextmanager
async def tasks() -> AsyncIterator[asyncio.TaskGroup]:
    """Open a TaskGroup that raises its first error alone; the others were cancelled or followed."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def spread(
    items: Iterable[T], limit: int, work: Callable[[T], Coroutine[object, object, R]]
) -> list[R]:
    """Do the work for all items, at most ``limit`` at once; the first failure ends it."""
    slots = asyncio.Semaphore(limit)
    started: list[asyncio.Task[R]] = []
    async with tasks() as group:
        for item in items:
            await slots.acquire()
            task = group.create_task(work(item))
            # A task that is cancelled before it runs never enters its body.
            task.add_done_callback(lambda _: slots.release())
            started.append(task)
    return [task.result() for task in started]
