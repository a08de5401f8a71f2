"""What a create does to Milvus before it lists: for each collection a flush, as the strategy has it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from milvus_backup_server.domain.errors import BackupError, OperationStalled
from milvus_backup_server.domain.failures import concerns_all
from milvus_backup_server.domain.milvus import CollectionName, Flush
from milvus_backup_server.domain.strategies import BackupStrategy
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.concurrency import for_each
from milvus_backup_server.service.context import WorkLimits
from milvus_backup_server.service.late_writes import LateWrites
from milvus_backup_server.service.snapshot import Snapshots

_NOTHING = Flush(moment=0, segment_ids=frozenset(), sealed_ids=frozenset(), seal_time=0)

Each = Callable[[CollectionName, Awaitable[None]], Awaitable[None]]
"""Awaits the work on one collection, and decides what its failure means for the others."""


class Flushing:
    """Flushes collections until each has a moment; without a flush the moment is 0: there is none.

    Args:
        gateway: The Milvus.
        snapshots: Flushes and waits.
        late: Finds what a flush left behind.
        strategy: How to flush.
        limits: Waits, and how many collections at one time.
    """

    def __init__(
        self,
        gateway: MilvusGateway,
        snapshots: Snapshots,
        late: LateWrites,
        strategy: BackupStrategy,
        limits: WorkLimits,
    ) -> None:
        self._gateway = gateway
        self._snapshots = snapshots
        self._late = late
        self._strategy = strategy
        self._limits = limits

    async def all(self, names: Sequence[CollectionName], each: Each) -> dict[CollectionName, Flush]:
        """Return the flush of each collection that has one."""
        begun = await self._begun(names) if self._strategy is BackupStrategy.AUTO else {}
        flushes: dict[CollectionName, Flush] = {}

        async def flush(name: CollectionName) -> None:
            if name in begun:
                flushes[name] = await self._settle(name, begun[name])
            else:
                flushes[name] = await self.one(name)

        serial = self._strategy is BackupStrategy.SERIAL_FLUSH
        await for_each(
            names,
            lambda name: each(name, flush(name)),
            concurrent=1 if serial else self._limits.collections,
        )
        return flushes

    async def _begun(self, names: Sequence[CollectionName]) -> dict[CollectionName, Flush]:
        """Flush all at once; nothing where one cannot be flushed: it fails when it is by itself."""
        try:
            return await self._snapshots.flush(names)
        except BackupError as error:
            if concerns_all(error):
                raise
            return {}

    async def one(self, name: CollectionName) -> Flush:
        """Flush a collection by itself."""
        if not self._strategy.copies:
            return _NOTHING
        if not self._strategy.flushes:
            return await self._written(name)
        return await self._settle(name, (await self._snapshots.flush([name]))[name])

    async def _written(self, name: CollectionName) -> Flush:
        """Return the segments that Milvus has written by now, in the place of a flush."""
        segments = await self._gateway.list_segments(name)
        written = frozenset(it.segment_id for it in segments if it.flushed)
        return Flush(moment=0, segment_ids=written, sealed_ids=frozenset(), seal_time=0)

    async def _settle(self, name: CollectionName, flush: Flush) -> Flush:
        """Wait until a flush is written, and flush again until there is one that is exact."""
        end = time.monotonic() + self._limits.flush_seconds
        while True:
            await self._snapshots.wait_flushed(name, flush)
            settled = await self._late.settled(name, flush)
            if settled is not None:
                return settled
            if time.monotonic() > end:
                raise OperationStalled(
                    f"no moment of {name} could be found within {self._limits.flush_seconds:g} s: "
                    "writes or compactions were under way at each flush",
                    collection=str(name),
                )
            await asyncio.sleep(self._limits.poll_seconds)
            flush = (await self._snapshots.flush([name]))[name]
