"""What one item of a filter, or one side of a rename, names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.patterns import Pattern, Scope, pattern_fault
from tests.support.names import PATTERNS


@pytest.mark.parametrize(
    ("text", "scope", "written"),
    [
        ("c", Scope.COLLECTION, "default.c"),
        ("_c1", Scope.COLLECTION, "default._c1"),
        ("db.c", Scope.COLLECTION, "db.c"),
        ("default.c", Scope.COLLECTION, "default.c"),
        ("db.*", Scope.ALL_COLLECTIONS, "db.*"),
        ("_.*", Scope.ALL_COLLECTIONS, "_.*"),
        ("db.", Scope.DATABASE, "db."),
        (" db.c", Scope.COLLECTION, "db.c"),
        ("c\t", Scope.COLLECTION, "default.c"),
        ("\n db.* ", Scope.ALL_COLLECTIONS, "db.*"),
        (" db. ", Scope.DATABASE, "db."),
    ],
)
def test_what_an_item_names(text: str, scope: Scope, written: str) -> None:
    pattern = Pattern.parse(text)
    assert pattern is not None
    assert (pattern.scope, str(pattern)) == (scope, written)
    assert pattern_fault(text) == ""


def test_an_item_for_a_collection_has_its_name() -> None:
    pattern = Pattern.parse("shop.orders")
    assert pattern is not None
    assert pattern.name == CollectionName("shop", "orders")


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ".", "*", ".*", "*.*", "*.c", ".c", "a.b.c", "db.*.c", "db.**", "a,b", "db. *"),
        *("d b.c", "db .c", "1c", "1.*", "d-b.c", "db.c-d", "\u0661", "d" * 256),
    ],
)
def test_what_is_not_understood_is_named(text: str) -> None:
    assert Pattern.parse(text) is None
    fault = pattern_fault(text)
    assert fault.startswith(repr(text))
    assert "expected collection, database.collection, database.*" in fault


@pytest.mark.parametrize("text", ["*", "*.*", ".*", " * "])
def test_who_wants_everything_is_told_how(text: str) -> None:
    assert pattern_fault(text).endswith("leave the list empty for everything")


def test_the_fault_of_a_huge_item_is_short() -> None:
    assert len(pattern_fault("." * 1_000_000)) < 600


@given(PATTERNS)
def test_an_item_reads_as_it_is_written(pattern: Pattern) -> None:
    assert Pattern.parse(str(pattern)) == pattern


@given(st.text(max_size=12))
def test_what_is_understood_has_no_fault_and_else_one(text: str) -> None:
    pattern = Pattern.parse(text)
    assert (pattern is None) == bool(pattern_fault(text))
    if pattern is not None:
        assert Pattern.parse(str(pattern)) == pattern
