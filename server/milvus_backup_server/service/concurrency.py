"""Doing the same to many things, so many at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
)
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from milvus_backup_server.domain.errors import BackupError

T = TypeVar("T")
R = TypeVar("R")


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Run tasks that stand and fall together; the first failure is raised as it is, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        # The first failure is the cause; what it cancelled tells nothing more.
        raise failures.exceptions[0] from failures


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do something beside a block, and no longer; its failure is nobody's but its own."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def in_thread(work: Callable[..., R], *args: Any) -> R:
    """Work in a thread, and wait for its end whatever happens: who is cancelled closes what it works with.

    A database that is closed under a thread of its own ends the whole process. So no cancel, and no
    further one, gets by before the end; the work is to be short.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({running})
        running.exception()  # of no interest any more
        raise


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


async def in_order(
    items: AsyncIterable[T], work: Callable[[T], Coroutine[Any, Any, R]], *, ahead: int
) -> AsyncGenerator[R, None]:
    """Yield what is made of each item, in the order of the items; ``ahead`` of them are in work at one time.

    Close it (``contextlib.aclosing``) to stop what is in work.
    """
    begun: deque[asyncio.Task[R]] = deque()
    try:
        async for item in items:
            begun.append(asyncio.create_task(work(item)))
            if len(begun) == ahead:
                yield await begun.popleft()
        while begun:
            yield await begun.popleft()
    finally:
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)


async def for_each_of(
    items: AsyncIterator[T], work: Callable[[T], Awaitable[None]], *, concurrent: int
) -> None:
    """Do the same for items that come one after another; they are drawn no faster than worked off."""
    drawing = asyncio.Lock()  # an asynchronous generator gives one at a time

    async def worker() -> None:
        while True:
            async with drawing:
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
            await work(item)

    async with task_group() as group:
        for _ in range(concurrent):
            group.create_task(worker())


async def merged(sources: Iterable[AsyncIterator[T]]) -> AsyncGenerator[T, None]:
    """Yield what several sources give as it comes; each is drawn no further than one item ahead.

    Ends when all have ended; the failure of one ends all.
    """
    pending = {asyncio.ensure_future(_next(source)): source for source in sources}
    try:
        while pending:
            done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                source = pending.pop(task)
                for item in task.result():
                    yield item
                    pending[asyncio.ensure_future(_next(source))] = source
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _next(source: AsyncIterator[T]) -> tuple[T, ...]:
    """Return the next item; nothing at the end."""
    try:
        return (await anext(source),)
    except StopAsyncIteration:
        return ()


def first_backup_error(error: BaseException) -> BackupError | None:
    """Return the first error meant for callers inside an exception group; None if there is none."""
    if isinstance(error, BackupError):
        return error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            found = first_backup_error(inner)
            if found is not None:
                return found
    return None
