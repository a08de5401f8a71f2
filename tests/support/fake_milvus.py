"""A Milvus in memory: the whole port, over any object store, with controls for tests.

It behaves as the real 2.3.5 does where `tests/e2e/test_gateway_conformance.py` compares the two.
Rows are primary keys; a segment's objects hold them as JSON, so that an import gives exactly the
rows of the objects that it finds.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from milvus_backup_server.domain.capabilities import Capabilities, capabilities_of
from milvus_backup_server.domain.errors import MilvusRefused, MilvusUnavailable
from milvus_backup_server.domain.milvus import (
    DEFAULT_DATABASE,
    CollectionDescription,
    CollectionName,
    Flush,
    FlushAll,
    ImportJob,
    ImportOptions,
    ImportSource,
    ImportState,
    MilvusVersion,
    Partition,
    SegmentInfo,
    SegmentLogIds,
)
from milvus_backup_server.domain.names import is_milvus_name
from milvus_backup_server.domain.rbac import RbacCounts, missing
from milvus_backup_server.domain.records import (
    CollectionSchema,
    DatabaseBackupInfo,
    FieldSchema,
    IndexInfo,
    KeyValue,
    RbacMeta,
)
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.fake_milvus_cluster import refused
from tests.support.fake_milvus_imports import (
    FakeImport,
    ImportFault,
    ImportQueue,
    Segments,
    check_columns,
    surviving,
)
from tests.support.fake_milvus_serving import FakeServing
from tests.support.fake_milvus_state import FakeCollection, SegmentState, log_ids, numbered

_PARTITION_KEY_PARTITIONS = 64
_CHANNELS = 16


class FakeMilvus(FakeServing):
    """One Milvus.

    Attributes:
        imports: its import jobs: a gate, faults to come, what each job read.
        flush_polls: how often `is_flushed` says no before it says yes.
        database_properties: what databases were made with.
        gc_paused: how often it was paused.
        gc_pauses: the pauses of the garbage collection by ticket: collection id, or 0.
        access: its users, roles, grants and privilege groups, but its own ones.
    """

    def __init__(
        self, store: ObjectStore, root: str = "files", *, version: str = "v2.3.5-lite"
    ) -> None:
        """Make an empty Milvus that keeps its objects below `root` in `store`."""
        super().__init__(store, root)
        self.imports = ImportQueue(store, self._imported)
        self.flush_polls = 1
        self.database_properties: dict[str, tuple[KeyValue, ...]] = {}
        self.access = RbacMeta()
        self.gc_paused = 0
        self.gc_pauses: dict[str, int] = {}
        self._version = version
        self._polls: Counter[tuple[int, int]] = Counter()

    @property
    def address(self) -> str:
        """A name."""
        return "fake:19530"

    async def version(self) -> str:
        return self._version

    async def allocate_timestamp(self) -> int:
        return self.clock.tick()

    async def list_databases(self) -> list[str]:
        return sorted(self.databases)

    async def create_database(self, database: str, properties: Sequence[KeyValue] = ()) -> None:
        if database not in self.databases:
            self.database_properties[database] = tuple(properties)
        self.databases.setdefault(database, {})

    async def drop_database(self, database: str) -> None:
        if self.databases.get(database) or database == DEFAULT_DATABASE:
            raise refused(f"database:{database} not empty")
        self.databases.pop(database, None)

    async def describe_database(self, database: str) -> DatabaseBackupInfo:
        self._require(self._capabilities.database_properties)
        self._database(database)
        number = sorted(self.databases).index(database) + 1
        properties = self.database_properties.get(database, ())
        return DatabaseBackupInfo(db_name=database, db_id=number, properties=properties)

    async def rbac(self) -> RbacMeta:
        self._require(self._capabilities.rbac)
        return self.access

    async def restore_rbac(self, meta: RbacMeta) -> None:
        self._require(self._capabilities.rbac)
        there = RbacCounts.of(missing(meta, self.access))
        if there != RbacCounts.of(meta):
            raise refused("user, role, grant or privilege group already exists")
        self.access = RbacMeta(
            users=self.access.users + meta.users,
            roles=self.access.roles + meta.roles,
            grants=self.access.grants + meta.grants,
            privilege_groups=self.access.privilege_groups + meta.privilege_groups,
        )

    async def pause_gc(self, seconds: int, collection_id: int = 0) -> str:
        self._require(self._capabilities.gc_pause)
        tickets = self._capabilities.gc_pause_by_collection
        ticket = f"ticket-{next(self._numbers)}" if tickets else ""
        self.gc_paused += 1
        self.gc_pauses[ticket] = collection_id
        return ticket

    async def resume_gc(self, ticket: str) -> None:
        self._require(self._capabilities.gc_pause)
        self.gc_pauses.pop(ticket, None)

    @property
    def _capabilities(self) -> Capabilities:
        return capabilities_of(MilvusVersion.parse(self._version))

    @staticmethod
    def _require(can: bool) -> None:
        if not can:
            raise refused("unknown method for service milvus.proto.milvus.MilvusService")

    async def list_collections(self, database: str) -> list[CollectionName]:
        return [CollectionName(database, name) for name in sorted(self._database(database))]

    async def describe_collection(self, collection: CollectionName) -> CollectionDescription:
        found = self.collection(collection).description
        own = (found.name.database, found.name.name)
        names = (item.name for item, name in self.aliases.items() if (item.database, name) == own)
        return replace(found, aliases=tuple(sorted(names)))

    async def has_collection(self, collection: CollectionName) -> bool:
        if not is_milvus_name(collection.name):
            raise refused(f"Invalid collection name: {collection.name}")
        return self._taken(collection)

    async def list_partitions(self, collection: CollectionName) -> list[Partition]:
        return list(self.collection(collection).partitions)

    async def list_indexes(self, collection: CollectionName) -> list[IndexInfo]:
        return list(self.collection(collection).indexes)

    async def list_segments(self, collection: CollectionName) -> list[SegmentInfo]:
        return [
            SegmentInfo(
                item.segment_id,
                item.partition_id,
                len(item.rows) if item.state is SegmentState.FLUSHED else 0,
                flushed=item.state is SegmentState.FLUSHED,
            )
            for item in self.collection(collection).written()
        ]

    async def flush(self, database: str, collections: Sequence[str]) -> dict[str, Flush]:
        return {name: self._flush(CollectionName(database, name)) for name in collections}

    async def is_flushed(self, collection: CollectionName, flush: Flush) -> bool:
        found = self.collection(collection)
        if not flush.moment:  # asked about segments alone
            growing = (it.segment_id for it in found.segments if it.state is SegmentState.GROWING)
            return flush.sealed_ids.isdisjoint(growing)
        poll = found.collection_id, flush.moment
        self._polls[poll] += 1
        if self._polls[poll] <= self.flush_polls:
            return False
        for segment in found.written():
            await self._write(found, segment)
        return True

    async def flush_all(self) -> FlushAll:
        self._require(self._capabilities.flush_all)
        every = [
            CollectionName(database, name)
            for database, named in self.databases.items()
            for name in named
        ]
        for name in every:
            self._flush(name)
        moments = {f"dml_{shard}": self.clock.tick() for shard in range(_CHANNELS)}
        return FlushAll(moments, dict.fromkeys(moments, "bXNn"), "dml_0_vcchan", (*moments,))

    async def is_all_flushed(self, flush: FlushAll) -> bool:
        for named in self.databases.values():
            for found in named.values():
                for segment in found.written():
                    await self._write(found, segment)
        return True

    async def create_collection(
        self,
        collection: CollectionName,
        schema: CollectionSchema,
        *,
        shards: int,
        consistency_level: int,
        properties: Sequence[KeyValue],
        partition_count: int,
    ) -> None:
        database = self._database(collection.database)
        keyed = any(item.is_partition_key for item in schema.fields)
        if partition_count and not keyed:
            raise refused("num_partitions should only be specified with partition key field")
        count = (partition_count or _PARTITION_KEY_PARTITIONS) if keyed else 1
        number = next(self._numbers)
        made = CollectionDescription(
            name=collection,
            collection_id=number,
            schema=numbered(schema, collection.name),
            shards=shards,
            consistency_level=consistency_level,
            properties=tuple(properties),
            created_timestamp=self.clock.tick(),
            virtual_channels=tuple(f"dml_{shard}_{number}v{shard}" for shard in range(shards)),
            physical_channels=tuple(f"dml_{shard}" for shard in range(shards)),
            partition_count=count,
        )
        if collection.name in database or collection in self.aliases:
            return _check_same(self.collection(collection).description, made)
        names = [f"_default_{index}" for index in range(count)] if keyed else ["_default"]
        partitions = [Partition(next(self._numbers), name) for name in names]
        database[collection.name] = FakeCollection(made, partitions)
        return None

    async def add_field(self, collection: CollectionName, field: FieldSchema) -> None:
        found = self.collection(collection)
        if not field.nullable:
            raise refused(f"added field must be nullable, field name = {field.name}")
        if field.name in {item.name for item in found.schema.fields}:
            raise refused(f"duplicate field name: {field.name}")
        found.added(field)

    async def alter_properties(
        self, collection: CollectionName, given: Sequence[KeyValue], removed: Sequence[str] = ()
    ) -> None:
        if given and removed:
            raise refused("can not provide both DeleteKeys and ExtraParams")
        found = self.collection(collection)
        gone = {*removed, *(pair.key for pair in given)}
        kept = (pair for pair in found.description.properties if pair.key not in gone)
        found.description = replace(found.description, properties=(*kept, *given))

    async def create_partition(self, collection: CollectionName, partition: str) -> None:
        found = self.collection(collection)
        if any(item.is_partition_key for item in found.schema.fields):
            raise refused("disable create partition if partition key mode is used")
        if found.partition(partition) is None:
            found.partitions.append(Partition(next(self._numbers), partition))

    async def create_index(self, collection: CollectionName, index: IndexInfo) -> None:
        found = self.collection(collection)
        if index.field_name not in {item.name for item in found.schema.fields}:
            raise refused(f"cannot create index on non-exist field: {index.field_name}")
        for there in found.indexes:
            if there.field_name == index.field_name:
                if (there.index_name, there.params) != (index.index_name, index.params):
                    raise refused("at most one distinct index is allowed per field")
                return
        found.indexes.append(replace(index, index_id=next(self._numbers)))

    async def drop_collection(self, collection: CollectionName) -> None:
        dropped = self.databases.get(collection.database, {}).pop(collection.name, None)
        if dropped is not None:
            own = (collection.database, collection.name)
            kept = {it: to for it, to in self.aliases.items() if (it.database, to) != own}
            self.aliases = kept

    async def rename_collection(self, collection: CollectionName, name: str) -> None:
        found = self.collection(collection)
        target = CollectionName(collection.database, name)
        if self._taken(target):
            raise refused(f"duplicated new collection name {name} with other collection or alias")
        database = self._database(collection.database)
        old = found.description.name.name
        for alias, pointed in self.aliases.items():
            if (alias.database, pointed) == (collection.database, old):
                self.aliases[alias] = name
        found.renamed(target)
        database[name] = database.pop(old)

    async def segment_logs(
        self, collection: CollectionName, collection_id: int, segments: Sequence[int]
    ) -> dict[int, SegmentLogIds]:
        known = {it.segment_id: it for it in self.collection(collection).written()}
        return {number: log_ids(known[number].keys, self._root) for number in segments}

    async def rest_fault(self) -> MilvusUnavailable | MilvusRefused | None:
        return None

    async def submit_import(
        self,
        collection: CollectionName,
        partition: str,
        sources: Sequence[ImportSource],
        options: ImportOptions,
    ) -> str:
        found = self.collection(collection)
        self._partition(collection, partition)
        job = FakeImport(
            job_id=str(next(self._numbers)),
            target=found.description.name,
            collection_id=found.collection_id,
            partition=partition,
            sources=tuple(sources),
            options=options,
        )
        self.imports.add(job)
        return job.job_id

    async def import_job(self, job_id: str) -> ImportJob:
        await self.imports.poll()
        job = self.imports.jobs.get(job_id)
        return job.told() if job else ImportJob(job_id, ImportState.UNKNOWN)

    async def list_imports(self, collection: CollectionName) -> list[ImportJob]:
        await self.imports.poll()
        wanted = self.collection(collection).collection_id
        jobs = self.imports.jobs.values()
        return [job.told() for job in jobs if job.collection_id == wanted]

    async def _imported(self, job: FakeImport, found: Segments) -> None:
        target = next(
            (
                collection
                for database in self.databases.values()
                for collection in database.values()
                if collection.collection_id == job.collection_id
            ),
            None,
        )
        partition = target.partition(job.partition) if target else None
        if target is None or partition is None:
            raise ImportFault("the import task failed")
        check_columns(job, target)
        hybrid = self._capabilities.hybrid_end_ts
        rows = surviving(found, job.options.moment, hybrid=hybrid)
        keys = [key for key, _ in rows]
        keys += [f"{job.job_id}-{number}" for number in range(found.foreign_rows)]
        job.rows = len(keys)
        if keys:
            stamp = self.clock.tick()
            await self._add_segment(target, partition, [(key, stamp) for key in keys])


def _check_same(there: CollectionDescription, wanted: CollectionDescription) -> None:
    same = (
        there.schema == wanted.schema
        and there.shards == wanted.shards
        and there.partition_count == wanted.partition_count
    )
    if not same:
        raise refused(f"create duplicate collection with different parameters: {wanted.name}")
