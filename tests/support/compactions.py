"""Compactions forced in the middle of a backup, by decorators of the ports."""

import asyncio
import time
from collections.abc import Collection, Sequence

from pymilvus import MilvusClient

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.milvus import CollectionDescription, CollectionName, Flush
from milvus_backup_server.domain.objects import StoreLocation
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.gateways import GatewayDecorator
from tests.support.milvus_config import Settings

# How often Milvus looks whether a compaction has ended; 10 s as it comes.
SOON: Settings = {"dataCoord": {"compaction": {"check": {"interval": 1}}}}

_DEADLINE_SECONDS = 60.0
_PAUSE_SECONDS = 0.1


def compact(client: MilvusClient, collection: str, wanted: Collection[int] = ()) -> set[int]:
    """Compact until segments were replaced, and return their ids; blocks.

    Args:
        client: of the collection's database.
        collection: must have segments that Milvus may compact, sooner or later.
        wanted: one of these must be replaced, if any of them is still there; none: any segment.

    Raises:
        TimeoutError: nothing was replaced within a minute.
    """
    before = _segments(client, collection)
    awaited = before.intersection(wanted) or before
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while True:
        job = client.compact(collection)
        while client.get_compaction_state(job) != "Completed":
            time.sleep(_PAUSE_SECONDS)
        gone = before - _segments(client, collection)
        if awaited & gone:
            return gone
        if time.monotonic() > deadline:
            raise TimeoutError(f"no compaction of {collection}")
        time.sleep(_PAUSE_SECONDS)


def _segments(client: MilvusClient, collection: str) -> set[int]:
    return {int(segment.segment_id) for segment in client.list_persistent_segments(collection)}


class Compactions:
    """Compacts one collection twice in each of its backups: before the listing, and before the copying.

    Attributes:
        flushed: for each backup, the segments that its flush named.
        before_listing: for each backup, those that were replaced between its flush and its listing.
        before_copying: for each backup, those that were replaced between its listing and its copying.
    """

    def __init__(self, client: MilvusClient, collection: str) -> None:
        self.flushed: list[frozenset[int]] = []
        self.before_listing: list[frozenset[int]] = []
        self.before_copying: list[frozenset[int]] = []
        self._client = client
        self._collection = collection
        self._one_copy = asyncio.Lock()

    def gateway(self, inner: MilvusGateway) -> MilvusGateway:
        """Decorate the gateway."""
        return _CompactingGateway(inner, self, self._collection)

    def backup_store(self, inner: ObjectStore) -> ObjectStore:
        """Decorate the store that backups are copied to."""
        return _CompactingStore(inner, self)

    async def listing(self) -> None:
        """Compact before a backup lists its objects."""
        if len(self.before_listing) < len(self.flushed):
            self.before_listing.append(await self._compact())

    async def copying(self) -> None:
        """Compact before a backup copies its first object; other copies wait for it."""
        async with self._one_copy:
            if len(self.before_copying) < len(self.flushed):
                self.before_copying.append(await self._compact())

    async def _compact(self) -> frozenset[int]:
        named = self.flushed[-1]
        replaced = await asyncio.to_thread(compact, self._client, self._collection, named)
        return named.intersection(replaced)


class _CompactingGateway(GatewayDecorator):
    def __init__(self, inner: MilvusGateway, compactions: Compactions, collection: str) -> None:
        super().__init__(inner)
        self._compactions = compactions
        self._collection = collection

    async def flush(self, database: str, collections: Sequence[str]) -> dict[str, Flush]:
        flushes = await super().flush(database, collections)
        self._compactions.flushed.append(flushes[self._collection].segment_ids)
        return flushes

    async def describe_collection(self, collection: CollectionName) -> CollectionDescription:
        if collection.name == self._collection:
            await self._compactions.listing()
        return await super().describe_collection(collection)


class _CompactingStore(StoreDecorator):
    def __init__(self, inner: ObjectStore, compactions: Compactions) -> None:
        super().__init__(inner)
        self._compactions = compactions

    async def copy(self, source: StoreLocation, source_key: str, key: str, *, if_match: str) -> str:
        await self._compactions.copying()
        return await super().copy(source, source_key, key, if_match=if_match)
