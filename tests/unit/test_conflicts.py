"""What may run beside what."""

import itertools

import pytest

from milvus_backup_server.domain.conflicts import (
    SAME_BACKUP,
    Footprint,
    Verdict,
    first_conflict,
    verdict,
)
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import OperationKind
from milvus_backup_server.domain.places import Place

CREATE = OperationKind.CREATE_BACKUP
RESTORE = OperationKind.RESTORE_BACKUP
DELETE = OperationKind.DELETE_BACKUP
EXPORT = OperationKind.EXPORT_BACKUP
IMPORT = OperationKind.IMPORT_BACKUP
VERIFY = OperationKind.VERIFY_BACKUP
ABORTED = Verdict.ABORTED
ALLOWED = Verdict.ALLOWED

A = CollectionName("default", "a")
B = CollectionName("default", "b")
SHOP_A = CollectionName("shop", "a")


@pytest.mark.parametrize(
    ("running", "new", "expected"),
    [
        (CREATE, CREATE, ABORTED),
        (CREATE, RESTORE, ABORTED),
        (CREATE, DELETE, ABORTED),
        (RESTORE, CREATE, ABORTED),
        (RESTORE, RESTORE, ALLOWED),
        (RESTORE, DELETE, ABORTED),
        (DELETE, CREATE, ABORTED),
        (DELETE, RESTORE, ABORTED),
        (DELETE, DELETE, ABORTED),
        (EXPORT, CREATE, ABORTED),
        (EXPORT, RESTORE, ALLOWED),
        (EXPORT, DELETE, ABORTED),
        (EXPORT, EXPORT, ALLOWED),
        (EXPORT, IMPORT, ABORTED),
        (CREATE, EXPORT, ABORTED),
        (RESTORE, EXPORT, ALLOWED),
        (DELETE, EXPORT, ABORTED),
        (IMPORT, CREATE, ABORTED),
        (IMPORT, RESTORE, ABORTED),
        (IMPORT, DELETE, ABORTED),
        (IMPORT, EXPORT, ABORTED),
        (IMPORT, IMPORT, ABORTED),
        (CREATE, IMPORT, ABORTED),
        (RESTORE, IMPORT, ABORTED),
        (DELETE, IMPORT, ABORTED),
        (CREATE, VERIFY, ABORTED),
        (RESTORE, VERIFY, ALLOWED),
        (DELETE, VERIFY, ABORTED),
        (VERIFY, CREATE, ABORTED),
        (VERIFY, RESTORE, ALLOWED),
        (VERIFY, DELETE, ABORTED),
        (VERIFY, VERIFY, ALLOWED),
        (VERIFY, EXPORT, ALLOWED),
        (EXPORT, VERIFY, ALLOWED),
        (VERIFY, IMPORT, ABORTED),
        (IMPORT, VERIFY, ABORTED),
    ],
)
def test_on_one_backup(running: OperationKind, new: OperationKind, expected: Verdict) -> None:
    assert verdict(Footprint(running, "b"), Footprint(new, "b")) is expected


def test_the_table_has_every_pair() -> None:
    assert set(SAME_BACKUP) == set(itertools.product(OperationKind, repeat=2))


@pytest.mark.parametrize(("running", "new"), list(itertools.product(OperationKind, repeat=2)))
def test_on_two_backups_everything_may_run(running: OperationKind, new: OperationKind) -> None:
    assert verdict(Footprint(running, "b"), Footprint(new, "c")) is ALLOWED


def test_backups_of_one_name_in_two_places_are_two() -> None:
    there = Place("b2", "x")
    assert verdict(Footprint(DELETE, "b", place=there), Footprint(CREATE, "b")) is ALLOWED
    assert verdict(Footprint(DELETE, "b"), Footprint(CREATE, "b", place=there)) is ALLOWED
    running = Footprint(DELETE, "b", place=there)
    assert verdict(running, Footprint(CREATE, "b", place=there)) is ABORTED
    targets = frozenset({A})
    assert (
        verdict(Footprint(RESTORE, "b", targets, there), Footprint(RESTORE, "b", targets))
        is ABORTED
    )


@pytest.mark.parametrize("backup", ["b", "c"])
def test_two_restores_into_one_target_never_meet(backup: str) -> None:
    running = Footprint(RESTORE, "b", frozenset({A, B}))
    assert verdict(running, Footprint(RESTORE, backup, frozenset({B, SHOP_A}))) is ABORTED
    assert verdict(running, Footprint(RESTORE, backup, frozenset({SHOP_A}))) is ALLOWED


def test_the_first_operation_in_the_way_is_named() -> None:
    running = [
        ("one", Footprint(RESTORE, "b", frozenset({A}))),
        ("two", Footprint(RESTORE, "c", frozenset({B}))),
        ("three", Footprint(CREATE, "d")),
    ]
    assert first_conflict(running, Footprint(RESTORE, "e", frozenset({B}))) == "two"
    assert first_conflict(running, Footprint(DELETE, "d")) == "three"
    assert first_conflict(running, Footprint(RESTORE, "b", frozenset({SHOP_A}))) == ""
    assert first_conflict([], Footprint(DELETE, "d")) == ""
