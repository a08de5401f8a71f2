"""Finding the objects of a flushed collection: exactly those of the segments that its flush named."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from milvus_backup_server.domain.binlog_header import (
    HEADER_BYTES,
    TIMESTAMP_FIELD,
    timestamp_rows,
)
from milvus_backup_server.domain.errors import (
    MilvusVersionUnsupported,
    ObjectNotFound,
    SourceInconsistent,
    SourceStorageMismatch,
)
from milvus_backup_server.domain.layout import LogKey, parse_source_key, source_directories
from milvus_backup_server.domain.manifest import ManifestObject, dump_line
from milvus_backup_server.domain.milvus import ALL_PARTITIONS, COLUMN_GROUPS, SegmentLevel
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.domain.operations import Amount
from milvus_backup_server.service.collection_plan import (
    CollectionPlan,
    CollectionSnapshot,
    PlanStale,
)
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.objects import list_objects
from milvus_backup_server.service.spool import Spool, SpoolDirectory

_ROW_ID_FIELD = 0


async def plan_collection(
    snapshot: CollectionSnapshot, storage: Storage, spools: SpoolDirectory
) -> CollectionPlan:
    """List the insert and delta logs of a snapshot's segments, once, and return what to copy.

    Raises:
        PlanStale: A segment or partition of the snapshot is not there any more.
        SourceStorageMismatch: Segments with rows have no objects: a wrong bucket or root path.
        SourceInconsistent: The logs of a segment's fields do not match, or a field has none.
        MilvusVersionUnsupported: A segment is stored in a way that is not known here.
    """
    _check_storage(snapshot)
    if snapshot.stale:
        raise PlanStale("a segment was replaced after the flush")
    found = _Found(snapshot)
    insert, delta = spools.spool(), spools.spool()
    insert_prefix, delta_prefix = source_directories(
        storage.root, snapshot.description.collection_id
    )
    async for log, item in _logs(storage, delta_prefix):
        if found.wants(log):
            await _append(delta, log, item)
            found.add(log, item)
        else:
            found.note_other(log)
    async for log, item in _logs(storage, insert_prefix):
        if found.wants(log):
            await _append(insert, log, item)
            found.add_insert(log, item)
        else:
            found.note_other(log)
    await insert.flush()
    await delta.flush()
    found.check(storage)
    rows = await _rows(found, storage)
    return CollectionPlan(
        snapshot=snapshot,
        delta=delta,
        insert=insert,
        rows=rows,
        partition_bytes=found.partitions,
        amount=Amount(found.bytes, found.objects, len(found.segments), sum(rows.values())),
    )


@dataclass(slots=True)
class _Found:
    """What a listing found so far."""

    snapshot: CollectionSnapshot
    bytes: int = 0
    objects: int = 0
    segments: set[int] = field(default_factory=set)
    inserted: set[int] = field(default_factory=set)
    elsewhere: set[int] = field(default_factory=set)
    partitions: Counter[int] = field(default_factory=Counter)
    logs: Counter[int] = field(default_factory=Counter)
    unknown_rows: dict[int, list[str]] = field(default_factory=dict)
    _segment: int = 0
    _fields: set[int] = field(default_factory=set)
    _logs_per_field: Counter[int] = field(default_factory=Counter)

    def wants(self, log: LogKey) -> bool:
        return (
            log.segment_id in self.snapshot.flush.segment_ids
            and log.partition_id not in self.snapshot.left_out
            and self._belongs(log)
        )

    def _belongs(self, log: LogKey) -> bool:
        """Tell whether a log is one of its segment's, as far as Milvus told: others are left over."""
        told = self.snapshot.logs.get(log.segment_id)
        if told is None:
            return True
        ids = told.deltas if log.is_delta else told.inserts.get(log.field_id or 0, frozenset())
        return log.log_id in ids

    def note_other(self, log: LogKey) -> None:
        """Remember a segment of a partition that was not asked for: it is not missing."""
        if log.partition_id in self.snapshot.left_out:
            self.elsewhere.add(log.segment_id)

    def add_insert(self, log: LogKey, item: ObjectInfo) -> None:
        if log.segment_id != self._segment:
            self._check_fields()
            self._segment = log.segment_id
            self._logs_per_field = Counter()
        self._logs_per_field[log.field_id or 0] += 1
        self.inserted.add(log.segment_id)
        if log.segment_id not in self.snapshot.segments and log.field_id == TIMESTAMP_FIELD:
            self.unknown_rows.setdefault(log.segment_id, []).append(item.key)
        self.add(log, item)

    def check(self, storage: Storage) -> None:
        """Compare what was found with what the flush named."""
        self._check_fields()
        known = {partition.partition_id for partition in self.snapshot.partitions}
        if self.partitions.keys() - known - {ALL_PARTITIONS}:
            raise PlanStale("a partition was dropped after the flush")
        wanted = self.snapshot.flush.segment_ids - self.elsewhere
        missing = wanted - self.inserted - self._only_deletes()
        described = [self.snapshot.segments[it] for it in missing if it in self.snapshot.segments]
        with_rows = sorted(it.segment_id for it in described if it.rows)
        if with_rows:
            raise _mismatch(self.snapshot, with_rows, storage)
        if len(described) < len(missing):
            raise PlanStale("a segment vanished after the flush")
        for segment, told in self.snapshot.logs.items():
            if self.logs[segment] < told.count:
                raise PlanStale(f"a log of segment {segment} vanished")

    def add(self, log: LogKey, item: ObjectInfo) -> None:
        self.bytes += item.size
        self.objects += 1
        self.segments.add(log.segment_id)
        self.partitions[log.partition_id] += item.size
        self.logs[log.segment_id] += 1

    def _only_deletes(self) -> set[int]:
        """Return the L0 segments found: they have delta logs alone, all others have insert logs."""
        known = self.snapshot.segments
        return {it for it in self.segments if it in known and known[it].level is SegmentLevel.L0}

    def _check_fields(self) -> None:
        """Compare the logs of the segment listed last with each other, the others and the schema."""
        if not self._segment:
            return
        if len(set(self._logs_per_field.values())) > 1:
            raise self._inconsistent("has different numbers of log files for its fields")
        if self._one_log_per_field():
            self._check_field_ids()

    def _one_log_per_field(self) -> bool:
        known = self.snapshot.segments
        # One that Milvus replaced meanwhile was as the others are.
        asked = [known[self._segment]] if self._segment in known else known.values()
        return all(it.storage_version < COLUMN_GROUPS for it in asked)

    def _check_field_ids(self) -> None:
        fields = self.snapshot.description.schema.fields
        # Segments that are older than a nullable field have no logs of it.
        optional = {it.field_id for it in fields if it.nullable}
        wanted = {_ROW_ID_FIELD, TIMESTAMP_FIELD, *(it.field_id for it in fields)} - optional
        found = self._logs_per_field.keys() - optional
        missing = wanted - found
        if missing:
            raise self._inconsistent(
                f"has no log files of field {min(missing)}", field=min(missing)
            )
        # The schema does not name the dynamic field, so segments can only be compared.
        differing = found ^ (self._fields or found)
        if differing:
            text = f"has log files of other fields than another segment: {min(differing)}"
            raise self._inconsistent(text, field=min(differing))
        self._fields = found

    def _inconsistent(self, what: str, **metadata: int) -> PlanStale | SourceInconsistent:
        message = f"segment {self._segment} of {self.snapshot.name} {what}"
        if self._segment not in self.snapshot.segments:  # replaced, and removed while it was listed
            return PlanStale(message)
        name = str(self.snapshot.name)
        return SourceInconsistent(message, subject=name, segment=self._segment, **metadata)


async def _logs(storage: Storage, prefix: str) -> AsyncIterator[tuple[LogKey, ObjectInfo]]:
    async for item in list_objects(storage.store, prefix):
        log = parse_source_key(item.key, storage.root)
        if log is not None:
            yield log, item


def _check_storage(snapshot: CollectionSnapshot) -> None:
    """Refuse segments whose logs a manifest of their own tells: nothing of them would be found."""
    for segment in snapshot.segments.values():
        if segment.storage_version > COLUMN_GROUPS:
            raise MilvusVersionUnsupported(
                f"segment {segment.segment_id} of {snapshot.name} is of storage version "
                f"{segment.storage_version}, which this service does not back up; Milvus writes up to "
                f"{COLUMN_GROUPS} unless its common.storage.useLoonFFI is on",
                subject=str(snapshot.name),
                segment=str(segment.segment_id),
            )


async def _append(spool: Spool, log: LogKey, item: ObjectInfo) -> None:
    line = ManifestObject(
        key=log.backup_key(), source_key=item.key, source_etag=item.etag, size=item.size
    )
    await spool.append(dump_line(line))


async def _rows(found: _Found, storage: Storage) -> dict[int, int]:
    """Return rows by segment; of segments that were compacted away meanwhile, read from their logs."""
    rows = {
        it: found.snapshot.segments[it].rows
        for it in found.segments
        if it in found.snapshot.segments
    }
    for segment, keys in found.unknown_rows.items():
        rows[segment] = sum([await _timestamp_rows(storage, key) for key in keys])
    return rows


async def _timestamp_rows(storage: Storage, key: str) -> int:
    try:
        header = await storage.store.get(key, length=HEADER_BYTES)
    except ObjectNotFound:
        raise PlanStale(f"{key} vanished after the listing") from None
    rows = timestamp_rows(header)
    if rows is None:
        raise PlanStale(f"{key} does not tell how many rows it has")
    return rows


def _mismatch(
    snapshot: CollectionSnapshot, segments: list[int], storage: Storage
) -> SourceStorageMismatch:
    bucket = storage.store.location.bucket
    return SourceStorageMismatch(
        f"Milvus has rows in segment {segments[0]} of {snapshot.name}, but bucket {bucket!r} has no "
        f"objects of it below {storage.root!r}: milvus.storage.bucketName or milvus.storage.rootPath "
        "is not what Milvus uses",
        subject=str(snapshot.name),
        bucket=bucket,
        prefix=storage.root,
        segments=len(segments),
    )
