"""The port to Milvus over gRPC."""

from __future__ import annotations

from collections.abc import Sequence

from milvus_backup_server.adapters.milvus import mapping
from milvus_backup_server.adapters.milvus.answers import Answer
from milvus_backup_server.adapters.milvus.cluster_calls import ClusterCalls
from milvus_backup_server.adapters.milvus.connection import MilvusConnection
from milvus_backup_server.adapters.milvus.import_calls import ImportCalls
from milvus_backup_server.adapters.milvus.management import ManagementConnection
from milvus_backup_server.adapters.milvus.rest import RestConnection
from milvus_backup_server.adapters.milvus.schemas import (
    field_message,
    key_value_messages,
    schema_message,
)
from milvus_backup_server.adapters.milvus.segment_calls import SegmentCalls
from milvus_backup_server.adapters.milvus.serving import ServingCalls
from milvus_backup_server.adapters.milvus.settings import MilvusSettings
from milvus_backup_server.adapters.milvus.stubs import milvus_pb2
from milvus_backup_server.domain.errors import CollectionNotFound, MilvusRefused
from milvus_backup_server.domain.milvus import (
    CollectionDescription,
    CollectionName,
    Flush,
    Partition,
)
from milvus_backup_server.domain.records import (
    CollectionSchema,
    FieldSchema,
    IndexInfo,
    KeyValue,
)

_FLUSH_SECONDS = 0.5
"""What one more collection may add to the time of a flush; Milvus seals one after another."""


class GrpcMilvusGateway(ClusterCalls, ImportCalls, SegmentCalls, ServingCalls):
    """``ports.milvus.MilvusGateway`` over one gRPC channel, and over REST what Milvus has only there.

    It can be made while Milvus is down: the channel opens with the first call.

    Args:
        settings: Where Milvus is, who we are, how long a call may take.

    Raises:
        InvalidSettings: A certificate or key cannot be read.
    """

    def __init__(self, settings: MilvusSettings) -> None:
        super().__init__()
        self._address = settings.address
        self._connection = MilvusConnection(settings)
        self._rest = RestConnection(settings)
        self._management = ManagementConnection(settings)
        self._call = self._connection.call

    async def close(self) -> None:
        """Close the channel and the HTTP sessions."""
        await self._connection.close()
        await self._rest.close()
        await self._management.close()

    @property
    def address(self) -> str:
        """Host and port."""
        return self._address

    async def version(self) -> str:
        """Return the version as the server tells it, such as ``v2.3.5``."""
        answer = await self._call("GetVersion", milvus_pb2.GetVersionRequest())
        return str(answer.version)

    async def allocate_timestamp(self) -> int:
        """Return a new hybrid timestamp from Milvus's clock."""
        answer = await self._call("AllocTimestamp", milvus_pb2.AllocTimestampRequest())
        return int(answer.timestamp)

    async def list_databases(self) -> list[str]:
        """Return the names of the databases."""
        answer = await self._call("ListDatabases", milvus_pb2.ListDatabasesRequest())
        return sorted(answer.db_names)

    async def create_database(self, database: str, properties: Sequence[KeyValue] = ()) -> None:
        """Make a database; no error if it exists, and then its properties stay."""
        request = milvus_pb2.CreateDatabaseRequest(
            db_name=database, properties=key_value_messages(properties)
        )
        await self._call("CreateDatabase", request, accept=frozenset({Answer.DATABASE_EXISTS}))

    async def drop_database(self, database: str) -> None:
        """Remove an empty database; no error if it does not exist, refused if it is not empty."""
        request = milvus_pb2.DropDatabaseRequest(db_name=database)
        missing = frozenset({Answer.DATABASE_MISSING})
        await self._call("DropDatabase", request, CollectionName(database, ""), accept=missing)

    async def list_collections(self, database: str) -> list[CollectionName]:
        """Return the collections of a database."""
        request = milvus_pb2.ShowCollectionsRequest(db_name=database)
        answer = await self._call("ShowCollections", request, CollectionName(database, ""))
        return [CollectionName(database, name) for name in sorted(answer.collection_names)]

    async def describe_collection(self, collection: CollectionName) -> CollectionDescription:
        """Describe a collection (an alias is described as its collection)."""
        request = milvus_pb2.DescribeCollectionRequest(
            db_name=collection.database, collection_name=collection.name
        )
        answer = await self._call("DescribeCollection", request, collection)
        return mapping.description(collection, answer)

    async def has_collection(self, collection: CollectionName) -> bool:
        """Tell whether a collection or an alias of that name exists."""
        request = milvus_pb2.HasCollectionRequest(
            db_name=collection.database, collection_name=collection.name
        )
        missing = frozenset({Answer.COLLECTION_MISSING, Answer.DATABASE_MISSING})
        answer = await self._call("HasCollection", request, collection, accept=missing)
        return bool(answer.value)

    async def list_partitions(self, collection: CollectionName) -> list[Partition]:
        """Return the partitions in the order of their creation."""
        request = milvus_pb2.ShowPartitionsRequest(
            db_name=collection.database, collection_name=collection.name
        )
        return mapping.partitions(await self._call("ShowPartitions", request, collection))

    async def list_indexes(self, collection: CollectionName) -> list[IndexInfo]:
        """Return the indexes, empty if there are none."""
        request = milvus_pb2.DescribeIndexRequest(
            db_name=collection.database, collection_name=collection.name
        )
        none = frozenset({Answer.INDEX_MISSING})
        return mapping.indexes(await self._call("DescribeIndex", request, collection, accept=none))

    async def load_state(self, collection: CollectionName, partition: str = "") -> str:
        """Return ``NotLoad``, ``Loading`` or ``Loaded`` of a collection or of one partition."""
        request = milvus_pb2.GetLoadingProgressRequest(
            db_name=collection.database,
            collection_name=collection.name,
            partition_names=[partition] if partition else [],
        )
        none = frozenset({Answer.NOT_LOADED})
        answer = await self._call("GetLoadingProgress", request, collection, accept=none)
        return mapping.load_state(answer.progress)

    async def flush(self, database: str, collections: Sequence[str]) -> dict[str, Flush]:
        """Flush collections of one database and return what was sealed; does not wait."""
        request = milvus_pb2.FlushRequest(db_name=database, collection_names=collections)
        answer = await self._call(
            "Flush",
            request,
            CollectionName(database, collections[0] if len(collections) == 1 else ""),
            seconds=_FLUSH_SECONDS * len(collections),
        )
        return mapping.flushes(collections, answer)

    async def is_flushed(self, collection: CollectionName, flush: Flush) -> bool:
        """Tell whether everything of a flush is written to the object store."""
        request = milvus_pb2.GetFlushStateRequest(
            db_name=collection.database,
            collection_name=collection.name,
            segmentIDs=sorted(flush.sealed_ids),
            flush_ts=flush.moment,
        )
        answer = await self._call("GetFlushState", request, collection)
        return bool(answer.flushed)

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
        """Make a collection. ``partition_count`` counts only with a partition key, else it is 0."""
        request = milvus_pb2.CreateCollectionRequest(
            db_name=collection.database,
            collection_name=collection.name,
            schema=schema_message(collection.name, schema).SerializeToString(),
            shards_num=shards,
            consistency_level=consistency_level,
            properties=key_value_messages(properties),
            num_partitions=partition_count,
        )
        await self._call("CreateCollection", request, collection)

    async def add_field(self, collection: CollectionName, field: FieldSchema) -> None:
        """Add a field to a collection; it gets the id after the last."""
        request = milvus_pb2.AddCollectionFieldRequest(
            db_name=collection.database,
            collection_name=collection.name,
            schema=field_message(field).SerializeToString(),
        )
        try:
            await self._call("AddCollectionField", request, collection)
        except MilvusRefused:
            # The repetition of a call whose answer was lost finds its own work done.
            there = (await self.describe_collection(collection)).schema.fields
            if field.name not in {item.name for item in there}:
                raise

    async def alter_properties(
        self, collection: CollectionName, given: Sequence[KeyValue], removed: Sequence[str] = ()
    ) -> None:
        """Give a collection properties, or else remove some."""
        request = milvus_pb2.AlterCollectionRequest(
            db_name=collection.database,
            collection_name=collection.name,
            properties=key_value_messages(given),
            delete_keys=removed,
        )
        await self._call("AlterCollection", request, collection)

    async def create_partition(self, collection: CollectionName, partition: str) -> None:
        """Make a partition."""
        request = milvus_pb2.CreatePartitionRequest(
            db_name=collection.database, collection_name=collection.name, partition_name=partition
        )
        await self._call("CreatePartition", request, collection)

    async def create_index(self, collection: CollectionName, index: IndexInfo) -> None:
        """Make an index with the type, name and parameters given."""
        request = milvus_pb2.CreateIndexRequest(
            db_name=collection.database,
            collection_name=collection.name,
            field_name=index.field_name,
            index_name=mapping.given_name(index),
            extra_params=mapping.index_params(index),
        )
        await self._call("CreateIndex", request, collection)

    async def drop_index(self, collection: CollectionName, index: IndexInfo) -> None:
        """Remove an index; no error if it does not exist."""
        request = milvus_pb2.DropIndexRequest(
            db_name=collection.database,
            collection_name=collection.name,
            field_name=index.field_name,
            index_name=index.index_name,
        )
        await self._call("DropIndex", request, collection)

    async def drop_collection(self, collection: CollectionName) -> None:
        """Remove a collection; no error if it does not exist. Its aliases should be gone before."""
        request = milvus_pb2.DropCollectionRequest(
            db_name=collection.database, collection_name=collection.name
        )
        missing = frozenset({Answer.COLLECTION_MISSING, Answer.DATABASE_MISSING})
        await self._call("DropCollection", request, collection, accept=missing)
        self.forget_target(collection)

    async def rename_collection(self, collection: CollectionName, name: str) -> None:
        """Give a collection another name in its database; refused when that is taken."""
        request = milvus_pb2.RenameCollectionRequest(
            db_name=collection.database, oldName=collection.name, newName=name
        )
        before = await self.describe_collection(collection)
        try:
            await self._call("RenameCollection", request, collection)
        except (CollectionNotFound, MilvusRefused):
            # The repetition of a call whose answer was lost finds its own work done.
            if not await self._has_become(before, CollectionName(collection.database, name)):
                raise
        self.forget_target(collection)

    async def _has_become(self, before: CollectionDescription, name: CollectionName) -> bool:
        try:
            found = await self.describe_collection(name)
        except CollectionNotFound:
            return False
        return (found.collection_id, found.name) == (before.collection_id, name)
