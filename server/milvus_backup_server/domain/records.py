"""The Go tool's records: what stands in the JSON files of a backup.

Source: the tables of zilliztech/milvus-backup's ``backup.proto`` as its release 0.5.16 writes them.
The order of the fields is the order of the keys. The same records describe collections inside
this service, so that nothing is lost on the way between Milvus and the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from milvus_backup_server.domain.record_codec import Record, json_key

_CIPHER = frozenset({"cipher.ezID", "cipher.key"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValue(Record):
    """A property or parameter of Milvus."""

    key: str = json_key("key", "")
    value: str = json_key("value", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSchema(Record):
    """A field of a collection. ``data_type`` and ``element_type`` are Milvus's numbers."""

    field_id: int = json_key("fieldID", 0)
    name: str = json_key("name", "")
    is_primary_key: bool = json_key("is_primary_key", default=False)
    description: str = json_key("description", "")
    data_type: int = json_key("data_type", 0)
    type_params: tuple[KeyValue, ...] = json_key("type_params", ())
    index_params: tuple[KeyValue, ...] = json_key("index_params", ())
    auto_id: bool = json_key("autoID", default=False)
    state: int = json_key("state", 0)
    element_type: int = json_key("element_type", 0)
    is_dynamic: bool = json_key("is_dynamic", default=False)
    is_partition_key: bool = json_key("is_partition_key", default=False)
    nullable: bool = json_key("nullable", default=False)
    default_value_proto: str = json_key("default_value_proto", "")
    is_function_output: bool = json_key("is_function_output", default=False)
    default_value_base64: str = json_key("default_value_base64", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSchema(Record):
    """A function of a collection (BM25, embeddings, ...)."""

    name: str = json_key("name", "")
    id: int = json_key("id", 0)
    description: str = json_key("description", "")
    type: int = json_key("type", 0)
    input_field_names: tuple[str, ...] = json_key("input_field_names", ())
    input_field_ids: tuple[int, ...] = json_key("input_field_ids", ())
    output_field_names: tuple[str, ...] = json_key("output_field_names", ())
    output_field_ids: tuple[int, ...] = json_key("output_field_ids", ())
    params: tuple[KeyValue, ...] = json_key("params", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class StructArrayFieldSchema(Record):
    """A field that is an array of structs."""

    field_id: int = json_key("fieldID", 0)
    name: str = json_key("name", "")
    description: str = json_key("description", "")
    fields: tuple[FieldSchema, ...] = json_key("fields", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionSchema(Record):
    """The schema of a collection."""

    name: str = json_key("name", "")
    description: str = json_key("description", "")
    auto_id: bool = json_key("autoID", default=False)
    fields: tuple[FieldSchema, ...] = json_key("fields", ())
    enable_dynamic_field: bool = json_key("enable_dynamic_field", default=False)
    properties: tuple[KeyValue, ...] = json_key("properties", ())
    functions: tuple[FunctionSchema, ...] = json_key("functions", ())
    struct_array_fields: tuple[StructArrayFieldSchema, ...] = json_key("struct_array_fields", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexInfo(Record):
    """An index of a collection."""

    field_name: str = json_key("field_name", "")
    index_name: str = json_key("index_name", "")
    index_type: str = json_key("index_type", "")
    params: Mapping[str, str] = json_key("params", {})
    index_id: int = json_key("index_id", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binlog(Record):
    """One log object. ``log_path`` is the key at the source; the backup's key follows from the ids."""

    entries_num: int = json_key("entries_num", 0)
    timestamp_from: int = json_key("timestamp_from", 0)
    timestamp_to: int = json_key("timestamp_to", 0)
    log_path: str = json_key("log_path", "")
    log_size: int = json_key("log_size", 0, always=True)
    log_id: int = json_key("log_id", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldBinlog(Record):
    """The log objects of one field (or column group) of a segment; field 0 for delta logs."""

    field_id: int = json_key("fieldID", 0)
    binlogs: tuple[Binlog, ...] = json_key("binlogs", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentBackupInfo(Record):
    """A segment. Equal non-zero ``group_id``s share one directory, which is imported once."""

    segment_id: int = json_key("segment_id", 0)
    collection_id: int = json_key("collection_id", 0)
    partition_id: int = json_key("partition_id", 0)
    num_of_rows: int = json_key("num_of_rows", 0)
    binlogs: tuple[FieldBinlog, ...] = json_key("binlogs", ())
    statslogs: tuple[FieldBinlog, ...] = json_key("statslogs", ())
    deltalogs: tuple[FieldBinlog, ...] = json_key("deltalogs", ())
    size: int = json_key("size", 0, always=True)
    group_id: int = json_key("group_id", 0)
    backuped: bool = json_key("backuped", default=False)
    is_l0: bool = json_key("is_l0", default=False)
    v_channel: str = json_key("v_channel", "")
    storage_version: int = json_key("storage_version", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionBackupInfo(Record):
    """A partition."""

    partition_id: int = json_key("partition_id", 0)
    partition_name: str = json_key("partition_name", "")
    collection_id: int = json_key("collection_id", 0)
    segment_backups: tuple[SegmentBackupInfo, ...] = json_key("segment_backups", ())
    size: int = json_key("size", 0, always=True)
    load_state: str = json_key("load_state", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionBackupInfo(Record):
    """A collection with everything that a restore needs."""

    id: str = json_key("id", "")
    collection_id: int = json_key("collection_id", 0)
    db_name: str = json_key("db_name", "")
    collection_name: str = json_key("collection_name", "")
    schema: CollectionSchema | None = json_key("schema")
    shards_num: int = json_key("shards_num", 0)
    consistency_level: int = json_key("consistency_level", 0)
    partition_backups: tuple[PartitionBackupInfo, ...] = json_key("partition_backups", ())
    backup_timestamp: int = json_key("backup_timestamp", 0)
    size: int = json_key("size", 0, always=True)
    has_index: bool = json_key("has_index", default=False, always=True)
    index_infos: tuple[IndexInfo, ...] = json_key("index_infos", ())
    load_state: str = json_key("load_state", "")
    backup_physical_timestamp: int = json_key("backup_physical_timestamp", 0)
    channel_checkpoints: Mapping[str, str] = json_key("channel_checkpoints", {})
    l0_segments: tuple[SegmentBackupInfo, ...] = json_key("l0_segments", ())
    properties: tuple[KeyValue, ...] = json_key("properties", ())
    db_id: int = json_key("db_id", 0)
    created_timestamp: int = json_key("created_timestamp", 0)
    virtual_channel_names: tuple[str, ...] = json_key("virtual_channel_names", ())
    physical_channel_names: tuple[str, ...] = json_key("physical_channel_names", ())
    aliases: tuple[str, ...] = json_key("aliases", ())
    snapshot_backup: Mapping[str, Any] = json_key("snapshot_backup", {})


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseBackupInfo(Record):
    """A database.

    The ``ezk`` is the key with which its objects are encrypted, as the Go tool gets it from Milvus.
    """

    db_name: str = json_key("db_name", "")
    db_id: int = json_key("db_id", 0)
    properties: tuple[KeyValue, ...] = json_key("properties", ())
    ezk: str = json_key("ezk", "", secret=True)

    @property
    def encrypted(self) -> bool:
        """True if its objects are: it has a key, or properties that name one (``cipher.*``)."""
        named = {item.key for item in self.properties if item.value}
        return bool(self.ezk) or named >= _CIPHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Named(Record):
    """A user, role, object or privilege by its name."""

    name: str = json_key("name", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class RbacUser(Record):
    """A user of a Milvus. The password is the hash that Milvus keeps."""

    user: str = json_key("user", "")
    password: str = json_key("password", "", secret=True)
    roles: tuple[Named, ...] = json_key("roles", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Grantor(Record):
    """A privilege, and who gave it."""

    user: Named | None = json_key("user")
    privilege: Named | None = json_key("privilege")


@dataclass(frozen=True, slots=True, kw_only=True)
class RbacGrant(Record):
    """A privilege of a role."""

    role: Named | None = json_key("role")
    object: Named | None = json_key("object")
    object_name: str = json_key("object_name", "")
    grantor: Grantor | None = json_key("grantor")
    db_name: str = json_key("db_name", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivilegeGroup(Record):
    """Privileges under one name."""

    group_name: str = json_key("group_name", "")
    privileges: tuple[Named, ...] = json_key("privileges", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class RbacMeta(Record):
    """The users, roles, grants and privilege groups of a Milvus."""

    users: tuple[RbacUser, ...] = json_key("users", ())
    roles: tuple[Named, ...] = json_key("roles", ())
    grants: tuple[RbacGrant, ...] = json_key("grants", ())
    privilege_groups: tuple[PrivilegeGroup, ...] = json_key("privilege_groups", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupInfo(Record):
    """The head of a backup: ``backup_meta.json``, and the top of ``full_meta.json``.

    ``collection_backups`` is not part of it here: the collections of a full file are read and
    written one by one.
    """

    id: str = json_key("id", "")
    state_code: int = json_key("state_code", 0, always=True)
    name: str = json_key("name", "")
    backup_timestamp: int = json_key("backup_timestamp", 0)
    size: int = json_key("size", 0, always=True)
    milvus_version: str = json_key("milvus_version", "")
    rbac_meta: RbacMeta | None = json_key("rbac_meta")
    rpc_channel_info: Mapping[str, Any] = json_key("rpc_channel_info", {})
    database_backups: tuple[DatabaseBackupInfo, ...] = json_key("database_backups", ())
    flush_all_msgs_base64: Mapping[str, str] = json_key("flush_all_msgs_base64", {})
    control_channel_name: str = json_key("control_channel_name", "")
    physical_channel_names: tuple[str, ...] = json_key("physical_channel_names", ())
    format: str = json_key("format", "")
