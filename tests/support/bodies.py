"""Operations whose work is a test's: bodies that wait, fail or clean up when they are told."""

import asyncio
from collections.abc import Awaitable, Callable

from milvus_backup_server.domain.conflicts import Footprint
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    Caller,
    DeleteResult,
    Operation,
    OperationKind,
    OperationState,
    Result,
)
from milvus_backup_server.service.operations import OperationManager
from milvus_backup_server.service.running import OperationRequest, new_operation_name
from milvus_backup_server.service.tracker import Tracker

RESULT = DeleteResult(7)


def asked(
    backup: str = "b",
    kind: OperationKind = OperationKind.DELETE_BACKUP,
    *,
    original: object = "request",
    request_id: str = "",
    targets: frozenset[CollectionName] = frozenset(),
    name: str = "",
) -> OperationRequest:
    """Return what begins an operation."""
    return OperationRequest(
        Footprint(kind, backup, targets),
        Caller(),
        original,
        request_id=request_id,
        name=name or new_operation_name(),
    )


async def at_once(_: Tracker) -> Result:
    """Succeed."""
    return RESULT


class Held:
    """A body that waits until it is let go.

    Attributes:
        tracker: what the body reports to, once it runs.
        running: set when the body runs.
        go: set it to let the body end.
        clean_up: set it to let a stopped body finish its clean-up; it is set from the beginning.
        cleaning: set when a stopped body cleans up.
        cleaned: whether the clean-up got to its end.
    """

    def __init__(self, error: Exception | None = None, late: Exception | None = None) -> None:
        """Make a body.

        Args:
            error: what it raises when it is let go.
            late: what its clean-up raises.
        """
        self.tracker: Tracker | None = None
        self.running = asyncio.Event()
        self.go = asyncio.Event()
        self.clean_up = asyncio.Event()
        self.clean_up.set()
        self.cleaning = asyncio.Event()
        self.cleaned = False
        self._error = error
        self._late = late

    async def __call__(self, tracker: Tracker) -> Result:
        self.tracker = tracker
        self.running.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cleaning.set()
            await self.clean_up.wait()
            if self._late:
                raise self._late from None
            self.cleaned = True
            raise
        if self._error:
            raise self._error
        return RESULT


async def ended(manager: OperationManager, operation: Operation) -> Operation:
    """Wait for an operation's last state."""
    async with asyncio.timeout(60):
        states = [state async for state in manager.watch(operation.name, 0)]
    assert states[-1].state.ends_watch
    return states[-1]


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until a condition holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - it may be anything
            await asyncio.sleep(0)


async def in_time(waiting: Awaitable[object]) -> None:
    """Wait for something that must come."""
    async with asyncio.timeout(60):
        await waiting


def state_of(manager: OperationManager, operation: Operation) -> OperationState:
    """Return the present state of an operation."""
    return manager.get(operation.name).state
