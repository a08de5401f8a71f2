"""What a list of a backup's collections shows, from our manifest or from the Go tool's records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from milvus_backup_server.domain.backups import BackupCollectionSummary
from milvus_backup_server.domain.manifest import ManifestCollection
from milvus_backup_server.domain.records import CollectionBackupInfo, SegmentBackupInfo


def summary_of_manifest(line: ManifestCollection) -> BackupCollectionSummary:
    """Return what our manifest tells about a collection."""
    return BackupCollectionSummary(
        record=CollectionBackupInfo.from_json(line.record, "record"),
        row_count=line.row_count,
        segment_count=line.segment_count,
        moment=line.moment or None,
    )


def summary_of_record(record: CollectionBackupInfo) -> BackupCollectionSummary:
    """Return what the Go tool's records tell about a collection."""
    found = list(segments(record))
    return BackupCollectionSummary(
        record=without_segments(record),
        row_count=sum(segment.num_of_rows for segment in found if not segment.is_l0),
        segment_count=len(found),
    )


def without_segments(record: CollectionBackupInfo) -> CollectionBackupInfo:
    """Return a collection's record with its partitions, but without any segments."""
    partitions = (replace(item, segment_backups=()) for item in record.partition_backups)
    return replace(record, partition_backups=tuple(partitions), l0_segments=())


def segments(record: CollectionBackupInfo) -> Iterator[SegmentBackupInfo]:
    """Yield all segments of a collection, those of all partitions at once included."""
    for partition in record.partition_backups:
        yield from partition.segment_backups
    yield from record.l0_segments
