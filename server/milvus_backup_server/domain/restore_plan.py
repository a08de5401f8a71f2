"""Decisions of a restore: what each collection needs, and which jobs import it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from milvus_backup_server.domain.errors import BackupNotRestorable
from milvus_backup_server.domain.import_units import (
    ImportRules,
    has_logs,
    import_units,
    l0_units,
)
from milvus_backup_server.domain.milvus import (
    ALL_PARTITIONS,
    COLUMN_GROUPS,
    DEFAULT_DATABASE,
    CollectionName,
    MilvusVersion,
)
from milvus_backup_server.domain.milvus_types import ARRAY
from milvus_backup_server.domain.operations import PlannedCollection
from milvus_backup_server.domain.records import (
    CollectionBackupInfo,
    SegmentBackupInfo,
)
from milvus_backup_server.domain.renaming import Target
from milvus_backup_server.domain.schema_steps import step_faults
from milvus_backup_server.domain.target_collection import TargetCollection

NEVER_CREATED = "_default"
"""The partition that every collection without a partition key has from the start."""


def name_of(record: CollectionBackupInfo) -> CollectionName:
    """Return a record's database and name; early Go tools left the database empty."""
    return CollectionName(record.db_name or DEFAULT_DATABASE, record.collection_name)


def record_faults(record: CollectionBackupInfo) -> Iterator[BackupNotRestorable]:
    """Yield why a collection's metadata is not enough to restore it."""
    name = name_of(record)
    if record.schema is None:
        yield _not_restorable(name, "has no schema in the metadata")
        return
    for item in record.schema.fields:
        if item.data_type == ARRAY and not item.element_type:
            yield _not_restorable(
                name,
                f"field {item.name!r} is an array whose element type was not recorded (Go tool 0.3): "
                "it cannot be made from the metadata alone; select the other collections",
                field=item.name,
            )
    for segment in (s for p in record.partition_backups for s in p.segment_backups):
        if segment.storage_version > COLUMN_GROUPS:
            yield _not_restorable(
                name,
                f"has segment {segment.segment_id} of storage version {segment.storage_version}; this "
                f"service restores up to {COLUMN_GROUPS}",
                segment=str(segment.segment_id),
            )
        if segment.num_of_rows and not segment.is_l0 and not has_logs(segment.binlogs):
            yield _not_restorable(
                name,
                f"has {segment.num_of_rows} rows in segment {segment.segment_id} but no log files "
                "of it in the metadata",
                segment=str(segment.segment_id),
            )


def making_faults(record: CollectionBackupInfo) -> Iterator[BackupNotRestorable]:
    """Yield why Milvus would not make a collection with the ids that its fields had."""
    name = name_of(record)
    for fault in step_faults(record.schema) if record.schema is not None else ():
        field = {"field": fault.field} if fault.field else {}
        yield _not_restorable(name, fault.text, **field)


def version_fault(backup: str, target: str) -> BackupNotRestorable | None:
    """Return why a backup of one version of Milvus is not restored into another; None if it may be.

    Milvus reads binlogs of its own and of older lines.
    """
    made, into = MilvusVersion.parse(backup), MilvusVersion.parse(target)
    if made is None or into is None or (made.major, made.minor) <= (into.major, into.minor):
        return None
    return BackupNotRestorable(
        f"the backup is of Milvus {made}, which is newer than the target's {into}; restore it into "
        f"{made.major}.{made.minor} or later",
        subject="milvus",
        version=target,
        needed=f"{made.major}.{made.minor}",
    )


def planned(
    record: CollectionBackupInfo, target: Target, made: TargetCollection, rules: ImportRules
) -> PlannedCollection:
    """Return what a plan says of a collection and one of its targets.

    Args:
        record: The collection.
        target: Where it goes.
        made: What it becomes there.
        rules: What an import job may be like.
    """
    partitions = record.partition_backups
    every = [segment for partition in partitions for segment in partition.segment_backups]
    jobs = [*import_units(record, rules), *l0_units(record, rules)]
    return PlannedCollection(
        source=name_of(record),
        target=target.name,
        partitions=tuple(partition.partition_name for partition in partitions),
        partition_count=len(partitions),
        segment_count=len(every),
        row_count=_rows(every),
        size_bytes=sum(segment.size for segment in every),
        import_job_count=len(jobs),
        shard_count=made.shard_count,
        index_count=len(made.indexes),
        aliases=made.aliases,
        loaded=made.loading is not None,
    )


@dataclass(frozen=True, slots=True)
class RowCount:
    """How many rows a collection has once it is restored: so many, or at most so many."""

    most: int
    exact: bool

    def fits(self, found: int) -> bool:
        """Tell whether it may have this number of rows."""
        return found == self.most if self.exact else found <= self.most

    def __str__(self) -> str:
        """Return it as a message says it."""
        return str(self.most) if self.exact else f"at most {self.most}"


def row_count(record: CollectionBackupInfo, *, cut: bool) -> RowCount:
    """Return how many rows a collection must give.

    The sum over the segments is an upper bound as soon as there are deletes or rows behind a cut;
    otherwise it must be met.

    Args:
        record: The collection.
        cut: Whether rows are left out by their time.
    """
    segments = (it for part in record.partition_backups for it in part.segment_backups)
    return RowCount(_rows(segments), exact=not cut and not has_deletes(record))


def _rows(segments: Iterable[SegmentBackupInfo]) -> int:
    """Return how many rows segments hold; what L0 segments count is deletes."""
    return sum(segment.num_of_rows for segment in segments if not segment.is_l0)


def has_deletes(record: CollectionBackupInfo) -> bool:
    """Tell whether any segment of a collection has delta logs."""
    return bool(record.l0_segments) or any(
        has_logs(segment.deltalogs)
        for partition in record.partition_backups
        for segment in partition.segment_backups
    )


def expected_objects(record: CollectionBackupInfo) -> Iterator[tuple[str, int]]:
    """Yield key (relative to the backup's directory) and size of every object that the metadata names.

    The key follows from the ids; early Go tools recorded the log's id only as the end of its path.
    """
    for partition in record.partition_backups:
        for segment in partition.segment_backups:
            yield from segment_objects(record.collection_id, partition.partition_id, segment)
    for segment in record.l0_segments:
        yield from segment_objects(record.collection_id, ALL_PARTITIONS, segment)


def segment_objects(
    collection: int, partition: int, segment: SegmentBackupInfo
) -> Iterator[tuple[str, int]]:
    """Yield key (relative to the backup's directory) and size of a segment's objects, delta logs last."""
    group = f"{segment.group_id}/" if segment.group_id else ""
    inner = f"{collection}/{partition}/{group}{segment.segment_id}"
    for logs in segment.binlogs:
        for log in logs.binlogs:
            number = log.log_id or log.log_path.rpartition("/")[2]
            yield f"binlogs/insert_log/{inner}/{logs.field_id}/{number}", log.log_size
    for logs in segment.deltalogs:
        for log in logs.binlogs:
            number = log.log_id or log.log_path.rpartition("/")[2]
            yield f"binlogs/delta_log/{inner}/{number}", log.log_size


def _not_restorable(name: CollectionName, why: str, **metadata: str) -> BackupNotRestorable:
    return BackupNotRestorable(f"{name} {why}", subject=str(name), **metadata)
