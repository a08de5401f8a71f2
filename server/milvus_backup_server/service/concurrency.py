"""Doing the same to many things, so many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Run tasks that stand and fall together; the first failure is raised as it is, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        # The first failure is the cause; what it cancelled tells nothing more.
        raise failures.exceptions[0] from failures


async def for_each(
    items: Iterable[T], work: Callable[[T], Awaitable[None]], *, concurrent: int
) -> None:
    """Work on every item; the first failure cancels the rest and is raised.

    Only ``concurrent`` tasks exist, however many items there are.
    """
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await work(item)

    async with task_group() as group:
        for _ in range(concurrent):
            group.create_task(worker())
