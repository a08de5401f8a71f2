"""Verification of a backup: levels, samples, what can be wrong, and what is kept of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from milvus_backup_server.domain.manifest import ManifestObject
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.objects import ObjectInfo, md5_of_etag

SHOWN_PROBLEMS = 100
"""Problems that an operation carries."""

SHOWN_KEYS = 5
"""Primary keys that are told of each way in which rows differ."""

KEPT_PROBLEMS = 1000
"""Problems that are kept of a verification; the others are only counted."""

_S3_ETAG = re.compile(r"[0-9a-f]{32}(-\d+)?")


class VerifyLevel(Enum):
    """How thoroughly a backup is verified; each level includes the one before."""

    LISTING = "listing"
    CONTENT = "content"
    RESTORED = "restored"

    @property
    def reads(self) -> bool:
        """True if it reads the data objects."""
        return self is not VerifyLevel.LISTING


class VerifyBasis(Enum):
    """By what a backup is verified: our manifest, or the Go tool's metadata alone."""

    MANIFEST = "manifest"
    METADATA = "metadata"


class ProblemKind(Enum):
    """What is wrong with an object; the values are how it is said."""

    MISSING = "missing"
    SIZE = "of another size"
    ETAG = "written again since"
    CONTENT = "with other bytes"
    EXTRA = "that do not belong to it"
    UNREADABLE = "unreadable"
    ROWS = "restored to other rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDifference:
    """How the rows of a restored partition differ from those of the backup's logs.

    Attributes:
        partition: Empty for a whole collection, whose rows go to partitions by a key.
        missing: Rows of the backup whose keys were not restored.
        extra: Restored rows whose keys the backup does not have.
        different: Rows with the same key and other fields.
        unfit: Rows of the backup with values that are none of their fields' types, or null where nothing
            may be; restored as they are or not.
        missing_keys: The first of their primary keys, as text; so with the others.
        unfit_fields: The first of the fields that these values are of.
    """

    partition: str = ""
    missing: int = 0
    extra: int = 0
    different: int = 0
    unfit: int = 0
    missing_keys: tuple[str, ...] = ()
    extra_keys: tuple[str, ...] = ()
    different_keys: tuple[str, ...] = ()
    unfit_keys: tuple[str, ...] = ()
    unfit_fields: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """True if there are other rows."""
        return bool(self.missing or self.extra or self.different)

    @property
    def any(self) -> bool:
        """True if something is wrong."""
        return self.differs or bool(self.unfit)

    def __str__(self) -> str:
        """Return the numbers of rows that differ as text, without keys: `2 missing, 1 too many`."""
        counts = (
            (self.missing, "missing"),
            (self.extra, "too many"),
            (self.different, "different"),
        )
        return ", ".join(f"{count} {what}" for count, what in counts if count)


@dataclass(frozen=True, slots=True)
class Problem:
    """An object that is not as it should be, or a partition that is not restored to its rows.

    Attributes:
        key: Relative to the backup's directory.
        collection: The collection that it hits; None for metadata that all need, and for what belongs
            to none.
        rows: How the rows differ, of kind ROWS; also of kind UNREADABLE where it is some rows that are.
    """

    key: str
    kind: ProblemKind
    message: str
    collection: CollectionName | None = None
    rows: RowDifference | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """The share of the objects that is read, chosen by their keys and a seed alone."""

    percent: int = 100
    seed: int = 0

    @property
    def whole(self) -> bool:
        """True if it has every object."""
        return self.percent >= 100  # noqa: PLR2004 percent

    def __contains__(self, key: str) -> bool:
        """Tell whether an object is part of it."""
        if self.whole:
            return True
        digest = hashlib.blake2b(f"{self.seed}/{key}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) * 100 < self.percent << 64


@dataclass(frozen=True, slots=True)
class VerifyCounts:
    """What was looked at; fields as in the contract's VerifyBackupResult."""

    metadata_files: int = 0
    size_bytes: int = 0
    read_bytes: int = 0
    hash_checked: int = 0
    etag_checked: int = 0
    read: int = 0
    listed: int = 0
    unjudged_collections: int = 0
    restored_collections: int = 0
    compared_rows: int = 0


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What a verification found; fields as in the contract's VerifyBackupResult.

    Attributes:
        problems: The first ``KEPT_PROBLEMS``; ``by_kind`` counts all.
    """

    level: VerifyLevel
    basis: VerifyBasis
    sample: Sample
    counts: VerifyCounts
    by_kind: Mapping[ProblemKind, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    hit_collections: int = 0
    notes: tuple[str, ...] = ()

    @property
    def problem_count(self) -> int:
        """All problems."""
        return sum(self.by_kind.values())

    @property
    def sound(self) -> bool:
        """True if there are none."""
        return not self.problem_count


@dataclass(frozen=True, slots=True)
class BackupIdentity:
    """Tells a backup from others that had, or will have, its name.

    Attributes:
        id: The id in its metadata.
        generation: That of its manifest; 0 for backups of the Go tool.
    """

    id: str
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Verification:
    """A verification of a backup, as it is remembered.

    Attributes:
        restored_collections: How many collections were restored, by level RESTORED.
        some: These were not all that the backup has.
    """

    level: VerifyLevel
    sample_percent: int
    end_time: datetime
    problem_count: int
    operation: str
    restored_collections: int = 0
    some: bool = False


def remembered(known: tuple[Verification, ...], new: Verification) -> tuple[Verification, ...]:
    """Return the verifications with a new one, the newest first.

    It takes the place of the one of its level; partial and whole ones do not replace each other, so
    that a quick look does not hide that everything was read last week.
    """
    others = (item for item in known if _slot(item) != _slot(new))
    return tuple(sorted((new, *others), key=lambda item: item.end_time, reverse=True))


def _slot(item: Verification) -> tuple[VerifyLevel, bool]:
    return item.level, Sample(item.sample_percent).whole and not item.some


def listing_problem(
    wanted: ManifestObject | None, present: ObjectInfo | None
) -> tuple[ProblemKind, str] | None:
    """Compare what should be at a key with what is listed there: presence and size."""
    if wanted is None:
        return ProblemKind.EXTRA, "does not belong to the backup"
    if present is None:
        return ProblemKind.MISSING, "is missing"
    if present.size != wanted.size:
        return ProblemKind.SIZE, f"has {present.size} bytes instead of {wanted.size}"
    return None


def etag_problem(wanted: ManifestObject, present: ObjectInfo) -> tuple[ProblemKind, str] | None:
    """Compare ETags, where both tell about the content.

    Those of directories do not: copying a file gives it another one. A copy made in other parts has
    another ETag than it had; as the MD5 that was recorded it is right all the same.
    """
    if present.etag in (wanted.etag, wanted.hash):
        return None
    if not (_S3_ETAG.fullmatch(wanted.etag) and _S3_ETAG.fullmatch(present.etag)):
        return None
    return ProblemKind.ETAG, f"has the ETag {present.etag} instead of {wanted.etag}"


def expected_md5(wanted: ManifestObject, present: ObjectInfo, *, etags_are_md5: bool) -> str:
    """Return the MD5 that an object must have; empty if nothing tells."""
    if wanted.hash:
        return wanted.hash
    return md5_of_etag(present.etag) if etags_are_md5 else ""


def counted(by_kind: Mapping[ProblemKind, int]) -> str:
    """Return numbers of problems as text: `2 missing, 1 with other bytes`."""
    return ", ".join(f"{by_kind[kind]} {kind.value}" for kind in ProblemKind if by_kind.get(kind))
