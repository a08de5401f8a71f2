"""Trying everything that backups and restores need."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Sequence

from milvus_backup_server.domain.capabilities import TESTED_RANGE, capabilities_of
from milvus_backup_server.domain.diagnostics import CheckItem, CheckState
from milvus_backup_server.domain.errors import BackupError, SourceStorageMismatch
from milvus_backup_server.domain.layout import SERVICE_DIRECTORY, join, source_directories
from milvus_backup_server.domain.milvus import CollectionName, MilvusVersion
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.checks import Deadline, cluster_storage, missing_bucket
from milvus_backup_server.service.context import Cluster, Storage, WorkLimits
from milvus_backup_server.service.objects import to_the_end

_COLLECTIONS_TRIED = 20
_CLEAN_UP_SECONDS = 2.0


class Preflight:
    """The checks of one cluster and one repository, all within one deadline.

    Args:
        cluster: The Milvus and its store.
        repository: Where backups lie.
        limits: Waits, and what the settings allow.
    """

    def __init__(self, cluster: Cluster, repository: Storage, limits: WorkLimits) -> None:
        self._cluster = cluster
        self._gateway = cluster.gateway
        self._repository = repository
        self._limits = limits
        self._deadline = Deadline(limits.check_seconds)

    async def run(self) -> tuple[CheckItem, ...]:
        """Make the checks and tell how each ended.

        Writes one object into the repository and removes it again; nothing else is changed.
        """
        milvus, storage, backup = await asyncio.gather(
            self._check_milvus(), _tried("milvus_storage", self._storage), self._check_repository()
        )
        objects = await _after(
            [*milvus, storage], "milvus_objects", self._objects, despite_warnings=True
        )
        return (*milvus, storage, objects, *backup, _transfer(self._cluster, self._repository))

    async def _check_milvus(self) -> list[CheckItem]:
        reached = await _tried("milvus", self._answers)
        return [reached, await _after([reached], "milvus_version", self._version)]

    async def _check_repository(self) -> list[CheckItem]:
        reached = await _tried("backup_storage", self._bucket)
        return [reached, await _after([reached], "backup_storage_write", self._write)]

    async def _answers(self) -> CheckItem:
        async with self._deadline.asking_milvus(self._gateway):
            databases = await self._gateway.list_databases()
        text = f"{self._gateway.address} answers; {len(databases)} databases"
        return CheckItem("milvus", CheckState.OK, text)

    async def _version(self) -> CheckItem:
        async with self._deadline.asking_milvus(self._gateway):
            version = await self._gateway.version()
        text = f"Milvus {version}; tested: {TESTED_RANGE}"
        if capabilities_of(MilvusVersion.parse(version)).tested:
            return CheckItem("milvus_version", CheckState.OK, text)
        allowed = self._limits.allow_untested_versions
        state = CheckState.WARNING if allowed else CheckState.FAILED
        return CheckItem("milvus_version", state, f"{text}; this version is outside of it")

    async def _storage(self) -> CheckItem:
        storage = await cluster_storage(self._cluster, self._deadline)
        async with self._deadline.asking_store(storage):
            await storage.store.list_page(f"{storage.root}/" if storage.root else "", limit=1)
        return CheckItem("milvus_storage", CheckState.OK, f"{_where(storage)} answers")

    async def _objects(self) -> CheckItem:
        """Read an object that Milvus flushed: bucket and root path are the right ones."""
        storage = await cluster_storage(self._cluster, self._deadline)
        async with self._deadline.asking_milvus(self._gateway):
            name = await _with_rows(self._gateway)
            if name is None:
                text = "Milvus has no flushed rows yet: bucket and root path could not be proved"
                return CheckItem("milvus_objects", CheckState.WARNING, text)
            description = await self._gateway.describe_collection(name)
        prefix, _ = source_directories(storage.root, description.collection_id)
        async with self._deadline.asking_store(storage):
            key = await _read_one(storage, prefix, name)
        return CheckItem("milvus_objects", CheckState.OK, f"read {key} of {name}")

    async def _bucket(self) -> CheckItem:
        async with self._deadline.asking_store(self._repository):
            exists = await self._repository.store.bucket_exists()
        where = _where(self._repository)
        if exists:
            return CheckItem("backup_storage", CheckState.OK, f"{where} answers")
        if not self._limits.create_bucket:
            raise missing_bucket(self._repository, "backup.storage.bucketName")
        text = f"{where} does not exist; the first create makes it"
        return CheckItem("backup_storage", CheckState.WARNING, text)

    async def _write(self) -> CheckItem:
        store = self._repository.store
        key = join(self._repository.root, SERVICE_DIRECTORY, f"check_{secrets.token_hex(8)}")
        async with self._deadline.asking_store(self._repository):
            writing = asyncio.ensure_future(store.put(key, b"milvus-backup check", if_absent=True))
            try:
                await asyncio.shield(writing)
                await store.delete([key])
            except BaseException:
                await to_the_end(_remove(store, key, writing), _CLEAN_UP_SECONDS)
                raise
        return CheckItem("backup_storage_write", CheckState.OK, "wrote and removed a probe object")


async def _tried(name: str, check: Callable[[], Awaitable[CheckItem]]) -> CheckItem:
    try:
        return await check()
    except BackupError as error:
        return CheckItem(name, CheckState.FAILED, error.message, error)


async def _after(
    before: Sequence[CheckItem],
    name: str,
    check: Callable[[], Awaitable[CheckItem]],
    *,
    despite_warnings: bool = False,
) -> CheckItem:
    """Try something that makes sense only if all before it works."""
    enough = {CheckState.OK, CheckState.WARNING} if despite_warnings else {CheckState.OK}
    failed = [item.name for item in before if item.state not in enough]
    if not failed:
        return await _tried(name, check)
    return CheckItem(name, CheckState.SKIPPED, f"not tried: {failed[0]} is not ok")


async def _remove(store: ObjectStore, key: str, writing: asyncio.Future[ObjectInfo]) -> None:
    """Remove an object as soon as nothing writes it any more."""
    with contextlib.suppress(BackupError):
        await writing
    with contextlib.suppress(BackupError):
        await store.delete([key])


async def _with_rows(gateway: MilvusGateway) -> CollectionName | None:
    """Return a collection with flushed rows, looking at the first few only."""
    tried = 0
    for database in await gateway.list_databases():
        for name in await gateway.list_collections(database):
            if any(segment.rows for segment in await gateway.list_segments(name)):
                return name
            tried += 1
            if tried == _COLLECTIONS_TRIED:
                return None
    return None


async def _read_one(storage: Storage, prefix: str, name: CollectionName) -> str:
    page = await storage.store.list_page(prefix, limit=1)
    if not page.objects:
        raise SourceStorageMismatch(
            f"Milvus has flushed rows of {name}, but {_where(storage)} has no objects of it: "
            "milvus.storage.bucketName or milvus.storage.rootPath is not what Milvus uses",
            subject=str(name),
            bucket=storage.store.location.bucket,
            prefix=prefix,
        )
    await storage.store.get(page.objects[0].key, length=1)
    return page.objects[0].key


def _transfer(cluster: Cluster, repository: Storage) -> CheckItem:
    if cluster.storage is None:
        return CheckItem("transfer", CheckState.SKIPPED, "Milvus's object store is not configured")
    ours, milvus = repository.store.location, cluster.storage.store.location
    if ours == milvus:
        text = "same bucket: the store copies by itself, restores import in place"
    elif ours.same_endpoint(milvus):
        text = "same endpoint: the store copies by itself, restores stage into Milvus's bucket"
    else:
        text = "different stores: bytes pass through this service, restores stage their objects"
    return CheckItem("transfer", CheckState.OK, text)


def _where(storage: Storage) -> str:
    location = storage.store.location
    return join(location.endpoint, location.bucket, storage.root)
