"""All that stands in the way of a request is reported together."""

import pytest

from milvus_backup_server.domain.errors import (
    BackupNotRestorable,
    CollectionNotFound,
    FieldViolation,
    InvalidRequest,
    Obstacle,
    TargetAlreadyExists,
)
from milvus_backup_server.domain.faults import Faults


def test_no_fault_raises_nothing() -> None:
    faults = Faults()
    faults.raise_all()
    assert faults.error() is None
    assert faults.obstacles() == ()


def test_faults_of_all_kinds_are_told_by_the_first() -> None:
    faults = Faults()
    for name in ("x", "y"):
        faults.add(TargetAlreadyExists(name), f"renames['{name}']")
    faults.add_all([("collections[0]", CollectionNotFound("z"))])
    faults.add(InvalidRequest(FieldViolation("a", "is b"), FieldViolation("c", "is d")))
    with pytest.raises(TargetAlreadyExists) as caught:
        faults.raise_all()
    assert caught.value.message == (
        "collection 'x' already exists; collection 'y' already exists; "
        "collection 'z' does not exist; a: is b; c: is d"
    )
    assert caught.value.metadata["count"] == "5"
    assert caught.value.resource_name == "x"
    exists, missing, invalid = "TARGET_ALREADY_EXISTS", "COLLECTION_NOT_FOUND", "INVALID_REQUEST"
    assert caught.value.obstacles == (
        Obstacle("renames['x']", exists, "x", "collection 'x' already exists"),
        Obstacle("renames['y']", exists, "y", "collection 'y' already exists"),
        Obstacle("collections[0]", missing, "z", "collection 'z' does not exist"),
        Obstacle("a", invalid, "", "is b"),
        Obstacle("c", invalid, "", "is d"),
    )


def test_one_fault_is_raised_as_it_is() -> None:
    faults = Faults()
    faults.add(BackupNotRestorable("why", subject="a"))
    with pytest.raises(BackupNotRestorable) as caught:
        faults.raise_all()
    assert caught.value.message == "why"
    assert "count" not in caught.value.metadata
    assert caught.value.obstacles == (Obstacle("", "BACKUP_NOT_RESTORABLE", "a", "why"),)


def test_very_many_faults_make_a_short_message() -> None:
    faults = Faults()
    for number in range(10_000):
        faults.add(CollectionNotFound(f"c{number}"))
    error = faults.error()
    assert error is not None
    assert error.message.endswith("collection 'c19' does not exist; and 9980 more")
    assert len(error.obstacles) == 10_000
