"""The use cases put together over a Milvus and object stores in memory, with short waits."""

import asyncio
import re
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.transfer import TransferSettings
from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    Caller,
    Operation,
    OperationState,
)
from milvus_backup_server.domain.places import HOME, AllowedPlaces, Place
from milvus_backup_server.domain.records import (
    CollectionSchema,
    FieldSchema,
    IndexInfo,
    KeyValue,
)
from milvus_backup_server.domain.requests import (
    CreateRequest,
    DeleteRequest,
    ExportRequest,
    ImportRequest,
    RestoreRequest,
    VerifyRequest,
)
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.catalog import Catalog
from milvus_backup_server.service.context import (
    DEFAULT,
    Cluster,
    Environment,
    Registry,
    Repository,
    Storage,
    WorkLimits,
)
from milvus_backup_server.service.create_backup import CreateBackup
from milvus_backup_server.service.delete_backup import DeleteBackup
from milvus_backup_server.service.diagnostics import Diagnostics
from milvus_backup_server.service.export_backup import ExportBackup
from milvus_backup_server.service.import_backup import ImportBackup
from milvus_backup_server.service.operation_directory import OperationDirectory
from milvus_backup_server.service.operations import OperationLimits, OperationManager
from milvus_backup_server.service.recording import RecordingLimits
from milvus_backup_server.service.restore_backup import RestoreBackup
from milvus_backup_server.service.resumers import register
from milvus_backup_server.service.resuming import OperationControl
from milvus_backup_server.service.retrying import RetryOperation
from milvus_backup_server.service.sweep import Sweep
from milvus_backup_server.service.use_cases import UseCases
from milvus_backup_server.service.verify_backup import VerifyBackup
from milvus_backup_server.service.verify_restored import Binlogs, RestoredVerification
from tests.support.fake_binlogs import FakeBinlogReader
from tests.support.fake_milvus import FakeMilvus
from tests.support.fake_milvus_state import Key
from tests.support.replicas import QUICK
from tests.support.running_service import Decorators
from tests.support.service_parts import engine_of, journal_of

LIMITS = WorkLimits(
    copied_seconds=0,
    collections=2,
    check_seconds=60.0,
    flush_seconds=5.0,
    poll_seconds=0.001,
    cleanup_seconds=1.0,
    import_stall_seconds=5.0,
    load_seconds=5.0,
    part_bytes=1 << 16,
    objects_read=4,
)
CALLER = Caller()
ROOT = "files"
BACKUPS = "backup"
MANAGEMENT = "http://localhost:9091"

_SECONDS = 120.0
_RECORDS = re.compile(r"/\.milvus-backup/(operations|owners|details|requests|history)/")


@dataclass
class World:
    """What outlives a service: stores and a Milvus.

    Attributes:
        server: holds the buckets of Milvus, and those of the backups unless told otherwise.
        backup_server: holds the bucket of the backups.
        places: where callers may have backups besides.
        milvus: the Milvus.
    """

    milvus_bucket: str = "a-bucket"
    backup_bucket: str = "a-bucket"
    server: MemoryServer = field(default_factory=MemoryServer)
    backup_server: MemoryServer | None = None
    create_backup_bucket: bool = True
    places: tuple[Place, ...] = ()

    def __post_init__(self) -> None:
        self.milvus_store: ObjectStore = self.server.store(self.milvus_bucket)
        server = self.backup_server or self.server
        self.backup_store: ObjectStore = server.store(
            self.backup_bucket, create=self.create_backup_bucket
        )
        self.place_stores: dict[Place, ObjectStore] = {
            place: server.store(place.bucket, create=False) for place in self.places
        }
        self.milvus = FakeMilvus(self.milvus_store, ROOT)

    async def backups(self) -> list[str]:
        """Return the keys below the root of the backups."""
        return await keys_below(self.backup_store, f"{BACKUPS}/")

    async def staged(self) -> list[str]:
        """Return the keys in Milvus's bucket that are neither its own nor of backups."""
        own = (f"{ROOT}/insert_log/", f"{ROOT}/delta_log/", f"{BACKUPS}/")
        return [key for key in await keys_below(self.milvus_store) if not key.startswith(own)]

    async def source_keys(self) -> list[str]:
        """Return the keys of Milvus's own objects."""
        logs = (f"{ROOT}/insert_log/", f"{ROOT}/delta_log/")
        return [key for key in await keys_below(self.milvus_store) if key.startswith(logs)]

    async def objects(self) -> dict[str, bytes]:
        """Return everything below the root of the backups by key, but the records of operations."""
        keys = [key for key in await self.backups() if not _RECORDS.search(key)]
        return {key: await self.backup_store.get(key) for key in keys}

    async def uploads(self) -> list[str]:
        """Return the keys of the multipart uploads in progress."""
        stores = (self.milvus_store, self.backup_store)
        return [upload.key for store in stores for upload in await store.list_uploads("")]

    def collections(self) -> list[str]:
        """Return `database.collection` of all collections, and `database.` of all databases."""
        databases = self.milvus.databases
        return sorted(f"{db}.{name}" for db, names in databases.items() for name in ("", *names))

    async def traces(self) -> tuple[list[str], ...]:
        """Return everything that an operation could leave behind."""
        return (
            await self.backups(),
            await self.staged(),
            await self.uploads(),
            self.collections(),
        )


@dataclass(frozen=True)
class Service:
    """The use cases, with shortcuts that run an operation to its end."""

    world: World
    use_cases: UseCases

    @property
    def operations(self) -> OperationManager:
        """The manager."""
        return self.use_cases.operations

    @property
    def catalog(self) -> Catalog:
        """The catalog."""
        return self.use_cases.catalog

    async def start_create(self, name: str = "b", *collections: str, **fields: Any) -> Operation:
        """Begin a create."""
        request = CreateRequest(name, collections, **fields)
        return await self.use_cases.create.start(request, CALLER)

    async def start_restore(self, name: str = "b", **fields: Any) -> Operation:
        """Begin a restore."""
        request = RestoreRequest(name, **fields)
        return await self.use_cases.restore.start(request, CALLER)

    async def start_delete(self, name: str = "b", place: Place = HOME) -> Operation:
        """Begin a delete."""
        return await self.use_cases.delete.start(DeleteRequest(name, place=place), CALLER)

    async def start_verify(self, name: str = "b", **fields: Any) -> Operation:
        """Begin a verification."""
        return await self.use_cases.verify.start(VerifyRequest(name, **fields), CALLER)

    async def start_retry(self, operation: Operation, request_id: str = "") -> Operation:
        """Begin to retry an operation."""
        return await self.use_cases.retry.start(operation.name, request_id, CALLER)

    async def create(self, name: str = "b", *collections: str, **fields: Any) -> Operation:
        """Make a backup."""
        return succeeded(await self.end(await self.start_create(name, *collections, **fields)))

    async def restore(self, name: str = "b", **fields: Any) -> Operation:
        """Restore a backup."""
        return succeeded(await self.end(await self.start_restore(name, **fields)))

    async def delete(self, name: str = "b", place: Place = HOME) -> Operation:
        """Remove a backup."""
        return succeeded(await self.end(await self.start_delete(name, place)))

    async def export(self, name: str = "b", place: Place = HOME) -> bytes:
        """Return an archive of a backup."""
        export = await self.use_cases.export.start(ExportRequest(name, place), CALLER)
        return b"".join([chunk async for chunk in export.chunks()])

    async def import_(
        self, chunks: AsyncIterable[bytes], name: str = "", place: Place = HOME
    ) -> Operation:
        """Make a backup of an archive."""
        return await self.use_cases.import_.run(ImportRequest(name, place), chunks, CALLER)

    async def verify(self, name: str = "b", **fields: Any) -> Operation:
        """Verify a backup; the outcome may be damage."""
        return await self.end(await self.start_verify(name, **fields))

    async def resume(self, name: str) -> Operation:
        """Go on with an interrupted operation, to its end."""
        return await self.end(await self.use_cases.control.resume(name))

    async def end(self, operation: Operation) -> Operation:
        """Wait for the last state of an operation."""
        async with asyncio.timeout(_SECONDS):
            states = [state async for state in self.operations.watch(operation.name, 0.02)]
        return states[-1]

    async def error(self, operation: Operation) -> BackupError:
        """Wait for an operation that fails, and return its error."""
        last = await self.end(operation)
        assert last.state is OperationState.FAILED, last
        assert last.error is not None
        return last.error


@asynccontextmanager
async def running(
    world: World,
    decorators: Decorators | None = None,
    *,
    limits: WorkLimits = LIMITS,
    operations: OperationLimits | None = None,
    transfer: TransferSettings | None = None,
    generation: int = 1,
    records: ObjectStore | None = None,
    recording: RecordingLimits = QUICK,
    binlogs: Binlogs = FakeBinlogReader,
) -> AsyncIterator[Service]:
    """Run the use cases for the time of a block; operations are recorded in `records`, if given."""
    registry = _registry(world, decorators or Decorators())
    environment = Environment(
        registry=registry, limits=limits, version="1.2.3", new_generation=lambda: generation
    )
    engine = engine_of(registry, transfer or TransferSettings(workers=2))
    bounds = operations or OperationLimits(concurrent=4, cleanup_seconds=1.0)
    async with AsyncExitStack() as stack:
        journal = None
        if records is not None:
            journal = await stack.enter_async_context(journal_of(records, recording))
        manager = await stack.enter_async_context(OperationManager(bounds, journal))
        directory = OperationDirectory(manager, journal)
        catalog = Catalog(environment, directory)
        control = OperationControl(manager, directory, journal)
        create = CreateBackup(environment, engine, manager)
        restore = RestoreBackup(environment, catalog, engine, manager)
        restored = RestoredVerification(restore.tools, binlogs)
        verify = VerifyBackup(environment, catalog, manager, restored)
        register(control, environment, engine, restore, verify)
        yield Service(
            world,
            UseCases(
                create=create,
                restore=restore,
                delete=DeleteBackup(environment, manager, control),
                catalog=catalog,
                operations=manager,
                diagnostics=Diagnostics(environment, engine, manager),
                export=ExportBackup(environment, catalog, manager),
                import_=ImportBackup(environment, manager),
                verify=verify,
                sweep=Sweep(environment, manager, directory, control, restore.tools),
                directory=directory,
                control=control,
                retry=RetryOperation(directory, create, restore),
            ),
        )


def _registry(world: World, around: Decorators) -> Registry:
    milvus = Storage("milvus", around.milvus_store(world.milvus_store), ROOT)
    backup = Storage("backup", around.backup_store(world.backup_store), BACKUPS)
    return Registry(
        clusters={DEFAULT: Cluster(DEFAULT, around.gateway(world.milvus), milvus, MANAGEMENT)},
        repositories={DEFAULT: Repository(DEFAULT, backup)},
        allowed=AllowedPlaces(Place(world.backup_bucket, BACKUPS), world.places),
        elsewhere={
            place: Storage(f"backup {place}", around.backup_store(store), place.root)
            for place, store in world.place_stores.items()
        },
    )


def succeeded(operation: Operation) -> Operation:
    """Return the operation if it succeeded."""
    assert operation.state is OperationState.SUCCEEDED, operation.error or operation
    return operation


async def keys_below(store: ObjectStore, prefix: str = "") -> list[str]:
    """Return all keys below a prefix, none where the bucket is missing."""
    if not await store.bucket_exists():
        return []
    keys: list[str] = []
    token = ""
    while True:
        page = await store.list_page(prefix, token=token)
        keys += [item.key for item in page.objects]
        token = page.next_token
        if not token:
            return keys


# --- collections

PK = FieldSchema(field_id=100, name="pk", is_primary_key=True, data_type=5)
VECTOR = FieldSchema(
    field_id=101, name="v", data_type=101, type_params=(KeyValue(key="dim", value="8"),)
)
SCHEMA = CollectionSchema(fields=(PK, VECTOR))
KEYED = CollectionSchema(
    fields=(
        PK,
        VECTOR,
        FieldSchema(field_id=102, name="tenant", data_type=5, is_partition_key=True),
    )
)
INDEX = IndexInfo(
    field_name="v",
    index_name="by_v",
    index_type="IVF_FLAT",
    params={"index_type": "IVF_FLAT", "metric_type": "L2", "nlist": "128"},
)


def named(text: str) -> CollectionName:
    """Return a collection of `name` or `database.name`."""
    database, _, name = text.rpartition(".")
    return CollectionName(database or "default", name)


async def add_collection(
    milvus: FakeMilvus,
    name: str,
    keys: Iterable[Key] = (),
    *,
    schema: CollectionSchema = SCHEMA,
    partitions: Iterable[str] = (),
    properties: tuple[KeyValue, ...] = (),
    shards: int = 1,
) -> CollectionName:
    """Make a collection (and its database) with rows that are not flushed yet."""
    collection = named(name)
    await milvus.create_database(collection.database)
    keyed = any(item.is_partition_key for item in schema.fields)
    await milvus.create_collection(
        collection,
        schema,
        shards=shards,
        consistency_level=2,
        properties=properties,
        partition_count=4 if keyed else 0,
    )
    for partition in partitions:
        await milvus.create_partition(collection, partition)
    rows = list(keys)
    if rows:
        milvus.insert(collection, rows)
    return collection


async def flushed(milvus: FakeMilvus, name: CollectionName) -> None:
    """Flush a collection and wait until its objects are written."""
    flush = (await milvus.flush(name.database, [name.name]))[name.name]
    while not await milvus.is_flushed(name, flush):
        pass


async def filled(world: World | None = None) -> World:
    """Return a world with a collection that is flushed."""
    world = world or World()
    await flushed(world.milvus, await add_collection(world.milvus, "c", range(3)))
    return world
