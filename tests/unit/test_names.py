"""Which names are allowed, and what they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup_server.domain.names import (
    is_backup_name,
    is_milvus_name,
    is_temporary_name,
    temporary_name,
)
from milvus_backup_server.service.running import new_operation_name

BAD_EVERYWHERE = [
    "",
    " ",
    "1st",
    "a b",
    "a-b",
    "a.b",
    "a/b",
    "..",
    ".milvus-backup",
    "a\n",
    "a\0",
    "a\u00a0b",
    "ä",
    "名",
    "a\u0661",  # ARABIC-INDIC DIGIT ONE is a digit to Python, and no ASCII
    "$a",
    "a%2f",
]


@pytest.mark.parametrize("name", ["a", "_", "_1", "Nightly_2026_01_31", "a" * 128])
def test_backup_names_that_are_allowed(name: str) -> None:
    assert is_backup_name(name)


@pytest.mark.parametrize("name", [*BAD_EVERYWHERE, "a" * 129])
def test_backup_names_that_are_refused(name: str) -> None:
    assert not is_backup_name(name)


@pytest.mark.parametrize("name", ["a", "_", "hello_milvus", "A" * 255])
def test_milvus_names_that_are_allowed(name: str) -> None:
    assert is_milvus_name(name)


@pytest.mark.parametrize("name", [*BAD_EVERYWHERE, "a" * 256])
def test_milvus_names_that_are_refused(name: str) -> None:
    assert not is_milvus_name(name)


@given(st.text(max_size=6))
def test_a_name_that_is_allowed_is_safe_in_a_key(name: str) -> None:
    if is_backup_name(name):
        assert name.isascii()
        assert not set(name) & set("/.\\%-: \t\r\n\0")


def test_temporary_names_carry_the_operation_and_are_known_again() -> None:
    operation = new_operation_name()
    name = temporary_name(operation, 12)
    assert operation in name
    assert is_milvus_name(name)
    assert is_temporary_name(name)


@pytest.mark.parametrize(
    "name", ["", "_mbtmp_", "_mbtmp_x", "_mbtmp__", "mbtmp_a_1", "a_mbtmp_b_1", "_mbtmp_a_1x"]
)
def test_other_names_are_not_temporary(name: str) -> None:
    assert not is_temporary_name(name)


def test_operation_names_differ() -> None:
    assert len({new_operation_name() for _ in range(1000)}) == 1000
