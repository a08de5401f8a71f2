"""One flush of everything in Milvus, in the place of one for each database or collection.

Its answer names no segments, only how far each channel is flushed. So the segments are those that
Milvus lists when it is done: they hold everything up to then, and what is later is cut off by a
restore. But a compaction meanwhile may have left out rows that were deleted after the moment. Where
a segment was replaced since the flush began, the collection is flushed by itself instead: that answer
names the segments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from milvus_backup_server.domain.errors import BackupError, OperationStalled
from milvus_backup_server.domain.failures import concerns_all
from milvus_backup_server.domain.milvus import CollectionName, Flush, FlushAll, SegmentLevel
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.concurrency import for_each
from milvus_backup_server.service.context import WorkLimits
from milvus_backup_server.service.late_writes import LateWrites


@dataclass(frozen=True, slots=True)
class BulkFlushed:
    """What the flush of everything means for one collection.

    Attributes:
        replaced: The segments that were replaced before it; whose objects are still there.
    """

    flush: Flush
    replaced: frozenset[int]


class BulkFlush:
    """Flushes everything.

    Args:
        gateway: The Milvus; it has ``Capabilities.flush_all``.
        late: Knows which segments were replaced.
        limits: Waits, and how many collections at one time.
    """

    def __init__(self, gateway: MilvusGateway, late: LateWrites, limits: WorkLimits) -> None:
        self._gateway = gateway
        self._late = late
        self._limits = limits

    async def flush(
        self, names: Sequence[CollectionName]
    ) -> tuple[FlushAll, dict[CollectionName, BulkFlushed]]:
        """Flush everything, wait until it is written, and return what that means for collections.

        A collection that cannot be looked at, as it was dropped meanwhile, is not among them.

        Raises:
            OperationStalled: It takes longer than the limit.
            BackupError: Milvus does not do it.
        """
        replaced: dict[CollectionName, frozenset[int]] = {}
        flushed: dict[CollectionName, BulkFlushed] = {}

        async def look(name: CollectionName) -> None:
            try:
                replaced[name] = await self._late.replaced(name)
            except BackupError as error:
                if concerns_all(error):
                    raise

        await for_each(names, look, concurrent=self._limits.collections)
        done = await self._gateway.flush_all()
        await self._wait(done)

        async def read(name: CollectionName) -> None:
            flush = await self._flush_of(name, done)
            if flush is not None:
                flushed[name] = BulkFlushed(flush, replaced[name])

        await for_each(list(replaced), read, concurrent=self._limits.collections)
        return done, flushed

    async def _flush_of(self, name: CollectionName, done: FlushAll) -> Flush | None:
        try:
            channels = (await self._gateway.describe_collection(name)).physical_channels
            segments = await self._gateway.list_segments(name)
        except BackupError as error:
            if concerns_all(error):
                raise
            return None
        moments = [done.moments.get(channel, 0) for channel in channels]
        written = (it for it in segments if it.flushed and it.level is not SegmentLevel.L0)
        return Flush(
            moment=min(moments, default=0),
            segment_ids=frozenset(it.segment_id for it in written),
            sealed_ids=frozenset(),
            seal_time=0,
        )

    async def _wait(self, done: FlushAll) -> None:
        try:
            async with asyncio.timeout(self._limits.flush_seconds):
                while not await self._gateway.is_all_flushed(done):  # noqa: ASYNC110 Milvus is asked
                    await asyncio.sleep(self._limits.poll_seconds)
        except TimeoutError:
            raise OperationStalled(
                f"Milvus did not finish the flush of everything within {self._limits.flush_seconds:g} s"
            ) from None
