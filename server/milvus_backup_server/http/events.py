"""The states of an operation as server-sent events.

Source of the format: the section "Server-sent events" of the HTML standard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from milvus_backup_server.domain.operations import Operation
from milvus_backup_server.http.operation_views import operation_view
from milvus_backup_server.http.responses import json_bytes, shown
from milvus_backup_server.service.shared_messages import SharedMessage

EVENT_STREAM: Final = "text/event-stream"
HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""Nobody between us and the reader may hold events back."""

_EVENT: Final = "operation"
_QUIET_SECONDS: Final = 15.0


async def events(
    states: AsyncGenerator[Operation, None],
    message: SharedMessage,
    quiet_seconds: float = _QUIET_SECONDS,
) -> AsyncGenerator[bytes, None]:
    """Yield an event for each state, and a comment after each silence, until the states end.

    Args:
        states: A watch, which is closed with this.
        message: Makes the events, once for all who watch.
        quiet_seconds: The longest silence: so a reader that is gone is noticed.
    """
    async with aclosing(states):
        upcoming = _next(states)
        try:
            while True:
                await asyncio.wait({upcoming}, timeout=quiet_seconds)
                if not upcoming.done():
                    yield KEEPALIVE_COMMENT
                    continue
                state = upcoming.result()
                if state is None:
                    return
                yield message.of(state)
                upcoming = _next(states)
        finally:
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)


def event(operation: Operation) -> bytes:
    """Return a state as one event; its id is the revision."""
    data = json_bytes(shown(operation_view(operation))).decode()
    return format_sse_event(data_str=data, event=_EVENT, id=str(operation.revision))


def _next(states: AsyncGenerator[Operation, None]) -> asyncio.Task[Operation | None]:
    async def wait() -> Operation | None:
        return await anext(states, None)

    return asyncio.create_task(wait())
