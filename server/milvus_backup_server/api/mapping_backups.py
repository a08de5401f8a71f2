"""Backups between the contract and the domain: requests in, backups out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from milvus_backup.v1 import backup_pb2, backup_service_pb2
from milvus_backup_server.api.mapping import (
    label_map,
    place_message,
    read_enum,
    read_place,
    timestamp,
)
from milvus_backup_server.api.mapping_collections import collection_message
from milvus_backup_server.api.mapping_rbac import rbac_counts
from milvus_backup_server.api.mapping_restores import restore_options
from milvus_backup_server.api.mapping_verifications import verification_message
from milvus_backup_server.api.pages import within
from milvus_backup_server.api.texts import fit, fit_int
from milvus_backup_server.domain.backups import Backup, BackupFormat, BackupState
from milvus_backup_server.domain.manifest import ManifestMissing
from milvus_backup_server.domain.operations import SHOWN_COLLECTIONS
from milvus_backup_server.domain.records import DatabaseBackupInfo, KeyValue
from milvus_backup_server.domain.renaming import CollectionMapping
from milvus_backup_server.domain.requests import CreateRequest, DeleteRequest, RestoreRequest
from milvus_backup_server.domain.selection import CollectionPartitions
from milvus_backup_server.domain.strategies import BackupStrategy

MAX_NOTES = 20
DATABASE_BYTES = 32 * 1024
"""What the databases of one backup may fill."""
MAX_VERIFICATIONS = 20

STATES = {
    state: backup_pb2.BackupState.Value(f"BACKUP_STATE_{state.name}") for state in BackupState
}
FORMATS = {
    form: backup_pb2.BackupFormat.Value(f"BACKUP_FORMAT_{form.name}") for form in BackupFormat
}

STRATEGIES = {
    item: backup_pb2.BackupStrategy.Value(f"BACKUP_STRATEGY_{item.name}") for item in BackupStrategy
}

_FULL_VIEWS = {False: backup_pb2.BACKUP_VIEW_BASIC, True: backup_pb2.BACKUP_VIEW_FULL}
_UNKNOWN_STRATEGY = backup_pb2.BACKUP_STRATEGY_UNSPECIFIED


def create_request(message: backup_service_pb2.CreateBackupRequest) -> CreateRequest:
    """Read a request to create a backup; the use case checks it."""
    return CreateRequest(
        backup_name=message.backup_name,
        collections=tuple(message.collections),
        labels=dict(message.labels),
        request_id=message.request_id,
        validate_only=message.validate_only,
        partitions=_partitions(message.partitions),
        strategy=read_enum("strategy", message.strategy, STRATEGIES, BackupStrategy.AUTO),
        pause_gc=message.pause_gc,
        gc_pause_seconds=message.gc_pause_seconds,
        rbac=message.rbac,
        allow_partial=message.allow_partial,
        place=read_place(message.place),
    )


def restore_request(message: backup_service_pb2.RestoreBackupRequest) -> RestoreRequest:
    """Read a request to restore a backup; the use case checks it."""
    return RestoreRequest(
        backup_name=message.backup_name,
        collections=tuple(message.collections),
        target_collections=tuple(message.target_collections),
        suffix=message.suffix,
        renames=dict(message.renames),
        restore_indexes=message.restore_indexes,
        skip_content_check=message.skip_content_check,
        labels=dict(message.labels),
        request_id=message.request_id,
        validate_only=message.validate_only,
        partitions=_partitions(message.partitions),
        mappings=tuple(map(_mapping, message.mappings)),
        options=restore_options(message),
        place=read_place(message.place),
    )


def delete_request(message: backup_service_pb2.DeleteBackupRequest) -> DeleteRequest:
    """Read a request to delete a backup; the use case checks it."""
    return DeleteRequest(message.backup_name, place=read_place(message.place))


def _partitions(
    messages: Iterable[backup_service_pb2.CollectionPartitions],
) -> tuple[CollectionPartitions, ...]:
    return tuple(CollectionPartitions(it.collection, tuple(it.partitions)) for it in messages)


def _mapping(message: backup_service_pb2.CollectionMapping) -> CollectionMapping:
    description = message.description if message.HasField("description") else None
    return CollectionMapping(message.source, message.target, message.shard_count, description)


def wants_full(view: int, *, default: bool) -> bool:
    """Tell whether a view is the FULL one; UNSPECIFIED is the default of the method.

    Raises:
        InvalidRequest: The view is not known.
    """
    return read_enum("view", view, _FULL_VIEWS, default)


def backup_message(backup: Backup) -> backup_pb2.Backup:
    """Return a backup as the contract shows it."""
    collections = map(collection_message, backup.collections[:SHOWN_COLLECTIONS])
    return backup_pb2.Backup(
        name=fit(backup.name),
        state=STATES[backup.state],
        format=FORMATS[backup.format],
        id=fit(backup.id),
        size_bytes=_known(backup.size_bytes),
        collection_count=_known(backup.collection_count),
        row_count=_known(backup.row_count),
        create_time=timestamp(backup.create_time),
        end_time=timestamp(backup.end_time),
        milvus_version=fit(backup.milvus_version),
        labels=label_map(backup.labels),
        exact=backup.exact,
        notes=_texts(backup.notes[:MAX_NOTES]),
        collections=within(collections),
        meta_size_bytes=_known(backup.meta_size_bytes),
        databases=within(map(_database, backup.databases), DATABASE_BYTES),
        backup_timestamp=fit_int(backup.backup_timestamp, signed=False),
        rpc_channel=_rpc_channel(backup.rpc_channel),
        rbac=rbac_counts(backup.rbac),
        strategy=STRATEGIES[backup.strategy] if backup.strategy else _UNKNOWN_STRATEGY,
        missing_collections=within(map(_missing, backup.missing[:SHOWN_COLLECTIONS])),
        missing_collection_count=len(backup.missing),
        verifications=map(verification_message, backup.verifications[:MAX_VERIFICATIONS]),
        place=place_message(backup.place),
    )


def _database(database: DatabaseBackupInfo) -> backup_pb2.BackupDatabase:
    return backup_pb2.BackupDatabase(
        name=fit(database.db_name),
        database_id=fit_int(database.db_id),
        properties=within(map(_property, database.properties), DATABASE_BYTES // 2),
    )


def _missing(item: ManifestMissing) -> backup_pb2.MissingCollection:
    return backup_pb2.MissingCollection(
        database=fit(item.db_name),
        name=fit(item.collection_name),
        reason=fit(item.reason),
        message=fit(item.message),
    )


def _property(item: KeyValue) -> backup_pb2.Property:
    return backup_pb2.Property(key=fit(item.key), value=fit(item.value))


def _rpc_channel(values: Mapping[str, Any]) -> backup_pb2.RpcChannel | None:
    if not values:
        return None
    name, position = (str(values.get(key, "")) for key in ("name", "position"))
    return backup_pb2.RpcChannel(name=fit(name), position=fit(position))


def _known(value: int | None) -> int | None:
    return None if value is None else fit_int(value)


def _texts(texts: tuple[str, ...]) -> list[str]:
    return [fit(text) for text in texts]
