"""A backup's name in the hands of an operation, from the claim until the backup is whole or gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from milvus_backup_server.domain.errors import (
    BackupAlreadyExists,
    BackupError,
    BackupNameLost,
    LeftBehind,
)
from milvus_backup_server.domain.layout import CLAIM, BackupLayout
from milvus_backup_server.domain.operations import Amount, Phase
from milvus_backup_server.domain.places import HOME_SETTING
from milvus_backup_server.service.checks import missing_bucket
from milvus_backup_server.service.claim import (
    Claim,
    claim,
    new_claim,
    read_claim,
    require_claim,
    take_over,
)
from milvus_backup_server.service.context import Environment, Repository, Storage
from milvus_backup_server.service.removal import BackupRemoval
from milvus_backup_server.service.tracker import Tracker


async def _nothing() -> None:
    pass


class HeldName:
    """The name of the backup that an operation writes.

    Args:
        repository: Where the backup is made.
        layout: Keys of the backup.
        operation: Who writes it.
        environment: Whether a missing bucket is made, and what gives generations.
    """

    def __init__(
        self, repository: Repository, layout: BackupLayout, operation: str, environment: Environment
    ) -> None:
        self._repository = repository
        self._storage = repository.storage
        self._layout = layout
        self._operation = operation
        self._environment = environment
        self._claim: Claim | None = None
        self._doubtful = False
        self._releasing = False

    @property
    def generation(self) -> int:
        """The generation of our claim."""
        return self._ours.generation

    @property
    def held(self) -> bool:
        """Whether we took the name, or may have; then it may still have been lost since."""
        return self._claim is not None

    @property
    def _ours(self) -> Claim:
        assert self._claim is not None  # noqa: S101 taken before anything is written
        return self._claim

    async def take(self) -> None:
        """Claim the name; a missing bucket is made where the settings allow it.

        Raises:
            BackupAlreadyExists: It is not free.
            BucketNotFound: As it says.
        """
        store = self._storage.store
        await self._make_bucket(self._storage, self._repository.setting)
        if self._repository.home is not None:
            await self._make_bucket(self._repository.home, HOME_SETTING)
        environment = self._environment
        ours = new_claim(self._operation, environment.new_generation(), environment.owner)
        # A cancelled write may have been done; so it is waited for, and looked for by the clean-up.
        claiming = asyncio.create_task(claim(store, self._layout, ours))
        try:
            await asyncio.shield(claiming)
        except asyncio.CancelledError:
            self._claim, self._doubtful = ours, True
            await _ended(claiming, self._environment.limits.cleanup_seconds)
            raise
        except BackupAlreadyExists:
            raise
        except BackupError:  # it may stand
            self._claim, self._doubtful = ours, True
            raise
        self._claim = ours

    async def _make_bucket(self, storage: Storage, setting: str) -> None:
        if await storage.store.bucket_exists():
            return
        if not self._environment.limits.create_bucket:
            raise missing_bucket(storage, setting)
        await storage.store.create_bucket()

    async def take_over(self) -> bool:
        """Take the name again that an earlier run of this operation had; False if it had none.

        Raises:
            BackupNameLost: It is another's now.
        """
        store = self._storage.store
        if not await store.bucket_exists():
            return False
        environment = self._environment
        self._claim = await take_over(
            store,
            self._layout,
            self._operation,
            environment.new_generation(),
            environment.owner,
        )
        return self._claim is not None

    async def clear(self, tracker: Tracker) -> None:
        """Remove everything under the name but the claim."""
        await self._removal(self._ours.data, tracker).run(keep_claim=True)

    async def require(self) -> None:
        """Raise BackupNameLost if the name is not ours any more: we slept, and others went on."""
        await require_claim(self._storage.store, self._layout, self._ours.data)

    async def release(self) -> None:
        """Remove the claim alone: the backup is whole, and is as if it had always been there."""
        await self.require()
        self._releasing = True
        await self._storage.store.delete([self._layout.meta(CLAIM)])

    async def clean_up(
        self, tracker: Tracker, first: Callable[[], Awaitable[None]] = _nothing
    ) -> None:
        """Remove everything that was written under the name, the claim last; nothing if it was not taken.

        Args:
            tracker: Is told how many objects each step removed.
            first: Removes what would let a further run go on with what is removed here.

        Raises:
            BackupNameLost: Another writer took the name meanwhile.
            LeftBehind: It could not be removed.
        """
        if self._claim is None:
            return
        tracker.enter(Phase.CLEANING_UP)
        try:
            await self._remove(self._claim.data, tracker, first)
        except BackupNameLost:
            raise
        except BackupError as error:
            name = self._layout.name
            raise LeftBehind(
                f"backup {name!r} was written in part and could not be removed: {error.message}; "
                "delete it",
                subject=name,
            ) from error

    async def _remove(
        self, ours: bytes, tracker: Tracker, first: Callable[[], Awaitable[None]]
    ) -> None:
        store = self._storage.store
        if self._doubtful:
            if await read_claim(store, self._layout) == ours:  # nothing else was written
                await store.delete([self._layout.meta(CLAIM)])
            return
        standing = await read_claim(store, self._layout) if self._releasing else ours
        # Without a claim the name is still ours where it was we who removed it: nobody takes one
        # under which anything lies.
        expected = None if self._releasing and standing is None else ours
        await require_claim(store, self._layout, expected)
        await first()
        await self._removal(expected, tracker).run()

    def _removal(self, expected: bytes | None, tracker: Tracker) -> BackupRemoval:
        return BackupRemoval(
            self._storage.store,
            self._layout,
            expected,
            removed=lambda number: tracker.advance(Amount(objects=number)),
        )


async def _ended(task: asyncio.Task[None], seconds: float) -> None:
    """Wait for a task, whatever its outcome; it is cancelled after so long, or by a further cancel."""
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
