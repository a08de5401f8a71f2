"""The calls about how a collection is served: its aliases, and being loaded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from milvus_backup_server.adapters.milvus.answers import Answer
from milvus_backup_server.adapters.milvus.connection import MilvusConnection
from milvus_backup_server.adapters.milvus.row_values import asked_fields, row_batch
from milvus_backup_server.adapters.milvus.stubs import common_pb2, milvus_pb2
from milvus_backup_server.domain.binlogs import Key, RowBatch
from milvus_backup_server.domain.milvus import CollectionName

_RESOURCE_GROUP = "__default_resource_group"
_COUNT = "count(*)"
_LEAST = -(1 << 63)


class ServingCalls:
    """Part of GrpcMilvusGateway."""

    _connection: MilvusConnection

    async def create_alias(self, collection: CollectionName, alias: str) -> None:
        """Give a collection an alias; refused when another collection has it, or is called so."""
        request = milvus_pb2.CreateAliasRequest(
            db_name=collection.database, collection_name=collection.name, alias=alias
        )
        exists = frozenset({Answer.ALIAS_EXISTS})
        status = await self._connection.call("CreateAlias", request, collection, accept=exists)
        if status.code:
            await self._take_over(collection, alias)

    async def _take_over(self, collection: CollectionName, alias: str) -> None:
        """Take an alias that exists, unless it leads to another collection.

        Milvus 2.3 keeps the aliases of a collection that was dropped: they lead nowhere, and a new
        one of that name is refused.
        """
        request = milvus_pb2.DescribeCollectionRequest(
            db_name=collection.database, collection_name=alias
        )
        missing = frozenset({Answer.COLLECTION_MISSING})
        answer = await self._connection.call(
            "DescribeCollection",
            request,
            CollectionName(collection.database, alias),
            accept=missing,
        )
        if answer.collectionID:
            again = milvus_pb2.CreateAliasRequest(
                db_name=collection.database, collection_name=collection.name, alias=alias
            )
            await self._connection.call("CreateAlias", again, collection)
        else:
            await self.alter_alias(collection, alias)

    async def alter_alias(self, collection: CollectionName, alias: str) -> None:
        """Point an alias of the database at a collection, whatever it pointed at."""
        request = milvus_pb2.AlterAliasRequest(
            db_name=collection.database, collection_name=collection.name, alias=alias
        )
        await self._connection.call("AlterAlias", request, collection)

    async def drop_alias(self, database: str, alias: str) -> None:
        """Remove an alias; no error if it does not exist."""
        request = milvus_pb2.DropAliasRequest(db_name=database, alias=alias)
        missing = frozenset({Answer.ALIAS_MISSING, Answer.DATABASE_MISSING})
        subject = CollectionName(database, alias)
        await self._connection.call("DropAlias", request, subject, accept=missing)

    async def load_collection(
        self, collection: CollectionName, partitions: Sequence[str] = (), *, replicas: int = 1
    ) -> None:
        """Begin to load a collection, or some partitions of it; refused without its indexes."""
        named = {"db_name": collection.database, "collection_name": collection.name}
        if partitions:
            request = milvus_pb2.LoadPartitionsRequest(
                **named, partition_names=partitions, replica_number=replicas
            )
            await self._connection.call("LoadPartitions", request, collection)
        else:
            request = milvus_pb2.LoadCollectionRequest(**named, replica_number=replicas)
            await self._connection.call("LoadCollection", request, collection)

    async def replica_count(self, collection: CollectionName) -> int:
        """Return how many times a collection is loaded; 0 if it is not."""
        request = milvus_pb2.GetReplicasRequest(
            db_name=collection.database, collection_name=collection.name
        )
        none = frozenset({Answer.REPLICA_MISSING, Answer.NOT_LOADED})
        answer = await self._connection.call("GetReplicas", request, collection, accept=none)
        return len(answer.replicas)

    async def query_node_count(self) -> int:
        """Return how many nodes can hold replicas: the most that a collection can have."""
        request = milvus_pb2.DescribeResourceGroupRequest(resource_group=_RESOURCE_GROUP)
        answer = await self._connection.call("DescribeResourceGroup", request)
        return int(answer.resource_group.num_available_node)

    async def count_rows(self, collection: CollectionName) -> int | None:
        """Return the rows that a loaded collection finds; None while it does not answer queries."""
        request = milvus_pb2.QueryRequest(
            db_name=collection.database,
            collection_name=collection.name,
            output_fields=[_COUNT],
            consistency_level=common_pb2.ConsistencyLevel.Strong,
        )
        none = frozenset({Answer.NOT_LOADED})
        answer = await self._connection.call("Query", request, collection, accept=none)
        for column in answer.fields_data:
            return int(column.scalars.long_data.data[0])
        return None

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
        """Return the rows behind a key, in the order of keys.

        The two flags are those of pymilvus's iterators: without them Milvus 2.4 and later answer any
        rows. 2.3 does not know the first, and answers in the order of keys.
        """
        flags = {"limit": str(limit), "iterator": "True", "reduce_stop_for_best": "True"}
        request = milvus_pb2.QueryRequest(
            db_name=collection.database,
            collection_name=collection.name,
            expr="" if after is None else _behind(key, after),
            output_fields=asked_fields(fields),
            partition_names=[partition] if partition else [],
            consistency_level=common_pb2.ConsistencyLevel.Strong,
            query_params=[common_pb2.KeyValuePair(key=it, value=to) for it, to in flags.items()],
        )
        answer = await self._connection.call("Query", request, collection)
        return await asyncio.to_thread(row_batch, answer, key)


def _behind(key: str, after: Key) -> str:
    """Return the expression for larger keys. Milvus cannot read the least of all numbers."""
    if after == _LEAST:
        return f"{key} >= {_LEAST + 1}"
    return f"{key} > {json.dumps(after, ensure_ascii=False)}"
