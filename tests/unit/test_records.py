"""The Go tool's records in and out of JSON, on the backups that it made."""

import json
from typing import Any

import pytest

from milvus_backup_server.domain.errors import BackupCorrupt
from milvus_backup_server.domain.record_codec import Record
from milvus_backup_server.domain.records import (
    BackupInfo,
    Binlog,
    CollectionBackupInfo,
    CollectionSchema,
    FieldBinlog,
    FieldSchema,
    IndexInfo,
    PartitionBackupInfo,
    SegmentBackupInfo,
)
from tests.support.fixtures import EVERY, LEVEL_FILES, metadata

LEVEL_RECORDS: dict[str, type[Record]] = {
    "collection_meta": CollectionBackupInfo,
    "partition_meta": PartitionBackupInfo,
    "segment_meta": SegmentBackupInfo,
}


@pytest.mark.parametrize("archive", EVERY)
def test_a_full_file_loses_nothing_on_the_way_through_the_records(archive: str) -> None:
    values = metadata(archive)
    assert BackupInfo.from_json(values).to_json() == values
    for collection in values["collection_backups"]:
        assert CollectionBackupInfo.from_json(collection).to_json() == collection


@pytest.mark.parametrize("archive", EVERY)
def test_level_files_lose_nothing_on_the_way_through_the_records(archive: str) -> None:
    found = {file: metadata(archive, file) for file in LEVEL_FILES}
    head = found.pop("backup_meta")
    assert BackupInfo.from_json(head).to_json() == head
    for file, values in found.items():
        assert values["infos"]
        for info in values["infos"]:
            assert LEVEL_RECORDS[file].from_json(info).to_json() == info


def test_the_order_of_keys_is_that_of_the_go_tool() -> None:
    (collection,) = metadata("fx_go_0_5_16_groups")["collection_backups"]
    assert json.dumps(CollectionBackupInfo.from_json(collection).to_json()) == json.dumps(
        collection
    )


def test_zeros_are_omitted_but_where_the_go_tool_writes_them() -> None:
    assert BackupInfo().to_json() == {"state_code": 0, "size": 0}
    assert CollectionBackupInfo().to_json() == {"size": 0, "has_index": False}
    assert PartitionBackupInfo().to_json() == {"size": 0}
    assert SegmentBackupInfo().to_json() == {"size": 0}
    assert Binlog().to_json() == {"log_size": 0}
    for empty in (FieldBinlog(), FieldSchema(), CollectionSchema(), IndexInfo()):
        assert empty.to_json() == {}


def test_an_empty_list_of_delta_logs_is_one_empty_record() -> None:
    segment = SegmentBackupInfo(deltalogs=(FieldBinlog(),))
    assert segment.to_json() == {"deltalogs": [{}], "size": 0}
    assert SegmentBackupInfo.from_json({"deltalogs": [{}]}) == segment


def test_what_is_omitted_reads_as_zero() -> None:
    segment = SegmentBackupInfo.from_json({})
    assert segment == SegmentBackupInfo()
    assert (segment.segment_id, segment.num_of_rows, segment.is_l0) == (0, 0, False)
    assert (segment.binlogs, segment.v_channel) == ((), "")
    assert CollectionBackupInfo.from_json({}).schema is None


def test_null_reads_as_zero() -> None:
    values = {"segment_id": None, "binlogs": None, "is_l0": None, "v_channel": None}
    assert SegmentBackupInfo.from_json(values) == SegmentBackupInfo()


@pytest.mark.parametrize("key", ["collection_name", "Collection_Name", "COLLECTION_NAME"])
def test_keys_match_without_regard_to_case(key: str) -> None:
    record = CollectionBackupInfo.from_json({key: "c"})
    assert record.collection_name == "c"
    assert record.to_json() == {"collection_name": "c", "size": 0, "has_index": False}
    assert FieldSchema.from_json({"FieldId": 7, "AUTOID": True}) == FieldSchema(
        field_id=7, auto_id=True
    )


def test_unknown_keys_are_kept_at_every_level_and_written_behind_the_known() -> None:
    values = {
        "collection_id": 1,
        "schema": {"name": "c", "fields": [{"name": "f", "later": [1, {"x": None}]}], "new": 1.5},
        "size": 0,
        "has_index": False,
        "Unknown": {"a": ["b"]},
        "_zero": 0,
    }
    record = CollectionBackupInfo.from_json(values)
    assert record.extra == {"Unknown": {"a": ["b"]}, "_zero": 0}
    assert record.to_json() == values
    assert list(record.to_json())[-2:] == ["Unknown", "_zero"]


def test_large_integers_stay_exact() -> None:
    largest = 2**64 - 1
    text = json.dumps(CollectionBackupInfo(created_timestamp=largest).to_json())
    assert f'"created_timestamp": {largest}' in text
    assert CollectionBackupInfo.from_json(json.loads(text)).created_timestamp == largest


def test_maps_are_written_in_the_order_of_their_keys() -> None:
    index = IndexInfo(params={"nlist": "128", "index_type": "IVF_FLAT", "metric_type": "L2"})
    assert list(index.to_json()["params"]) == ["index_type", "metric_type", "nlist"]


@pytest.mark.parametrize(
    ("values", "path", "expected"),
    [
        ([], "full_meta.json", "an object, not list"),
        ("text", "full_meta.json", "an object, not str"),
        ({"collection_id": "1"}, "full_meta.json.collection_id", "an integer, not str"),
        ({"collection_id": 1.0}, "full_meta.json.collection_id", "an integer, not float"),
        ({"collection_id": True}, "full_meta.json.collection_id", "an integer, not bool"),
        ({"Collection_ID": "1"}, "full_meta.json.Collection_ID", "an integer, not str"),
        ({"has_index": 1}, "full_meta.json.has_index", "true or false, not int"),
        ({"db_name": 1}, "full_meta.json.db_name", "a string, not int"),
        ({"aliases": "a"}, "full_meta.json.aliases", "a list, not str"),
        ({"aliases": {}}, "full_meta.json.aliases", "a list, not dict"),
        ({"aliases": ["a", 2]}, "full_meta.json.aliases[1]", "a string, not int"),
        ({"channel_checkpoints": []}, "full_meta.json.channel_checkpoints", "an object, not list"),
        (
            {"channel_checkpoints": {"ch": 1}},
            "full_meta.json.channel_checkpoints.ch",
            "a string, not int",
        ),
        ({"schema": 1}, "full_meta.json.schema", "an object, not int"),
        (
            {"schema": {"fields": [{}, {"type_params": [{"key": 5}]}]}},
            "full_meta.json.schema.fields[1].type_params[0].key",
            "a string, not int",
        ),
        (
            {"partition_backups": [{"segment_backups": [{"binlogs": [{"binlogs": [7]}]}]}]},
            "full_meta.json.partition_backups[0].segment_backups[0].binlogs[0].binlogs[0]",
            "an object, not int",
        ),
        ({"partition_backups": [None]}, "full_meta.json.partition_backups[0]", "an object"),
    ],
)
def test_a_wrong_type_is_named_with_its_path(values: Any, path: str, expected: str) -> None:
    with pytest.raises(BackupCorrupt) as caught:
        CollectionBackupInfo.from_json(values, "full_meta.json")
    assert caught.value.metadata["key"] == path
    assert f"{path} should be {expected}" in caught.value.message


def test_without_a_path_the_record_names_itself() -> None:
    with pytest.raises(BackupCorrupt, match="CollectionBackupInfo should be an object"):
        CollectionBackupInfo.from_json(7)
    with pytest.raises(BackupCorrupt, match="damaged: size should be an integer"):
        CollectionBackupInfo.from_json({"size": "7"})
