"""A backup as the state of a simulated Milvus: its collections, and its logs where Milvus keeps them."""

from collections.abc import Iterable, Mapping

from milvus_backup_server.adapters.milvus.mapping import index_params
from milvus_backup_server.adapters.milvus.schemas import schema_message
from milvus_backup_server.adapters.milvus.stubs import Message, milvus_pb2
from milvus_backup_server.domain.layout import parse_backup_key
from milvus_backup_server.domain.milvus import ALL_PARTITIONS
from milvus_backup_server.domain.records import (
    CollectionBackupInfo,
    CollectionSchema,
    FieldBinlog,
    IndexInfo,
    KeyValue,
    SegmentBackupInfo,
)
from tests.support.fixtures import backup_objects, metadata
from tests.support.simulator.field_ids import JSON
from tests.support.simulator.model import NOT_LOADED, Collection, Segment, SimulatedMilvus


async def adopt(milvus: SimulatedMilvus, archive: str) -> list[CollectionBackupInfo]:
    """Let a Milvus hold what an archive is a backup of, and return its records."""
    full = metadata(archive)
    for found in full["database_backups"]:
        name = found["db_name"]
        if name not in milvus.databases:
            milvus.create_database(name, {})
        if "db_id" in found:
            milvus.database_ids[name] = found["db_id"]
        given = found.get("properties", [])
        milvus.properties[name] = {item["key"]: item["value"] for item in given}
    records = [CollectionBackupInfo.from_json(it, archive) for it in full["collection_backups"]]
    for record in records:
        collection = _collection(record)
        milvus.databases[record.db_name][record.collection_name] = collection
    for key, content in backup_objects(archive):
        log = parse_backup_key(key)
        if log is not None:
            await milvus.store.put(log.source_key(milvus.root), content)
    return records


def _collection(record: CollectionBackupInfo) -> Collection:
    schema = record.schema or CollectionSchema()
    every = [it for partition in record.partition_backups for it in partition.segment_backups]
    return Collection(
        collection_id=record.collection_id,
        name=record.collection_name,
        database=record.db_name,
        schema=_schema(record.collection_name, schema),
        partitions={it.partition_name: it.partition_id for it in record.partition_backups},
        shards=record.shards_num,
        consistency_level=record.consistency_level,
        properties=_values(record.properties),
        created=record.created_timestamp,
        channels=record.virtual_channel_names,
        indexes=[_index(item) for item in record.index_infos],
        load=record.load_state or NOT_LOADED,
        segments=[_segment(item) for item in (*every, *record.l0_segments)],
    )


def _schema(name: str, schema: CollectionSchema) -> Message:
    message = schema_message(name, schema)
    if schema.enable_dynamic_field:
        last = max(field.fieldID for field in message.fields)
        message.fields.add(fieldID=last + 1, name="$meta", data_type=JSON, is_dynamic=True)
    return message


def _segment(record: SegmentBackupInfo) -> Segment:
    return Segment(
        segment_id=record.segment_id,
        partition_id=record.partition_id or ALL_PARTITIONS,
        num_rows=record.num_of_rows,
        l0=record.is_l0,
        storage_version=record.storage_version,
        channel=record.v_channel,
        binlogs=_logs(record.binlogs),
        deltalogs=_logs(record.deltalogs),
    )


def _logs(logs: Iterable[FieldBinlog]) -> Mapping[int, list[int]]:
    found = ((item.field_id, [log.log_id for log in item.binlogs]) for item in logs)
    return {number: ids for number, ids in found if ids}


def _index(record: IndexInfo) -> Message:
    return milvus_pb2.IndexDescription(
        index_name=record.index_name,
        indexID=record.index_id,
        params=index_params(record),
        field_name=record.field_name,
    )


def _values(pairs: Iterable[KeyValue]) -> dict[str, str]:
    return {item.key: item.value for item in pairs}
