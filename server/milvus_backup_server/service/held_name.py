"""A backup's name in the hands of an operation, from the claim until the backup is whole or gone."""

from __future__ import annotations

import asyncio

from milvus_backup_server.domain.layout import CLAIM, BackupLayout
from milvus_backup_server.domain.operations import Amount, Phase
from milvus_backup_server.service.checks import missing_bucket
from milvus_backup_server.service.claim import Claim, claim, require_claim
from milvus_backup_server.service.context import Environment, Storage
from milvus_backup_server.service.removal import BackupRemoval
from milvus_backup_server.service.tracker import Tracker


class HeldName:
    """The name of the backup that an operation writes.

    Args:
        storage: The repository's storage.
        layout: Keys of the backup.
        operation: Who writes it.
        environment: Whether a missing bucket is made, and what gives generations.
    """

    def __init__(
        self, storage: Storage, layout: BackupLayout, operation: str, environment: Environment
    ) -> None:
        self._storage = storage
        self._layout = layout
        self._operation = operation
        self._environment = environment
        self._claim: Claim | None = None

    @property
    def generation(self) -> int:
        """The generation of our claim."""
        return self._ours.generation

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
        if not await store.bucket_exists():
            if not self._environment.limits.create_bucket:
                raise missing_bucket(self._storage, "backup.storage.bucketName")
            await store.create_bucket()
        generation = self._environment.new_generation()
        # A cancel must not leave it unknown whether the claim was written.
        claiming = asyncio.create_task(claim(store, self._layout, self._operation, generation))
        try:
            self._claim = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await asyncio.wait({claiming})
            if claiming.exception() is None:
                self._claim = claiming.result()
            raise

    async def require(self) -> None:
        """Raise BackupNameLost if the name is not ours any more: we slept, and others went on."""
        await require_claim(self._storage.store, self._layout, self._ours.data)

    async def release(self) -> None:
        """Remove the claim alone: the backup is whole, and is as if it had always been there."""
        await self.require()
        await self._storage.store.delete([self._layout.meta(CLAIM)])

    async def clean_up(self, tracker: Tracker) -> None:
        """Remove everything that was written under the name, the claim last; nothing if it was not taken.

        Raises:
            BackupNameLost: Another writer took the name meanwhile.
        """
        if self._claim is None:
            return
        tracker.enter(Phase.CLEANING_UP)
        removal = BackupRemoval(
            self._storage.store,
            self._layout,
            self._claim.data,
            removed=lambda number: tracker.advance(Amount(objects=number)),
        )
        await removal.run()
