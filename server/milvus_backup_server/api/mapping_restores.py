"""How a restore makes its collections, from the contract to the domain."""

from __future__ import annotations

from milvus_backup.v1 import backup_service_pb2
from milvus_backup_server.api.mapping import read_enum
from milvus_backup_server.domain.restore_options import (
    AliasMode,
    LoadMode,
    RestoreOptions,
    SkipParams,
)

_ALIASES = {
    mode: backup_service_pb2.RestoreAliases.Value(f"RESTORE_ALIASES_{mode.name}")
    for mode in AliasMode
}
_LOADS = {
    mode: backup_service_pb2.RestoreLoad.Value(f"RESTORE_LOAD_{mode.name}") for mode in LoadMode
}


def restore_options(message: backup_service_pb2.RestoreBackupRequest) -> RestoreOptions:
    """Read the options of a request to restore; the use case checks them."""
    return RestoreOptions(
        meta_only=message.meta_only,
        use_auto_index=message.use_auto_index,
        max_shard_count=message.max_shard_count,
        skip_params=_skip_params(message.skip_params),
        rbac=message.rbac,
        drop_existing_collections=message.drop_existing_collections,
        skip_create_collections=message.skip_create_collections,
        drop_existing_indexes=message.drop_existing_indexes,
        truncate_to_checkpoints=message.truncate_to_checkpoints,
        aliases=read_enum("aliases", message.aliases, _ALIASES, AliasMode.KEPT_NAMES),
        load=read_enum("load", message.load, _LOADS, LoadMode.NONE),
        replica_count=message.replica_count,
    )


def _skip_params(message: backup_service_pb2.SkipParams) -> SkipParams:
    return SkipParams(
        collection_properties=tuple(message.collection_properties),
        field_type_params=tuple(message.field_type_params),
        field_index_params=tuple(message.field_index_params),
        index_params=tuple(message.index_params),
    )
