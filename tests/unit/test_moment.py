"""Timestamps, and the moment to which a collection's backup is exact."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup_server.domain.milvus import (
    MilvusVersion,
    backup_moment,
    hybrid_timestamp,
    moment_time,
    physical_milliseconds,
)

MILLISECONDS = 1_795_344_984_123
FLUSH = hybrid_timestamp(MILLISECONDS) + 5
"""The sixth timestamp of a millisecond."""

timestamps = st.integers(1 << 40, 2**63 - 1)


def imported(rows: dict[str, int], deletes: dict[str, int], end_ts: int) -> set[str]:
    """Return the keys that an import of Milvus 2.3 leaves, cut at a physical millisecond."""
    cut = end_ts << 18
    return {
        key
        for key, stamp in rows.items()
        if stamp <= cut and not stamp < deletes.get(key, 0) <= cut
    }


def test_a_hybrid_timestamp_is_milliseconds_and_a_counter_of_18_bits() -> None:
    assert physical_milliseconds(1 << 18) == 1
    assert physical_milliseconds((1 << 18) - 1) == 0
    assert hybrid_timestamp(1) == 262_144
    assert physical_milliseconds(hybrid_timestamp(MILLISECONDS)) == MILLISECONDS


def test_where_imports_cut_at_hybrid_timestamps_the_moment_is_that_of_the_flush() -> None:
    assert backup_moment(FLUSH, hybrid_end=True) == FLUSH


def test_where_imports_cut_at_milliseconds_the_moment_is_rounded_down() -> None:
    assert backup_moment(FLUSH, hybrid_end=False) == hybrid_timestamp(MILLISECONDS)
    assert physical_milliseconds(backup_moment(FLUSH, hybrid_end=False)) == MILLISECONDS


@given(timestamps)
def test_the_moment_is_never_behind_the_flush(timestamp: int) -> None:
    for hybrid in (True, False):
        assert backup_moment(timestamp, hybrid_end=hybrid) <= timestamp
    rounded = backup_moment(timestamp, hybrid_end=False)
    assert timestamp - rounded < 1 << 18
    assert rounded % (1 << 18) == 0


def test_first_trap_an_upsert_right_behind_the_flush_does_not_take_rows_away() -> None:
    # The flush holds the row of "k". An upsert follows in the flush's own millisecond: its delete
    # lies in the delta log of the flushed segment, its row in a segment that comes later.
    rows, deletes = {"k": hybrid_timestamp(MILLISECONDS - 50)}, {"k": FLUSH + 1}
    end_ts = physical_milliseconds(backup_moment(FLUSH, hybrid_end=False))
    assert imported(rows, deletes, end_ts) == {"k"}
    assert imported(rows, deletes, end_ts + 1) == set()  # what rounding up would do


def test_second_trap_what_shares_the_flush_s_millisecond_is_left_out() -> None:
    rows = {"acknowledged": FLUSH - 1}
    same = backup_moment(FLUSH, hybrid_end=False)
    assert imported(rows, {}, physical_milliseconds(same)) == set()
    # Hence the flush waits until the clock shows a later millisecond than at the create call.
    later = backup_moment(hybrid_timestamp(MILLISECONDS + 50) + 1, hybrid_end=False)
    assert imported(rows, {}, physical_milliseconds(later)) == {"acknowledged"}


def test_a_moment_reads_as_a_time() -> None:
    assert moment_time(FLUSH) == datetime(2026, 11, 22, 10, 56, 24, 123000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v2.3.5", "2.3.5"),
        ("v2.3.5-lite", "2.3.5"),
        ("2.6.18", "2.6.18"),
        ("2.4", "2.4.9999"),
        ("milvus 2.6-20250101", "2.6.9999"),
        ("v2.4.0-rc.1", "2.4.0"),
        ("10.20.30", "10.20.30"),
    ],
)
def test_reading_versions(text: str, expected: str) -> None:
    assert str(MilvusVersion.parse(text)) == expected


@pytest.mark.parametrize("text", ["", "master", "2", "v", "unknown-2x3"])
def test_what_is_no_version(text: str) -> None:
    assert MilvusVersion.parse(text) is None


def test_versions_compare_by_their_numbers() -> None:
    assert MilvusVersion(2, 3, 10) > MilvusVersion(2, 3, 9)
    assert MilvusVersion(2, 10, 0) > MilvusVersion(2, 9, 99)
