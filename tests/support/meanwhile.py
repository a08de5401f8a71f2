"""Something that happens in the middle of an operation: before chosen calls of its ports."""

import asyncio
from collections.abc import Awaitable, Callable
from copy import deepcopy
from typing import TypeVar

from tests.support.held_calls import around_all
from tests.support.running_service import Decorators

T = TypeVar("T")

Action = Callable[[], Awaitable[object]]


class Meanwhile:
    """Does something before chosen calls, or lets them fail; what `held_calls.around_all` takes.

    Attributes:
        fired: how often it did so.
        calls: every call so far: port, method, subject.
    """

    def __init__(
        self,
        port: str,
        method: str,
        action: Action,
        *,
        part: str = "",
        first: int = 1,
        times: int = 1,
        after: bool = False,
        shielded: bool = True,
    ) -> None:
        """Describe the calls.

        Args:
            port: as `held_calls` names them.
            method: of the port.
            action: what happens; an error of it is the call's.
            part: must be part of the subject.
            first: number of the first such call, counted from 1.
            times: how many of them.
            after: make the call first, and do it before its answer.
            shielded: what others do goes on when the call that it came before is cancelled.
        """
        self.fired = 0
        self.calls: list[tuple[str, str, str]] = []
        self._port, self._method, self._part = port, method, part
        self._action = action
        self._numbers = range(first, first + times)
        self._seen = 0
        self._after = after
        self._shielded = shielded

    async def __call__(
        self, port: str, method: str, subject: str, call: Callable[[], Awaitable[T]]
    ) -> T:
        self.calls.append((port, method, subject))
        if (port, method) != (self._port, self._method) or self._part not in subject:
            return await call()
        self._seen += 1
        if self._seen not in self._numbers:
            return await call()
        if not self._after:
            await self._act()
            return await call()
        result = await call()
        await self._act()
        return result

    async def _act(self) -> None:
        self.fired += 1
        if not self._shielded:
            await self._action()
            return
        acting = asyncio.ensure_future(self._action())
        try:
            await asyncio.shield(acting)
        except asyncio.CancelledError:
            await asyncio.wait({acting})
            raise

    @property
    def decorators(self) -> Decorators:
        """Decorators that pass the calls of all ports through this."""
        return around_all(self)


def failing(error: Exception) -> Action:
    """Return an action that raises an error, each time one of its own: operations write into theirs."""

    async def fail() -> None:
        raise deepcopy(error)

    return fail
