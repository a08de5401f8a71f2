"""Which collections a selection means."""

from collections.abc import Sequence

import pytest

from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.selection import Selection, database_of, entry_fault

A = CollectionName("default", "a")
B = CollectionName("default", "b")
SHOP_A = CollectionName("shop", "a")
PRESENT = [A, B, SHOP_A]


@pytest.mark.parametrize(
    ("entries", "wanted"),
    [
        ([], [A, B, SHOP_A]),
        (["a"], [A]),
        (["default.a"], [A]),
        (["a", "default.a"], [A]),
        (["shop.a"], [SHOP_A]),
        (["default.*"], [A, B]),
        (["shop.*", "b"], [B, SHOP_A]),
        (["shop.*", "shop.a"], [SHOP_A]),
        (["shop.a", "shop.*"], [SHOP_A]),
        (["c"], []),
        (["other.*"], []),
    ],
)
def test_what_a_selection_holds(entries: Sequence[str], wanted: Sequence[CollectionName]) -> None:
    selection = Selection.parse(entries)
    assert [name for name in PRESENT if name in selection] == wanted


@pytest.mark.parametrize(
    "entry", ["", "*", ".*", "*.*", "db.*.c", "db.", ".c", "a.b.c", "a,b", " a", "db. *", "1.*"]
)
def test_what_is_not_understood_is_named(entry: str) -> None:
    assert entry_fault(entry).startswith(repr(entry))
    assert "database.collection" in entry_fault(entry)


@pytest.mark.parametrize("entry", ["a", "db.a", "db.*", "_.*"])
def test_what_is_understood_has_no_fault(entry: str) -> None:
    assert entry_fault(entry) == ""


def test_the_fault_of_a_huge_entry_is_short() -> None:
    assert len(entry_fault("." * 1_000_000)) < 500


@pytest.mark.parametrize(
    ("entry", "database"), [("db.*", "db"), ("db", ""), ("db.c", ""), (".*", ""), ("*", "")]
)
def test_the_database_of_an_entry(entry: str, database: str) -> None:
    assert database_of(entry) == database


def test_named_things_that_are_missing_are_told_in_order() -> None:
    selection = Selection.parse(["z", "shop.y", "a", "gone.*", "also_gone.x", "shop.*"])
    assert selection.missing_collections(PRESENT) == [
        CollectionName("also_gone", "x"),
        CollectionName("default", "z"),
        CollectionName("shop", "y"),
    ]
    assert selection.missing_databases(["default", "shop"]) == ["also_gone", "gone"]
    assert selection.named_databases() == {"default", "shop", "gone", "also_gone"}


def test_nothing_is_missing_where_everything_is_wanted() -> None:
    everything = Selection.parse([])
    assert everything.missing_collections([]) == []
    assert everything.missing_databases([]) == []
