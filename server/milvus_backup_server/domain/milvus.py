"""Values about a Milvus cluster: names, versions, what a gateway answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from milvus_backup_server.domain.records import CollectionSchema, KeyValue

DEFAULT_DATABASE = "default"
ALL_PARTITIONS = -1
"""Partition id of L0 segments whose deletes hold for all partitions."""

COLUMN_GROUPS = 2
"""The storage version whose logs are of groups of fields, the last that is known here."""

_LOGICAL_BITS = 18


@dataclass(frozen=True, slots=True, order=True)
class CollectionName:
    """A collection by database and name."""

    database: str
    name: str

    def __str__(self) -> str:
        """Return ``database.name``."""
        return f"{self.database}.{self.name}"


@dataclass(frozen=True, slots=True)
class CollectionDescription:
    """What DescribeCollection tells.

    Attributes:
        name: Where it is.
        collection_id: Milvus's id.
        schema: Without Milvus's own fields (row id, timestamp, ``$meta``).
        shards: Number of shards.
        consistency_level: Milvus's number, 0 is Strong.
        properties: Properties of the collection.
        aliases: Its aliases.
        created_timestamp: Hybrid timestamp of its creation.
        virtual_channels: One per shard.
        physical_channels: One per shard.
        partition_count: Partitions of a collection with a partition key; else as reported.
        database_id: Milvus's id of the database, 0 if it does not tell.
    """

    name: CollectionName
    collection_id: int
    schema: CollectionSchema
    shards: int
    consistency_level: int
    properties: tuple[KeyValue, ...] = ()
    aliases: tuple[str, ...] = ()
    created_timestamp: int = 0
    virtual_channels: tuple[str, ...] = ()
    physical_channels: tuple[str, ...] = ()
    partition_count: int = 0
    database_id: int = 0


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of a collection."""

    partition_id: int
    name: str


class SegmentLevel(Enum):
    """What a segment holds."""

    DATA = "data"
    L0 = "l0"


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """A flushed segment as Milvus describes it.

    Attributes:
        segment_id: Its id.
        partition_id: Its partition, ``ALL_PARTITIONS`` for some L0 segments.
        rows: Rows inserted into it; deletes do not change that.
        level: Data or L0.
        storage_version: 0 and 1 are one binlog a field, 2 are column groups.
        channel: Its virtual channel, empty if not told.
        flushed: Whether all of it is written.
    """

    segment_id: int
    partition_id: int
    rows: int
    level: SegmentLevel = SegmentLevel.DATA
    storage_version: int = 0
    channel: str = ""
    flushed: bool = True


@dataclass(frozen=True, slots=True)
class SegmentLogIds:
    """Of which logs a segment consists.

    Attributes:
        inserts: Ids of insert logs by field id or column group.
        deltas: Ids of delta logs.
        channel: The segment's virtual channel.
        delta_field: The field under which Milvus lists the delta logs.
    """

    inserts: Mapping[int, frozenset[int]]
    deltas: frozenset[int]
    channel: str = ""
    delta_field: int = 0

    @property
    def count(self) -> int:
        """How many logs there are."""
        return len(self.deltas) + sum(len(ids) for ids in self.inserts.values())


@dataclass(frozen=True, slots=True)
class Flush:
    """What a flush of one collection gave.

    Attributes:
        moment: Hybrid timestamp up to which ``segment_ids`` hold everything.
        segment_ids: Sealed by this flush or flushed before.
        sealed_ids: The ones sealed by this flush; they are written when the flush is done.
        seal_time: Unix seconds when they were sealed.
        channel_checkpoints: Positions in base64 by virtual channel; empty on 2.3, and where several
            collections were flushed in one call.
        channel_timestamps: Hybrid timestamps of those positions.
    """

    moment: int
    segment_ids: frozenset[int]
    sealed_ids: frozenset[int]
    seal_time: int
    channel_checkpoints: Mapping[str, str] = field(default_factory=dict)
    channel_timestamps: Mapping[str, int] = field(default_factory=dict)


NO_FLUSH = Flush(moment=0, segment_ids=frozenset(), sealed_ids=frozenset(), seal_time=0)
"""In the place of a flush where nothing is flushed: it has no moment."""


@dataclass(frozen=True, slots=True)
class FlushAll:
    """What a flush of everything in a Milvus gave.

    Attributes:
        moments: Hybrid timestamp up to which everything is flushed, by physical channel.
        messages: The messages that did it, in base64, by physical channel: as the Go tool records them.
        control_channel: Name of Milvus's control channel.
        physical_channels: Names of all physical channels.
    """

    moments: Mapping[str, int]
    messages: Mapping[str, str] = field(default_factory=dict)
    control_channel: str = ""
    physical_channels: tuple[str, ...] = ()


class ImportState(Enum):
    """How far an import job of Milvus is."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Milvus does not know the job."""


@dataclass(frozen=True, slots=True)
class ImportSource:
    """Directories of one import, ending in ``/``, as keys in Milvus's bucket; ``delta`` is empty if there are none."""

    insert: str
    delta: str = ""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to import.

    Attributes:
        moment: Hybrid timestamp after which rows and deletes are left out; None for no cut.
        l0: The sources are L0 segments.
        storage_version: Of the segments, 0 if not told.
        hybrid_end_ts: This Milvus is told the moment as it is; else in physical milliseconds.
        rest: The job is made through the REST API, which takes several sources; else through gRPC,
            which takes one.
    """

    moment: int | None = None
    l0: bool = False
    storage_version: int = 0
    hybrid_end_ts: bool = False
    rest: bool = False


@dataclass(frozen=True, slots=True)
class ImportJob:
    """An import job of Milvus.

    Attributes:
        job_id: Milvus's id of it.
        state: How far it is.
        rows: Rows that the job leaves: after the cut at the moment, after the deletes; 0 until they
            are known.
        progress: Percent.
        reason: Why it failed.
        files: The paths that it reads.
        collection_id: Of the collection that it fills.
        partition: Name of the partition that it fills, empty if not told.
    """

    job_id: str
    state: ImportState
    rows: int = 0
    progress: int = 0
    reason: str = ""
    files: tuple[str, ...] = ()
    collection_id: int = 0
    partition: str = ""

    @property
    def ended(self) -> bool:
        """True if it reads nothing any more."""
        return self.state in (ImportState.COMPLETED, ImportState.FAILED)

    @property
    def failed_by_restart(self) -> bool:
        """True if Milvus failed it because it was restarted; a part of its rows may be there then.

        Source: seen on 2.3.5, ``task marked failed as service restarted``.
        """
        return self.state is ImportState.FAILED and "service restarted" in self.reason


_NEWEST_PATCH: Final = 9999


@dataclass(frozen=True, slots=True, order=True)
class MilvusVersion:
    """A version of Milvus, compared by its numbers."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> MilvusVersion | None:
        """Read ``v2.3.5``, ``2.4.0-rc.1``, ``milvus 2.6-...``; None if there are no such numbers.

        Without a third number it is a build of the line's newest code, as the Go tool takes it.
        """
        found = re.search(r"(?:^|[^0-9.])v?(\d+)\.(\d+)(?:\.(\d+))?", text)
        if not found:
            return None
        return cls(int(found[1]), int(found[2]), int(found[3] or _NEWEST_PATCH))

    def __str__(self) -> str:
        """Return ``major.minor.patch``."""
        return f"{self.major}.{self.minor}.{self.patch}"


def physical_milliseconds(timestamp: int) -> int:
    """Return the physical part of a hybrid timestamp: Unix milliseconds."""
    return timestamp >> _LOGICAL_BITS


def hybrid_timestamp(milliseconds: int) -> int:
    """Return the first hybrid timestamp of a Unix millisecond."""
    return milliseconds << _LOGICAL_BITS


def backup_moment(flush_timestamp: int, *, hybrid_end: bool) -> int:
    """Return the moment of a flush: the timestamp that a restore cuts at.

    Milvus up to 2.3 cuts imports at a physical millisecond. Rounded up, deletes that follow the
    flush within its own millisecond would count while the rows that replace them are not there; so
    it is rounded down.

    Args:
        flush_timestamp: Hybrid timestamp that the flush gave.
        hybrid_end: Whether that Milvus cuts imports at hybrid timestamps.
    """
    if hybrid_end:
        return flush_timestamp
    return hybrid_timestamp(physical_milliseconds(flush_timestamp))


def moment_time(timestamp: int) -> datetime:
    """Return the physical part of a hybrid timestamp as a time."""
    return datetime.fromtimestamp(physical_milliseconds(timestamp) / 1000, UTC)
