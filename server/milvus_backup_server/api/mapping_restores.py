"""How a restore makes its collections, from the contract to the domain."""

from __future__ import annotations

from milvus_backup.v1 import backup_service_pb2
from milvus_backup_server.domain.restore_options import RestoreOptions, SkipParams


def restore_options(message: backup_service_pb2.RestoreBackupRequest) -> RestoreOptions:
    """Read the options of a request to restore; the use case checks them."""
    return RestoreOptions(
        meta_only=message.meta_only,
        use_auto_index=message.use_auto_index,
        max_shard_count=message.max_shard_count,
        skip_params=_skip_params(message.skip_params),
        rbac=message.rbac,
    )


def _skip_params(message: backup_service_pb2.SkipParams) -> SkipParams:
    return SkipParams(
        collection_properties=tuple(message.collection_properties),
        field_type_params=tuple(message.field_type_params),
        field_index_params=tuple(message.field_index_params),
        index_params=tuple(message.index_params),
    )
