"""Streams of operations that outlive their connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import grpc

from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup_client._calls import RetryPolicy, translated, worth_repeating
from milvus_backup_client._status import make_status
from milvus_backup_client.errors import BackupServiceError, ServiceUnreachable

Stream: TypeAlias = grpc.aio.UnaryStreamCall[Any, Operation]


class Reconnect:
    """Decides how long to wait after a break, and when to give up.

    Args:
        policy: The pauses; its number of attempts does not count here.
        budget_seconds: How long to try without hearing of anything.
    """

    def __init__(self, policy: RetryPolicy, budget_seconds: float) -> None:
        self._policy = policy
        self._budget_seconds = budget_seconds
        self._failures = 0
        self._silent_since: float | None = None

    def heard(self, *, news: bool) -> None:
        """Note that a state arrived; only news makes the next pause short again."""
        self._silent_since = None
        if news:
            self._failures = 0

    async def pause(self, error: BackupServiceError) -> None:
        """Wait before the next attempt.

        Raises:
            BackupServiceError: The given error, because the budget is used up.
        """
        now = asyncio.get_running_loop().time()
        self._failures += 1
        if self._silent_since is None:
            self._silent_since = now
        pause = self._policy.delay_seconds(self._failures)
        if now + pause - self._silent_since > self._budget_seconds:
            raise error
        await asyncio.sleep(pause)


class Newest:
    """Remembers what was passed on, so that a new connection does not repeat it."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}

    def is_news(self, operation: Operation) -> bool:
        """Tell whether this state differs from the last one of its operation, and remember it."""
        mark = (operation.revision, operation.state)
        known = self._seen.get(operation.name)
        self._seen[operation.name] = mark
        return mark != known or not operation.revision


async def follow(
    open_stream: Callable[[], Stream],
    reconnect: Reconnect,
    is_last: Callable[[Operation | None], bool],
) -> AsyncGenerator[Operation, None]:
    """Yield the states of a stream until it has ended; open it again when it breaks.

    Args:
        open_stream: Begins the stream; each stream begins with the present states.
        reconnect: How long to go on trying.
        is_last: Tells by its last state whether a stream that ended with OK had its end.

    Raises:
        BackupServiceError: The stream failed for another reason than a broken connection, or
            the connection stayed broken.
    """
    newest = Newest()
    latest: Operation | None = None
    while True:
        broken: BackupServiceError | None = None
        try:
            with _opened(open_stream) as stream:
                async for latest in stream:
                    news = newest.is_news(latest)
                    reconnect.heard(news=news)
                    if news:
                        yield latest
        except BackupServiceError as error:
            if not worth_repeating(error):
                raise
            broken = error
        if broken is None and is_last(latest):
            return
        await reconnect.pause(broken or _cut_short())


@contextmanager
def _opened(open_stream: Callable[[], Stream]) -> Iterator[Stream]:
    with translated():
        stream = open_stream()
        try:
            yield stream
        finally:
            stream.cancel()


def _cut_short() -> BackupServiceError:
    text = "the stream ended before the operation did"
    return ServiceUnreachable(make_status(grpc.StatusCode.UNAVAILABLE, "", text))
