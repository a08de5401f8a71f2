"""What Milvus answers about collections, segments and flushes, as values of the domain."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from milvus_backup_server.adapters.milvus.schemas import key_values, schema_record
from milvus_backup_server.adapters.milvus.stubs import Message, common_pb2
from milvus_backup_server.domain.milvus import (
    CollectionDescription,
    CollectionName,
    Flush,
    FlushAll,
    Partition,
    SegmentInfo,
    SegmentLevel,
)
from milvus_backup_server.domain.names import is_milvus_name
from milvus_backup_server.domain.records import IndexInfo

NOT_LOADED, LOADING, LOADED = "NotLoad", "Loading", "Loaded"

_ALL_LOADED = 100

# Sealed ones are listed from the moment of a flush on, before they are written.
_FLUSHED_OR_BEING_FLUSHED = frozenset((common_pb2.Sealed, common_pb2.Flushing, common_pb2.Flushed))


def description(asked: CollectionName, answer: Message) -> CollectionDescription:
    """Return what DescribeCollection answered; the name is the collection's, not its alias."""
    return CollectionDescription(
        name=CollectionName(answer.db_name or asked.database, answer.schema.name or asked.name),
        collection_id=answer.collectionID,
        schema=schema_record(answer.schema),
        shards=answer.shards_num,
        consistency_level=answer.consistency_level,
        properties=key_values(answer.properties),
        aliases=tuple(sorted(answer.aliases)),
        created_timestamp=answer.created_timestamp,
        virtual_channels=tuple(answer.virtual_channel_names),
        physical_channels=tuple(answer.physical_channel_names),
        partition_count=answer.num_partitions,
        database_id=answer.db_id,
    )


def partitions(answer: Message) -> list[Partition]:
    """Return what ShowPartitions answered, in the order of creation.

    Ids only grow, so their order is that of creation also within one timestamp.
    """
    found = zip(answer.partitionIDs, answer.partition_names, strict=True)
    return [Partition(number, name) for number, name in sorted(found)]


def indexes(answer: Message) -> list[IndexInfo]:
    """Return what DescribeIndex answered, in the order of creation."""
    found = [_index(index) for index in answer.index_descriptions]
    return sorted(found, key=lambda index: index.index_id)


def _index(index: Message) -> IndexInfo:
    params = {pair.key: pair.value for pair in index.params}
    return IndexInfo(
        field_name=index.field_name,
        index_name=index.index_name,
        index_type=params.get("index_type", ""),
        params=params,
        index_id=index.indexID,
    )


def given_name(index: IndexInfo) -> str:
    """Return the name to create an index with; empty for one that Milvus would refuse.

    Milvus gives such names itself, to the indexes of paths in JSON fields, and does so again.
    """
    return index.index_name if is_milvus_name(index.index_name) else ""


def index_params(index: IndexInfo) -> list[Message]:
    """Return the parameters to create an index with.

    Old releases of the Go tool wrote an empty type for the default index of a scalar field, which
    Milvus refuses where it takes no type at all.
    """
    params = {"index_type": index.index_type, **index.params}
    return [
        common_pb2.KeyValuePair(key=key, value=value)
        for key, value in sorted(params.items())
        if value
    ]


def load_state(progress: int) -> str:
    """Return the state that a progress of loading in percent means."""
    if progress <= 0:
        return NOT_LOADED
    return LOADED if progress >= _ALL_LOADED else LOADING


def segments(answer: Message) -> list[SegmentInfo]:
    """Return the segments of GetPersistentSegmentInfo that are written or being written."""
    return [_segment(info) for info in answer.infos if info.state in _FLUSHED_OR_BEING_FLUSHED]


def _segment(info: Message) -> SegmentInfo:
    l0 = info.level == common_pb2.SegmentLevel.L0
    return SegmentInfo(
        segment_id=info.segmentID,
        partition_id=info.partitionID,
        rows=info.num_rows,
        level=SegmentLevel.L0 if l0 else SegmentLevel.DATA,
        storage_version=info.storage_version,
        channel=info.insert_channel,
        flushed=info.state == common_pb2.Flushed,
    )


def flush_all(answer: Message) -> FlushAll:
    """Return what FlushAll answered.

    Each message's property ``_tt`` is its timestamp in base 36. Source: ``message.properties`` of
    Milvus's streaming; seen in backups that the Go tool made of 2.6.18.
    """
    messages = answer.flush_all_msgs
    moments = {channel: int(it.properties["_tt"] or "0", 36) for channel, it in messages.items()}
    return FlushAll(
        moments=moments,
        messages={
            channel: base64.b64encode(messages[channel].SerializeToString()).decode()
            for channel in sorted(messages)
        },
        control_channel=answer.cluster_info.cchannel,
        physical_channels=tuple(answer.cluster_info.pchannels),
    )


def flushes(collections: Sequence[str], answer: Message) -> dict[str, Flush]:
    """Return what Flush answered, by collection; nothing for one without a moment.

    The answer has checkpoints by virtual channel, those of the last collection alone; so nothing is
    taken from one about several. Source: the flush task of Milvus's proxy, 2.4 to 2.6.
    """
    positions = dict(answer.channel_cps) if len(collections) == 1 else {}
    checkpoints = {
        channel: base64.b64encode(position.SerializeToString()).decode()
        for channel, position in positions.items()
    }
    return {
        name: Flush(
            moment=answer.coll_flush_ts[name],
            segment_ids=frozenset(answer.coll_segIDs[name].data)
            | frozenset(answer.flush_coll_segIDs[name].data),
            sealed_ids=frozenset(answer.coll_segIDs[name].data),
            seal_time=answer.coll_seal_times[name],
            channel_checkpoints=checkpoints,
            channel_timestamps={it: at.timestamp for it, at in positions.items()},
        )
        for name in collections
        if answer.coll_flush_ts.get(name)
    }
