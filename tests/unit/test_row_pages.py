"""How many rows a comparison asks for at one time."""

import pytest

from milvus_backup_server.service.row_check import next_limit

MIB = 1 << 20


@pytest.mark.parametrize(
    ("limit", "rows", "size", "expected"),
    [
        (128, 128, 128 * 100, 256),  # no more than twice as many, whatever their size
        (8192, 8192, 8192 * 100, 8192),  # Milvus has a bound
        (128, 128, 8 * MIB, 64),
        (128, 2, 2 * MIB, 4),  # a page that was cut short says how large rows are
        (128, 1024, 32 * MIB, 16),  # eight segments gave 128 each
        (128, 1, 50 * MIB, 1),
        (128, 128, 0, 256),
    ],
)
def test_a_page_of_about_4_mib(limit: int, rows: int, size: int, expected: int) -> None:
    assert next_limit(limit, rows, size) == expected
