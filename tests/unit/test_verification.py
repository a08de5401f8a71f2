"""Decisions about verifications: samples, comparisons, what is remembered."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milvus_backup_server.domain.manifest import ManifestObject
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.domain.verification import (
    ProblemKind,
    Sample,
    Verification,
    VerifyLevel,
    counted,
    etag_problem,
    expected_md5,
    listing_problem,
    remembered,
)

LISTING, CONTENT = VerifyLevel.LISTING, VerifyLevel.CONTENT
MD5, OTHER = "0" * 32, "1" * 32
PARTS, OTHER_PARTS = f"{MD5}-2", f"{OTHER}-3"
FILE, OTHER_FILE = "18a7-1f-3", "18a7-1f-4"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def wanted(etag: str = MD5, hash_: str = "", size: int = 5) -> ManifestObject:
    return ManifestObject(key="k", size=size, etag=etag, hash=hash_)


def present(etag: str = MD5, size: int = 5) -> ObjectInfo:
    return ObjectInfo("backup/b/k", size, etag)


@pytest.mark.parametrize(
    ("recorded", "there", "kind"),
    [
        (wanted(), present(), None),
        (wanted(size=0), present(size=0), None),
        (wanted(), None, ProblemKind.MISSING),
        (None, present(), ProblemKind.EXTRA),
        (wanted(), present(size=6), ProblemKind.SIZE),
        (wanted(), present(size=0), ProblemKind.SIZE),
    ],
)
def test_presence_and_size(
    recorded: ManifestObject | None, there: ObjectInfo | None, kind: ProblemKind | None
) -> None:
    found = listing_problem(recorded, there)
    assert (found[0] if found else None) is kind


@pytest.mark.parametrize(
    ("etag", "hash_", "there", "differs"),
    [
        (MD5, MD5, MD5, False),
        (MD5, MD5, OTHER, True),
        (MD5, "", OTHER, True),
        (PARTS, "", PARTS, False),
        (PARTS, "", OTHER_PARTS, True),
        (PARTS, "", MD5, True),
        (PARTS, MD5, MD5, False),  # written again whole, and its ETag is the recorded hash
        (MD5, MD5, OTHER_PARTS, True),
        (FILE, MD5, OTHER_FILE, False),  # directories: a copied file has another one
        (FILE, MD5, MD5, False),
        (FILE, MD5, OTHER, False),  # nothing tells that this ETag is an MD5
        ("", "", MD5, False),  # the Go tool recorded none
    ],
)
def test_etags(etag: str, hash_: str, there: str, *, differs: bool) -> None:
    found = etag_problem(wanted(etag, hash_), present(there))
    assert (found is not None) is differs
    if found is not None:
        assert found == (ProblemKind.ETAG, f"has the ETag {there} instead of {etag}")


@pytest.mark.parametrize(
    ("hash_", "etag", "are_md5", "expected"),
    [
        (MD5, OTHER, True, MD5),
        (MD5, OTHER, False, MD5),
        ("", OTHER, True, OTHER),
        ("", OTHER, False, ""),  # a store that encrypts with keys of its own
        ("", PARTS, True, ""),
        ("", FILE, True, ""),
    ],
)
def test_what_an_object_is_compared_with(
    hash_: str, etag: str, *, are_md5: bool, expected: str
) -> None:
    assert expected_md5(wanted(hash_=hash_), present(etag), etags_are_md5=are_md5) == expected


# --- samples


def test_a_whole_sample_has_everything() -> None:
    assert all(str(number) in Sample() for number in range(100))


@pytest.mark.parametrize("percent", [1, 10, 50, 99])
def test_a_sample_has_about_its_share(percent: int) -> None:
    for seed in (1, 2, 2**64 - 1):
        sample = Sample(percent, seed)
        share = sum(f"binlogs/insert_log/1/2/3/3/100/{n}" in sample for n in range(10_000)) / 100
        assert abs(share - percent) < 2


@settings(deadline=None)  # of a busy machine
@given(st.integers(1, 98), st.integers(1), st.text())
def test_a_larger_sample_of_a_seed_has_the_smaller_one(percent: int, seed: int, key: str) -> None:
    assert key not in Sample(percent, seed) or key in Sample(percent + 1, seed)


# --- what is remembered


def verification(level: VerifyLevel, percent: int, hours: int) -> Verification:
    return Verification(level, percent, NOON + timedelta(hours=hours), 0, f"op_{hours}")


def test_a_newer_verification_takes_the_place_of_its_kind() -> None:
    known: tuple[Verification, ...] = ()
    for number, (level, percent) in enumerate(
        [(CONTENT, 100), (LISTING, 100), (CONTENT, 5), (LISTING, 100), (CONTENT, 20)]
    ):
        known = remembered(known, verification(level, percent, number))
    assert known == (
        verification(CONTENT, 20, 4),
        verification(LISTING, 100, 3),
        verification(CONTENT, 100, 0),
    )


def test_numbers_are_said_in_one_order() -> None:
    by_kind = {ProblemKind.EXTRA: 2, ProblemKind.MISSING: 1, ProblemKind.SIZE: 0}
    assert counted(by_kind) == "1 missing, 2 that do not belong to it"
