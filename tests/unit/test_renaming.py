"""New names on restore."""

from collections.abc import Mapping

import pytest

from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.renaming import Renaming, rename_rule_faults, target_fault


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
        ("", {"shop.*": "store.*"}, "shop.a", "store.a"),
        ("", {"shop.*": "store.*"}, "default.a", "default.a"),
        ("", {"shop.*": "store.*", "shop.a": "x.y"}, "shop.a", "x.y"),
        ("", {"shop.a": "x.y", "shop.*": "store.*"}, "shop.b", "store.b"),
        ("", {"a.*": "b.*", "b.*": "a.*"}, "a.c", "b.c"),
        ("", {"a.*": "b.*", "b.*": "a.*"}, "b.c", "a.c"),
    ],
)
def test_the_target_of_a_collection(
    suffix: str, rules: Mapping[str, str], source: str, target: str
) -> None:
    renaming = Renaming.parse(suffix, rules)
    assert str(renaming.target_of(CollectionName(*source.split(".")))) == target


@pytest.mark.parametrize(
    ("rules", "faulty"),
    [
        ({"a": "b", "db.c": "db2.d", "e.*": "f.*"}, []),
        ({"a": "db.b"}, []),
        ({"a": ""}, ["a"]),
        ({"": "a"}, [""]),
        ({"a": "b.*"}, ["a"]),
        ({"a.*": "b"}, ["a.*"]),
        ({"a.*": "b.c"}, ["a.*"]),
        ({"*": "b.*"}, ["*"]),
        ({"a.b.c": "d"}, ["a.b.c"]),
        ({"a.": "b."}, ["a."]),
        ({"a-b": "c", "d": "e f"}, ["a-b", "d"]),
    ],
)
def test_rules_that_are_not_understood_are_named(
    rules: Mapping[str, str], faulty: list[str]
) -> None:
    assert [rule for rule, _ in rename_rule_faults(rules)] == faulty


def test_two_rules_for_one_collection_are_a_fault_of_the_second() -> None:
    assert list(rename_rule_faults({"a": "b", "default.a": "c"})) == [
        ("default.a", "means the same as 'a'")
    ]


@pytest.mark.parametrize("name", ["", "a" * 256, "1a", "a.b", "a b"])
def test_targets_that_milvus_would_refuse(name: str) -> None:
    assert "is not a name that Milvus accepts" in target_fault(CollectionName("default", name))
    assert "is not a name that Milvus accepts" in target_fault(CollectionName(name, "a"))


def test_targets_that_milvus_takes() -> None:
    assert target_fault(CollectionName("default", "a" * 255)) == ""
