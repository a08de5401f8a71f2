"""Collections of a backup, from what was recorded of them to the contract."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from milvus_backup.v1 import backup_pb2
from milvus_backup_server.api.room import Room
from milvus_backup_server.api.texts import MAX_BODY_BYTES, fit_int
from milvus_backup_server.domain.backups import BackupCollectionSummary
from milvus_backup_server.domain.milvus import moment_time
from milvus_backup_server.domain.milvus_types import data_type_name
from milvus_backup_server.domain.records import (
    CollectionSchema,
    FieldSchema,
    FunctionSchema,
    IndexInfo,
    KeyValue,
    PartitionBackupInfo,
    StructArrayFieldSchema,
)

T = TypeVar("T")

MAX_PROPERTIES = 100
"""Properties, parameters, inputs and outputs of one thing that an answer carries."""

_MAX_VALUE_BYTES = 128 * 1024
"""Default values and analyzers are long; a shortened one would be another one."""

_SCALAR_BYTES = 8 * 1024
"""Room for everything of a collection that is no list, but for its description."""


def collection_message(collection: BackupCollectionSummary) -> backup_pb2.BackupCollection:
    """Return a collection of a backup as the contract shows it, in at most ``MAX_BODY_BYTES``."""
    return _Collection(collection).message()


class _Collection:
    """One collection on its way into a message of bounded size."""

    def __init__(self, collection: BackupCollectionSummary) -> None:
        self._summary = collection
        self._record = collection.record
        self._schema = collection.record.schema or CollectionSchema()
        self._room = Room(MAX_BODY_BYTES - _SCALAR_BYTES - _MAX_VALUE_BYTES)

    def message(self) -> backup_pb2.BackupCollection:
        message = backup_pb2.BackupCollection(
            database=self._room.text(self._summary.database),
            name=self._room.text(self._summary.name),
            row_count=fit_int(self._summary.row_count),
            segment_count=fit_int(self._summary.segment_count),
            collection_id=fit_int(self._record.collection_id),
            size_bytes=fit_int(self._record.size),
            partition_count=len(self._record.partition_backups),
            shard_count=fit_int(self._record.shards_num, 32),
            load_state=self._room.text(self._record.load_state),
            consistency_level=fit_int(self._record.consistency_level, 32),
            backup_timestamp=_unsigned(self._record.backup_timestamp),
            backup_physical_timestamp=_unsigned(self._record.backup_physical_timestamp),
            created_timestamp=_unsigned(self._record.created_timestamp),
            database_id=fit_int(self._record.db_id),
        )
        self._add_moment(message)
        self._add_schema(message)
        self._add_lists(message)
        message.truncated = self._room.cut
        return message

    def _add_moment(self, message: backup_pb2.BackupCollection) -> None:
        if self._summary.moment is not None:
            message.moment = _unsigned(self._summary.moment)
            message.moment_time.FromDatetime(moment_time(message.moment))

    def _add_schema(self, message: backup_pb2.BackupCollection) -> None:
        room, schema = self._room, self._schema
        message.description = room.text(schema.description, _MAX_VALUE_BYTES)
        message.auto_id = schema.auto_id
        message.enable_dynamic_field = schema.enable_dynamic_field
        message.fields.extend(room.messages(schema.fields, self._field))
        message.struct_fields.extend(room.messages(schema.struct_array_fields, self._struct))
        message.functions.extend(room.messages(schema.functions, self._function))
        message.schema_properties.extend(room.messages(schema.properties, self._property))

    def _add_lists(self, message: backup_pb2.BackupCollection) -> None:
        room, record = self._room, self._record
        message.index_infos.extend(room.messages(record.index_infos, self._index))
        message.indexes.extend(room.texts(index.index_name for index in record.index_infos))
        message.aliases.extend(room.texts(record.aliases))
        message.properties.extend(room.messages(record.properties, self._property))
        message.virtual_channels.extend(room.texts(record.virtual_channel_names))
        message.physical_channels.extend(room.texts(record.physical_channel_names))
        message.channel_checkpoints.update(room.pairs(record.channel_checkpoints, _MAX_VALUE_BYTES))
        message.partitions.extend(room.messages(record.partition_backups, self._partition))

    def _field(self, field: FieldSchema) -> backup_pb2.BackupField:
        return backup_pb2.BackupField(
            name=self._room.text(field.name),
            data_type=data_type_name(field.data_type),
            data_type_code=fit_int(field.data_type, 32),
            primary_key=field.is_primary_key,
            field_id=fit_int(field.field_id),
            description=self._room.text(field.description, _MAX_VALUE_BYTES),
            auto_id=field.auto_id,
            partition_key=field.is_partition_key,
            nullable=field.nullable,
            dynamic=field.is_dynamic,
            function_output=field.is_function_output,
            element_type=data_type_name(field.element_type) if field.element_type else "",
            element_type_code=fit_int(field.element_type, 32),
            type_params=self._properties(field.type_params),
            index_params=self._properties(field.index_params),
            default_value_base64=self._room.text(field.default_value_base64, _MAX_VALUE_BYTES),
        )

    def _struct(self, field: StructArrayFieldSchema) -> backup_pb2.BackupStructField:
        return backup_pb2.BackupStructField(
            name=self._room.text(field.name),
            field_id=fit_int(field.field_id),
            description=self._room.text(field.description, _MAX_VALUE_BYTES),
            fields=map(self._field, field.fields),
        )

    def _function(self, function: FunctionSchema) -> backup_pb2.BackupFunction:
        return backup_pb2.BackupFunction(
            name=self._room.text(function.name),
            function_id=fit_int(function.id),
            description=self._room.text(function.description, _MAX_VALUE_BYTES),
            type=fit_int(function.type, 32),
            input_field_names=map(self._room.text, self._first(function.input_field_names)),
            input_field_ids=map(fit_int, self._first(function.input_field_ids)),
            output_field_names=map(self._room.text, self._first(function.output_field_names)),
            output_field_ids=map(fit_int, self._first(function.output_field_ids)),
            params=self._properties(function.params),
        )

    def _index(self, index: IndexInfo) -> backup_pb2.BackupIndex:
        params = self._first(tuple(index.params.items()))
        return backup_pb2.BackupIndex(
            field_name=self._room.text(index.field_name),
            name=self._room.text(index.index_name),
            index_type=self._room.text(index.index_type),
            params={
                self._room.text(key): self._room.text(value, _MAX_VALUE_BYTES)
                for key, value in params
            },
            index_id=fit_int(index.index_id),
        )

    def _partition(self, partition: PartitionBackupInfo) -> backup_pb2.BackupPartition:
        return backup_pb2.BackupPartition(
            name=self._room.text(partition.partition_name),
            partition_id=fit_int(partition.partition_id),
            size_bytes=fit_int(partition.size),
            load_state=self._room.text(partition.load_state),
        )

    def _properties(self, properties: tuple[KeyValue, ...]) -> Iterable[backup_pb2.Property]:
        return map(self._property, self._first(properties))

    def _property(self, item: KeyValue) -> backup_pb2.Property:
        return backup_pb2.Property(
            key=self._room.text(item.key), value=self._room.text(item.value, _MAX_VALUE_BYTES)
        )

    def _first(self, items: tuple[T, ...]) -> tuple[T, ...]:
        self._room.cut = self._room.cut or len(items) > MAX_PROPERTIES
        return items[:MAX_PROPERTIES]


def _unsigned(value: int) -> int:
    return fit_int(value, signed=False)
