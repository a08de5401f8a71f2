"""What a create would do, found out without a flush: approximate."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.faults import Faults
from milvus_backup_server.domain.layout import parse_source_key, source_directories
from milvus_backup_server.domain.milvus import CollectionName, Partition, SegmentInfo, SegmentLevel
from milvus_backup_server.domain.operations import PlannedCollection
from milvus_backup_server.domain.selection import Selection
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.bucket_proof import nothing_of
from milvus_backup_server.service.concurrency import for_each
from milvus_backup_server.service.context import Storage, WorkLimits
from milvus_backup_server.service.objects import list_objects


class CreatePlanner:
    """Looks at collections as they are now.

    Args:
        gateway: The source.
        storage: The source's object store.
        selection: What is to be backed up.
        limits: How many at one time, and how long the objects are listed at most.
        copies: Whether rows are to be backed up.

    Attributes:
        sized: Whether the objects of all collections could be listed in time.
    """

    def __init__(
        self,
        gateway: MilvusGateway,
        storage: Storage,
        selection: Selection,
        limits: WorkLimits,
        *,
        copies: bool,
    ) -> None:
        self._gateway = gateway
        self._storage = storage
        self._selection = selection
        self._limits = limits
        self._copies = copies
        self._segments: dict[CollectionName, dict[int, SegmentInfo]] = {}
        self._planned: dict[CollectionName, PlannedCollection] = {}
        self.sized = False

    async def plan(
        self, names: tuple[CollectionName, ...], faults: Faults
    ) -> tuple[PlannedCollection, ...]:
        """Return what a plan says of each collection; bytes are left out where time is short.

        Args:
            names: The collections.
            faults: Gets what makes it impossible to list their objects, or proves them to be elsewhere.
        """
        await for_each(names, self._describe, concurrent=self._limits.collections)
        try:
            async with asyncio.timeout(self._limits.check_seconds / 2):
                await for_each(names, self._measure, concurrent=self._limits.collections)
            self.sized = True
        except BackupError as error:
            faults.add(error)
        except TimeoutError:  # a plan without bytes is better than none
            self.sized = False
        return tuple(self._planned[name] for name in names)

    async def _describe(self, name: CollectionName) -> None:
        segments, partitions = await asyncio.gather(
            self._gateway.list_segments(name), self._gateway.list_partitions(name)
        )
        chosen = self._selection.partitions.get(name)
        kept = [it for it in partitions if chosen is None or it.name in chosen]
        if not self._copies:
            segments = []
        elif chosen is not None:
            segments = _of(segments, kept)
        self._segments[name] = {segment.segment_id: segment for segment in segments}
        self._planned[name] = PlannedCollection(
            source=name,
            partitions=tuple(partition.name for partition in kept),
            partition_count=len(kept),
            segment_count=len(segments),
            row_count=sum(it.rows for it in segments if it.level is SegmentLevel.DATA),
        )

    async def _measure(self, name: CollectionName) -> None:
        segments = self._segments[name]
        if not segments:
            return
        description = await self._gateway.describe_collection(name)
        found, size = False, 0
        directories = source_directories(self._storage.root, description.collection_id)
        for prefix in directories:
            async for item in list_objects(self._storage.store, prefix):
                found = True
                log = parse_source_key(item.key, self._storage.root)
                if log is not None and log.segment_id in segments:
                    size += item.size
        if not found and any(it.rows and it.flushed for it in segments.values()):
            raise nothing_of(name, self._storage, directories[0])
        self._planned[name] = replace(self._planned[name], size_bytes=size)


def _of(segments: list[SegmentInfo], partitions: list[Partition]) -> list[SegmentInfo]:
    ids = {partition.partition_id for partition in partitions}
    return [segment for segment in segments if segment.partition_id in ids]
