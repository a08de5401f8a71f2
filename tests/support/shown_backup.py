"""A backup with everything that `get` shows, and what it prints of it."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from milvus_backup.v1 import backup_pb2 as pb

# Above 2^53: JSON numbers of the Go tool are whole.
BIG = 470_639_990_410_603_568
ORDERS = pb.BackupCollection(
    database="shop",
    name="orders",
    collection_id=BIG,
    row_count=3_000,
    size_bytes=135_684,
    segment_count=4,
    shard_count=2,
    load_state="Loaded",
    moment=BIG + 2,
    moment_time=Timestamp(seconds=1_700_000_001),
    description="what was sold",
    enable_dynamic_field=True,
    auto_id=True,
    indexes=["by_vector"],
    fields=[
        pb.BackupField(
            name="id",
            data_type="Int64",
            data_type_code=5,
            primary_key=True,
            field_id=100,
            auto_id=True,
        ),
        pb.BackupField(
            name="tags",
            description="words",
            data_type="Array",
            data_type_code=22,
            element_type="VarChar",
            element_type_code=21,
            field_id=101,
            partition_key=True,
            nullable=True,
            type_params=[pb.Property(key="max_capacity", value="10")],
            index_params=[pb.Property(key="a", value="b")],
            default_value_base64="Gg==",
        ),
        pb.BackupField(
            name="$meta", data_type="JSON", data_type_code=23, field_id=102, dynamic=True
        ),
        pb.BackupField(
            name="sparse",
            data_type="SparseFloatVector",
            data_type_code=104,
            field_id=103,
            function_output=True,
        ),
    ],
    struct_fields=[
        pb.BackupStructField(
            name="items",
            field_id=104,
            description="bought",
            fields=[pb.BackupField(name="a", data_type="Array", data_type_code=22, field_id=105)],
        )
    ],
    functions=[
        pb.BackupFunction(
            name="bm25",
            function_id=7,
            description="words to numbers",
            type=1,
            input_field_names=["tags"],
            input_field_ids=[101],
            output_field_names=["sparse"],
            output_field_ids=[103],
            params=[pb.Property(key="k", value="v")],
        )
    ],
    index_infos=[
        pb.BackupIndex(
            field_name="vector",
            name="by_vector",
            index_type="HNSW",
            params={"metric_type": "L2", "M": "16"},
            index_id=BIG + 3,
        )
    ],
    properties=[pb.Property(key="mmap.enabled", value="true")],
    schema_properties=[pb.Property(key="timezone", value="UTC")],
    backup_timestamp=BIG + 4,
    backup_physical_timestamp=1_700_000_002,
    channel_checkpoints={"by-dev-rootcoord-dml_0_1v0": "Ci4="},
)
NIGHTLY = pb.Backup(
    name="nightly",
    state=pb.BACKUP_STATE_COMPLETE,
    format=pb.BACKUP_FORMAT_SNAPSHOT,
    id="op_1",
    size_bytes=135_684,
    collection_count=1,
    row_count=3_000,
    create_time=Timestamp(seconds=1_700_000_000),
    end_time=Timestamp(seconds=1_700_000_012),
    milvus_version="2.5.12",
    labels={"team": "search", "env": "prod"},
    exact=True,
    notes=["beware of the dog"],
    collections=[ORDERS],
    meta_size_bytes=4_096,
    databases=[
        pb.BackupDatabase(name="shop", database_id=9, properties=[pb.Property(key="p", value="q")]),
        pb.BackupDatabase(name="default"),
    ],
    backup_timestamp=BIG + 5,
    rpc_channel=pb.RpcChannel(name="by-dev-replicate-msg", position="CiA="),
)
EXPECTED = """\
{
    "id": "op_1",
    "state_code": 2,
    "start_time": 1700000000,
    "end_time": 1700000012,
    "progress": 100,
    "name": "nightly",
    "backup_timestamp": 470639990410603573,
    "collection_backups": [
        {
            "id": "op_1",
            "collection_id": 470639990410603568,
            "db_name": "shop",
            "collection_name": "orders",
            "schema": {
                "name": "orders",
                "description": "what was sold",
                "autoID": true,
                "fields": [
                    {
                        "fieldID": 100,
                        "name": "id",
                        "is_primary_key": true,
                        "data_type": 5,
                        "autoID": true
                    },
                    {
                        "fieldID": 101,
                        "name": "tags",
                        "description": "words",
                        "data_type": 22,
                        "type_params": [
                            {
                                "key": "max_capacity",
                                "value": "10"
                            }
                        ],
                        "index_params": [
                            {
                                "key": "a",
                                "value": "b"
                            }
                        ],
                        "element_type": 21,
                        "is_partition_key": true,
                        "nullable": true,
                        "default_value_base64": "Gg=="
                    },
                    {
                        "fieldID": 102,
                        "name": "$meta",
                        "data_type": 23,
                        "is_dynamic": true
                    },
                    {
                        "fieldID": 103,
                        "name": "sparse",
                        "data_type": 104,
                        "is_function_output": true
                    }
                ],
                "enable_dynamic_field": true,
                "properties": [
                    {
                        "key": "timezone",
                        "value": "UTC"
                    }
                ],
                "functions": [
                    {
                        "name": "bm25",
                        "id": 7,
                        "description": "words to numbers",
                        "type": 1,
                        "input_field_names": [
                            "tags"
                        ],
                        "input_field_ids": [
                            101
                        ],
                        "output_field_names": [
                            "sparse"
                        ],
                        "output_field_ids": [
                            103
                        ],
                        "params": [
                            {
                                "key": "k",
                                "value": "v"
                            }
                        ]
                    }
                ],
                "struct_array_fields": [
                    {
                        "fieldID": 104,
                        "name": "items",
                        "description": "bought",
                        "fields": [
                            {
                                "fieldID": 105,
                                "name": "a",
                                "data_type": 22
                            }
                        ]
                    }
                ]
            },
            "shards_num": 2,
            "backup_timestamp": 470639990410603572,
            "size": 135684,
            "has_index": true,
            "index_infos": [
                {
                    "field_name": "vector",
                    "index_name": "by_vector",
                    "index_type": "HNSW",
                    "params": {
                        "M": "16",
                        "metric_type": "L2"
                    },
                    "index_id": 470639990410603571
                }
            ],
            "load_state": "Loaded",
            "backup_physical_timestamp": 1700000002,
            "channel_checkpoints": {
                "by-dev-rootcoord-dml_0_1v0": "Ci4="
            },
            "properties": [
                {
                    "key": "mmap.enabled",
                    "value": "true"
                }
            ],
            "row_count": 3000,
            "moment": 470639990410603570
        }
    ],
    "size": 135684,
    "milvus_version": "2.5.12",
    "rpc_channel_info": {
        "name": "by-dev-replicate-msg",
        "position": "CiA="
    },
    "database_backups": [
        {
            "db_name": "shop",
            "db_id": 9,
            "properties": [
                {
                    "key": "p",
                    "value": "q"
                }
            ]
        },
        {
            "db_name": "default"
        }
    ],
    "meta_size": 4096,
    "format": "snapshot",
    "state": "complete",
    "exact": true,
    "row_count": 3000,
    "labels": {
        "env": "prod",
        "team": "search"
    },
    "notes": [
        "beware of the dog"
    ]
}
"""
