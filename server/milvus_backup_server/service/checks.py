"""The checks that a request passes before an operation is made of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from milvus_backup_server.domain.backups import Backup, BackupFormat, BackupState
from milvus_backup_server.domain.capabilities import (
    TESTED_RANGE,
    Capabilities,
    capabilities_of,
)
from milvus_backup_server.domain.errors import (
    BackupNotRestorable,
    BucketNotFound,
    MilvusUnavailable,
    MilvusVersionUnsupported,
    StorageNotConfigured,
    StorageUnavailable,
    Unavailable,
)
from milvus_backup_server.domain.milvus import MilvusVersion
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.context import Cluster, Storage, WorkLimits


class Deadline:
    """The time that the checks of one call may take together.

    Args:
        seconds: From now on.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = asyncio.get_running_loop().time() + seconds

    @asynccontextmanager
    async def asking_milvus(self, gateway: MilvusGateway) -> AsyncIterator[None]:
        """Ask Milvus; MilvusUnavailable when the time is over."""
        text = f"Milvus at {gateway.address} did not answer within {self._seconds:g} s"
        async with self._until(MilvusUnavailable(text, address=gateway.address)):
            yield

    @asynccontextmanager
    async def asking_store(self, storage: Storage) -> AsyncIterator[None]:
        """Ask an object store; StorageUnavailable when the time is over.

        Where it was tried again and again, the error says what the last try failed with.
        """
        location = storage.store.location
        where = location.endpoint or location.bucket
        text = f"the object store {where} did not answer within {self._seconds:g} s"
        error = StorageUnavailable(text, endpoint=where, bucket=location.bucket)
        async with self._until(error):
            yield

    @asynccontextmanager
    async def _until(self, error: Unavailable) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(self._end):
                yield
        except TimeoutError as timeout:
            failure = _failure_before(timeout, type(error))
            if failure is None:
                raise error from None
            text = f"{failure.message} (tried for {self._seconds:g} s)"
            raise type(error)(text, **error.metadata) from None


def _failure_before(end: BaseException, kind: type[Unavailable]) -> Unavailable | None:
    """Return what had failed when the pause before its next try was cut off."""
    error: BaseException | None = end
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


async def supported_version(gateway: MilvusGateway, limits: WorkLimits) -> tuple[str, Capabilities]:
    """Return the version of a Milvus and what it can do.

    Raises:
        MilvusVersionUnsupported: It is outside the tested range and the settings do not allow that.
    """
    text = await gateway.version()
    capabilities = capabilities_of(MilvusVersion.parse(text))
    if not capabilities.tested and not limits.allow_untested_versions:
        raise MilvusVersionUnsupported(
            f"Milvus {text} is outside the tested range ({TESTED_RANGE}); "
            "service.milvus.allowUntestedVersions accepts it",
            subject="milvus",
            version=text,
            supported=TESTED_RANGE,
        )
    return text, capabilities


def version_needed(what: str, needed: MilvusVersion, version: str) -> MilvusVersionUnsupported:
    """Return the error for something that this version of Milvus cannot do."""
    return MilvusVersionUnsupported(
        f"{what} needs Milvus {needed} or later; this is {version}",
        subject="milvus",
        version=version,
        needed=str(needed),
        supported=TESTED_RANGE,
    )


async def cluster_storage(cluster: Cluster, deadline: Deadline) -> Storage:
    """Return a cluster's storage whose bucket is there.

    Raises:
        StorageNotConfigured: The settings name none.
        BucketNotFound: The bucket does not exist. It is Milvus's: this service never creates it.
    """
    if cluster.storage is None:
        raise StorageNotConfigured(
            f"the object store of cluster {cluster.name!r} is not configured", subject=cluster.name
        )
    async with deadline.asking_store(cluster.storage):
        await require_bucket(cluster.storage, "milvus.storage.bucketName")
    return cluster.storage


async def require_bucket(storage: Storage, setting: str) -> None:
    """Raise BucketNotFound, naming the setting, unless the bucket is there."""
    if not await storage.store.bucket_exists():
        raise missing_bucket(storage, setting)


def missing_bucket(storage: Storage, setting: str) -> BucketNotFound:
    """Return the error for a bucket that is not there."""
    location = storage.store.location
    return BucketNotFound(
        f"bucket {location.bucket!r} ({setting}) does not exist at {location.endpoint or 'this machine'}",
        subject=location.bucket,
        bucket=location.bucket,
        setting=setting,
    )


def require_restorable(backup: Backup) -> None:
    """Raise BackupNotRestorable unless a backup is whole and of the format that this service reads."""
    notes = "; ".join(backup.notes)
    if backup.state not in (BackupState.COMPLETE, BackupState.LEGACY):
        raise BackupNotRestorable(
            f"backup {backup.name!r} is {backup.state.value}: {notes or 'it must be complete'}",
            subject=backup.name,
            state=backup.state.value,
        )
    if backup.format is not BackupFormat.BINLOG:
        raise BackupNotRestorable(
            f"backup {backup.name!r} has the format {backup.format.value}: {notes}",
            subject=backup.name,
            format=backup.format.value,
        )
