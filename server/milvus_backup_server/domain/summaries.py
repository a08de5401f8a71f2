"""What a list of a backup's collections shows, from our manifest or from the Go tool's records."""

from __future__ import annotations

from collections.abc import Iterator

from milvus_backup_server.domain.backups import BackupCollectionSummary, BackupFieldSummary
from milvus_backup_server.domain.manifest import ManifestCollection
from milvus_backup_server.domain.milvus import DEFAULT_DATABASE
from milvus_backup_server.domain.milvus_types import data_type_name
from milvus_backup_server.domain.records import CollectionBackupInfo, SegmentBackupInfo

_SHOWN_NAMES = 100


def summary_of_manifest(line: ManifestCollection) -> BackupCollectionSummary:
    """Return what our manifest tells about a collection."""
    return BackupCollectionSummary(
        database=line.db_name,
        name=line.collection_name,
        collection_id=line.collection_id,
        row_count=line.row_count,
        size_bytes=line.size,
        segment_count=line.segment_count,
        partition_count=line.partition_count,
        shard_count=line.shard_count,
        indexes=line.indexes,
        aliases=line.aliases,
        load_state=line.load_state,
        moment=line.moment or None,
        fields=tuple(
            BackupFieldSummary(item.name, item.data_type, item.primary_key) for item in line.fields
        ),
    )


def summary_of_record(record: CollectionBackupInfo) -> BackupCollectionSummary:
    """Return what the Go tool's records tell about a collection."""
    fields = record.schema.fields if record.schema else ()
    found = list(segments(record))
    return BackupCollectionSummary(
        database=record.db_name or DEFAULT_DATABASE,
        name=record.collection_name,
        collection_id=record.collection_id,
        row_count=sum(segment.num_of_rows for segment in found if not segment.is_l0),
        size_bytes=record.size,
        segment_count=len(found),
        partition_count=len(record.partition_backups),
        shard_count=record.shards_num,
        indexes=tuple(index.index_name for index in record.index_infos[:_SHOWN_NAMES]),
        aliases=record.aliases[:_SHOWN_NAMES],
        load_state=record.load_state,
        fields=tuple(
            BackupFieldSummary(field.name, data_type_name(field.data_type), field.is_primary_key)
            for field in fields[:_SHOWN_NAMES]
        ),
    )


def segments(record: CollectionBackupInfo) -> Iterator[SegmentBackupInfo]:
    """Yield all segments of a collection, those of all partitions at once included."""
    for partition in record.partition_backups:
        yield from partition.segment_backups
    yield from record.l0_segments
