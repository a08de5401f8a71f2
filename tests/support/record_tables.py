"""The tables of the Go tool's metadata, written by hand from its `backup.proto`.

`I` is an integer, `S` a string, `B` true or false; `[x]` a list, `{x}` a map from strings, `*`
anything; `!` behind a type marks a key that is written also when it is zero.
"""

TABLES = {
    "BackupInfo": """
        id S, state_code I!, name S, backup_timestamp I, size I!, milvus_version S, rbac_meta RbacMeta,
        rpc_channel_info {*}, database_backups [DatabaseBackupInfo], flush_all_msgs_base64 {S},
        control_channel_name S, physical_channel_names [S], format S""",
    "RbacMeta": """
        users [RbacUser], roles [Named], grants [RbacGrant], privilege_groups [PrivilegeGroup]""",
    "RbacUser": "user S, password S, roles [Named]",
    "RbacGrant": "role Named, object Named, object_name S, grantor Grantor, db_name S",
    "Grantor": "user Named, privilege Named",
    "PrivilegeGroup": "group_name S, privileges [Named]",
    "Named": "name S",
    "DatabaseBackupInfo": "db_name S, db_id I, properties [KeyValue], ezk S",
    "KeyValue": "key S, value S",
    "CollectionBackupInfo": """
        id S, collection_id I, db_name S, collection_name S, schema CollectionSchema, shards_num I,
        consistency_level I, partition_backups [PartitionBackupInfo], backup_timestamp I, size I!,
        has_index B!, index_infos [IndexInfo], load_state S, backup_physical_timestamp I,
        channel_checkpoints {S}, l0_segments [SegmentBackupInfo], properties [KeyValue], db_id I,
        created_timestamp I, virtual_channel_names [S], physical_channel_names [S], aliases [S],
        snapshot_backup {*}""",
    "PartitionBackupInfo": """
        partition_id I, partition_name S, collection_id I, segment_backups [SegmentBackupInfo],
        size I!, load_state S""",
    "SegmentBackupInfo": """
        segment_id I, collection_id I, partition_id I, num_of_rows I, binlogs [FieldBinlog],
        statslogs [FieldBinlog], deltalogs [FieldBinlog], size I!, group_id I, backuped B, is_l0 B,
        v_channel S, storage_version I""",
    "FieldBinlog": "fieldID I, binlogs [Binlog]",
    "Binlog": """
        entries_num I, timestamp_from I, timestamp_to I, log_path S, log_size I!, log_id I""",
    "IndexInfo": "field_name S, index_name S, index_type S, params {S}, index_id I",
    "CollectionSchema": """
        name S, description S, autoID B, fields [FieldSchema], enable_dynamic_field B,
        properties [KeyValue], functions [FunctionSchema],
        struct_array_fields [StructArrayFieldSchema]""",
    "FieldSchema": """
        fieldID I, name S, is_primary_key B, description S, data_type I, type_params [KeyValue],
        index_params [KeyValue], autoID B, state I, element_type I, is_dynamic B,
        is_partition_key B, nullable B, default_value_proto S, is_function_output B,
        default_value_base64 S""",
    "StructArrayFieldSchema": "fieldID I, name S, description S, fields [FieldSchema]",
    "FunctionSchema": """
        name S, id I, description S, type I, input_field_names [S], input_field_ids [I],
        output_field_names [S], output_field_ids [I], params [KeyValue]""",
}


def table(name: str) -> dict[str, str]:
    rows = (row.split() for row in TABLES[name].split(","))
    return {key: kind for key, kind in rows}  # noqa: C416 - checks that each row has two words
