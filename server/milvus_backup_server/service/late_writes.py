"""The moment to which the segments of a flush really hold everything.

Milvus gives a write its timestamp first and its rows a segment afterwards. A write that is under way
while a flush seals the segments may have a timestamp before the flush's, and rows in a segment that
is younger than the flush. The deletes of such an upsert would be in the backup, and its rows would
not (seen: all keys of a shard gone). So the moment moves to before the first row of such a segment.

A compaction that ends while the flush is being written takes deletes with it: they are written to
the segment that it made, not to those that the flush named. Then there has to be another flush.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from milvus_backup_server.domain.binlog_header import (
    HEADER_BYTES,
    TIMESTAMP_FIELD,
    first_timestamp,
)
from milvus_backup_server.domain.errors import ObjectNotFound
from milvus_backup_server.domain.layout import source_directories
from milvus_backup_server.domain.milvus import CollectionName, Flush, physical_milliseconds
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.objects import list_children, list_objects


class LateWrites:
    """Finds what a flush left behind.

    Args:
        gateway: The Milvus.
        storage: Its storage.
        accepted: Milvus's timestamp when the call was accepted; moments lie behind it.
    """

    def __init__(self, gateway: MilvusGateway, storage: Storage, accepted: int) -> None:
        self._gateway = gateway
        self._storage = storage
        self._accepted = accepted

    async def settled(self, name: CollectionName, flush: Flush) -> Flush | None:
        """Return a flush, of which everything is written, with the moment to which it is exact.

        None if there is no such moment behind the call: the collection must be flushed again.
        """
        known = await self._known(name)
        collection = (await self._gateway.describe_collection(name)).collection_id
        stored = await self._stored(collection)
        if any(segment in stored for segment in flush.segment_ids - known):
            return None  # compacted while the flush was written; segments without rows just vanish
        others = stored.keys() - flush.segment_ids
        growing = await self._growing(name, flush, sorted(others - known))
        young = (others & known) | growing
        if (others - young) & await self._known(name):
            return None  # written or made by a compaction since: which of both cannot be told
        first = await self._first_row(stored[segment] for segment in young)
        moment = flush.moment if first is None else min(flush.moment, first - 1)
        if physical_milliseconds(moment) <= physical_milliseconds(self._accepted):
            return None
        return replace(flush, moment=moment)

    async def _known(self, name: CollectionName) -> set[int]:
        return {segment.segment_id for segment in await self._gateway.list_segments(name)}

    async def _stored(self, collection_id: int) -> dict[int, str]:
        """Return the directories of insert logs by segment id."""
        store = self._storage.store
        insert, _ = source_directories(self._storage.root, collection_id)
        found: dict[int, str] = {}
        async for partition in list_children(store, insert):
            async for directory in list_children(store, partition):
                segment = directory.removeprefix(partition).rstrip("/")
                if segment.isdecimal():
                    found[int(segment)] = directory
        return found

    async def _growing(
        self, name: CollectionName, flush: Flush, segments: Sequence[int]
    ) -> set[int]:
        """Return those of the segments that rows are still added to."""
        asked = replace(flush, sealed_ids=frozenset(segments))
        if not segments or await self._gateway.is_flushed(name, asked):
            return set()
        if len(segments) == 1:
            return set(segments)
        half = len(segments) // 2
        first = await self._growing(name, flush, segments[:half])
        return first | await self._growing(name, flush, segments[half:])

    async def _first_row(self, directories: Iterable[str]) -> int | None:
        """Return the timestamp of the first row in segments."""
        store, first = self._storage.store, None
        for directory in directories:
            async for item in list_objects(store, f"{directory}{TIMESTAMP_FIELD}/"):
                try:
                    header = await store.get(item.key, length=HEADER_BYTES)
                except ObjectNotFound:
                    continue  # removed since: not one of the segments that were just written
                found = first_timestamp(header)
                first = min((it for it in (first, found) if it is not None), default=None)
        return first
