"""The work of a verification: the metadata, the objects of each collection, what else lies there, the record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from milvus_backup_server.domain.errors import BackupError, BackupNameLost
from milvus_backup_server.domain.layout import CLAIM, BackupLayout, manifest_generation
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.domain.operations import CollectionProgress, CollectionState, Phase
from milvus_backup_server.domain.verification import (
    BackupIdentity,
    Sample,
    Verification,
    VerifyLevel,
    VerifyResult,
)
from milvus_backup_server.service.backup_reader import BackupReader
from milvus_backup_server.service.concurrency import for_each_of
from milvus_backup_server.service.context import Repository, WorkLimits
from milvus_backup_server.service.meta_files import StoredMeta
from milvus_backup_server.service.running import FailedWithResult
from milvus_backup_server.service.spool import SpoolDirectory
from milvus_backup_server.service.tracker import Totals, Tracker
from milvus_backup_server.service.verification_records import VerificationRecords
from milvus_backup_server.service.verify_extras import ExtrasCheck
from milvus_backup_server.service.verify_go_metadata import GoToolMetadata
from milvus_backup_server.service.verify_manifest import ManifestMetadata
from milvus_backup_server.service.verify_metadata import (
    BackupMetadata,
    CollectionObjects,
    FilesCheck,
    KnownCollection,
)
from milvus_backup_server.service.verify_objects import ObjectsCheck
from milvus_backup_server.service.verify_progress import VerifyProgress
from milvus_backup_server.service.verify_report import VerifyReport


@dataclass(frozen=True, slots=True)
class CheckedVerify:
    """A verification whose request passed every check.

    Attributes:
        operation: The name of the operation.
        some: Level RESTORED restores some collections and not all.
    """

    operation: str
    layout: BackupLayout
    repository: Repository
    level: VerifyLevel
    sample: Sample
    some: bool = False


Restore = Callable[[VerifyReport, Tracker], Awaitable[Mapping[CollectionName, BackupError]]]
"""Restores and compares rows, reports what differs, and returns why collections could not be compared."""


class VerifyRun:
    """One verification.

    Args:
        checked: What to verify, and how thoroughly.
        limits: Bounds of the work.
        reading: Held while an object is read; all verifications share it.
        tracker: Where progress goes.
        progress: What was read so far.
        restore: Does level RESTORED; None for others.
    """

    def __init__(
        self,
        checked: CheckedVerify,
        limits: WorkLimits,
        reading: asyncio.Semaphore,
        tracker: Tracker,
        *,
        progress: VerifyProgress,
        restore: Restore | None = None,
    ) -> None:
        self._notes = progress
        self._restore = restore
        self._checked = checked
        self._limits = limits
        self._tracker = tracker
        self._layout = layout = checked.layout
        self._store = store = checked.repository.storage.store
        self._report = report = VerifyReport()
        self._reader = BackupReader(StoredMeta(store, layout, limits.part_bytes))
        self._files = FilesCheck(store, layout, report, limits.part_bytes)
        self._extras = ExtrasCheck(store, layout, report, tracker)
        self._objects = ObjectsCheck(
            store,
            layout,
            report,
            tracker,
            level=checked.level,
            sample=checked.sample,
            limits=limits,
            reading=reading,
        )

    async def run(self) -> VerifyResult:
        """Verify, remember it and return what was found.

        Raises:
            FailedWithResult: There is damage, or collections could not be restored.
            BackupNameLost: The backup was removed or replaced meanwhile.
            StorageUnavailable, StorageDenied, StorageRefused: The store cannot be read.
        """
        async with SpoolDirectory() as spools:
            self._tracker.enter(Phase.PLANNING)
            files = await self._reader.files()
            self._notes.begin(files, self._checked.sample.seed)
            metadata = await self._metadata(files, spools)
            await self._verify_collections(metadata)
            await self._look_around(metadata)
        await self._require_same(files)
        failed = await self._restored(files)
        result = self._report.result(self._checked.level, metadata.basis, self._checked.sample)
        if not failed:
            await self._remember(result, metadata.identity)
        error = self._report.error(self._layout.name) or next(iter(failed.values()), None)
        if error is not None:
            raise FailedWithResult(error, result)
        return result

    async def _restored(
        self, files: Mapping[str, ObjectInfo]
    ) -> Mapping[CollectionName, BackupError]:
        """Restore the backup and compare its rows, if that is asked for and nothing is wrong so far."""
        if self._restore is None:
            return {}
        if self._report.by_kind:
            self._report.notes.append("nothing was restored, as the backup is damaged")
            return {}
        failed = await self._restore(self._report, self._tracker)
        await self._require_same(files)
        return failed

    async def _metadata(
        self, files: Mapping[str, ObjectInfo], spools: SpoolDirectory
    ) -> BackupMetadata:
        if not _is_ours(files):
            theirs = GoToolMetadata(self._reader, files, self._files, self._report)
            await theirs.verify()
            return theirs
        ours = ManifestMetadata(self._reader, files, self._files, self._report, spools)
        await ours.verify(self._store, self._layout)
        return ours

    # --- collections

    async def _verify_collections(self, metadata: BackupMetadata) -> None:
        known = metadata.collections or ()
        self._tracker.add_collections(self._progress(item) for item in known)
        self._tracker.enter(Phase.VERIFYING, self._totals(known))
        self._objects.etags_are_md5 = self._files.etags_are_md5
        await for_each_of(metadata.objects(), self._verify_one, concurrent=self._limits.collections)
        if self._notes.skipped:
            self._report.notes.append(
                f"{self._notes.skipped} collections were read before the verification was interrupted, "
                "and only listed since"
            )

    async def _verify_one(self, collection: CollectionObjects) -> None:
        name = collection.name
        self._tracker.collection(name, state=CollectionState.RUNNING)
        wanted = await collection.open()
        if wanted is not None:
            was_read = self._notes.skips(name)
            await self._objects.check(name, collection.collection_id, wanted, was_read=was_read)
        error = self._report.collection_error(name)
        if error is None:
            self._tracker.collection(name, state=CollectionState.SUCCEEDED)
            if self._checked.level.reads and wanted is not None:
                await self._notes.note(name)
        else:
            self._tracker.collection(name, state=CollectionState.FAILED, error=error)

    async def _look_around(self, metadata: BackupMetadata) -> None:
        if metadata.collections is None:
            return
        await self._extras.check_data({item.collection_id for item in metadata.collections})
        await self._extras.check_elsewhere(metadata.files)
        for directory, names in metadata.object_lists().items():
            await self._extras.check_object_lists(directory, names)

    def _progress(self, item: KnownCollection) -> CollectionProgress:
        return CollectionProgress(
            source=item.name,
            bytes_total=item.bytes if self._reads_all else None,
            row_count=item.rows,
            moment=item.moment or None,
        )

    def _totals(self, known: tuple[KnownCollection, ...]) -> Totals:
        size = sum(item.bytes for item in known)
        return Totals(
            bytes=size if self._reads_all else None, objects=sum(item.objects for item in known)
        )

    @property
    def _reads_all(self) -> bool:
        return self._checked.level.reads and self._checked.sample.whole

    # --- end

    async def _require_same(self, before: Mapping[str, ObjectInfo]) -> None:
        """Raise BackupNameLost if others removed or replaced the backup: what was found means nothing then."""
        now = await self._reader.files()
        if {name: item.etag for name, item in now.items()} != {
            name: item.etag for name, item in before.items()
        }:
            raise BackupNameLost(
                f"backup {self._layout.name!r} was removed or changed while it was verified",
                subject=self._layout.name,
            )

    async def _remember(self, result: VerifyResult, identity: BackupIdentity | None) -> None:
        """Keep the outcome; a store that may only be read is no reason to fail."""
        if identity is None:
            return
        record = Verification(
            level=self._checked.level,
            sample_percent=self._checked.sample.percent,
            end_time=datetime.now(UTC),
            problem_count=result.problem_count,
            operation=self._checked.operation,
            restored_collections=result.counts.restored_collections,
            some=self._checked.some,
        )
        try:
            records = VerificationRecords(self._checked.repository)
            await records.add(self._layout.name, identity, record)
        except BackupError as error:
            error.message = f"the verification could not be recorded: {error.message}"
            self._tracker.warn(error)


def _is_ours(files: Mapping[str, ObjectInfo]) -> bool:
    return CLAIM in files or any(manifest_generation(name) is not None for name in files)
