"""The parts of one object, so many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import TypeVar

from milvus_backup_server.service.concurrency import task_group

T = TypeVar("T")
R = TypeVar("R")


async def spread(
    items: Iterable[T], limit: int, work: Callable[[T], Coroutine[object, object, R]]
) -> list[R]:
    """Do the work for all items, at most ``limit`` at once; the first failure ends it."""
    slots = asyncio.Semaphore(limit)
    started: list[asyncio.Task[R]] = []
    async with task_group() as group:
        for item in items:
            await slots.acquire()
            task = group.create_task(work(item))
            # A task that is cancelled before it runs never enters its body.
            task.add_done_callback(lambda _: slots.release())
            started.append(task)
    return [task.result() for task in started]
