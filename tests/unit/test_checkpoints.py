"""The checkpoints of a backup: what they say, and when they say too little."""

import base64
from dataclasses import replace

import pytest

from milvus_backup_server.domain.checkpoints import group_cuts
from milvus_backup_server.domain.errors import BackupNotRestorable
from milvus_backup_server.domain.import_units import ImportRules, import_units, l0_units
from milvus_backup_server.domain.records import Binlog as Log
from milvus_backup_server.domain.records import (
    CollectionBackupInfo,
    FieldBinlog,
    PartitionBackupInfo,
    SegmentBackupInfo,
)
from milvus_backup_server.domain.restore_plan import row_count
from tests.support.fixtures import metadata

STAMP = 461820030940348422
# MsgPosition{channel_name: "a", msgID: 1 byte, timestamp: STAMP}, written out by hand.
POSITION = b"\x0a\x01a" + b"\x12\x01\x07" + b"\x20" + bytes.fromhex("8680f0f2f0dbadb406")


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def segment(number: int, channel: str, group: int | None = None) -> SegmentBackupInfo:
    return SegmentBackupInfo(
        segment_id=number,
        group_id=number if group is None else group,
        v_channel=channel,
        num_of_rows=5,
        binlogs=(FieldBinlog(binlogs=(Log(log_id=1),)),),
    )


def record(*segments: SegmentBackupInfo, shards: int = 2, **points: str) -> CollectionBackupInfo:
    return CollectionBackupInfo(
        collection_name="c",
        shards_num=shards,
        channel_checkpoints=points,
        partition_backups=(PartitionBackupInfo(partition_name="p", segment_backups=segments),),
    )


A, B = encoded(POSITION), encoded(b"\x20\x05")


def test_each_group_is_cut_at_its_channel_s_checkpoint() -> None:
    found = group_cuts(record(segment(1, "a"), segment(2, "b"), segment(3, "a"), a=A, b=B))
    assert found == {1: STAMP, 2: 5, 3: STAMP}


def test_with_one_channel_the_segments_need_not_tell_theirs() -> None:
    assert group_cuts(record(segment(1, ""), shards=1, a=A)) == {1: STAMP}


def test_other_kinds_of_fields_are_passed_over() -> None:
    data = b"\x09" + bytes(8) + b"\x2d" + bytes(4) + b"\x20\x05"
    assert group_cuts(record(segment(1, "a"), a=encoded(data))) == {1: 5}


def test_the_checkpoints_that_a_real_milvus_gave() -> None:
    collections = metadata("fx_mv_2_5_27")["collection_backups"]
    (found,) = [
        CollectionBackupInfo.from_json(it)
        for it in collections
        if it["collection_name"] == "nullable"
    ]
    (stamp,) = set(group_cuts(found).values())
    assert 0 < found.backup_timestamp == stamp


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (record(segment(1, "a")), "no checkpoints of its channels were recorded"),
        (record(segment(1, ""), a=A), "the channel of segment 1 was not recorded"),
        (record(segment(1, "b"), a=A), "the channel of segment 1 was not recorded"),
        (record(segment(1, "a", 0), a=A), "segment 1 has no group of its own"),
        (
            record(segment(1, "a", 9), segment(2, "b", 9), a=A, b=B),
            "group 9 has segments of several channels",
        ),
        (record(segment(1, "a"), a="???"), "a checkpoint cannot be read"),
        (record(segment(1, "a"), a=encoded(b"\x20\xff")), "a checkpoint cannot be read"),
        (record(segment(1, "a"), a=encoded(b"\x23")), "a checkpoint cannot be read"),
        (record(segment(1, "a"), a=encoded(b"\x0a\x01a")), "a checkpoint cannot be read"),
    ],
)
def test_what_was_recorded_may_not_be_enough(found: CollectionBackupInfo, why: str) -> None:
    with pytest.raises(BackupNotRestorable) as caught:
        group_cuts(found)
    told = f"default.c cannot be cut at the checkpoints of its backup: {why}"
    assert caught.value.message == told


@pytest.mark.parametrize(
    ("cuts", "expected"),
    [
        ({}, [("binlogs/insert_log/4/0/", None)]),
        ({1: 7, 2: 7}, [("binlogs/insert_log/4/0/", 7)]),
        ({1: 7, 2: 8}, [("binlogs/insert_log/4/0/1/", 7), ("binlogs/insert_log/4/0/2/", 8)]),
    ],
)
def test_groups_with_other_cuts_are_imported_apart(
    cuts: dict[int, int], expected: list[tuple[str, int | None]]
) -> None:
    found = replace(record(segment(1, "a"), segment(2, "b")), collection_id=4)
    units = import_units(found, ImportRules(1 << 40), cuts=cuts)
    assert [(it.sources[0].insert, it.cut) for it in units] == expected
    listed = import_units(found, ImportRules(1 << 40, segments=9), cuts=cuts)
    assert [it.cut for it in listed] == sorted({cut for _, cut in expected}, key=str)


def test_l0_segments_are_cut_at_their_channel_s_checkpoint_too() -> None:
    deletes = replace(segment(3, "b", 0), is_l0=True, binlogs=(), deltalogs=segment(1, "a").binlogs)
    found = replace(
        record(segment(1, "a"), a=A, b=B), l0_segments=(deletes, replace(deletes, segment_id=4))
    )
    cuts = group_cuts(found)
    assert cuts == {1: STAMP, 3: 5, 4: 5}
    rules = ImportRules(1 << 40, segments=9, l0_segments=9)
    assert [(len(it.sources), it.cut) for it in l0_units(found, rules, cuts)] == [(2, 5)]
    assert [it.cut for it in l0_units(found, rules)] == [None]


def test_a_cut_makes_the_number_of_rows_a_bound() -> None:
    found = record(segment(1, "a"), segment(2, "b"))
    assert str(row_count(found, cut=False)) == "10"
    assert str(row_count(found, cut=True)) == "at most 10"
    assert replace(row_count(found, cut=True), exact=True).fits(10)
