"""Backups between the contract and the domain: requests in, backups out."""

from __future__ import annotations

from milvus_backup.v1 import backup_pb2, backup_service_pb2
from milvus_backup_server.api.mapping import label_map, timestamp
from milvus_backup_server.api.pages import within
from milvus_backup_server.api.texts import fit, fit_int
from milvus_backup_server.domain.backups import (
    Backup,
    BackupCollectionSummary,
    BackupFieldSummary,
    BackupFormat,
    BackupState,
)
from milvus_backup_server.domain.errors import FieldViolation, InvalidRequest
from milvus_backup_server.domain.milvus import moment_time
from milvus_backup_server.domain.operations import SHOWN_COLLECTIONS
from milvus_backup_server.domain.requests import CreateRequest, DeleteRequest, RestoreRequest

MAX_NOTES = 20
MAX_NAMES = 100
"""Indexes, aliases and fields of one collection that an answer carries."""

STATES = {
    state: backup_pb2.BackupState.Value(f"BACKUP_STATE_{state.name}") for state in BackupState
}
FORMATS = {
    form: backup_pb2.BackupFormat.Value(f"BACKUP_FORMAT_{form.name}") for form in BackupFormat
}


def create_request(message: backup_service_pb2.CreateBackupRequest) -> CreateRequest:
    """Read a request to create a backup; the use case checks it."""
    return CreateRequest(
        backup_name=message.backup_name,
        collections=tuple(message.collections),
        labels=dict(message.labels),
        request_id=message.request_id,
        validate_only=message.validate_only,
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
    )


def delete_request(message: backup_service_pb2.DeleteBackupRequest) -> DeleteRequest:
    """Read a request to delete a backup; the use case checks it."""
    return DeleteRequest(backup_name=message.backup_name)


def wants_full(view: int, *, default: bool) -> bool:
    """Tell whether a view is the FULL one; UNSPECIFIED is the default of the method.

    Raises:
        InvalidRequest: The view is not known.
    """
    if view == backup_pb2.BACKUP_VIEW_UNSPECIFIED:
        return default
    if view not in backup_pb2.BackupView.values():
        raise InvalidRequest(FieldViolation("view", f"{view} is not a known value"))
    return view == backup_pb2.BACKUP_VIEW_FULL


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
    )


def collection_message(collection: BackupCollectionSummary) -> backup_pb2.BackupCollection:
    """Return a collection of a backup as the contract shows it."""
    moment = _moment(collection.moment)
    return backup_pb2.BackupCollection(
        database=fit(collection.database),
        name=fit(collection.name),
        collection_id=fit_int(collection.collection_id),
        row_count=fit_int(collection.row_count),
        size_bytes=fit_int(collection.size_bytes),
        segment_count=fit_int(collection.segment_count),
        partition_count=fit_int(collection.partition_count, 32),
        shard_count=fit_int(collection.shard_count, 32),
        indexes=_texts(collection.indexes[:MAX_NAMES]),
        aliases=_texts(collection.aliases[:MAX_NAMES]),
        load_state=fit(collection.load_state),
        moment=moment,
        moment_time=None if moment is None else timestamp(moment_time(moment)),
        fields=map(_field, collection.fields[:MAX_NAMES]),
    )


def _field(field: BackupFieldSummary) -> backup_pb2.BackupField:
    return backup_pb2.BackupField(
        name=fit(field.name), data_type=fit(field.data_type), primary_key=field.primary_key
    )


def _known(value: int | None) -> int | None:
    return None if value is None else fit_int(value)


def _moment(value: int | None) -> int | None:
    return None if value is None else fit_int(value, signed=False)


def _texts(texts: tuple[str, ...]) -> list[str]:
    return [fit(text) for text in texts]
