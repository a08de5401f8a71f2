"""What of a backup goes where, and what stands in the way of it."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup_server.domain.errors import InvalidRequest
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.patterns import Pattern
from milvus_backup_server.domain.records import (
    CollectionBackupInfo,
    DatabaseBackupInfo,
    KeyValue,
    PartitionBackupInfo,
)
from milvus_backup_server.domain.renaming import CollectionMapping, Renaming
from milvus_backup_server.domain.restore_mapping import (
    Contents,
    MappedDatabase,
    Wanted,
    mapped_databases,
    mapping_conflicts,
    narrowed,
    nothing_wanted,
)
from milvus_backup_server.domain.selection import CollectionPartitions, Selection
from tests.support.names import ITEMS, RULES, WORLDS


def named(text: str) -> CollectionName:
    return CollectionName(*text.split("."))


def contents(*collections: str, databases: Sequence[str] = ()) -> Contents:
    return Contents(
        collections=[named(text) for text in collections],
        databases=tuple(DatabaseBackupInfo(db_name=name) for name in databases),
    )


def wanted(
    sources: Sequence[str] = (), targets: Sequence[str] = (), suffix: str = "", **renames: str
) -> Wanted:
    rules = {old.replace("__", "."): new for old, new in renames.items()}
    return Wanted(
        Selection.parse(sources),
        Selection.parse(targets, name="target_collections"),
        Renaming.parse(suffix, rules),
    )


@pytest.mark.parametrize(
    ("request_", "targets"),
    [
        (wanted(), ["default.a"]),
        (wanted(["b"]), []),
        (wanted(["a"], a="c"), ["default.c"]),
        (wanted(["a"], ["a"], a="c"), []),  # the target filter knows new names only
        (wanted([], ["c"], a="c"), ["default.c"]),
        (wanted([], ["c"]), []),
        (wanted(["c"], a="c"), []),  # the source filter knows old names only
        (wanted([], ["a_1"], "_1"), ["default.a_1"]),
        (wanted([], ["a"], "_1"), []),
        (wanted([], ["store.*"], **{"default.*": "store.*"}), ["store.a"]),
    ],
)
def test_sources_are_chosen_then_renamed_then_targets_chosen(
    request_: Wanted, targets: list[str]
) -> None:
    assert [str(target.name) for target in request_.targets_of(named("default.a"))] == targets


BACKUP = contents("default.a", "default.b", "shop.a", databases=["default", "shop", "empty"])


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (wanted(), []),
        (wanted(["a", "shop.*", "empty.", "empty.*"]), []),
        (wanted(["z", "a", "gone.*"]), ["collections[0]", "collections[2]"]),
        (wanted(z="y", a="b_"), ["renames['z']"]),
        (wanted(**{"gone.*": "x.*", "lost.": "y."}), ["renames['gone.*']", "renames['lost.']"]),
        # What the source filter leaves out may still be named by a rule.
        (wanted(["shop.*"], a="b_"), []),
        (wanted([], ["c"], a="c"), []),
        (wanted([], ["a", "c"], a="c"), ["target_collections[0]"]),
        (wanted(["shop.*"], ["a"]), ["target_collections[0]"]),
        (wanted([], ["empty."]), []),
        (wanted([], ["x."], **{"empty.*": "x.*"}), []),
        (wanted([], ["empty."], **{"empty.*": "x.*"}), ["target_collections[0]"]),
        (wanted(a="b"), ["renames"]),  # b keeps its name, so no rule of b's is at fault
        (wanted(b="a"), ["renames['b']"]),
        (wanted(["b"], b="a"), []),
        (wanted([], ["shop.*"], b="a"), []),
        (wanted(a="b", b="a"), []),
        (wanted(**{"shop.*": "default.*"}), ["renames['shop.*']"]),
        (wanted(suffix="_" * 255), ["suffix"]),
    ],
)
def test_what_does_not_fit_is_told_with_its_field(request_: Wanted, fields: list[str]) -> None:
    assert [path for path, _ in mapping_conflicts(request_, BACKUP)] == fields


def test_everything_that_does_not_fit_is_told_at_once() -> None:
    request = Wanted(
        Selection.parse(["z", "default.*"], [CollectionPartitions("a", ("p", "q"))]),
        Selection.parse(["y", "default.*"], name="target_collections"),
        Renaming.parse("", {"x": "w", "a": "b"}),
    )
    backup = contents("default.a", "default.b")
    backup.partitions = {named("default.a"): frozenset({"p"})}
    found = [(path, error.reason) for path, error in mapping_conflicts(request, backup)]
    assert found == [
        ("collections[0]", "COLLECTION_NOT_FOUND"),
        ("partitions[0].partitions[1]", "PARTITION_NOT_FOUND"),
        ("renames['x']", "COLLECTION_NOT_FOUND"),
        ("target_collections[0]", "COLLECTION_NOT_FOUND"),
        ("renames", "INVALID_REQUEST"),
    ]


def test_each_pair_of_sources_that_meet_is_told() -> None:
    request = wanted(b="a", **{"shop.*": "default.*"})
    ((_, error),) = mapping_conflicts(request, BACKUP)
    assert isinstance(error, InvalidRequest)
    assert [(fault.field, fault.description) for fault in error.violations] == [
        ("renames['b']", "default.a and default.b would both become default.a"),
        ("renames['shop.*']", "default.b and shop.a would both become default.a"),
    ]


def test_partitions_of_a_partition_key_are_refused() -> None:
    request = Wanted(Selection.parse([], [CollectionPartitions("a", ("p",))]))
    backup = contents("default.a")
    backup.keyed = [named("default.a")]
    ((path, error),) = mapping_conflicts(request, backup)
    assert path == "partitions[0].collection"
    assert "has a partition key" in error.message


def test_a_request_that_leaves_nothing_is_told() -> None:
    assert nothing_wanted(wanted(["empty."], ["default.*"]), BACKUP) is not None
    assert nothing_wanted(wanted(["empty."]), BACKUP) is None
    assert nothing_wanted(wanted(["a"]), BACKUP) is None
    assert nothing_wanted(wanted(), contents()) is None
    only = Renaming.parse(mappings=[CollectionMapping("a", "b")], only_mapped=True)
    excluded = Wanted(Selection.parse(["shop.a"]), Selection(), only)
    assert nothing_wanted(excluded, BACKUP) is not None


@pytest.mark.parametrize(
    ("request_", "databases"),
    [
        (wanted(), ["default", "empty", "shop"]),
        (wanted(["shop.*"]), ["shop"]),
        (wanted(["shop.a"]), ["shop"]),
        (wanted(["empty."]), ["empty"]),
        (wanted(["empty.*"]), ["empty"]),
        (wanted(["shop."]), ["shop"]),
        (wanted(["a"]), ["default"]),
        (wanted([], ["shop.*"]), ["shop"]),
        (wanted([], ["empty."]), ["empty"]),
        (wanted([], ["shop."]), ["shop"]),
        (wanted(["shop.a"], ["shop."]), ["shop"]),
        (wanted(["a"], ["shop.", "a"]), ["default"]),
        (wanted([], ["store."], **{"shop.*": "store.*"}), ["store"]),
        (wanted([], ["store."], **{"shop.a": "store.a"}), ["store"]),
        (wanted([], ["shop."], **{"shop.*": "store.*"}), []),
        # The Go tool makes an empty `shop` here too.
        (wanted(**{"shop.*": "store.*"}), ["default", "empty", "store"]),
        (wanted(**{"shop.a": "store.a"}), ["default", "empty", "store"]),
        (wanted(**{"empty.*": "full.*"}), ["default", "full", "shop"]),
        (wanted(**{"empty.": "full."}), ["default", "full", "shop"]),
        (wanted(**{"shop.": "store."}), ["default", "empty", "shop", "store"]),
        (wanted([], ["store.*"], **{"shop.*": "store.*"}), ["store"]),
        (wanted(suffix="_1"), ["default", "empty", "shop"]),
    ],
)
def test_which_databases_a_restore_needs(request_: Wanted, databases: list[str]) -> None:
    assert [it.name for it in mapped_databases(request_, BACKUP)] == databases


def test_a_database_keeps_its_properties_under_its_new_name() -> None:
    given_properties = (KeyValue(key="database.replica.number", value="2"),)
    backup = Contents(
        collections=[named("shop.a")],
        databases=(
            DatabaseBackupInfo(db_name="shop", properties=given_properties),
            DatabaseBackupInfo(db_name="empty", properties=given_properties),
            DatabaseBackupInfo(),  # an early Go tool's default one
        ),
    )
    assert mapped_databases(wanted(**{"shop.*": "store.*"}), backup) == (
        MappedDatabase("default"),
        MappedDatabase("empty", given_properties),
        MappedDatabase("store", given_properties),
    )


def test_a_collection_is_narrowed_to_chosen_partitions() -> None:
    record = CollectionBackupInfo(
        size=60,
        partition_backups=tuple(
            PartitionBackupInfo(partition_id=number, partition_name=name, size=10 * number)
            for number, name in enumerate("pqr", start=1)
        ),
    )
    assert narrowed(record, None) is record
    found = narrowed(record, ("r", "p"))
    assert [partition.partition_name for partition in found.partition_backups] == ["p", "r"]
    assert found.size == 40


def request_of(
    sources: list[Pattern], targets: list[Pattern], rules: list[tuple[Pattern, Pattern]]
) -> Wanted:
    mappings = [CollectionMapping(str(old), str(new)) for old, new in dict.fromkeys(rules)]
    return Wanted(
        Selection.parse([str(pattern) for pattern in sources]),
        Selection.parse([str(pattern) for pattern in targets], name="target_collections"),
        Renaming.parse(mappings=mappings),
    )


REQUESTS = st.builds(request_of, ITEMS, ITEMS, RULES)


@given(REQUESTS, WORLDS)
def test_a_restore_takes_what_the_sources_name_to_what_the_targets_name(
    request: Wanted, world: list[CollectionName]
) -> None:
    for name in world:
        renamed = {target.name for target in request.renaming.targets_of(name)}
        found = {target.name for target in request.targets_of(name)}
        assert found == (
            {it for it in renamed if it in request.targets} if name in request.sources else set()
        )


@given(REQUESTS, WORLDS)
def test_a_conflict_is_found_if_and_only_if_two_sources_meet(
    request: Wanted, world: list[CollectionName]
) -> None:
    met = Counter(target.name for name in world for target in request.targets_of(name))
    found = [
        fault.description.rpartition(" ")[2]
        for _, error in mapping_conflicts(request, Contents(collections=world))
        if isinstance(error, InvalidRequest)
        for fault in error.violations
    ]
    assert set(found) == {str(name) for name, count in met.items() if count > 1}


@given(REQUESTS, WORLDS)
def test_every_target_has_its_database(request: Wanted, world: list[CollectionName]) -> None:
    databases = {it.name for it in mapped_databases(request, Contents(collections=world))}
    targets = {target.name.database for name in world for target in request.targets_of(name)}
    chosen = (name for name in world if name in request.sources)
    renamed = {it.name.database for name in chosen for it in request.renaming.targets_of(name)}
    assert databases == targets | (renamed & request.targets.alone)
