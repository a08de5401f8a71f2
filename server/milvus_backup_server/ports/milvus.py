"""The port to a Milvus cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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


class MilvusGateway(Protocol):
    """One Milvus.

    Every method raises MilvusUnavailable when Milvus does not answer, MilvusDenied for refused
    credentials, CollectionNotFound or DatabaseNotFound for what is not there, MilvusRefused for any
    other error answer. Calls that may be repeated are repeated within the gateway when the error
    may pass.
    """

    @property
    def address(self) -> str:
        """Host and port."""
        ...

    async def version(self) -> str:
        """Return the version as the server tells it, such as ``v2.3.5``."""
        ...

    async def allocate_timestamp(self) -> int:
        """Return a new hybrid timestamp from Milvus's clock."""
        ...

    async def list_databases(self) -> list[str]:
        """Return the names of the databases."""
        ...

    async def create_database(self, database: str, properties: Sequence[KeyValue] = ()) -> None:
        """Make a database; no error if it exists, and then its properties stay."""
        ...

    async def drop_database(self, database: str) -> None:
        """Remove an empty database; no error if it does not exist, refused if it is not empty."""
        ...

    async def describe_database(self, database: str) -> DatabaseBackupInfo:
        """Return a database with its id and properties; only where ``Capabilities.database_properties``."""
        ...

    async def rbac(self) -> RbacMeta:
        """Return the users with the hashes of their passwords, roles, grants and privilege groups.

        Only where ``Capabilities.rbac``. What every Milvus has by itself need not be told.
        """
        ...

    async def restore_rbac(self, meta: RbacMeta) -> None:
        """Add users, roles, grants and privilege groups, all of them or none.

        Raises:
            MilvusRefused: One of them is there.
        """
        ...

    async def pause_gc(self, seconds: int, collection_id: int = 0) -> str:
        """Pause the garbage collection for some seconds; only where ``Capabilities.gc_pause``.

        Args:
            seconds: From now on; a later pause prolongs it.
            collection_id: Of which, only where ``Capabilities.gc_pause_by_collection``; 0: of all.

        Returns:
            The ticket with which this pause ends; empty where Milvus gives none.
        """
        ...

    async def resume_gc(self, ticket: str) -> None:
        """End a pause; without a ticket all of them. No error if it has run out."""
        ...

    async def list_collections(self, database: str) -> list[CollectionName]:
        """Return the collections of a database."""
        ...

    async def describe_collection(self, collection: CollectionName) -> CollectionDescription:
        """Describe a collection (an alias is described as its collection)."""
        ...

    async def has_collection(self, collection: CollectionName) -> bool:
        """Tell whether a collection or an alias of that name exists."""
        ...

    async def list_partitions(self, collection: CollectionName) -> list[Partition]:
        """Return the partitions in the order of their creation."""
        ...

    async def list_indexes(self, collection: CollectionName) -> list[IndexInfo]:
        """Return the indexes, empty if there are none."""
        ...

    async def load_state(self, collection: CollectionName, partition: str = "") -> str:
        """Return ``NotLoad``, ``Loading`` or ``Loaded`` of a collection or of one of its partitions."""
        ...

    async def list_segments(self, collection: CollectionName) -> list[SegmentInfo]:
        """Return the segments that are flushed or being flushed now."""
        ...

    async def segment_logs(
        self, collection: CollectionName, collection_id: int, segments: Sequence[int]
    ) -> dict[int, SegmentLogIds]:
        """Return of which logs segments consist; only where ``Capabilities.segment_descriptions``.

        Raises:
            MilvusUnavailable: Also for a segment that was compacted away meanwhile.
        """
        ...

    async def flush(self, database: str, collections: Sequence[str]) -> dict[str, Flush]:
        """Flush collections of one database and return what was sealed, by collection name; does not wait."""
        ...

    async def is_flushed(self, collection: CollectionName, flush: Flush) -> bool:
        """Tell whether everything of a flush is written to the object store."""
        ...

    async def flush_all(self) -> FlushAll:
        """Flush everything in Milvus; does not wait. Only where ``Capabilities.flush_all``."""
        ...

    async def is_all_flushed(self, flush: FlushAll) -> bool:
        """Tell whether everything of a flush of everything is written to the object store."""
        ...

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
        ...

    async def add_field(self, collection: CollectionName, field: FieldSchema) -> None:
        """Add a field to a collection; it gets the id after the last."""
        ...

    async def alter_properties(
        self, collection: CollectionName, given: Sequence[KeyValue], removed: Sequence[str] = ()
    ) -> None:
        """Give a collection properties, or else remove some; Milvus does not do both at once."""
        ...

    async def create_partition(self, collection: CollectionName, partition: str) -> None:
        """Make a partition; no error if it exists."""
        ...

    async def create_index(self, collection: CollectionName, index: IndexInfo) -> None:
        """Make an index with the type, name and parameters given."""
        ...

    async def drop_index(self, collection: CollectionName, index: IndexInfo) -> None:
        """Remove an index; no error if it does not exist, refused while the collection is loaded."""
        ...

    async def create_alias(self, collection: CollectionName, alias: str) -> None:
        """Give a collection an alias; refused when another collection has it, or is called so."""
        ...

    async def alter_alias(self, collection: CollectionName, alias: str) -> None:
        """Point an alias of the database at a collection, whatever it pointed at."""
        ...

    async def drop_alias(self, database: str, alias: str) -> None:
        """Remove an alias; no error if it does not exist."""
        ...

    async def load_collection(
        self, collection: CollectionName, partitions: Sequence[str] = (), *, replicas: int = 1
    ) -> None:
        """Begin to load a collection, or some partitions of it; refused without its indexes."""
        ...

    async def replica_count(self, collection: CollectionName) -> int:
        """Return how many times a collection is loaded; 0 if it is not."""
        ...

    async def query_node_count(self) -> int:
        """Return how many nodes can hold replicas: the most that a collection can have."""
        ...

    async def count_rows(self, collection: CollectionName) -> int | None:
        """Return the rows that a loaded collection finds; None while it does not answer queries."""
        ...

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
        """Return rows of a loaded collection, those with the smallest primary keys; none behind the last.

        Of rows with the same key one is returned. Milvus does not tell when rows were written: their
        timestamps are 0.

        Args:
            collection: To which nobody writes.
            fields: Names of the fields to return, as ``RowBatch`` calls them; the key is one of them.
            key: Name of the primary key.
            partition: Its name; empty for all.
            after: Only rows with larger keys; None for all.
            limit: So many; there may be fewer though more rows follow, and in Milvus 2.3 so many of each
                segment.
        """
        ...

    async def drop_collection(self, collection: CollectionName) -> None:
        """Remove a collection; no error if it does not exist. Its aliases should be gone before."""
        ...

    async def rename_collection(self, collection: CollectionName, name: str) -> None:
        """Give a collection another name in its database; refused when that is taken."""
        ...

    async def rest_fault(self) -> MilvusUnavailable | MilvusRefused | None:
        """Return why Milvus's REST API cannot be used; None if it answers."""
        ...

    async def submit_import(
        self,
        collection: CollectionName,
        partition: str,
        sources: Sequence[ImportSource],
        options: ImportOptions,
    ) -> str:
        """Submit one import job and return its id. Never repeated by itself.

        Raises:
            ImportOutcomeUnknown: The answer was lost; the job may run. Look for it with
                ``list_imports``.
        """
        ...

    async def import_job(self, job_id: str) -> ImportJob:
        """Return how far a job is; state UNKNOWN if Milvus does not know it."""
        ...

    async def list_imports(self, collection: CollectionName) -> list[ImportJob]:
        """Return Milvus's import jobs into a collection, ended ones included as long as Milvus keeps them."""
        ...
