"""Where Milvus imports from: the backup itself, or copies of it inside Milvus's own bucket."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from milvus_backup_server.domain.errors import (
    BackupCorrupt,
    BackupError,
    LeftBehind,
    ObjectChanged,
    ObjectNotFound,
)
from milvus_backup_server.domain.layout import BackupLayout, join
from milvus_backup_server.domain.manifest import ManifestObject
from milvus_backup_server.domain.objects import ObjectInfo, TransferJob, TransferOutcome
from milvus_backup_server.domain.operations import Amount
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.collection_plan import read_objects
from milvus_backup_server.service.context import Repository, Storage
from milvus_backup_server.service.denied_copies import DeniedCopies
from milvus_backup_server.service.fence import require_ours
from milvus_backup_server.service.objects import abort_uploads, delete_prefix, list_objects
from milvus_backup_server.service.reconcile import reconcile
from milvus_backup_server.service.spool import Spool
from milvus_backup_server.service.tracker import Tracker

STAGING_DIRECTORY = "milvus-backup-staging"
"""Below the root of Milvus's own objects."""


@dataclass(frozen=True, slots=True)
class ImportPlace:
    """From where Milvus imports.

    Attributes:
        prefix: The key of what is the backup's directory, ending in ``/``: in Milvus's bucket, or in a
            directory that Milvus sees.
        staged: Whether copies must be made there first.
        mount: That directory; empty for a bucket.
    """

    prefix: str
    staged: bool
    mount: str = ""

    def path(self, relative: str) -> str:
        """Return what Milvus calls a path inside the backup."""
        return f"{self.mount}/{self.prefix}{relative}" if self.mount else self.prefix + relative


def imports_in_place(repository: Storage, milvus: Storage) -> bool:
    """Tell whether backups lie in Milvus's own bucket, or in a directory that it sees."""
    both_seen = repository.mount != "" and milvus.mount != ""
    return both_seen or repository.store.location == milvus.store.location


def import_place(
    repository: Repository, milvus: Storage, layout: BackupLayout, operation: str
) -> ImportPlace:
    """Decide from where a restore imports: in place if the backup lies in Milvus's own bucket."""
    if imports_in_place(repository.storage, milvus):
        mount = repository.storage.mount or milvus.mount
        return ImportPlace(layout.directory, staged=False, mount=mount)
    return staging_place(milvus, operation)


def staging_place(milvus: Storage, operation: str) -> ImportPlace:
    """Return where the copies of a restore are made, if any are."""
    prefix = f"{join(milvus.root, STAGING_DIRECTORY, operation)}/"
    return ImportPlace(prefix, staged=True, mount=milvus.mount)


class StagedCopies:
    """The copies that one restore made, or may have made, inside Milvus's bucket.

    Args:
        milvus: Milvus's storage.
        place: Where they are; nothing is removed from a place that is not for copies.
        tracker: Of the operation; another service that has taken it over may need them.
    """

    def __init__(self, milvus: Storage, place: ImportPlace, tracker: Tracker) -> None:
        self._store = milvus.store
        self._place = place
        self._tracker = tracker
        self._warned = False

    def warn(self, error: BackupError) -> None:
        """Tell, once, that some could not be removed."""
        if not self._warned:
            self._warned = True
            where = f"{self._store.location.bucket}/{self._place.prefix}"
            text = f"copies below {where} could not be removed and remain: {error.message}"
            self._tracker.warn(LeftBehind(text, subject=where))

    async def clear(self) -> None:
        """Remove all of them; no error if there are none."""
        await self._clear(self._place.prefix)

    async def clear_of(self, collection_id: int) -> None:
        """Remove those of one collection, by its id at the source.

        Others may be there already when a restore is resumed, and Milvus may be reading them.
        """
        for prefix in _prefixes(self._place, collection_id):
            await self._clear(prefix)

    async def _clear(self, prefix: str) -> None:
        if self._place.staged:
            await require_ours(self._tracker)
            await abort_uploads(self._store, prefix)
            await delete_prefix(self._store, prefix, delete=self._delete)

    async def _delete(self, keys: list[str]) -> None:
        await require_ours(self._tracker)
        await self._store.delete(keys)


class Staging:
    """Copies of a backup's objects inside Milvus's bucket.

    Args:
        source: The repository's storage.
        layout: Keys of the backup.
        target: Milvus's storage.
        place: Where the copies go.
        engine: What moves the objects.
        tracker: Where progress goes.
    """

    def __init__(
        self,
        source: Storage,
        layout: BackupLayout,
        target: Storage,
        place: ImportPlace,
        *,
        engine: TransferEngine,
        tracker: Tracker,
    ) -> None:
        self._source = source
        self._layout = layout
        self._target = target
        self._place = place
        self._engine = engine
        self._tracker = tracker
        self._denied = DeniedCopies(source, target, "milvus.storage", tracker)
        self.count = 0

    async def fill(self, verified: Spool, collection_id: int, *, reuse: bool) -> None:
        """Copy a collection's objects, each conditioned on the ETag that it was verified with.

        Args:
            verified: The objects.
            collection_id: Its id at the source.
            reuse: An earlier run may have made some of the copies. Those that stand with the same size
                and ETag stay.

        Raises:
            BackupCorrupt: One changed or vanished since it was verified.
        """
        wanted = read_objects(verified)
        missing = self._missing(wanted, collection_id) if reuse else wanted
        async with contextlib.aclosing(self._engine.transfer(self._jobs(missing))) as outcomes:
            async for outcome in outcomes:
                self._note(outcome)

    async def _missing(
        self, wanted: AsyncIterator[ManifestObject], collection_id: int
    ) -> AsyncIterator[ManifestObject]:
        """Yield the objects whose copies do not stand as wanted."""
        present = self._present(collection_id)
        async for pair in reconcile(wanted, present, self._place.prefix):
            if pair.wanted is None:
                continue
            if _stands(pair.wanted, pair.present):
                self._count(pair.wanted.size)
            else:
                yield pair.wanted

    async def _present(self, collection_id: int) -> AsyncIterator[ObjectInfo]:
        for prefix in _prefixes(self._place, collection_id):
            async for item in list_objects(self._target.store, prefix):
                yield item

    async def _jobs(self, wanted: AsyncIterator[ManifestObject]) -> AsyncIterator[TransferJob]:
        async for item in wanted:
            yield TransferJob(
                source_store=self._source.profile,
                source_key=self._layout.key(item.key),
                target_store=self._target.profile,
                target_key=self._place.prefix + item.key,
                size=item.size,
                etag=item.etag,
            )

    def _note(self, outcome: TransferOutcome) -> None:
        if isinstance(outcome.error, ObjectNotFound | ObjectChanged):
            key = outcome.job.source_key
            raise BackupCorrupt(f"{key} changed while it was restored", key=key) from outcome.error
        if outcome.error is not None:
            raise outcome.error
        self._denied.note(outcome)
        self._count(outcome.job.size)

    def _count(self, size: int) -> None:
        self.count += 1
        self._tracker.advance(Amount(bytes=size, objects=1))


def _prefixes(place: ImportPlace, collection_id: int) -> list[str]:
    """Return where the copies of a collection lie, in the order of their keys."""
    kinds = ("delta_log", "insert_log")
    return [f"{place.prefix}binlogs/{kind}/{collection_id}/" for kind in kinds]


def _stands(wanted: ManifestObject, present: ObjectInfo | None) -> bool:
    return present is not None and (present.size, present.etag) == (wanted.size, wanted.etag)
