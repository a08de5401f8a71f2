"""Decorators of the port to Milvus: count calls, delay them, let them fail, act before them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from milvus_backup_server.domain.binlogs import Key, RowBatch
from milvus_backup_server.domain.errors import MilvusRefused, MilvusUnavailable
from milvus_backup_server.domain.milvus import (
    CollectionDescription,
    CollectionName,
    Flush,
    FlushAll,
    ImportJob,
    ImportOptions,
    ImportSource,
    Partition,
    SegmentInfo,
    SegmentLogIds,
)
from milvus_backup_server.domain.records import (
    CollectionSchema,
    DatabaseBackupInfo,
    FieldSchema,
    IndexInfo,
    KeyValue,
    RbacMeta,
)
from milvus_backup_server.ports.milvus import MilvusGateway

T = TypeVar("T")


class GatewayDecorator:
    """Passes every call on; a subclass says in `_call` what happens around it."""

    def __init__(self, inner: MilvusGateway) -> None:
        self._inner = inner

    async def _call(self, method: str, subject: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call of `method`; `subject` is the collection, database or job it is about."""
        return await call()

    @property
    def address(self) -> str:
        return self._inner.address

    async def version(self) -> str:
        return await self._call("version", "", self._inner.version)

    async def allocate_timestamp(self) -> int:
        return await self._call("allocate_timestamp", "", self._inner.allocate_timestamp)

    async def list_databases(self) -> list[str]:
        return await self._call("list_databases", "", self._inner.list_databases)

    async def create_database(self, database: str, properties: Sequence[KeyValue] = ()) -> None:
        await self._call(
            "create_database", database, lambda: self._inner.create_database(database, properties)
        )

    async def drop_database(self, database: str) -> None:
        await self._call("drop_database", database, lambda: self._inner.drop_database(database))

    async def describe_database(self, database: str) -> DatabaseBackupInfo:
        return await self._call(
            "describe_database", database, lambda: self._inner.describe_database(database)
        )

    async def rbac(self) -> RbacMeta:
        return await self._call("rbac", "", self._inner.rbac)

    async def restore_rbac(self, meta: RbacMeta) -> None:
        await self._call("restore_rbac", "", lambda: self._inner.restore_rbac(meta))

    async def pause_gc(self, seconds: int, collection_id: int = 0) -> str:
        return await self._call(
            "pause_gc", str(collection_id), lambda: self._inner.pause_gc(seconds, collection_id)
        )

    async def resume_gc(self, ticket: str) -> None:
        await self._call("resume_gc", ticket, lambda: self._inner.resume_gc(ticket))

    async def list_collections(self, database: str) -> list[CollectionName]:
        return await self._call(
            "list_collections", database, lambda: self._inner.list_collections(database)
        )

    async def describe_collection(self, collection: CollectionName) -> CollectionDescription:
        return await self._call(
            "describe_collection",
            str(collection),
            lambda: self._inner.describe_collection(collection),
        )

    async def has_collection(self, collection: CollectionName) -> bool:
        return await self._call(
            "has_collection", str(collection), lambda: self._inner.has_collection(collection)
        )

    async def list_partitions(self, collection: CollectionName) -> list[Partition]:
        return await self._call(
            "list_partitions", str(collection), lambda: self._inner.list_partitions(collection)
        )

    async def list_indexes(self, collection: CollectionName) -> list[IndexInfo]:
        return await self._call(
            "list_indexes", str(collection), lambda: self._inner.list_indexes(collection)
        )

    async def load_state(self, collection: CollectionName, partition: str = "") -> str:
        return await self._call(
            "load_state", str(collection), lambda: self._inner.load_state(collection, partition)
        )

    async def list_segments(self, collection: CollectionName) -> list[SegmentInfo]:
        return await self._call(
            "list_segments", str(collection), lambda: self._inner.list_segments(collection)
        )

    async def segment_logs(
        self, collection: CollectionName, collection_id: int, segments: Sequence[int]
    ) -> dict[int, SegmentLogIds]:
        return await self._call(
            "segment_logs",
            str(collection),
            lambda: self._inner.segment_logs(collection, collection_id, segments),
        )

    async def rest_fault(self) -> MilvusUnavailable | MilvusRefused | None:
        return await self._call("rest_fault", "", self._inner.rest_fault)

    async def flush(self, database: str, collections: Sequence[str]) -> dict[str, Flush]:
        return await self._call("flush", database, lambda: self._inner.flush(database, collections))

    async def is_flushed(self, collection: CollectionName, flush: Flush) -> bool:
        return await self._call(
            "is_flushed", str(collection), lambda: self._inner.is_flushed(collection, flush)
        )

    async def flush_all(self) -> FlushAll:
        return await self._call("flush_all", "", self._inner.flush_all)

    async def is_all_flushed(self, flush: FlushAll) -> bool:
        return await self._call("is_all_flushed", "", lambda: self._inner.is_all_flushed(flush))

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
        await self._call(
            "create_collection",
            str(collection),
            lambda: self._inner.create_collection(
                collection,
                schema,
                shards=shards,
                consistency_level=consistency_level,
                properties=properties,
                partition_count=partition_count,
            ),
        )

    async def add_field(self, collection: CollectionName, field: FieldSchema) -> None:
        await self._call(
            "add_field", str(collection), lambda: self._inner.add_field(collection, field)
        )

    async def alter_properties(
        self, collection: CollectionName, given: Sequence[KeyValue], removed: Sequence[str] = ()
    ) -> None:
        await self._call(
            "alter_properties",
            str(collection),
            lambda: self._inner.alter_properties(collection, given, removed),
        )

    async def create_partition(self, collection: CollectionName, partition: str) -> None:
        await self._call(
            "create_partition",
            str(collection),
            lambda: self._inner.create_partition(collection, partition),
        )

    async def create_index(self, collection: CollectionName, index: IndexInfo) -> None:
        await self._call(
            "create_index", str(collection), lambda: self._inner.create_index(collection, index)
        )

    async def drop_index(self, collection: CollectionName, index: IndexInfo) -> None:
        await self._call(
            "drop_index", str(collection), lambda: self._inner.drop_index(collection, index)
        )

    async def create_alias(self, collection: CollectionName, alias: str) -> None:
        await self._call(
            "create_alias", str(collection), lambda: self._inner.create_alias(collection, alias)
        )

    async def alter_alias(self, collection: CollectionName, alias: str) -> None:
        await self._call(
            "alter_alias", str(collection), lambda: self._inner.alter_alias(collection, alias)
        )

    async def drop_alias(self, database: str, alias: str) -> None:
        await self._call(
            "drop_alias",
            f"{database}.{alias}",
            lambda: self._inner.drop_alias(database, alias),
        )

    async def load_collection(
        self, collection: CollectionName, partitions: Sequence[str] = (), *, replicas: int = 1
    ) -> None:
        await self._call(
            "load_collection",
            str(collection),
            lambda: self._inner.load_collection(collection, partitions, replicas=replicas),
        )

    async def replica_count(self, collection: CollectionName) -> int:
        return await self._call(
            "replica_count", str(collection), lambda: self._inner.replica_count(collection)
        )

    async def query_node_count(self) -> int:
        return await self._call("query_node_count", "", self._inner.query_node_count)

    async def count_rows(self, collection: CollectionName) -> int | None:
        return await self._call(
            "count_rows", str(collection), lambda: self._inner.count_rows(collection)
        )

    async def query_rows(
        self,
        collection: CollectionName,
        fields: Sequence[str],
        *,
        key: str,
        partition: str,
        after: Key | None,
        limit: int,
    ) -> RowBatch:
        def query() -> Awaitable[RowBatch]:
            return self._inner.query_rows(
                collection, fields, key=key, partition=partition, after=after, limit=limit
            )

        return await self._call("query_rows", str(collection), query)

    async def drop_collection(self, collection: CollectionName) -> None:
        await self._call(
            "drop_collection", str(collection), lambda: self._inner.drop_collection(collection)
        )

    async def rename_collection(self, collection: CollectionName, name: str) -> None:
        await self._call(
            "rename_collection",
            str(collection),
            lambda: self._inner.rename_collection(collection, name),
        )

    async def submit_import(
        self,
        collection: CollectionName,
        partition: str,
        sources: Sequence[ImportSource],
        options: ImportOptions,
    ) -> str:
        return await self._call(
            "submit_import",
            str(collection),
            lambda: self._inner.submit_import(collection, partition, sources, options),
        )

    async def import_job(self, job_id: str) -> ImportJob:
        return await self._call("import_job", job_id, lambda: self._inner.import_job(job_id))

    async def list_imports(self, collection: CollectionName) -> list[ImportJob]:
        return await self._call(
            "list_imports", str(collection), lambda: self._inner.list_imports(collection)
        )


class CountingGateway(GatewayDecorator):
    """Counts calls by method, and how many ran at one time at most."""

    def __init__(self, inner: MilvusGateway) -> None:
        super().__init__(inner)
        self.calls: Counter[str] = Counter()
        self.subjects: list[tuple[str, str]] = []
        self.running = 0
        self.most_running = 0

    async def _call(self, method: str, subject: str, call: Callable[[], Awaitable[T]]) -> T:
        self.calls[method] += 1
        self.subjects.append((method, subject))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return await call()
        finally:
            self.running -= 1


class DelayingGateway(GatewayDecorator):
    """Lets calls take longer: seconds by method, `""` for all others."""

    def __init__(self, inner: MilvusGateway, seconds: Mapping[str, float]) -> None:
        super().__init__(inner)
        self._seconds = seconds

    async def _call(self, method: str, subject: str, call: Callable[[], Awaitable[T]]) -> T:
        await asyncio.sleep(self._seconds.get(method, self._seconds.get("", 0)))
        return await call()


class FailingGateway(GatewayDecorator):
    """Lets some calls of one method fail, counted from 1.

    Attributes:
        injected: how many calls failed by it.
    """

    def __init__(
        self,
        inner: MilvusGateway,
        method: str,
        error: Exception,
        *,
        first: int = 1,
        times: int = 1,
        after: bool = False,
    ) -> None:
        """Decorate.

        Args:
            inner: what is called.
            method: the method whose calls fail.
            error: what they raise.
            first: number of the first call that fails.
            times: how many calls in a row fail.
            after: make the call and lose its answer, instead of not making it.
        """
        super().__init__(inner)
        self.injected = 0
        self._method, self._error, self._after = method, error, after
        self._numbers = range(first, first + times)
        self._calls = 0

    async def _call(self, method: str, subject: str, call: Callable[[], Awaitable[T]]) -> T:
        if method != self._method:
            return await call()
        self._calls += 1
        if self._calls not in self._numbers:
            return await call()
        self.injected += 1
        if self._after:
            await call()
        raise self._error


class HookedGateway(GatewayDecorator):
    """Does something before calls of some methods: the hook gets the call's subject."""

    def __init__(
        self, inner: MilvusGateway, before: Mapping[str, Callable[[str], Awaitable[object]]]
    ) -> None:
        super().__init__(inner)
        self.fired: Counter[str] = Counter()
        self._before = before

    async def _call(self, method: str, subject: str, call: Callable[[], Awaitable[T]]) -> T:
        if method in self._before:
            self.fired[method] += 1
            await self._before[method](subject)
        return await call()
