"""What is known about one collection while it is backed up."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from milvus_backup_server.domain.manifest import ManifestObject
from milvus_backup_server.domain.milvus import (
    CollectionDescription,
    CollectionName,
    Flush,
    Partition,
    SegmentInfo,
    SegmentLogIds,
)
from milvus_backup_server.domain.operations import Amount
from milvus_backup_server.domain.records import IndexInfo
from milvus_backup_server.service.spool import Spool


class PlanStale(Exception):
    """What was planned is not there any more: the collection must be planned anew, from a new moment."""


@dataclass(frozen=True, slots=True)
class CollectionSnapshot:
    """A collection at its moment, as Milvus describes it.

    Attributes:
        partitions: Those that are backed up.
        segments: The segments of the flush that Milvus still knows, by id.
        partition_load_states: By partition id.
        left_out: Ids of the partitions that were not asked for.
        logs: Of which logs the segments consist, by segment id, where Milvus tells.
        stale: Segments of the flush were replaced before the L0 segments were listed: deletes may be
            in the replacing ones alone.
        replicas: How many times it is loaded.
    """

    name: CollectionName
    description: CollectionDescription
    partitions: tuple[Partition, ...]
    indexes: tuple[IndexInfo, ...]
    load_state: str
    partition_load_states: Mapping[int, str]
    flush: Flush
    moment: int
    segments: Mapping[int, SegmentInfo]
    left_out: frozenset[int] = frozenset()
    logs: Mapping[int, SegmentLogIds] = field(default_factory=dict)
    stale: bool = False
    replicas: int = 0


@dataclass(slots=True)
class CollectionPlan:
    """The objects of a collection that will be copied.

    Attributes:
        delta: A line of JSON (ManifestObject) per delta log, in the order of keys.
        insert: The same per insert log.
        rows: Rows by segment id.
        partition_bytes: Bytes by partition id.
        amount: What there is to copy.
        md5s: 16 bytes per object, delta logs first, where we read the content; zeros elsewhere.
        copied: What was copied so far.
        server_side: Objects that the store copied by itself.
    """

    snapshot: CollectionSnapshot
    delta: Spool
    insert: Spool
    rows: dict[int, int] = field(default_factory=dict)
    partition_bytes: Mapping[int, int] = field(default_factory=dict)
    amount: Amount = Amount()
    copied: Amount = Amount()
    md5s: bytearray = field(default_factory=bytearray)
    server_side: int = 0

    @property
    def collection_id(self) -> int:
        """Milvus's id of the collection."""
        return self.snapshot.description.collection_id

    async def objects(self) -> AsyncIterator[ManifestObject]:
        """Yield all objects, delta logs first, each kind in the order of keys."""
        for spool in (self.delta, self.insert):
            async for item in read_objects(spool):
                yield item

    def note_md5(self, sequence: int, md5: str) -> None:
        """Remember the hash of an object whose content was read."""
        if not self.md5s:
            self.md5s = bytearray(16 * self.amount.objects)
        self.md5s[16 * sequence : 16 * sequence + 16] = bytes.fromhex(md5)

    def md5_of(self, sequence: int) -> str:
        """Return the hash of an object, empty if its content was not read."""
        found = bytes(self.md5s[16 * sequence : 16 * sequence + 16])
        return found.hex() if any(found) else ""

    def remove(self) -> None:
        """Give the disk space back."""
        self.delta.remove()
        self.insert.remove()


async def read_objects(spool: Spool) -> AsyncIterator[ManifestObject]:
    """Yield the objects of a spool."""
    async for line in spool.read_lines():
        yield ManifestObject.from_json(json.loads(line))
