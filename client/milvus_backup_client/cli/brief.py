"""A backup as the Go tool's `get` prints it: its `BackupInfoBrief` as JSON, zero values left out.

Keys and types are those of zilliztech/milvus-backup 0.6. What that tool cannot tell has keys of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from milvus_backup.v1.backup_pb2 import (
    BACKUP_FORMAT_SNAPSHOT,
    BACKUP_FORMAT_UNKNOWN,
    BACKUP_STATE_COMPLETE,
    BACKUP_STATE_CREATING,
    BACKUP_STATE_DELETING,
    BACKUP_STATE_INCOMPLETE,
    BACKUP_STATE_LEGACY,
    Backup,
    BackupCollection,
    BackupField,
    BackupFunction,
    BackupIndex,
    BackupState,
    Property,
)
from milvus_backup_client.cli.texts import enum_text
from milvus_backup_client.cli.verified import verification_json

Json: TypeAlias = dict[str, Any]
_EXECUTING, _SUCCESS, _FAIL = 1, 2, 3
# BackupTaskStateCode
_CODES = {
    BACKUP_STATE_CREATING: _EXECUTING,
    BACKUP_STATE_COMPLETE: _SUCCESS,
    BACKUP_STATE_LEGACY: _SUCCESS,
    BACKUP_STATE_INCOMPLETE: _FAIL,
    BACKUP_STATE_DELETING: _FAIL,
}
_FAILURES = {
    BACKUP_STATE_INCOMPLETE: "the backup is incomplete",
    BACKUP_STATE_DELETING: "the backup is being deleted",
}
_FORMATS = {BACKUP_FORMAT_SNAPSHOT: "snapshot", BACKUP_FORMAT_UNKNOWN: "unknown"}
_WHOLE = 100
# Written also when they are zero.
_ALWAYS = {"state_code", "progress", "size", "meta_size", "has_index"}


def brief(backup: Backup) -> Json:
    """Return a backup with its collections."""
    code = _CODES.get(backup.state, 0)
    return _filled(
        id=backup.id,
        state_code=code,
        errorMessage="; ".join(backup.notes) or _FAILURES[backup.state] if code == _FAIL else "",
        start_time=_seconds(backup.create_time),
        end_time=_seconds(backup.end_time),
        progress=_WHOLE if code == _SUCCESS else 0,
        name=backup.name,
        backup_timestamp=backup.backup_timestamp,
        collection_backups=[_collection(backup, found) for found in backup.collections],
        size=backup.size_bytes,
        milvus_version=backup.milvus_version,
        rpc_channel_info=_filled(
            name=backup.rpc_channel.name, position=backup.rpc_channel.position
        ),
        database_backups=[
            _filled(
                db_name=found.name, db_id=found.database_id, properties=_pairs(found.properties)
            )
            for found in backup.databases
        ],
        meta_size=backup.meta_size_bytes,
        format=_FORMATS.get(backup.format, ""),
        state=enum_text(BackupState.DESCRIPTOR, backup.state),
        exact=backup.exact,
        row_count=backup.row_count,
        labels=dict(sorted(backup.labels.items())),
        notes=list(backup.notes),
        verifications=[verification_json(found) for found in backup.verifications],
    )


def _collection(backup: Backup, found: BackupCollection) -> Json:
    return _filled(
        id=backup.id,
        collection_id=found.collection_id,
        db_name=found.database,
        collection_name=found.name,
        schema=_schema(found),
        shards_num=found.shard_count,
        backup_timestamp=found.backup_timestamp,
        size=found.size_bytes,
        has_index=bool(found.index_infos),
        index_infos=[_index(index) for index in found.index_infos],
        load_state=found.load_state,
        backup_physical_timestamp=found.backup_physical_timestamp,
        channel_checkpoints=dict(sorted(found.channel_checkpoints.items())),
        properties=_pairs(found.properties),
        row_count=found.row_count,
        moment=found.moment,
    )


def _schema(found: BackupCollection) -> Json:
    return _filled(
        name=found.name,
        description=found.description,
        autoID=found.auto_id,
        fields=[_field(field) for field in found.fields],
        enable_dynamic_field=found.enable_dynamic_field,
        properties=_pairs(found.schema_properties),
        functions=[_function(function) for function in found.functions],
        struct_array_fields=[
            _filled(
                fieldID=field.field_id,
                name=field.name,
                description=field.description,
                fields=[_field(inner) for inner in field.fields],
            )
            for field in found.struct_fields
        ],
    )


def _field(field: BackupField) -> Json:
    return _filled(
        fieldID=field.field_id,
        name=field.name,
        is_primary_key=field.primary_key,
        description=field.description,
        data_type=field.data_type_code,
        type_params=_pairs(field.type_params),
        index_params=_pairs(field.index_params),
        autoID=field.auto_id,
        element_type=field.element_type_code,
        is_dynamic=field.dynamic,
        is_partition_key=field.partition_key,
        nullable=field.nullable,
        is_function_output=field.function_output,
        default_value_base64=field.default_value_base64,
    )


def _function(function: BackupFunction) -> Json:
    return _filled(
        name=function.name,
        id=function.function_id,
        description=function.description,
        type=function.type,
        input_field_names=list(function.input_field_names),
        input_field_ids=list(function.input_field_ids),
        output_field_names=list(function.output_field_names),
        output_field_ids=list(function.output_field_ids),
        params=_pairs(function.params),
    )


def _index(index: BackupIndex) -> Json:
    return _filled(
        field_name=index.field_name,
        index_name=index.name,
        index_type=index.index_type,
        params=dict(sorted(index.params.items())),
        index_id=index.index_id,
    )


def _pairs(properties: Iterable[Property]) -> list[Json]:
    return [_filled(key=found.key, value=found.value) for found in properties]


def _seconds(timestamp: Timestamp) -> int:
    return timestamp.seconds


def _filled(**values: Any) -> Json:
    return {key: value for key, value in values.items() if value or key in _ALWAYS}
