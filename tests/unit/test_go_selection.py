"""The Go tool's maps and plans as our items and mappings; source: its HTTP requests and its flags."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from milvus_backup_server.domain.errors import InvalidRequest
from milvus_backup_server.domain.go_selection import (
    DatabaseMapping,
    chosen_items,
    db_collections_items,
    filter_items,
    plan_mappings,
)
from milvus_backup_server.domain.renaming import CollectionMapping

M = CollectionMapping
Names = Mapping[str, Sequence[str]]


@pytest.mark.parametrize(
    ("filter_", "items"),
    [
        ({"db1": ["*"]}, ("db1.*",)),
        ({"db1": []}, ("db1.",)),
        ({"db1": ["c1", "c2"], "db2": ["*"]}, ("db1.c1", "db1.c2", "db2.*")),
        ({"": ["c1"]}, ("default.c1",)),
        ({"": []}, ("default.",)),
        ({" db1 ": [" c1 "]}, ("db1.c1",)),
        ({"db1": ["*", "c1"]}, ("db1.*", "db1.c1")),
    ],
)
def test_a_filter_map(filter_: Names, items: tuple[str, ...]) -> None:
    assert filter_items("filter", filter_) == items


@pytest.mark.parametrize(
    ("names", "items"),
    [
        ({"db1": ["c1"], "db2": []}, ("db1.c1", "db2.*")),
        ({"": []}, ("default.*",)),
        ({"": ["c1", "c2"]}, ("default.c1", "default.c2")),
        ({"db1": ["*"]}, ("db1.*",)),
    ],
)
def test_a_map_of_collections_by_database(names: Names, items: tuple[str, ...]) -> None:
    assert db_collections_items("db_collections", names) == items


FILTER = {"f": ["*"]}
BY_DATABASE: Names = {"d": []}


@pytest.mark.parametrize(
    ("fields", "items"),
    [
        ({}, ()),
        ({"collection_names": ["c", "db.c"]}, ("c", "db.c")),
        ({"collection_names": ["c"], "db_collections": BY_DATABASE}, ("d.*",)),
        ({"collection_names": ["c"], "db_collections": BY_DATABASE, "filter_": FILTER}, ("f.*",)),
        ({"collection_names": ["c"], "filter_": FILTER}, ("f.*",)),
    ],
)
def test_the_most_modern_field_wins(fields: dict[str, Any], items: tuple[str, ...]) -> None:
    assert chosen_items(**fields) == items


def faults(call: Callable[[], object]) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        call()
    return [(fault.field, fault.description) for fault in caught.value.violations]


@pytest.mark.parametrize("name", ["filter", "db_collections"])
def test_a_map_that_names_nothing_says_so(name: str) -> None:
    given: dict[str, Any] = {"filter_" if name == "filter" else name: {}}
    ((field, told),) = faults(lambda: chosen_items(**given))
    assert field == name
    assert told == "is empty, so it selects nothing; leave it out to select everything"


@pytest.mark.parametrize(
    ("names", "fields"),
    [
        ({"d-b": ["c"]}, ["filter"]),
        ({"db": ["c", "c-d", ""]}, ["filter.db.colls[1]", "filter.db.colls[2]"]),
        ({"db": ["x.c"], "1": []}, ["filter.db.colls[0]", "filter"]),
        ({"*": ["*"]}, ["filter"]),
    ],
)
def test_what_is_no_name_is_told_by_its_place(names: Names, fields: list[str]) -> None:
    assert [field for field, _ in faults(lambda: filter_items("filter", names))] == fields


def test_the_place_in_a_map_of_collections_by_database() -> None:
    found = faults(lambda: db_collections_items("db_collections", {"db": ["c", "-"]}))
    assert [field for field, _ in found] == ["db_collections.db[1]"]


@pytest.mark.parametrize(
    ("mapping", "mappings"),
    [
        ([DatabaseMapping("db1", "db2")], (M("db1.*", "db2.*"),)),
        ([DatabaseMapping("", "db2")], (M("default.*", "db2.*"),)),
        (
            [DatabaseMapping("db1", "db2", [M("c1", "c2", 2, "new"), M("c1", "c3")])],
            (M("db1.c1", "db2.c2", 2, "new"), M("db1.c1", "db2.c3")),
        ),
        (
            [DatabaseMapping("db1", "", [M("c1", "c2")]), DatabaseMapping("db1", "db3")],
            (M("db1.c1", "default.c2"), M("db1.*", "db3.*")),
        ),
    ],
)
def test_a_restore_plan(
    mapping: Sequence[DatabaseMapping], mappings: tuple[CollectionMapping, ...]
) -> None:
    assert plan_mappings("restorePlan.mapping", mapping) == mappings


def test_the_faults_of_a_restore_plan() -> None:
    path = "restorePlan.mapping"
    plan = [DatabaseMapping("d-b", "x"), DatabaseMapping("a", "*", [M("c", ""), M("*", "d")])]
    assert [field for field, _ in faults(lambda: plan_mappings(path, plan))] == [
        f"{path}[0].source",
        f"{path}[1].target",
        f"{path}[1].colls[0].target",
        f"{path}[1].colls[1].source",
    ]
    assert faults(lambda: plan_mappings(path, [])) == [
        (path, "is empty, so nothing would be restored")
    ]
