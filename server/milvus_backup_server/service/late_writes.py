"""The moment to which the segments of a flush really hold everything.

Milvus gives a write its timestamp first and its rows a segment afterwards. A write that is under way
while a flush seals the segments may have a timestamp before the flush's, and rows in a segment that
is younger than the flush. The deletes of such an upsert would be in the backup, and its rows would
not (seen: all keys of a shard gone). So the moment moves to before the first row of such a segment.

From Milvus 2.6 on that cannot be: a flush is an entry of the log of writes, and what is written behind it
gets a later timestamp before it gets a segment (read in its source: the shard interceptor of the
streaming node). So the column groups of a segment, which do not begin with a timestamp, need not be read.

A compaction that ends while the flush is being written takes deletes with it: they are written to
the segment that it made, not to those that the flush named. Then there has to be another flush.

A compaction that ends shortly before the flush may still be copying deletes to the segment that it
made: Milvus 2.3.5 answers that the flush is written before they are there (seen with a slow store:
deletes that were acknowledged a second before were not in the backup, and later in the collection).
So where segments were replaced, nothing is listed before that can be over.

What Milvus itself loses is in no backup. Deletes that a flush writes to a segment while a compaction
replaces it may be dropped by 2.3.5, though acknowledged ("save to dropped segment, ignore this
request" in its log; seen with a slow store and on a busy machine): their log stays with the replaced
segment, and the rows are there again when the collection is loaded the next time, in the original
as in a restored backup.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace

from milvus_backup_server.domain.binlog_header import (
    HEADER_BYTES,
    TIMESTAMP_FIELD,
    first_timestamp,
)
from milvus_backup_server.domain.errors import ObjectNotFound
from milvus_backup_server.domain.layout import source_directories
from milvus_backup_server.domain.milvus import (
    NO_FLUSH,
    CollectionName,
    Flush,
    physical_milliseconds,
)
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.objects import list_children, list_objects


class LateWrites:
    """Finds what a flush left behind.

    Args:
        gateway: The Milvus.
        storage: Its storage.
        accepted: Milvus's timestamp when the call was accepted; moments lie behind it.
        copied_seconds: After a flush, until no earlier compaction copies deletes any more.
    """

    def __init__(
        self, gateway: MilvusGateway, storage: Storage, accepted: int, copied_seconds: float
    ) -> None:
        self._gateway = gateway
        self._storage = storage
        self._accepted = accepted
        self._copied_seconds = copied_seconds

    async def replaced(self, name: CollectionName) -> frozenset[int]:
        """Return the segments whose objects are there and which Milvus has replaced or dropped."""
        known, stored = await self._look(name)
        unknown = sorted(stored.keys() - known)
        return frozenset(unknown) - await self._growing(name, NO_FLUSH, unknown)

    async def settled(
        self, name: CollectionName, flush: Flush, replaced: frozenset[int] | None = None
    ) -> Flush | None:
        """Return a flush, of which everything is written, with the moment to which it is exact.

        Args:
            name: The collection.
            flush: The flush.
            replaced: The segments that were replaced before it, where it does not name those that it
                wrote: then none may have been replaced since.

        Returns:
            None if there is no such moment behind the call: the collection must be flushed again.
        """
        known, stored = await self._look(name)
        if stored.keys() - flush.segment_ids - known and await self._wait_copied(flush):
            known, stored = await self._look(name)
        if any(segment in stored for segment in flush.segment_ids - known):
            return None  # compacted while the flush was written; segments without rows just vanish
        others = stored.keys() - flush.segment_ids
        growing = await self._growing(name, flush, sorted(others - known))
        young = (others & known) | growing
        if replaced is not None and others - young - replaced:
            return None  # compacted since the flush began
        if (others - young) & await self._known(name):
            return None  # written or made by a compaction since: which of both cannot be told
        first = await self._first_row(stored[segment] for segment in young)
        moment = flush.moment if first is None else min(flush.moment, first - 1)
        if physical_milliseconds(moment) <= physical_milliseconds(self._accepted):
            return None
        return replace(flush, moment=moment)

    async def _look(self, name: CollectionName) -> tuple[set[int], dict[int, str]]:
        """Return the segments that Milvus lists, and then those in the object store."""
        known = await self._known(name)
        description = await self._gateway.describe_collection(name)
        return known, await self._stored(description.collection_id)

    async def _wait_copied(self, flush: Flush) -> bool:
        """Wait until a compaction from before a flush has copied its deletes; False if it has already."""
        now = physical_milliseconds(await self._gateway.allocate_timestamp())
        left = self._copied_seconds - (now - physical_milliseconds(flush.moment)) / 1000
        if left > 0:
            await asyncio.sleep(left)
        return left > 0

    async def _known(self, name: CollectionName) -> set[int]:
        return {segment.segment_id for segment in await self._gateway.list_segments(name)}

    async def _stored(self, collection_id: int) -> dict[int, str]:
        """Return the directories of insert logs by segment id."""
        insert, _ = source_directories(self._storage.root, collection_id)
        directories = [directory async for directory in self._directories(insert)]
        found = {directory.rstrip("/").rpartition("/")[2]: directory for directory in directories}
        return {int(name): directory for name, directory in found.items() if name.isdecimal()}

    async def _directories(self, insert: str) -> AsyncIterator[str]:
        """Yield the directories of segments below one of insert logs.

        Most collections have few enough objects for one page, which is one request instead of one for
        each partition.
        """
        page = await self._storage.store.list_page(insert)
        if page.next_token:
            async for partition in list_children(self._storage.store, insert):
                async for directory in list_children(self._storage.store, partition):
                    yield directory
            return
        inside = {tuple(item.key.removeprefix(insert).split("/")[:2]) for item in page.objects}
        for steps in sorted(inside):
            yield insert + "/".join(steps) + "/"

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
