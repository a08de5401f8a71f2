"""Decorators of ``ObjectStore``: limits of requests, ends of writes, the one layer that retries.

They stand in the order Retry(Settle(Limit(store))): a request that waits for its next try holds no
slot, and a cancelled one is not tried again.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.adapters.store_rates import RateLimiter
from milvus_backup_server.domain.errors import (
    ObjectAlreadyExists,
    ObjectChanged,
    ObjectNotFound,
    StorageUnavailable,
    UploadNotFound,
)
from milvus_backup_server.domain.objects import ObjectInfo, Upload, UploadedPart, md5_of_etag
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.objects import to_the_end

T = TypeVar("T")

_READS = frozenset({"bucket_exists", "now", "head", "get", "list_page", "list_uploads"})
_SETTLE_SECONDS = 5.0
SLOWEST_BYTES_PER_SECOND = 1 << 20

RetryHook = Callable[[str, StorageUnavailable], None]
"""Told of every retry: the method, and what the try before it failed with."""


class RequestLimiter:
    """The limits of requests in flight and of rates, shared by all stores of a process."""

    def __init__(self, limit: int, rates: RateLimiter | None = None) -> None:
        self.limit = limit
        self.rates = rates or RateLimiter()
        self._slots = asyncio.Semaphore(limit)

    @asynccontextmanager
    async def slot(self, size: int = 0) -> AsyncIterator[None]:
        """Hold one of the slots for a request that moves so many bytes; first come, first served."""
        await self.rates.admit(size)
        async with self._slots:
            yield


class LimitedStore(StoreDecorator):
    """Takes a slot and sets a deadline for every request.

    Args:
        inner: The store.
        limiter: Has the slots.
        deadline_seconds: For a request without bytes.
        slowest_bytes_per_second: How much longer one may take that moves bytes: many copies at a time
            share a store's disks.
    """

    def __init__(
        self,
        inner: ObjectStore,
        limiter: RequestLimiter,
        *,
        deadline_seconds: float,
        slowest_bytes_per_second: int = SLOWEST_BYTES_PER_SECOND,
    ) -> None:
        super().__init__(inner)
        self._limiter = limiter
        self._deadline = deadline_seconds
        self._slowest = slowest_bytes_per_second

    async def get(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> bytes:
        """Pass on; how many bytes there are to the end is known behind it."""
        data = await super().get(key, offset=offset, length=length, if_match=if_match)
        if length is None:
            self._limiter.rates.note(len(data))
        return data

    async def complete_upload(self, upload: Upload, parts: Sequence[UploadedPart]) -> str:
        """Pass on; a directory moves all bytes once more, which no limit of bytes counts twice."""
        size = sum(part.size for part in parts)
        return await self._within(
            "complete_upload", size, lambda: self._inner.complete_upload(upload, parts)
        )

    async def _request(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        return await self._moving(method, 0, call)

    async def _moving(self, method: str, size: int, call: Callable[[], Awaitable[T]]) -> T:
        return await self._within(method, size, call, counted=size)

    async def _within(
        self, method: str, size: int, call: Callable[[], Awaitable[T]], *, counted: int = 0
    ) -> T:
        seconds = self._deadline + size / self._slowest
        async with self._limiter.slot(counted):
            try:
                async with asyncio.timeout(seconds):
                    return await call()
            except TimeoutError as error:
                raise StorageUnavailable(
                    f"the store did not finish {method} in {seconds:g} s",
                    subject=self.location.endpoint,
                    bucket=self.location.bucket,
                ) from error


class SettlingStore(StoreDecorator):
    """Waits for the end of a write whose caller is cancelled, for some seconds.

    A store may do what it was sent although nobody waits for the answer any more. Whoever cleans up
    after a cancel would then be too early: what arrives behind the clean-up stays for good.
    """

    async def _request(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        if method in _READS:
            return await call()
        writing = asyncio.ensure_future(call())
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            await to_the_end(_ended(writing), _SETTLE_SECONDS)
            raise


async def _ended(writing: asyncio.Future[T]) -> None:
    try:
        await asyncio.wait({writing})
    finally:
        writing.cancel()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to insist.

    Attributes:
        total_seconds: After the first failure of a request; no try begins later.
        max_attempts: Tries of a request, the first included.
        base_delay_seconds: The longest first pause. It doubles from try to try; the pause itself is
            any time up to it, so that those who failed together do not come back together.
        max_delay_seconds: Where the doubling ends.
    """

    total_seconds: float = 120.0
    max_attempts: int = 20
    base_delay_seconds: float = 0.1
    max_delay_seconds: float = 10.0

    def pause(self, failures: int) -> float:
        """Return how long to wait after so many failures."""
        longest = self.base_delay_seconds * 2.0 ** min(failures - 1, 32)
        return random.uniform(0, min(longest, self.max_delay_seconds))  # noqa: S311 - no secret


def _ignore(_method: str, _error: StorageUnavailable) -> None:
    pass


class _Tries:
    """The failures of one request so far, and whether there may be one more."""

    def __init__(self, policy: RetryPolicy) -> None:
        self.failures = 0
        self._policy = policy
        self._give_up = 0.0

    async def pause(self) -> bool:
        """Count a failure and wait; False, at once, if the budget is used up."""
        if self.failures == 0:
            self._give_up = time.monotonic() + self._policy.total_seconds
        self.failures += 1
        seconds = self._policy.pause(self.failures)
        if self.failures >= self._policy.max_attempts:
            return False
        if time.monotonic() + seconds > self._give_up:
            return False
        await asyncio.sleep(seconds)
        return True


class RetryingStore(StoreDecorator):
    """Repeats what failed with StorageUnavailable, within a budget for each request.

    A try whose answer was lost may have done its work. Where the next one then says that it is done
    already, the store is asked whether it was ours.
    """

    def __init__(
        self, inner: ObjectStore, policy: RetryPolicy, on_retry: RetryHook = _ignore
    ) -> None:
        super().__init__(inner)
        self._policy = policy
        self._on_retry = on_retry

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        """Write an object; after a lost answer the content decides whose it is."""
        tries = _Tries(self._policy)
        try:
            return await self._repeat(
                "put",
                lambda: self._inner.put(key, data, if_absent=if_absent, if_match=if_match),
                tries,
            )
        except (ObjectAlreadyExists, ObjectChanged):
            ours = await self._written(key, data) if tries.failures else None
            if ours is None:
                raise
            return ours

    async def complete_upload(self, upload: Upload, parts: Sequence[UploadedPart]) -> str:
        """Complete an upload; after a lost answer the object's ETag decides whether it was."""
        tries = _Tries(self._policy)
        try:
            return await self._repeat(
                "complete_upload", lambda: self._inner.complete_upload(upload, parts), tries
            )
        except UploadNotFound:
            found = await self.head(upload.key) if tries.failures else None
            if found is None or not _made_of(found.etag, parts):
                raise
            return found.etag

    async def _written(self, key: str, data: bytes) -> ObjectInfo | None:
        found = await self.head(key)
        if found is None or found.size != len(data):
            return None
        try:
            return found if await self.get(key, if_match=found.etag) == data else None
        except (ObjectNotFound, ObjectChanged):  # somebody else is at work there
            return None

    async def _request(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        return await self._repeat(method, call, _Tries(self._policy))

    async def _repeat(self, method: str, call: Callable[[], Awaitable[T]], tries: _Tries) -> T:
        while True:
            try:
                return await call()
            except StorageUnavailable as error:
                if not await tries.pause():
                    raise
                self._on_retry(method, error)


def _made_of(etag: str, parts: Sequence[UploadedPart]) -> bool:
    """Tell whether an object with that ETag can be the one made of the parts."""
    digest, _, count = etag.partition("-")
    if count != str(len(parts)):
        return False
    md5s = [md5_of_etag(part.etag) for part in parts]
    if not all(md5s):  # encrypted by the store: only the number of parts can be compared
        return True
    joined = b"".join(bytes.fromhex(md5) for md5 in md5s)
    return digest == hashlib.md5(joined, usedforsecurity=False).hexdigest()


def reliable(
    store: ObjectStore,
    limiter: RequestLimiter,
    policy: RetryPolicy,
    *,
    deadline_seconds: float,
    slowest_bytes_per_second: int = SLOWEST_BYTES_PER_SECOND,
    on_retry: RetryHook = _ignore,
) -> ObjectStore:
    """Return the store with all decorators that the service wants, in their order."""
    limited = LimitedStore(
        store,
        limiter,
        deadline_seconds=deadline_seconds,
        slowest_bytes_per_second=slowest_bytes_per_second,
    )
    return RetryingStore(SettlingStore(limited), policy, on_retry)
