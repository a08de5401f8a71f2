"""How many rows a binlog holds, read from its first bytes."""

from datetime import date

import pytest

from milvus_backup_server.domain.binlog_header import (
    HEADER_BYTES,
    TIMESTAMP_FIELD,
    first_timestamp,
    timestamp_rows,
)
from milvus_backup_server.domain.layout import parse_backup_key
from milvus_backup_server.domain.milvus import moment_time
from tests.support.fixtures import GROUPS, OF_MILVUS_2_3, backup_objects, metadata


@pytest.mark.parametrize("archive", [*OF_MILVUS_2_3, *GROUPS, "fx_mv_2_5_27"])
def test_the_first_bytes_of_real_timestamp_binlogs_tell_the_rows_of_their_segments(
    archive: str,
) -> None:
    read: dict[int, int] = {}
    for key, content in backup_objects(archive):
        log = parse_backup_key(key)
        if log is not None and log.field_id == TIMESTAMP_FIELD:
            rows = timestamp_rows(content[:HEADER_BYTES])
            assert rows is not None, key
            read[log.segment_id] = read.get(log.segment_id, 0) + rows
    recorded = {
        segment["segment_id"]: segment["num_of_rows"]
        for collection in metadata(archive)["collection_backups"]
        for partition in collection.get("partition_backups", [])
        for segment in partition.get("segment_backups", [])
        if segment.get("num_of_rows")
    }
    assert recorded
    assert read == recorded


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        (b'{"original_size":"24000"}', 3000),
        (b'{"original_size":24000}', 3000),
        (b'{"original_size" : "8"}', 1),
        (b'{"original_size":"0"}', 0),
        (b'\xff\xfe{"key":"v","original_size":"16","x":1}\x00', 2),
        (b"", None),
        (b"no descriptor here", None),
        (b'{"original_size":"', None),
        (b'{"original_size":"-8"}', None),
    ],
)
def test_the_size_before_encoding_tells_the_rows(header: bytes, rows: int | None) -> None:
    assert timestamp_rows(header) == rows


@pytest.mark.parametrize("archive", [*OF_MILVUS_2_3, *GROUPS, "fx_mv_2_5_27"])
def test_all_columns_of_a_real_segment_tell_the_same_first_timestamp(archive: str) -> None:
    first: dict[int, set[int]] = {}
    for key, content in backup_objects(archive):
        log = parse_backup_key(key)
        if log is not None and log.field_id is not None:
            found = first_timestamp(content[:HEADER_BYTES])
            assert found is not None, key
            first.setdefault(log.segment_id, set()).add(found)
    assert first
    for found_in_segment in first.values():
        (stamp,) = found_in_segment
        assert moment_time(stamp).date() == date(2026, 11, 22)


@pytest.mark.parametrize("header", [b"", b"\xbc\xfa\xff\x00", b"\xbc\xfa\xff\x00" + b"x" * 56])
def test_what_is_too_short_tells_no_first_timestamp(header: bytes) -> None:
    assert first_timestamp(header) is None


def test_what_is_no_binlog_tells_no_first_timestamp() -> None:
    assert first_timestamp(b"{" + b"x" * 500) is None
    assert first_timestamp(b"\xbc\xfa\xff\x00" + bytes(49) + b"\x05" + bytes(7)) == 5
