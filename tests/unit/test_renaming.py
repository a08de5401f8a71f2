"""New names on restore."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.names import temporary_name
from milvus_backup_server.domain.patterns import Pattern
from milvus_backup_server.domain.renaming import (
    CollectionMapping,
    Renaming,
    Target,
    mapping_faults,
    rename_faults,
    target_fault,
)
from tests.support.names import NAMES, RULES

M = CollectionMapping


def named(text: str) -> CollectionName:
    return CollectionName(*text.split("."))


@pytest.mark.parametrize(
    ("suffix", "rules", "source", "target"),
    [
        ("", {}, "default.a", "default.a"),
        ("_new", {}, "default.a", "default.a_new"),
        ("_new", {}, "shop.a", "shop.a_new"),
        ("", {"a": "b"}, "default.a", "default.b"),
        ("", {"a": "b"}, "shop.a", "shop.a"),
        ("", {"a": "b"}, "default.c", "default.c"),
        ("", {"default.a": "shop.b"}, "default.a", "shop.b"),
        ("", {"a": "shop.b"}, "default.a", "shop.b"),
        ("", {"shop.a": "b"}, "shop.a", "default.b"),
        ("", {" shop.a ": " x.b"}, "shop.a", "x.b"),
        ("", {"shop.*": "store.*"}, "shop.a", "store.a"),
        ("", {"shop.*": "store.*"}, "default.a", "default.a"),
        ("", {"shop.*": "store.*", "shop.a": "x.y"}, "shop.a", "x.y"),
        ("", {"shop.a": "x.y", "shop.*": "store.*"}, "shop.a", "x.y"),
        ("", {"shop.a": "x.y", "shop.*": "store.*"}, "shop.b", "store.b"),
        ("", {"shop.": "store."}, "shop.a", "shop.a"),
        ("", {"shop.": "store.", "shop.*": "x.*"}, "shop.a", "x.a"),
        ("", {"a.*": "b.*", "b.*": "a.*"}, "a.c", "b.c"),
        ("", {"a.*": "b.*", "b.*": "a.*"}, "b.c", "a.c"),
    ],
)
def test_the_target_of_a_collection(
    suffix: str, rules: Mapping[str, str], source: str, target: str
) -> None:
    (found,) = Renaming.parse(suffix, rules).targets_of(named(source))
    assert str(found.name) == target


@pytest.mark.parametrize(
    ("mappings", "source", "targets"),
    [
        ([M("shop.a", "x.b")], "shop.a", ["x.b"]),
        ([M("shop.a", "x.b"), M("shop.a", "c")], "shop.a", ["x.b", "default.c"]),
        ([M("shop.*", "x.*"), M("shop.*", "y.*")], "shop.a", ["x.a", "y.a"]),
        ([M("shop.*", "x.*"), M("shop.a", "y.b")], "shop.a", ["y.b"]),
        ([M("shop.*", "x.*"), M("shop.a", "y.b")], "shop.b", ["x.b"]),
        ([M("shop.a", "x.b")], "shop.b", []),
        ([M("shop.", "x.")], "shop.b", []),
    ],
)
def test_a_mapping_gives_a_collection_any_number_of_targets(
    mappings: Sequence[CollectionMapping], source: str, targets: list[str]
) -> None:
    only = Renaming.parse(mappings=mappings, only_mapped=True)
    assert [str(target.name) for target in only.targets_of(named(source))] == targets
    also = Renaming.parse(mappings=mappings)
    assert [str(target.name) for target in also.targets_of(named(source))] == (targets or [source])


def test_a_target_tells_the_field_it_comes_from_and_what_differs() -> None:
    mappings = [M("a", "b"), M("a", "c", 3, "other"), M("shop.*", "x.*", 2)]
    renaming = Renaming.parse(mappings=mappings)
    assert renaming.targets_of(named("default.a")) == (
        Target(named("default.b"), "mappings[0]"),
        Target(named("default.c"), "mappings[1]", 3, "other"),
    )
    assert renaming.targets_of(named("shop.a")) == (Target(named("x.a"), "mappings[2]", 2),)
    assert renaming.targets_of(named("x.a")) == (Target(named("x.a"), "renames"),)
    assert Renaming.parse("", {"a": "b"}).targets_of(named("default.a"))[0].field == "renames['a']"
    assert Renaming.parse("_1").targets_of(named("default.a"))[0].field == "suffix"


@pytest.mark.parametrize(
    ("rules", "database", "targets"),
    [
        ({}, "shop", ("shop",)),
        ({"shop.*": "x.*"}, "shop", ("x",)),
        ({"shop.": "x."}, "shop", ("x",)),
        ({"shop.*": "x.*", "shop.": "y."}, "shop", ("y",)),
        ({"shop.a": "x.a"}, "shop", ("shop",)),
        ({"shop.*": "x.*"}, "other", ("other",)),
    ],
)
def test_as_what_a_database_itself_is_made(
    rules: Mapping[str, str], database: str, targets: tuple[str, ...]
) -> None:
    assert Renaming.parse("", rules).databases_of(database) == targets


def test_with_mappings_alone_other_databases_are_not_made() -> None:
    renaming = Renaming.parse(mappings=[M("a.*", "b.*"), M("a.*", "c.*")], only_mapped=True)
    assert renaming.databases_of("a") == ("b", "c")
    assert renaming.databases_of("other") == ()


@pytest.mark.parametrize(
    ("rules", "faulty"),
    [
        ({"a": "b", "db.c": "db2.d", "e.*": "f.*", "g.": "h."}, []),
        ({"a": "db.b"}, []),
        ({"a": ""}, ["renames['a']"]),
        ({"": "a"}, ["renames['']"]),
        ({"a": "b.*"}, ["renames['a']"]),
        ({"a.*": "b"}, ["renames['a.*']"]),
        ({"a.*": "b.c"}, ["renames['a.*']"]),
        ({"a.*": "b."}, ["renames['a.*']"]),
        ({"a.": "b.*"}, ["renames['a.']"]),
        ({"a.": "b"}, ["renames['a.']"]),
        ({"*": "b.*"}, ["renames['*']"]),
        ({"a.b.c": "d"}, ["renames['a.b.c']"]),
        ({"a-b": "c", "d": "e f"}, ["renames['a-b']", "renames['d']"]),
    ],
)
def test_rules_that_are_not_understood_are_named(
    rules: Mapping[str, str], faulty: list[str]
) -> None:
    assert [fault.field for fault in rename_faults(rules)] == faulty


@pytest.mark.parametrize("second", ["default.a", " a", "a "])
def test_two_rules_for_one_source_are_a_fault_of_the_second(second: str) -> None:
    (fault,) = rename_faults({"a": "b", second: "c"})
    assert (fault.field, fault.description) == (f"renames[{second!r}]", "means the same as 'a'")
    assert list(rename_faults({"a.": "b.", "a.*": "b.*", "a.a": "b.a"})) == []


def test_the_fault_of_a_huge_rule_is_short() -> None:
    (fault,) = rename_faults({"." * 1_000_000: "-" * 1_000_000})
    assert len(fault.field) < 200
    assert len(fault.description) < 900


def test_one_mapping_given_twice_is_a_fault_of_the_second() -> None:
    (fault,) = mapping_faults([M("a", "b"), M("a", "c"), M(" default.a", "b", 2)])
    assert (fault.field, fault.description) == (
        "mappings[2]",
        "default.a to default.b is mapped twice",
    )


def test_rules_whose_source_is_not_there_are_told() -> None:
    rules = {"a": "x", "z": "y", "gone.*": "b.*", "empty.": "c.", "lost.": "d.", "shop.*": "e.*"}
    present = [named("default.a"), named("shop.a")]
    found = Renaming.parse("", rules).faults(present, ["empty"], "the backup has no")
    assert [(path, error.message) for path, error in found] == [
        ("renames['z']", "the backup has no collection default.z"),
        ("renames['gone.*']", "the backup has no database 'gone'"),
        ("renames['lost.']", "the backup has no database 'lost'"),
    ]


@pytest.mark.parametrize("name", ["", "a" * 256, "1a", "a.b", "a b"])
def test_targets_that_milvus_would_refuse(name: str) -> None:
    expected = (
        "is not a name that Milvus accepts: letters, digits and _, no digit first, at most 255"
    )
    assert expected in target_fault(CollectionName("default", name))
    assert "is not a name that Milvus accepts" in target_fault(CollectionName(name, "a"))


def test_targets_that_milvus_accepts() -> None:
    assert target_fault(CollectionName("default", "a" * 255)) == ""


def test_a_target_cannot_have_the_name_of_a_collection_that_is_being_built() -> None:
    built = temporary_name("20261123t063149_7d95d476", 1)
    assert "a name that this service gives" in target_fault(CollectionName("shop", built))
    assert target_fault(CollectionName("shop", f"{built}_recover")) == ""


@given(RULES, NAMES)
def test_an_exact_rule_wins_over_one_for_the_database_and_that_over_none(
    rules: list[tuple[Pattern, Pattern]], name: CollectionName
) -> None:
    mappings = [M(str(old), str(new)) for old, new in rules]
    found = [target.name for target in Renaming.parse(mappings=mappings).targets_of(name)]
    exact = [new.name for old, new in rules if old == Pattern(name.database, name.name)]
    whole = [
        CollectionName(new.database, name.name)
        for old, new in rules
        if old == Pattern(name.database, "*")
    ]
    assert found == (exact or whole or [name])
    only = Renaming.parse(mappings=mappings, only_mapped=True)
    assert [target.name for target in only.targets_of(name)] == (exact or whole)


@given(NAMES, NAMES, st.text("_a1", max_size=3))
def test_a_suffix_keeps_names_apart(
    one: CollectionName, other: CollectionName, suffix: str
) -> None:
    renaming = Renaming.parse(suffix)
    assert (renaming.targets_of(one) == renaming.targets_of(other)) == (one == other)
