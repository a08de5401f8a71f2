"""Collections that no fixture has, made as a user makes them, with a segment of rows written by hand."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from milvus_backup_server.adapters.milvus.stubs import Message, milvus_pb2, schema_pb2
from tests.support.simulator.model import Collection, Segment, SimulatedMilvus, pairs
from tests.support.written_logs import delta_log, insert_log

Column = tuple[pa.DataType, Sequence[object]]

_ROW_ID, _TIMESTAMP = 0, 1


def schema_of(name: str, *fields: Mapping[str, object], **others: object) -> Message:
    """Return a schema; `type_params` of fields are given as a mapping."""
    return schema_pb2.CollectionSchema(
        name=name, fields=[field_of(**it) for it in fields], **others
    )


def field_of(**values: object) -> Message:
    """Return the schema of one field."""
    params = values.pop("type_params", {})
    assert isinstance(params, dict)
    return schema_pb2.FieldSchema(**values, type_params=pairs(params))


def made(
    milvus: SimulatedMilvus, schema: Message, *added: Message, **properties: str
) -> Collection:
    """Make a collection, and add fields to it then."""
    request = milvus_pb2.CreateCollectionRequest(
        collection_name=schema.name,
        schema=schema.SerializeToString(),
        properties=pairs(properties),
    )
    milvus.create_collection(request)
    collection = milvus.collection("", schema.name)
    for field in added:
        milvus.add_field(collection, field.SerializeToString())
    return collection


async def put_rows(
    milvus: SimulatedMilvus, collection: Collection, columns: Mapping[str, Column]
) -> None:
    """Write a flushed segment, as `written_rows` does."""
    collection.segments.append(await written_rows(milvus, collection, columns))


async def written_rows(
    milvus: SimulatedMilvus, collection: Collection, columns: Mapping[str, Column]
) -> Segment:
    """Write a segment of storage version 1 in the first partition: a column for some fields, by name."""
    ids = {item.name: item.fieldID for item in collection.user_fields()}
    count = len(next(iter(columns.values()))[1])
    stamps = [milvus.clock.tick() for _ in range(count)]
    written: dict[int, Column] = {
        _ROW_ID: (pa.int64(), range(count)),
        _TIMESTAMP: (pa.int64(), stamps),
        **{ids[name]: column for name, column in columns.items()},
    }
    partition = next(iter(collection.partitions.values()))
    segment = Segment(next(milvus.numbers), partition, count, channel=collection.channels[0])
    logs: dict[int, list[int]] = {}
    for number, (kind, values) in written.items():
        log = next(milvus.numbers)
        inner = f"{collection.collection_id}/{partition}/{segment.segment_id}/{number}/{log}"
        data = insert_log(number, list(values), kind)
        await milvus.store.put(f"{milvus.root}/insert_log/{inner}", data)
        logs[number] = [log]
    segment.binlogs = logs
    return segment


async def put_deletes(
    milvus: SimulatedMilvus, collection: Collection, segment: Segment, keys: Sequence[int]
) -> None:
    """Write deletes beside the rows of a segment, as the compaction of an L0 segment does."""
    log = next(milvus.numbers)
    inner = f"{collection.collection_id}/{segment.partition_id}/{segment.segment_id}/{log}"
    stamps = [milvus.clock.tick() for _ in keys]
    data = delta_log({"pk": pa.array(keys), "ts": pa.array(stamps)})
    await milvus.store.put(f"{milvus.root}/delta_log/{inner}", data)
    segment.deltalogs = {0: [*segment.deltalogs.get(0, ()), log]}


def assert_alike(source: Collection, there: Collection) -> None:
    """Compare two collections of a Milvus in all but their names and ids."""
    wanted = schema_pb2.CollectionSchema()
    wanted.CopyFrom(source.schema)
    wanted.name = there.name
    assert there.schema == wanted
    assert there.properties == source.properties
    assert (there.shards, there.consistency_level) == (source.shards, source.consistency_level)
    assert [*there.partitions] == [*source.partitions]
    assert sorted(map(_index, there.indexes)) == sorted(map(_index, source.indexes))


def _index(index: Message) -> tuple[str, str, list[tuple[str, str]]]:
    params = sorted((pair.key, pair.value) for pair in index.params)
    return index.field_name, index.index_name, params
