"""Compactions forced in the middle of a backup, by decorators of the ports."""

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum

from pymilvus import MilvusClient

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.milvus import CollectionName, Flush, Partition
from milvus_backup_server.domain.objects import StoreLocation
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.gateways import GatewayDecorator

_DEADLINE_SECONDS = 40.0
_JOB_SECONDS = 10.0
_PAUSE_SECONDS = 0.1


def compact(client: MilvusClient, collection: str, wanted: Collection[int] = ()) -> set[int]:
    """Compact until segments were replaced, and return their ids; blocks.

    Args:
        client: of the collection's database.
        collection: must have segments that Milvus may compact, sooner or later.
        wanted: one of these must be replaced, if any of them is still there; none: any segment.

    Raises:
        TimeoutError: nothing was replaced within 40 seconds.
    """
    before = _segments(client, collection)
    awaited = before.intersection(wanted) or before
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while True:
        _run(client, client.compact(collection))
        gone = before - _segments(client, collection)
        if awaited & gone:
            return gone
        if time.monotonic() > deadline:
            raise TimeoutError(f"no compaction of {collection}")
        time.sleep(_PAUSE_SECONDS)


def _run(client: MilvusClient, job: int) -> None:
    # A job whose segments changed meanwhile says "Executing" until Milvus gives it up after minutes:
    # then another one is asked for.
    deadline = time.monotonic() + _JOB_SECONDS
    while client.get_compaction_state(job) != "Completed" and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)


def _segments(client: MilvusClient, collection: str) -> set[int]:
    return {int(segment.segment_id) for segment in client.list_persistent_segments(collection)}


class Point(Enum):
    """When in a backup."""

    FLUSHING = "before it is told that the flush is written"
    LISTING = "before the objects are listed"
    COPYING = "before the first object is copied"


@dataclass
class Compaction:
    """One compaction in the middle of a backup.

    Attributes:
        point: when it shall be.
        flushes: the segments that each flush of the backup named.
        replaced: those named by the last flush before it that it replaced; None: it was not made.
    """

    point: Point
    flushes: list[frozenset[int]] = field(default_factory=list)
    replaced: frozenset[int] | None = None


class Compactions:
    """Compacts one collection in the middle of each of its backups, by decorators of their ports.

    Attributes:
        backups: one item for each of them; the test adds it before it makes the backup.
    """

    def __init__(self, client: MilvusClient, collection: str) -> None:
        self.backups: list[Compaction] = []
        self._client = client
        self._collection = collection
        self._one_at_a_time = asyncio.Lock()

    def gateway(self, inner: MilvusGateway) -> MilvusGateway:
        """Decorate the gateway."""
        return _CompactingGateway(inner, self, self._collection)

    def backup_store(self, inner: ObjectStore) -> ObjectStore:
        """Decorate the store that backups are copied to."""
        return _CompactingStore(inner, self)

    def flushed(self, segments: frozenset[int]) -> None:
        """Note what a flush named."""
        self.backups[-1].flushes.append(segments)

    async def reached(self, point: Point) -> None:
        """Compact if it is to be done here and was not done yet."""
        wanted = self.backups[-1]
        async with self._one_at_a_time:
            if wanted.point is point and wanted.replaced is None:
                named = wanted.flushes[-1]
                gone = await asyncio.to_thread(compact, self._client, self._collection, named)
                wanted.replaced = named.intersection(gone)


class _CompactingGateway(GatewayDecorator):
    def __init__(self, inner: MilvusGateway, compactions: Compactions, collection: str) -> None:
        super().__init__(inner)
        self._compactions = compactions
        self._collection = collection

    async def flush(self, database: str, collections: Sequence[str]) -> dict[str, Flush]:
        flushes = await super().flush(database, collections)
        self._compactions.flushed(flushes[self._collection].segment_ids)
        return flushes

    async def is_flushed(self, collection: CollectionName, flush: Flush) -> bool:
        await self._compactions.reached(Point.FLUSHING)
        return await super().is_flushed(collection, flush)

    async def list_partitions(self, collection: CollectionName) -> list[Partition]:
        if collection.name == self._collection:  # the first call after the flush, of a create
            await self._compactions.reached(Point.LISTING)
        return await super().list_partitions(collection)


class _CompactingStore(StoreDecorator):
    def __init__(self, inner: ObjectStore, compactions: Compactions) -> None:
        super().__init__(inner)
        self._compactions = compactions

    async def copy(
        self, source: StoreLocation, source_key: str, key: str, *, if_match: str, size: int = 0
    ) -> str:
        await self._compactions.reached(Point.COPYING)
        return await super().copy(source, source_key, key, if_match=if_match, size=size)
