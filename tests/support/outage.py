"""A store that can be away."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.ports.object_store import ObjectStore

T = TypeVar("T")


class Outage(StoreDecorator):
    """A store that fails while it is told to; ``writes`` alone or everything."""

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self.error: BackupError | None = None
        self.methods = frozenset({"put", "delete"})
        self.injected = 0

    async def _request(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        if self.error is not None and (not self.methods or method in self.methods):
            self.injected += 1
            raise self.error
        return await call()

    def fail(self, error: BackupError, *, reads: bool = False) -> None:
        """Fail from now on."""
        self.error = error
        self.methods = frozenset() if reads else frozenset({"put", "delete"})
