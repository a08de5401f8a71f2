"""Copying a collection's objects into the backup, and checking that exactly they are there."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from milvus_backup_server.domain.errors import (
    BackupCorrupt,
    ObjectChanged,
    ObjectNotFound,
    StorageUnavailable,
)
from milvus_backup_server.domain.layout import BackupLayout
from milvus_backup_server.domain.manifest import ManifestObject, dump_line
from milvus_backup_server.domain.objects import (
    ObjectInfo,
    TransferJob,
    TransferOutcome,
    md5_of_etag,
)
from milvus_backup_server.domain.operations import Amount
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.collection_plan import CollectionPlan, PlanStale
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.denied_copies import DeniedCopies
from milvus_backup_server.service.objects import (
    delete_prefix,
    list_objects,
    md5_of_object,
)
from milvus_backup_server.service.reconcile import Pair, reconcile
from milvus_backup_server.service.spool import Spool
from milvus_backup_server.service.tracker import Tracker

_DELETE_BATCH = 1000
_READ_BYTES = 8 << 20


class CollectionCopier:
    """Copies collections of one cluster into one backup.

    Args:
        source: Milvus's storage.
        target: The repository's storage.
        layout: Keys of the backup.
        engine: What moves the objects.
        tracker: Where progress goes.
        require_name: Asked directly before anything is removed: raises if the backup's name is not ours
            any more.
    """

    def __init__(
        self,
        source: Storage,
        target: Storage,
        layout: BackupLayout,
        *,
        engine: TransferEngine,
        tracker: Tracker,
        require_name: Callable[[], Awaitable[None]],
    ) -> None:
        self._source = source
        self._target = target
        self._layout = layout
        self._engine = engine
        self._tracker = tracker
        self._require_name = require_name
        self._denied = DeniedCopies(source, target, "backup.storage", tracker)

    async def copy(self, plan: CollectionPlan, *, again: bool) -> None:
        """Copy what is not there yet.

        Args:
            plan: What should be there.
            again: An earlier attempt at this plan may have left objects; those are kept. What an
                earlier plan had otherwise was removed by ``replace``.

        Raises:
            PlanStale: An object vanished or changed since it was listed.
        """
        jobs = self._missing_jobs(plan) if again else self._jobs(plan)
        async with contextlib.aclosing(self._engine.transfer(jobs)) as outcomes:
            async for outcome in outcomes:
                self._note(plan, outcome)

    async def replace(self, old: CollectionPlan, new: CollectionPlan) -> None:
        """Remove the copies made for an old plan that a new one wants otherwise, or in another place."""
        if old.collection_id != new.collection_id:  # made anew under its name
            await self.discard(old.collection_id)
            return
        changed: list[str] = []
        directory = self._layout.directory
        async for pair in reconcile(new.objects(), _as_planned(old, directory), directory):
            wanted, planned = pair.wanted, pair.present
            if wanted and planned and _version(wanted) != (planned.size, planned.etag):
                changed = await self._collect(changed, planned)
        await self._drop(changed)

    async def discard(self, collection_id: int) -> None:
        """Remove the copies of a collection."""
        for prefix in self._layout.collection_data(collection_id):
            await delete_prefix(self._target.store, prefix, delete=self._drop)

    async def check(self, plan: CollectionPlan, manifest: Spool) -> None:
        """Compare the copies with the plan, remove strays, and write the manifest's lines.

        Raises:
            BackupCorrupt: A copy is missing or has another size.
        """
        strays: list[str] = []
        sequence = 0
        async for pair in reconcile(plan.objects(), self._present(plan), self._layout.directory):
            if pair.wanted is None:
                strays = await self._collect(strays, pair.present)
                continue
            await manifest.append(
                dump_line(_checked(pair.wanted, pair.present, plan.md5_of(sequence)))
            )
            sequence += 1
            self._tracker.advance(Amount(bytes=pair.wanted.size, objects=1))
        await self._drop(strays)
        await manifest.flush()

    async def _jobs(self, plan: CollectionPlan) -> AsyncIterator[TransferJob]:
        sequence = 0
        async for item in plan.objects():
            yield self._job(item, sequence)
            sequence += 1

    async def _missing_jobs(self, plan: CollectionPlan) -> AsyncIterator[TransferJob]:
        sequence = 0
        async for pair in reconcile(plan.objects(), self._present(plan), self._layout.directory):
            if pair.wanted is None:
                continue
            if await self._stands(plan, sequence, pair):
                self._advance(plan, pair.wanted.size)
            else:
                yield self._job(pair.wanted, sequence)
            sequence += 1

    async def _stands(self, plan: CollectionPlan, sequence: int, pair: Pair) -> bool:
        """Tell whether what is there is the object wanted.

        An object is there whole or not at all, and was copied on the condition of the ETag planned.
        So where ETags say nothing its size is enough; one that passed through this service is read
        for its hash, which was lost with the run that knew it.
        """
        wanted, present = pair.wanted, pair.present
        if wanted is None or present is None or present.size != wanted.size:
            return False
        known = md5_of_etag(wanted.source_etag)
        if known and md5_of_etag(present.etag):
            return present.etag == wanted.source_etag
        if plan.md5_of(sequence) or self._copied_by_store:
            return True
        md5 = await md5_of_object(self._target.store, present, _READ_BYTES, known)
        plan.note_md5(sequence, md5)
        return known in ("", md5)

    @property
    def _copied_by_store(self) -> bool:
        source, target = self._source.store.location, self._target.store.location
        return source.same_endpoint(target) and not target.is_directory

    def _job(self, item: ManifestObject, sequence: int) -> TransferJob:
        return TransferJob(
            source_store=self._source.profile,
            source_key=item.source_key,
            target_store=self._target.profile,
            target_key=self._layout.key(item.key),
            size=item.size,
            etag=item.source_etag,
            sequence=sequence,
        )

    def _note(self, plan: CollectionPlan, outcome: TransferOutcome) -> None:
        if isinstance(outcome.error, ObjectNotFound | ObjectChanged):
            raise PlanStale(f"{outcome.job.source_key} vanished or changed") from outcome.error
        if outcome.error is not None:
            raise outcome.error
        if outcome.mode == "server":
            plan.server_side += 1
        self._denied.note(outcome)
        if outcome.md5:
            plan.note_md5(outcome.job.sequence, outcome.md5)
        self._advance(plan, outcome.job.size)

    def _advance(self, plan: CollectionPlan, size: int) -> None:
        done = Amount(bytes=size, objects=1)
        plan.copied += done
        self._tracker.advance(done, plan.snapshot.name)

    async def _present(self, plan: CollectionPlan) -> AsyncIterator[ObjectInfo]:
        insert, delta = self._layout.collection_data(plan.collection_id)
        for prefix in (delta, insert):
            async for item in list_objects(self._target.store, prefix):
                yield item

    async def _collect(self, strays: list[str], present: ObjectInfo | None) -> list[str]:
        if present is not None:
            strays.append(present.key)
        if len(strays) < _DELETE_BATCH:
            return strays
        await self._drop(strays)
        return []

    async def _drop(self, keys: list[str]) -> None:
        if keys:
            await self._require_name()
            await self._target.store.delete(keys)


def _version(item: ManifestObject) -> tuple[int, str]:
    """Return what tells two versions of a source object apart."""
    return item.size, item.source_etag


async def _as_planned(plan: CollectionPlan, directory: str) -> AsyncIterator[ObjectInfo]:
    """Yield the objects of a plan as a listing of the backup that shows the sources' ETags."""
    async for item in plan.objects():
        yield ObjectInfo(directory + item.key, *_version(item))


def _checked(wanted: ManifestObject, present: ObjectInfo | None, md5: str) -> ManifestObject:
    if present is None:
        raise StorageUnavailable(
            f"the copy of {wanted.source_key} is not listed in the backup", key=wanted.key
        )
    if present.size != wanted.size:
        raise BackupCorrupt(
            f"the copy of {wanted.source_key} has {present.size} bytes instead of {wanted.size}",
            key=wanted.key,
        )
    if not md5 and present.etag == wanted.source_etag:
        md5 = md5_of_etag(present.etag)
    return ManifestObject(
        key=wanted.key,
        source_key=wanted.source_key,
        source_etag=wanted.source_etag,
        size=wanted.size,
        etag=present.etag,
        hash=md5,
        algorithm="md5" if md5 else "",
    )
