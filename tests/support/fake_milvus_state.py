"""What a `FakeMilvus` holds: collections, segments, rows, a clock, and the bytes of its binlogs."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from milvus_backup_server.domain.layout import LogKey, parse_source_key
from milvus_backup_server.domain.milvus import (
    CollectionDescription,
    CollectionName,
    Partition,
    SegmentLogIds,
    hybrid_timestamp,
    physical_milliseconds,
)
from milvus_backup_server.domain.records import CollectionSchema, FieldSchema, IndexInfo

Key = int | str
Stamped = tuple[Key, int]
"""A primary key and the hybrid timestamp of its insert or delete."""

FIRST_FIELD_ID = 100
ROW_ID_FIELD, TIMESTAMP_FIELD = 0, 1
_START = 1_800_000_000_000
_STEP_MILLISECONDS = 50


class Clock:
    """A clock with hybrid timestamps; like Milvus's, its physical part moves in steps of 50 ms."""

    def __init__(self, ticks_a_step: int = 3) -> None:
        """Make a clock whose physical part moves on after so many timestamps."""
        self._ticks = itertools.count()
        self._ticks_a_step = ticks_a_step
        self._skipped = 0

    def tick(self) -> int:
        """Return a timestamp later than all before."""
        steps, logical = divmod(next(self._ticks), self._ticks_a_step)
        return hybrid_timestamp(_START + self._skipped + steps * _STEP_MILLISECONDS) + logical

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._skipped += int(seconds * 1000)


class SegmentState(Enum):
    """How far a segment is on its way into the object store."""

    GROWING = "growing"
    SEALED = "sealed"
    FLUSHED = "flushed"


@dataclass(slots=True)
class FakeSegment:
    """A segment: its rows, the deletes of them that are not written yet, its objects' keys."""

    segment_id: int
    partition_id: int
    rows: list[Stamped] = field(default_factory=list)
    deletes: list[Stamped] = field(default_factory=list)
    state: SegmentState = SegmentState.GROWING
    keys: list[str] = field(default_factory=list)


@dataclass(slots=True)
class FakeCollection:
    """A collection."""

    description: CollectionDescription
    partitions: list[Partition]
    indexes: list[IndexInfo] = field(default_factory=list)
    segments: list[FakeSegment] = field(default_factory=list)
    deleted: dict[Key, int] = field(default_factory=dict)
    """The latest delete of each key."""
    load_state: str = "NotLoad"
    loaded: list[str] = field(default_factory=list)
    """Names of the partitions that the load state is of."""
    load_polls: int = 0
    replicas: int = 1

    @property
    def collection_id(self) -> int:
        """Milvus's id."""
        return self.description.collection_id

    @property
    def schema(self) -> CollectionSchema:
        """The schema with the ids that Milvus gave."""
        return self.description.schema

    @property
    def field_ids(self) -> list[int]:
        """The fields of a segment's binlogs, Milvus's own included."""
        ids = [ROW_ID_FIELD, TIMESTAMP_FIELD, *(item.field_id for item in self.schema.fields)]
        dynamic = next(it for it in itertools.count(FIRST_FIELD_ID) if it not in ids)
        return [*ids, dynamic] if self.schema.enable_dynamic_field else ids

    def partition(self, name: str) -> Partition | None:
        """Return a partition by name."""
        return next((item for item in self.partitions if item.name == name), None)

    def written(self) -> list[FakeSegment]:
        """Return the segments that are not growing."""
        return [item for item in self.segments if item.state is not SegmentState.GROWING]

    def growing(self, partition_id: int) -> FakeSegment | None:
        """Return the growing segment of a partition."""
        states = (item for item in self.segments if item.state is SegmentState.GROWING)
        return next((item for item in states if item.partition_id == partition_id), None)

    def live_keys(self) -> list[Key]:
        """Return the primary keys of the rows that are there, sorted; twice if a row is twice."""
        rows = itertools.chain.from_iterable(item.rows for item in self.segments)
        return sorted_keys(live(rows, self.deleted))

    def added(self, field: FieldSchema) -> None:
        """Take a further field."""
        given = replace(field, field_id=max(self.field_ids) + 1)
        schema = replace(self.schema, fields=(*self.schema.fields, given))
        self.description = replace(self.description, schema=schema)

    def renamed(self, name: CollectionName) -> None:
        """Take another name."""
        schema = replace(self.schema, name=name.name)
        self.description = replace(self.description, name=name, schema=schema)


def live(rows: Iterable[Stamped], deleted: Mapping[Key, int]) -> list[Stamped]:
    """Return the rows without a later delete."""
    return [(key, stamp) for key, stamp in rows if deleted.get(key, -1) <= stamp]


def latest(deletes: Iterable[Stamped]) -> dict[Key, int]:
    """Return the latest delete of each key."""
    found: dict[Key, int] = {}
    for key, stamp in deletes:
        found[key] = max(stamp, found.get(key, stamp))
    return found


def sorted_keys(rows: Iterable[Stamped]) -> list[Key]:
    """Return the keys of rows, sorted."""
    return sorted((key for key, _ in rows), key=lambda key: (str(type(key)), key))


def numbered(schema: CollectionSchema, name: str) -> CollectionSchema:
    """Return a schema as Milvus keeps it: ids in the order of the fields, no dynamic field."""
    fields: Iterator[FieldSchema] = (item for item in schema.fields if not item.is_dynamic)
    given = tuple(
        replace(item, field_id=number)
        for number, item in enumerate(sorted(fields, key=lambda f: f.field_id), FIRST_FIELD_ID)
    )
    return replace(schema, name=name, fields=given)


def insert_objects(
    collection: FakeCollection, segment: FakeSegment, root: str, numbers: Iterator[int]
) -> dict[str, bytes]:
    """Return the insert logs of a segment: one object a field, the rows in that of the row ids."""
    found: dict[str, bytes] = {}
    for field_id in collection.field_ids:
        key = _key(collection, segment, field_id, next(numbers)).source_key(root)
        content: dict[str, object] = {"original_size": str(8 * len(segment.rows))}
        content |= {"segment": segment.segment_id, "field": field_id}
        if field_id == ROW_ID_FIELD:
            content["rows"] = segment.rows
        found[key] = json.dumps(content).encode()
    return found


def delta_object(
    collection: FakeCollection, segment: FakeSegment, root: str, log_id: int
) -> tuple[str, bytes]:
    """Return the delta log with a segment's deletes that are not written yet."""
    key = _key(collection, segment, None, log_id).source_key(root)
    return key, json.dumps({"deletes": segment.deletes}).encode()


def _key(
    collection: FakeCollection, segment: FakeSegment, field_id: int | None, log_id: int
) -> LogKey:
    owner = collection.collection_id, segment.partition_id, segment.segment_id
    return LogKey(*owner, field_id, log_id)


def read_stamped(data: bytes, name: str) -> list[Stamped] | None:
    """Return the rows or deletes of an object of ours; None for a foreign one."""
    try:
        return [(key, stamp) for key, stamp in json.loads(data)[name]]
    except (ValueError, KeyError, TypeError):
        return None


def cut_of(moment: int | None, *, hybrid: bool) -> int | None:
    """Return the last timestamp that an import with that moment takes."""
    if moment is None or hybrid:
        return moment
    return hybrid_timestamp(physical_milliseconds(moment))


def upto(rows: Iterable[Stamped], cut: int | None) -> list[Stamped]:
    """Return what is not later than a cut."""
    return [(key, stamp) for key, stamp in rows if cut is None or stamp <= cut]


def log_ids(keys: Iterable[str], root: str) -> SegmentLogIds:
    """Return which logs are among the keys of a segment's objects."""
    inserts: dict[int, frozenset[int]] = {}
    deltas: set[int] = set()
    for log in filter(None, (parse_source_key(key, root) for key in keys)):
        if log.field_id is None:
            deltas.add(log.log_id)
        else:
            there = inserts.get(log.field_id, frozenset())
            inserts[log.field_id] = there | {log.log_id}
    return SegmentLogIds(inserts, frozenset(deltas))
