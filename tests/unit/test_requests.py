"""The checks of a request's fields: every fault is reported, at its field."""

from collections.abc import Callable
from typing import Any

import pytest

from milvus_backup_server.domain.errors import InvalidRequest
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.renaming import CollectionMapping
from milvus_backup_server.domain.requests import (
    CreateRequest,
    DeleteRequest,
    RestoreRequest,
    check_backup_name,
)
from milvus_backup_server.domain.selection import CollectionPartitions

NAME_RULE = "a backup name begins with a letter or _"
ENTRY_RULE = "expected collection, database.collection, database.*"


def violations(check: Callable[[], None]) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        check()
    return [(fault.field, fault.description) for fault in caught.value.violations]


def only_violation(check: Callable[[], None]) -> tuple[str, str]:
    (found,) = violations(check)
    return found


@pytest.mark.parametrize(
    "request_",
    [
        CreateRequest(),
        CreateRequest(backup_name="a" * 128, collections=("a", "db.b", "c.*")),
        CreateRequest(labels={"key": "", "ä" * 128: "v" * 256}),
        CreateRequest(request_id="!~" * 64, validate_only=True),
        CreateRequest(collections=("a",) * 10_000),
        CreateRequest(labels={str(number): "" for number in range(64)}),
        RestoreRequest("b"),
        RestoreRequest("b", collections=("a",), target_collections=("a_1",), suffix="_1"),
        RestoreRequest("b", suffix="9"),
        RestoreRequest("b", renames={"a": "b", "c.*": "d.*"}, labels={"x": "y"}, request_id="1"),
        DeleteRequest("b"),
    ],
)
def test_good_requests_pass(request_: CreateRequest | RestoreRequest | DeleteRequest) -> None:
    request_.check()


@pytest.mark.parametrize(
    ("name", "told"),
    [("..", "'..'"), ("a/b", "'a/b'"), ("1", "'1'"), ("a" * 129, "at most 128"), ("ä", "'ä'")],
)
def test_a_bad_backup_name_is_a_fault_of_every_request(name: str, told: str) -> None:
    for check in (
        CreateRequest(backup_name=name).check,
        RestoreRequest(backup_name=name).check,
        DeleteRequest(backup_name=name).check,
        lambda: check_backup_name(name),
    ):
        field, description = only_violation(check)
        assert field == "backup_name"
        assert told in description
        assert NAME_RULE in description


def test_only_a_create_goes_without_a_name() -> None:
    CreateRequest(backup_name="").check()
    for check in (RestoreRequest("").check, DeleteRequest("").check, lambda: check_backup_name("")):
        field, description = only_violation(check)
        assert field == "backup_name"
        assert description.startswith("is required")


def test_each_bad_entry_of_a_selection_is_named_by_its_place() -> None:
    create = CreateRequest(collections=("good", "b-d", "db.*", "db.", ""))
    assert [field for field, _ in violations(create.check)] == ["collections[1]", "collections[4]"]
    restore = RestoreRequest("b", collections=("*",), target_collections=("a", "a.b.c"))
    found = violations(restore.check)
    assert [field for field, _ in found] == ["collections[0]", "target_collections[1]"]
    assert all(ENTRY_RULE in description for _, description in found)


def test_a_selection_has_a_largest_size() -> None:
    request = CreateRequest(collections=("a",) * 10_001)
    field, description = only_violation(request.check)
    assert field == "collections"
    assert "10001" in description
    assert "10000" in description


@pytest.mark.parametrize("suffix", ["-", "a b", "ä", ".", "a\n", "\u0661"])
def test_a_suffix_is_part_of_a_name(suffix: str) -> None:
    field, description = only_violation(RestoreRequest("b", suffix=suffix).check)
    assert (field, description) == ("suffix", "may have only letters, digits and _")


def test_suffix_and_renames_exclude_each_other() -> None:
    field, _ = only_violation(RestoreRequest("b", suffix="_1", renames={"a": "b"}).check)
    assert field == "suffix"


def test_bad_renames_are_named_by_their_key() -> None:
    request = RestoreRequest("b", renames={"a": "b", "c": "d-e", "f.*": "g"})
    assert [field for field, _ in violations(request.check)] == ["renames['c']", "renames['f.*']"]


def test_renames_have_a_largest_number() -> None:
    renames = {f"a{number}": f"b{number}" for number in range(10_001)}
    field, description = only_violation(RestoreRequest("b", renames=renames).check)
    assert field == "renames"
    assert "10001" in description


@pytest.mark.parametrize("request_id", [" ", "a b", "ä", "a\n", "\0", "x" * 129])
def test_a_request_id_is_short_and_printable(request_id: str) -> None:
    for check in (
        CreateRequest(request_id=request_id).check,
        RestoreRequest("b", request_id=request_id).check,
    ):
        field, _ = only_violation(check)
        assert field == "request_id"


@pytest.mark.parametrize(
    ("labels", "field"),
    [
        ({str(number): "" for number in range(65)}, "labels"),
        ({"": "value"}, "labels"),
        ({"k" * 257: ""}, f"labels['{'k' * 40}']"),
        ({"k": "v" * 257}, "labels['k']"),
        ({"k": "ä" * 129}, "labels['k']"),  # bytes count, not characters
    ],
)
def test_labels_are_few_and_short(labels: dict[str, str], field: str) -> None:
    assert only_violation(CreateRequest(labels=labels).check)[0] == field
    assert only_violation(RestoreRequest("b", labels=labels).check)[0] == field


def test_all_faults_are_reported_together() -> None:
    create = CreateRequest("a b", ("-",), labels={"": ""}, request_id=" ")
    assert [field for field, _ in violations(create.check)] == [
        "backup_name",
        "collections[0]",
        "labels",
        "request_id",
    ]
    restore = RestoreRequest("", ("-",), ("-",), "-", {"-": "a"}, labels={"": ""}, request_id=" ")
    assert [field for field, _ in violations(restore.check)] == [
        "backup_name",
        "collections[0]",
        "target_collections[0]",
        "suffix",
        "suffix",
        "renames['-']",
        "labels",
        "request_id",
    ]


def test_the_message_of_very_many_faults_stays_short() -> None:
    with pytest.raises(InvalidRequest) as caught:
        CreateRequest(collections=("-" * 5000,) * 10_000).check()
    assert len(caught.value.violations) == 10_000
    assert len(caught.value.message) < 20_000


@pytest.mark.parametrize(
    ("partitions", "fields"),
    [
        ((CollectionPartitions("a", ("p",)), CollectionPartitions("db.a", ("p", "q"))), []),
        ((CollectionPartitions(" a ", ("p",)),), []),
        ((CollectionPartitions("a"),), ["partitions[0].partitions"]),
        ((CollectionPartitions("a", ("p", "p")),), ["partitions[0].partitions[1]"]),
        ((CollectionPartitions("a", ("p", " ")),), ["partitions[0].partitions[1]"]),
        ((CollectionPartitions("a.*", ("p",)),), ["partitions[0].collection"]),
        ((CollectionPartitions("a.", ("p",)),), ["partitions[0].collection"]),
        ((CollectionPartitions("", ("p",)),), ["partitions[0].collection"]),
        (
            (CollectionPartitions("a", ("p",)), CollectionPartitions("default.a", ("q",))),
            ["partitions[1].collection"],
        ),
        ((CollectionPartitions("a", ("p",) * 10_001),), ["partitions"]),
    ],
)
def test_partitions_are_chosen_by_name_and_once(
    partitions: tuple[CollectionPartitions, ...], fields: list[str]
) -> None:
    for request in (
        CreateRequest(partitions=partitions),
        RestoreRequest("b", partitions=partitions),
    ):
        found = violations(request.check) if fields else []
        assert [field for field, _ in found] == fields
        if not fields:
            request.check()


@pytest.mark.parametrize(
    ("mappings", "fields"),
    [
        ((CollectionMapping("a", "b"), CollectionMapping("a", "c")), []),
        ((CollectionMapping("a.*", "b.*"), CollectionMapping("a.", "b.")), []),
        ((CollectionMapping("a", "b.*"),), ["mappings[0]"]),
        ((CollectionMapping("a.", "b"),), ["mappings[0]"]),
        ((CollectionMapping("a", "b"), CollectionMapping("default.a", " b")), ["mappings[1]"]),
        ((CollectionMapping("a", "b", -1),), ["mappings[0].shard_count"]),
        ((CollectionMapping("a", "b", 1025),), ["mappings[0].shard_count"]),
        ((CollectionMapping("a", "b", 1024, "new"),), []),
        ((CollectionMapping("a", "b"),) * 10_001, ["mappings"]),
    ],
)
def test_mappings_are_checked_one_by_one(
    mappings: tuple[CollectionMapping, ...], fields: list[str]
) -> None:
    request = RestoreRequest("b", mappings=mappings)
    if fields:
        assert [field for field, _ in violations(request.check)] == fields
    else:
        request.check()


@pytest.mark.parametrize("other", [{"suffix": "_1"}, {"renames": {"a": "b"}}])
def test_mappings_exclude_the_other_ways_to_rename(other: dict[str, Any]) -> None:
    request = RestoreRequest("b", mappings=(CollectionMapping("a", "c"),), **other)
    assert only_violation(request.check)[0] == "mappings"


A = CollectionName("default", "a")
B = CollectionName("default", "b")


@pytest.mark.parametrize(
    ("request_", "targets"),
    [
        (RestoreRequest("b"), ["default.a"]),
        (RestoreRequest("b", suffix="_1"), ["default.a_1"]),
        (RestoreRequest("b", renames={"a": "x.y"}), ["x.y"]),
        (RestoreRequest("b", mappings=(CollectionMapping("a", "x.y"),)), ["x.y"]),
        (RestoreRequest("b", mappings=(CollectionMapping("b", "x.y"),)), []),
        (
            RestoreRequest(
                "b", mappings=(CollectionMapping("b", "x.y"),), target_collections=("a",)
            ),
            ["default.a"],
        ),
        (RestoreRequest("b", collections=("b",)), []),
        (RestoreRequest("b", partitions=(CollectionPartitions("b", ("p",)),)), []),
        (RestoreRequest("b", partitions=(CollectionPartitions("a", ("p",)),)), ["default.a"]),
    ],
)
def test_a_restore_tells_what_it_wants(request_: RestoreRequest, targets: list[str]) -> None:
    assert [str(target.name) for target in request_.wanted.targets_of(A)] == targets


def test_a_create_tells_what_it_wants() -> None:
    assert B in CreateRequest().selection
    chosen = CreateRequest(partitions=(CollectionPartitions("a", ("p",)),)).selection
    assert A in chosen
    assert B not in chosen
