"""Which collections, partitions and databases a selection means."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.patterns import Pattern, Scope
from milvus_backup_server.domain.selection import CollectionPartitions, Selection
from tests.support.names import ITEMS, NAMES, PATTERNS, WORLDS

A = CollectionName("default", "a")
B = CollectionName("default", "b")
SHOP_A = CollectionName("shop", "a")
PRESENT = [A, B, SHOP_A]
P = CollectionPartitions


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
        # These two write into a nil map in the Go tool, the third does not.
        (["shop.*", "shop.a"], [SHOP_A]),
        (["shop.", "shop.a"], [SHOP_A]),
        (["shop.a", "shop.*"], [SHOP_A]),
        (["shop.", "shop.*"], [SHOP_A]),
        (["shop."], []),
        (["shop.", "a"], [A]),
        ([" shop.* ", "\ta"], [A, SHOP_A]),
        (["c"], []),
        (["other.*"], []),
    ],
)
def test_what_a_selection_holds(entries: Sequence[str], wanted: Sequence[CollectionName]) -> None:
    for order in (entries, list(reversed(entries))):
        selection = Selection.parse(order)
        assert [name for name in PRESENT if name in selection] == wanted


@pytest.mark.parametrize(
    ("entries", "partitions", "wanted", "narrowed"),
    [
        ([], [P("a", ("p",))], [A], {A: ("p",)}),
        (["default.*"], [P("a", ("p", "q"))], [A, B], {A: ("p", "q")}),
        (["a", "shop.a"], [P("default.a", ("p",))], [A, SHOP_A], {A: ("p",)}),
        (["b"], [P("shop.a", ("p",)), P("a", ("q",))], [A, B, SHOP_A], {SHOP_A: ("p",), A: ("q",)}),
    ],
)
def test_chosen_partitions_select_their_collection_and_narrow_it(
    entries: Sequence[str],
    partitions: Sequence[CollectionPartitions],
    wanted: Sequence[CollectionName],
    narrowed: dict[CollectionName, tuple[str, ...]],
) -> None:
    selection = Selection.parse(entries, partitions)
    assert [name for name in PRESENT if name in selection] == wanted
    assert selection.partitions == narrowed


@pytest.mark.parametrize(
    ("entries", "wanted"),
    [
        ([], ["default", "shop", "empty"]),
        (["shop.a"], []),
        (["shop.*"], ["shop"]),
        (["empty."], ["empty"]),
        (["empty.", "a"], ["empty"]),
    ],
)
def test_which_databases_are_wanted_themselves(entries: Sequence[str], wanted: list[str]) -> None:
    selection = Selection.parse(entries)
    assert [it for it in ("default", "shop", "empty") if selection.wants_database(it)] == wanted


def test_all_that_is_named_and_missing_is_told_with_its_field() -> None:
    selection = Selection.parse(
        ["z", "shop.y", "a", "gone.*", "also_gone.x", "shop.*", "lost.", "empty."],
        [P("shop.x", ("p",)), P("a", ("p",))],
    )
    found = [
        (path, error.reason, error.message) for path, error in selection.faults(PRESENT, ["empty"])
    ]
    assert found == [
        ("collections[0]", "COLLECTION_NOT_FOUND", "collection 'default.z' does not exist"),
        ("collections[1]", "COLLECTION_NOT_FOUND", "collection 'shop.y' does not exist"),
        ("collections[3]", "DATABASE_NOT_FOUND", "database 'gone' does not exist"),
        ("collections[4]", "DATABASE_NOT_FOUND", "database 'also_gone' does not exist"),
        ("collections[6]", "DATABASE_NOT_FOUND", "database 'lost' does not exist"),
        (
            "partitions[0].collection",
            "COLLECTION_NOT_FOUND",
            "collection 'shop.x' does not exist",
        ),
    ]
    assert selection.named_databases() == {
        *("default", "shop", "gone", "also_gone", "lost", "empty"),
    }


def test_the_place_of_what_is_missing_can_be_told() -> None:
    selection = Selection.parse(["z", "gone.*"], name="target_collections")
    found = [(path, error.message) for path, error in selection.faults(PRESENT, [], "it has no")]
    assert found == [
        ("target_collections[0]", "it has no collection default.z"),
        ("target_collections[1]", "it has no database 'gone'"),
    ]


def test_missing_partitions_are_told_with_their_field() -> None:
    selection = Selection.parse([], [P("a", ("p", "x", "y")), P("b", ("x",)), P("c", ("x",))])
    found = selection.partition_faults({A: {"p"}, B: {"x"}})
    assert [(path, error.metadata["resource"]) for path, error in found] == [
        ("partitions[0].partitions[1]", "default.a/x"),
        ("partitions[0].partitions[2]", "default.a/y"),
    ]


def test_partitions_of_a_partition_key_cannot_be_chosen() -> None:
    selection = Selection.parse([], [P("a", ("p",)), P("b", ("x",))])
    ((path, error),) = selection.keyed_faults([B, SHOP_A])
    assert path == "partitions[1].collection"
    assert "default.b has a partition key" in error.message


def test_nothing_is_missing_where_everything_is_wanted() -> None:
    assert list(Selection.parse([]).faults([], [])) == []


def names_it(pattern: Pattern, name: CollectionName) -> bool:
    """Tell whether an item names a collection, as the grammar says it."""
    if pattern.scope is Scope.DATABASE or pattern.database != name.database:
        return False
    return pattern.scope is Scope.ALL_COLLECTIONS or pattern.collection == name.name


@given(st.lists(PATTERNS, min_size=1, max_size=4), NAMES)
def test_a_collection_is_selected_if_and_only_if_an_item_names_it(
    patterns: list[Pattern], name: CollectionName
) -> None:
    selection = Selection.parse([str(pattern) for pattern in patterns])
    assert (name in selection) == any(names_it(pattern, name) for pattern in patterns)


@given(ITEMS, ITEMS, NAMES)
def test_the_order_and_repetition_of_items_do_not_count(
    some: list[Pattern], others: list[Pattern], name: CollectionName
) -> None:
    one = Selection.parse([str(pattern) for pattern in (*some, *others)])
    two = Selection.parse([f" {pattern}\t" for pattern in (*others, *some, *some)])
    assert (name in one) == (name in two)
    for database in ("default", "shop", "store"):
        assert one.wants_database(database) == two.wants_database(database)


@given(ITEMS, WORLDS)
def test_an_item_is_missing_if_and_only_if_it_finds_nothing(
    patterns: list[Pattern], world: list[CollectionName]
) -> None:
    selection = Selection.parse([str(pattern) for pattern in patterns])
    databases = {name.database for name in world}
    told = {path for path, _ in selection.faults(world, [])}
    for number, pattern in enumerate(patterns):
        exact = pattern.scope is Scope.COLLECTION
        finds = pattern.name in world if exact else pattern.database in databases
        assert (f"collections[{number}]" in told) != finds
