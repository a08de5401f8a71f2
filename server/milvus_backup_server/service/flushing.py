"""What a create does to Milvus before it lists: for each collection a flush, as the strategy has it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from milvus_backup_server.domain.errors import (
    BackupError,
    MilvusDenied,
    MilvusRefused,
    MilvusUnavailable,
    OperationStalled,
)
from milvus_backup_server.domain.failures import concerns_all
from milvus_backup_server.domain.milvus import NO_FLUSH, CollectionName, Flush, FlushAll
from milvus_backup_server.domain.strategies import BackupStrategy
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.bulk_flush import BulkFlush, BulkFlushed
from milvus_backup_server.service.concurrency import for_each
from milvus_backup_server.service.context import WorkLimits
from milvus_backup_server.service.late_writes import LateWrites
from milvus_backup_server.service.snapshot import Snapshots

_AT_ONCE: Final = frozenset({BackupStrategy.AUTO, BackupStrategy.BULK_FLUSH})
_CALLS_AT_ONCE: Final = 16

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
        bulk: Flushes everything, where Milvus can.
        warn: Told why everything was not flushed at once, though it could be.

    Attributes:
        flush_all: The flush of everything; None if there was none.
    """

    def __init__(
        self,
        gateway: MilvusGateway,
        snapshots: Snapshots,
        late: LateWrites,
        strategy: BackupStrategy,
        limits: WorkLimits,
        *,
        bulk: BulkFlush | None,
        warn: Callable[[BackupError], None],
    ) -> None:
        self._gateway = gateway
        self._snapshots = snapshots
        self._late = late
        self._strategy = strategy
        self._limits = limits
        self._bulk = bulk
        self._warn = warn
        self.flush_all: FlushAll | None = None

    async def all(self, names: Sequence[CollectionName], each: Each) -> dict[CollectionName, Flush]:
        """Return the flush of each collection that has one."""
        bulk = await self._bulk_flushed(names)
        begun = await self._begun([name for name in names if name not in bulk])
        flushes: dict[CollectionName, Flush] = {}

        async def flush(name: CollectionName) -> None:
            if name in bulk:
                flushes[name] = await self._settle(name, bulk[name].flush, bulk[name].replaced)
            elif name in begun:
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

    async def _bulk_flushed(
        self, names: Sequence[CollectionName]
    ) -> dict[CollectionName, BulkFlushed]:
        """Flush everything where that is asked for, or can be done; what it was not done for is left out."""
        if self._bulk is None or not names or self._strategy not in _AT_ONCE:
            return {}
        try:
            self.flush_all, flushed = await self._bulk.flush(names)
        except (MilvusDenied, MilvusRefused, OperationStalled) as error:
            if self._strategy is BackupStrategy.BULK_FLUSH:
                raise
            text = f"the collections are flushed one by one: {error.message}"
            self._warn(type(error)(text, **error.metadata))
            return {}
        return flushed

    async def _begun(self, names: Sequence[CollectionName]) -> dict[CollectionName, Flush]:
        """Flush all at once; nothing where one cannot be flushed: it fails when it is by itself."""
        if not names or self._strategy not in _AT_ONCE:
            return {}
        begun: dict[CollectionName, Flush] = {}

        async def begin(together: Sequence[CollectionName]) -> None:
            try:
                begun.update(await self._snapshots.flush(together))
            except BackupError as error:
                if concerns_all(error):
                    raise

        groups = [[name] for name in names] if self._snapshots.flushes_each else [names]
        await for_each(groups, begin, concurrent=_CALLS_AT_ONCE)
        return begun

    async def one(self, name: CollectionName) -> Flush:
        """Flush a collection by itself."""
        if not self._strategy.copies:
            return NO_FLUSH
        if not self._strategy.flushes:
            return await self._written(name)
        return await self._settle(name, (await self._snapshots.flush([name]))[name])

    async def _written(self, name: CollectionName) -> Flush:
        """Return the segments that Milvus has written by now, in the place of a flush."""
        segments = await self._gateway.list_segments(name)
        written = frozenset(it.segment_id for it in segments if it.flushed)
        return Flush(moment=0, segment_ids=written, sealed_ids=frozenset(), seal_time=0)

    async def _settle(
        self, name: CollectionName, flush: Flush, replaced: frozenset[int] | None = None
    ) -> Flush:
        """Wait until a flush is written, and flush again until there is one that is exact."""
        end = time.monotonic() + self._limits.flush_seconds
        while True:
            written = await self._snapshots.wait_flushed(name, flush)
            settled = await self._late.settled(name, flush, replaced) if written else None
            if settled is not None:
                return settled
            if time.monotonic() > end:
                raise OperationStalled(
                    f"no moment of {name} could be found within {self._limits.flush_seconds:g} s: "
                    "writes or compactions were under way at each flush",
                    collection=str(name),
                )
            await asyncio.sleep(self._limits.poll_seconds)
            flush, replaced = await self._again(name, 0 if written else end), None

    async def _again(self, name: CollectionName, end: float) -> Flush:
        """Flush once more; a Milvus that is just coming back is waited for until then."""
        while True:
            try:
                return (await self._snapshots.flush([name]))[name]
            except MilvusUnavailable:
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(self._limits.poll_seconds)
