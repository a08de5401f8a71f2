"""The Go tool's records of a planned collection, segment by segment."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace

from milvus_backup_server.domain.layout import LogKey, parse_backup_key
from milvus_backup_server.domain.manifest import (
    ManifestCollection,
    ManifestObject,
    canonical_json,
)
from milvus_backup_server.domain.milvus import ALL_PARTITIONS, SegmentLevel, SegmentLogIds
from milvus_backup_server.domain.records import (
    Binlog,
    CollectionBackupInfo,
    FieldBinlog,
    PartitionBackupInfo,
    SegmentBackupInfo,
)
from milvus_backup_server.service.collection_plan import CollectionPlan, read_objects
from milvus_backup_server.service.spool import Spool


@dataclass(frozen=True, slots=True)
class _Log:
    key: LogKey
    item: ManifestObject

    @property
    def segment(self) -> tuple[str, str]:
        """Partition and segment as listings order them."""
        return str(self.key.partition_id), str(self.key.segment_id)


class CollectionRecords:
    """Turns a plan into records; reads the plan's objects as a stream each time.

    Args:
        plan: What was copied.
        operation: The id that the Go tool calls the task's.
    """

    def __init__(self, plan: CollectionPlan, operation: str) -> None:
        self._plan = plan
        self._snapshot = plan.snapshot
        self._operation = operation

    def without_segments(self) -> CollectionBackupInfo:
        """Return the collection with its partitions, but without any segments."""
        return replace(self._head(), partition_backups=tuple(self._partitions()))

    async def partitions(self) -> AsyncIterator[PartitionBackupInfo]:
        """Yield the partitions without segments."""
        for partition in self._partitions():
            yield partition

    async def data_segments(self) -> AsyncIterator[SegmentBackupInfo]:
        """Yield the segments that belong to a partition, in the order of partitions as listed."""
        async for segment in self._segments():
            if segment.partition_id != ALL_PARTITIONS:
                yield segment

    async def tree(self) -> AsyncIterator[bytes]:
        """Yield the JSON of the whole collection in pieces of at most one segment."""
        yield canonical_json(self._head().to_json())[:-1] + b',"partition_backups":['
        left = {partition.partition_id: partition for partition in self._partitions()}
        first, present, l0 = True, ALL_PARTITIONS, []
        async for segment in self._segments():
            if segment.partition_id == ALL_PARTITIONS:
                l0.append(segment)
                continue
            if segment.partition_id != present:
                if present != ALL_PARTITIONS:
                    yield _closed(left.pop(present))
                present = segment.partition_id
                yield (b"" if first else b",") + _opened(left[present])
                first = False
            else:
                yield b","
            yield canonical_json(segment.to_json())
        if present != ALL_PARTITIONS:
            yield _closed(left.pop(present))
        for partition in left.values():
            yield (b"" if first else b",") + canonical_json(partition.to_json())
            first = False
        yield b"]" + _l0_member(l0) + b"}"

    def _head(self) -> CollectionBackupInfo:
        snapshot, description = self._snapshot, self._snapshot.description
        channels = description.virtual_channels
        timestamps = snapshot.flush.channel_timestamps
        return CollectionBackupInfo(
            id=self._operation,
            collection_id=description.collection_id,
            db_name=snapshot.name.database,
            collection_name=snapshot.name.name,
            schema=description.schema,
            shards_num=description.shards,
            consistency_level=description.consistency_level,
            size=self._plan.amount.bytes,
            has_index=bool(snapshot.indexes),
            index_infos=snapshot.indexes,
            load_state=snapshot.load_state,
            backup_physical_timestamp=snapshot.flush.seal_time,
            backup_timestamp=max((timestamps.get(it, 0) for it in channels), default=0),
            channel_checkpoints=snapshot.flush.channel_checkpoints,
            properties=description.properties,
            db_id=description.database_id,
            created_timestamp=description.created_timestamp,
            virtual_channel_names=description.virtual_channels,
            physical_channel_names=description.physical_channels,
            aliases=description.aliases,
        )

    def _partitions(self) -> Iterable[PartitionBackupInfo]:
        for partition in self._snapshot.partitions:
            yield PartitionBackupInfo(
                partition_id=partition.partition_id,
                partition_name=partition.name,
                collection_id=self._snapshot.description.collection_id,
                size=self._plan.partition_bytes.get(partition.partition_id, 0),
                load_state=self._snapshot.partition_load_states[partition.partition_id],
            )

    async def _segments(self) -> AsyncIterator[SegmentBackupInfo]:
        """Join insert and delta logs by segment; both come in the order of partition and segment."""
        inserts, deltas = _by_segment(self._plan.insert), _by_segment(self._plan.delta)
        insert: list[_Log] = await anext(inserts, [])
        delta: list[_Log] = await anext(deltas, [])
        while insert or delta:
            segment = min(logs[0].segment for logs in (insert, delta) if logs)
            has_insert = bool(insert) and insert[0].segment == segment
            has_delta = bool(delta) and delta[0].segment == segment
            yield self._segment(insert if has_insert else [], delta if has_delta else [])
            if has_insert:
                insert = await anext(inserts, [])
            if has_delta:
                delta = await anext(deltas, [])

    def _segment(self, inserts: Sequence[_Log], deltas: Sequence[_Log]) -> SegmentBackupInfo:
        key = (*inserts, *deltas)[0].key
        info = self._snapshot.segments.get(key.segment_id)
        is_l0 = not inserts if info is None else info.level is SegmentLevel.L0
        told = self._snapshot.logs.get(key.segment_id)
        return SegmentBackupInfo(
            segment_id=key.segment_id,
            collection_id=key.collection_id,
            partition_id=key.partition_id,
            num_of_rows=self._plan.rows.get(key.segment_id, 0),
            binlogs=tuple(_field_binlogs(inserts)),
            deltalogs=_delta_binlogs(deltas, told),
            size=sum(log.item.size for log in (*inserts, *deltas)),
            group_id=0 if key.partition_id == ALL_PARTITIONS else key.segment_id,
            is_l0=is_l0,
            v_channel=told.channel if told else "",
            storage_version=info.storage_version if info else 0,
        )


def summary(plan: CollectionPlan, record: CollectionBackupInfo) -> ManifestCollection:
    """Return what the manifest tells about a collection, without its objects."""
    snapshot = plan.snapshot
    return ManifestCollection(
        collection_id=plan.collection_id,
        db_name=snapshot.name.database,
        collection_name=snapshot.name.name,
        moment=snapshot.moment,
        size=plan.amount.bytes,
        row_count=plan.amount.rows,
        segment_count=plan.amount.segments,
        replica_count=snapshot.replicas,
        record=record.to_json(),
    )


async def _by_segment(spool: Spool) -> AsyncIterator[list[_Log]]:
    logs: list[_Log] = []
    async for item in read_objects(spool):
        key = parse_backup_key(item.key)
        assert key is not None  # noqa: S101 the listing made this key
        log = _Log(key, item)
        if logs and logs[0].segment != log.segment:
            yield logs
            logs = []
        logs.append(log)
    if logs:
        yield logs


def _field_binlogs(logs: Sequence[_Log]) -> Iterable[FieldBinlog]:
    for field, group in itertools.groupby(logs, key=lambda log: log.key.field_id):
        yield FieldBinlog(field_id=field or 0, binlogs=tuple(_binlog(log) for log in group))


def _delta_binlogs(logs: Sequence[_Log], told: SegmentLogIds | None) -> tuple[FieldBinlog, ...]:
    """Return the delta logs as the Go tool records them: without an entry for none where it asked Milvus."""
    if told is not None and not logs:
        return ()
    binlogs = tuple(_binlog(log) for log in logs)
    return (FieldBinlog(field_id=told.delta_field if told else 0, binlogs=binlogs),)


def _binlog(log: _Log) -> Binlog:
    return Binlog(log_path=log.item.source_key, log_size=log.item.size, log_id=log.key.log_id)


def _opened(partition: PartitionBackupInfo) -> bytes:
    values = partition.to_json()
    before = {key: values[key] for key in ("partition_id", "partition_name", "collection_id")}
    return canonical_json(before)[:-1] + b',"segment_backups":['


def _closed(partition: PartitionBackupInfo) -> bytes:
    values = partition.to_json()
    after = {key: values[key] for key in ("size", "load_state") if key in values}
    return b"]," + canonical_json(after)[1:]


def _l0_member(segments: Sequence[SegmentBackupInfo]) -> bytes:
    if not segments:
        return b""
    return b',"l0_segments":' + canonical_json([segment.to_json() for segment in segments])
