"""Trying both stores: reading, writing, conditional writes, and moving objects between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Final

from milvus_backup_server.domain.diagnostics import CheckItem, CheckState
from milvus_backup_server.domain.errors import (
    BackupError,
    InternalError,
    ObjectAlreadyExists,
    ObjectChanged,
    ObjectNotFound,
    StorageRefused,
)
from milvus_backup_server.domain.layout import SERVICE_DIRECTORY, join
from milvus_backup_server.domain.objects import ObjectInfo, TransferJob, TransferOutcome
from milvus_backup_server.domain.places import HOME_SETTING
from milvus_backup_server.ports.transfer import TransferEngine
from milvus_backup_server.service.checks import Deadline, missing_bucket
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.probe import Probe, probing
from milvus_backup_server.service.staging import STAGING_DIRECTORY

_LARGEST_MOVED: Final = 16 << 20
PROBE_BYTES: Final = b"milvus-backup check"
_TWO_CREATE: Final = (
    "the store lets two writers create one object: two services that share it could write "
    "one backup at once; let only one service write there"
)
_TWO_REPLACE: Final = (
    "the store lets two writers replace one object, each as if it were alone: two services that "
    "share it could go on with one operation at once; let only one service write there"
)


class StoreChecks:
    """The checks of the stores.

    Args:
        repository: Where backups lie.
        engine: What moves objects.
        deadline: When all checks together must end.
        create_bucket: Whether a create makes a missing backup bucket.
    """

    def __init__(
        self,
        repository: Storage,
        engine: TransferEngine,
        deadline: Deadline,
        *,
        create_bucket: bool,
    ) -> None:
        self._repository = repository
        self._engine = engine
        self._deadline = deadline
        self._create_bucket = create_bucket

    async def bucket(self) -> CheckItem:
        """Look into the backup bucket."""
        storage = self._repository
        async with self._deadline.asking_store(storage):
            exists = await storage.store.bucket_exists()
            if exists:
                await storage.store.list_page(f"{storage.root}/" if storage.root else "", limit=1)
        if exists:
            return CheckItem("backup_storage", CheckState.OK, f"{where(storage)} answers")
        if not self._create_bucket:
            raise missing_bucket(storage, HOME_SETTING)
        text = f"{where(storage)} does not exist; the first create makes it"
        return CheckItem("backup_storage", CheckState.WARNING, text)

    async def write(self) -> CheckItem:
        """Write into the backup bucket."""
        async with (
            self._deadline.asking_store(self._repository),
            probing(self._repository, SERVICE_DIRECTORY) as probe,
        ):
            await _write_and_read(self._repository, probe)
        text = "wrote, read and removed a probe object"
        return CheckItem("backup_storage_write", CheckState.OK, text)

    async def conditional_writes(self) -> CheckItem:
        """Let two writers create one object, and two replace it: only one may win each time."""
        async with (
            self._deadline.asking_store(self._repository),
            probing(self._repository, SERVICE_DIRECTORY) as probe,
        ):
            created = await _winners(probe, ObjectAlreadyExists)
            replaced = [] if len(created) > 1 else await _winners(probe, ObjectChanged, created[0])
        if len(created) > 1:
            return CheckItem("conditional_writes", CheckState.WARNING, _TWO_CREATE)
        if len(replaced) > 1:
            return CheckItem("conditional_writes", CheckState.WARNING, _TWO_REPLACE)
        text = "of two writers of one new object one wins"
        return CheckItem("conditional_writes", CheckState.OK, text)

    async def staging_write(self, milvus: Storage) -> CheckItem:
        """Write into Milvus's bucket, where restores stage objects."""
        async with (
            self._deadline.asking_store(milvus),
            probing(milvus, STAGING_DIRECTORY) as probe,
        ):
            await _write_and_read(milvus, probe)
        text = f"wrote, read and removed a probe object below {staging_place(milvus)}"
        return CheckItem("staging_write", CheckState.OK, text)

    async def transfer(
        self, milvus: Storage, found: ObjectInfo | None, *, staged: bool
    ) -> CheckItem:
        """Move an object as a create would, and one as a restore would that stages."""
        async with (
            self._deadline.asking_store(self._repository),
            probing(self._repository, SERVICE_DIRECTORY) as ours,
            probing(milvus, STAGING_DIRECTORY) as staging,
        ):
            trial = _Trial(self._engine, self._repository, milvus, ours, staging, staged=staged)
            return await trial.run(found)


class _Trial:
    """One try of moving objects between two stores."""

    def __init__(
        self,
        engine: TransferEngine,
        repository: Storage,
        milvus: Storage,
        ours: Probe,
        staging: Probe,
        *,
        staged: bool,
    ) -> None:
        self._engine = engine
        self._repository = repository
        self._milvus = milvus
        self._ours = ours
        self._staging = staging
        self._staged = staged

    async def run(self, found: ObjectInfo | None) -> CheckItem:
        """Move the object that was found in Milvus's bucket, or a probe if there is none."""
        if found is None or found.size > _LARGEST_MOVED:
            found = await self._source_probe()
        copied = await self._moved(self._milvus, found, self._repository, self._ours.key("copied"))
        outcomes = [copied]
        if self._staged:
            back = ObjectInfo(copied.job.target_key, copied.job.size, copied.etag)
            target = self._staging.key("staged")
            outcomes.append(await self._moved(self._repository, back, self._milvus, target))
        return _told(outcomes)

    async def _source_probe(self) -> ObjectInfo:
        """Return an object of our own in Milvus's bucket; where it is ours too, beside the others."""
        probe = self._staging if self._staged else self._ours
        return await probe.write("source", PROBE_BYTES)

    async def _moved(
        self, source: Storage, item: ObjectInfo, target: Storage, key: str
    ) -> TransferOutcome:
        job = TransferJob(source.profile, item.key, target.profile, key, item.size, item.etag)
        async with aclosing(self._engine.transfer(_only(job))) as outcomes:
            outcome = await anext(outcomes)
        if isinstance(outcome.error, ObjectNotFound | ObjectChanged):
            raise StorageRefused(
                f"{item.key} vanished while it was copied; try again",
                subject=item.key,
                code="NoSuchKey",
            )
        if outcome.error is not None:
            raise outcome.error if isinstance(outcome.error, BackupError) else InternalError()
        return outcome


def _told(outcomes: Sequence[TransferOutcome]) -> CheckItem:
    if all(outcome.mode == "server" for outcome in outcomes):
        text = "the store copies by itself; no data passes through this service"
        return CheckItem("transfer", CheckState.OK, text)
    if any(outcome.copy_denied for outcome in outcomes):
        text = "the store refuses to copy by itself; all data passes through this service"
        return CheckItem("transfer", CheckState.WARNING, text)
    text = "all data passes through this service"
    return CheckItem("transfer", CheckState.OK, text)


async def _write_and_read(storage: Storage, probe: Probe) -> None:
    written = await probe.write("probe", PROBE_BYTES)
    if await storage.store.get(written.key) != PROBE_BYTES:
        raise StorageRefused(
            f"{where(storage)} gives back other bytes than were written",
            subject=storage.store.location.bucket,
            code="OtherContent",
        )


async def _winners(
    probe: Probe, loses: type[BackupError], instead_of: ObjectInfo | None = None
) -> list[ObjectInfo]:
    """Return what two writers of one object wrote, without those who were told that they lost."""
    etag = instead_of.etag if instead_of else ""
    writers = (b"one", b"two") if instead_of is None else (b"three", b"four")
    outcomes = await asyncio.gather(
        *(probe.write("contested", data, instead_of=etag) for data in writers),
        return_exceptions=True,
    )
    winners: list[ObjectInfo] = []
    for outcome in outcomes:
        if not isinstance(outcome, BaseException):
            winners.append(outcome)
        elif not isinstance(outcome, loses):
            raise outcome
    return winners


async def _only(job: TransferJob) -> AsyncIterator[TransferJob]:
    yield job


def where(storage: Storage) -> str:
    """Return a place in a store as people write it."""
    location = storage.store.location
    return join(location.endpoint, location.bucket, storage.root)


def staging_place(milvus: Storage) -> str:
    """Return where restores stage objects."""
    return f"{where(milvus)}/{STAGING_DIRECTORY}"
