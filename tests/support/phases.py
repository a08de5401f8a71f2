"""Holding an operation in one of its phases, so that a test can cancel it there."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from milvus_backup_server.domain.operations import Operation, OperationState, Phase
from milvus_backup_server.service.operations import OperationManager
from tests.support.held_calls import around_all
from tests.support.running_service import Decorators

T = TypeVar("T")


class PhaseGate:
    """Holds back one call that the newest operation makes in a phase; for `held_calls.around_all`.

    Attributes:
        operations: set it before the operation begins.
        held: the call that is held back: port, method, subject.
        reached: set when it is held back.
        opened: set it to let the call go on.
    """

    def __init__(self, phase: Phase, *, number: int = 1, answer: bool = False) -> None:
        """Describe the call.

        Args:
            phase: in which the operation must be.
            number: which of the calls in that phase, counted from 1.
            answer: make the call, and hold back its answer.
        """
        self.operations: OperationManager | None = None
        self.held: tuple[str, str, str] | None = None
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self._phase = phase
        self._left = number
        self._answer = answer

    @property
    def decorators(self) -> Decorators:
        """Decorators that pass the calls of all ports through this."""
        return around_all(self)

    async def __call__(
        self, port: str, method: str, subject: str, call: Callable[[], Awaitable[T]]
    ) -> T:
        if not self._is_here():
            return await call()
        self.held = (port, method, subject)
        if not self._answer:
            await self._hold()
            return await call()
        result = await call()
        await self._hold()
        return result

    async def wait(self) -> None:
        """Wait until the call is held back."""
        async with asyncio.timeout(60):
            await self.reached.wait()

    def _is_here(self) -> bool:
        newest = self.operations.list("", 1).items if self.operations else ()
        if not any(map(self._is_running, newest)):
            return False
        self._left -= 1
        return self._left == 0

    def _is_running(self, operation: Operation) -> bool:
        running = operation.state is OperationState.RUNNING
        return running and operation.progress.phase is self._phase

    async def _hold(self) -> None:
        self.reached.set()
        await self.opened.wait()
