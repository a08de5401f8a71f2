"""A service that sleeps in the middle of an operation, as under SIGSTOP: nothing of it is passed on.

It goes on where it was when it is woken, and knows nothing of the time between.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.gateways import GatewayDecorator
from tests.support.running_service import Decorators

T = TypeVar("T")


class Sleep:
    """Puts a service to sleep before one of its calls of Milvus and of its stores.

    Attributes:
        seen: the calls so far, until it sleeps.
        asleep: set when it sleeps.
        woken: set it to let it go on.
    """

    def __init__(self, at: int = 0) -> None:
        """Choose the call, counted from 1; 0 for none."""
        self.seen: list[str] = []
        self.asleep = asyncio.Event()
        self.woken = asyncio.Event()
        self._at = at

    async def before(self, name: str) -> None:
        """Count a call, and hold it back while the service sleeps."""
        if not self.asleep.is_set():
            self.seen.append(name)
            if len(self.seen) == self._at:
                self.asleep.set()
        await self.while_asleep()

    async def while_asleep(self) -> None:
        """Hold back what the service does beside its operation."""
        if self.asleep.is_set():
            await self.woken.wait()

    @property
    def decorators(self) -> Decorators:
        """What goes around the service's ports."""
        return Decorators(
            gateway=lambda inner: _Gateway(inner, self),
            milvus_store=lambda inner: _Store(inner, self),
            backup_store=lambda inner: _Store(inner, self),
        )

    def records(self, inner: ObjectStore) -> ObjectStore:
        """Return the store of its records; what goes there is not counted, as it depends on the time."""
        return _Records(inner, self)


class _Gateway(GatewayDecorator):
    def __init__(self, inner: MilvusGateway, sleep: Sleep) -> None:
        super().__init__(inner)
        self._sleep = sleep

    async def _call(self, method: str, subject: str, call: Callable[[], Awaitable[T]]) -> T:
        await self._sleep.before(f"{method} {subject}")
        return await call()


class _Store(StoreDecorator):
    def __init__(self, inner: ObjectStore, sleep: Sleep) -> None:
        super().__init__(inner)
        self._sleep = sleep

    async def _request(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        await self._sleep.before(method)
        return await call()


class _Records(StoreDecorator):
    def __init__(self, inner: ObjectStore, sleep: Sleep) -> None:
        super().__init__(inner)
        self._sleep = sleep

    async def _request(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        await self._sleep.while_asleep()
        return await call()
