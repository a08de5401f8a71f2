"""What callers ask for, the same for every face, with the checks that need nothing but the request.

Fields have the names of the contract, so that a violation names what the caller wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from milvus_backup_server.domain.errors import FieldViolation, InvalidRequest
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.names import BACKUP_NAME_RULE, is_backup_name
from milvus_backup_server.domain.places import HOME, Place, place_faults
from milvus_backup_server.domain.renaming import (
    CollectionMapping,
    Renaming,
    mapping_faults,
    rename_faults,
)
from milvus_backup_server.domain.restore_mapping import Wanted
from milvus_backup_server.domain.restore_options import RestoreOptions
from milvus_backup_server.domain.selection import (
    CollectionPartitions,
    Selection,
    entry_faults,
    partition_faults,
)
from milvus_backup_server.domain.strategies import BackupStrategy
from milvus_backup_server.domain.verification import VerifyLevel

MAX_REQUEST_ID = 128
MAX_LABELS = 64
DEFAULT_SWEEP_AGE_SECONDS = 24 * 3600
_LONGEST_AGE_SECONDS = 10 * 365 * 24 * 3600
MAX_LABEL_BYTES = 256

_SUFFIX = re.compile(r"[A-Za-z0-9_]*")
_REQUEST_ID = re.compile(r"[!-~]*")


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """Asks for a backup; fields as in the contract's CreateBackupRequest.

    Attributes:
        task_id: A name that the caller gives the operation and the backup, to find them again. Unlike
            a ``request_id`` it need not be unique and makes no two requests one. Empty: the
            operation's own name.
        retry_of: The operation of which this does what it did not do; empty for a first try.
        first_try: The first one of a row of retries: the one that the backup is known by.
        gc_pause_address: Where the pause should be asked for. Only the address of the settings may be.
        place: Where the backup is to lie; so in the other requests.
    """

    backup_name: str = ""
    collections: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    validate_only: bool = False
    task_id: str = ""
    partitions: tuple[CollectionPartitions, ...] = ()
    strategy: BackupStrategy = BackupStrategy.AUTO
    pause_gc: bool = False
    gc_pause_seconds: int = 0
    gc_pause_address: str = ""
    rbac: bool = False
    allow_partial: bool = False
    retry_of: str = ""
    first_try: str = ""
    place: Place = HOME

    @property
    def selection(self) -> Selection:
        """What is to be backed up."""
        return Selection.parse(self.collections, self.partitions)

    def check(self) -> None:
        """Raise InvalidRequest with every fault of the fields."""
        _raise(
            *_backup_name_faults(self.backup_name, required=False),
            *entry_faults("collections", self.collections),
            *partition_faults(self.partitions),
            *_label_faults(self.labels),
            *_id_faults("request_id", self.request_id),
            *_id_faults("task_id", self.task_id),
            *_pause_faults(self.gc_pause_seconds),
            *place_faults(self.place),
        )


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """Asks to restore a backup; fields as in the contract's RestoreBackupRequest.

    Attributes:
        task_id: A name that the caller gives the operation; see ``CreateRequest``.
        options: How collections are made, and what happens to those that are there.
        retry_of: The operation of which this does what it did not do; empty for a first try.
        only_targets: Of all that is asked for only these; none: everything.
    """

    backup_name: str
    collections: tuple[str, ...] = ()
    target_collections: tuple[str, ...] = ()
    suffix: str = ""
    renames: Mapping[str, str] = field(default_factory=dict)
    restore_indexes: bool = False
    skip_content_check: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    validate_only: bool = False
    task_id: str = ""
    partitions: tuple[CollectionPartitions, ...] = ()
    mappings: tuple[CollectionMapping, ...] = ()
    options: RestoreOptions = field(default_factory=RestoreOptions)
    retry_of: str = ""
    only_targets: tuple[CollectionName, ...] = ()
    place: Place = HOME

    @property
    def wanted(self) -> Wanted:
        """What is to be restored, and to where."""
        only_mapped = bool(self.mappings) and not self.target_collections
        return Wanted(
            sources=Selection.parse(self.collections, self.partitions),
            targets=Selection.parse(self.target_collections, name="target_collections"),
            renaming=Renaming.parse(
                self.suffix, self.renames, self.mappings, only_mapped=only_mapped
            ),
            only=frozenset(self.only_targets),
        )

    def check(self) -> None:
        """Raise InvalidRequest with every fault of the fields."""
        _raise(
            *_backup_name_faults(self.backup_name, required=True),
            *entry_faults("collections", self.collections),
            *partition_faults(self.partitions),
            *entry_faults("target_collections", self.target_collections),
            *_renaming_faults(self.suffix, self.renames, self.mappings),
            *self.options.faults(),
            *_label_faults(self.labels),
            *_id_faults("request_id", self.request_id),
            *_id_faults("task_id", self.task_id),
            *place_faults(self.place),
        )


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """Asks to remove a backup.

    Attributes:
        task_id: A name that the caller gives the operation; see ``CreateRequest``.
    """

    backup_name: str
    task_id: str = ""
    place: Place = HOME

    def check(self) -> None:
        """Raise InvalidRequest with every fault of the fields."""
        _raise(
            *_backup_name_faults(self.backup_name, required=True),
            *_id_faults("task_id", self.task_id),
            *place_faults(self.place),
        )


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Asks for an archive of a backup."""

    backup_name: str
    place: Place = HOME

    def check(self) -> None:
        """Raise InvalidRequest with every fault of the fields."""
        _raise(*_backup_name_faults(self.backup_name, required=True), *place_faults(self.place))


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """Asks to make a backup of an archive; without a name it gets that of the archive's top directory."""

    backup_name: str = ""
    place: Place = HOME

    def check(self) -> None:
        """Raise InvalidRequest with every fault of the fields."""
        _raise(*_backup_name_faults(self.backup_name, required=False), *place_faults(self.place))


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """Asks to verify a backup; fields as in the contract's VerifyBackupRequest.

    Attributes:
        sample_percent: 0 stands for all.
        sample_seed: 0 stands for a new one.
        collections: Those that level RESTORED restores; none: all.
    """

    backup_name: str
    level: VerifyLevel = VerifyLevel.LISTING
    sample_percent: int = 0
    sample_seed: int = 0
    request_id: str = ""
    place: Place = HOME
    collections: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise InvalidRequest with every fault of the fields."""
        _raise(
            *_backup_name_faults(self.backup_name, required=True),
            *_sample_faults(self.level, self.sample_percent),
            *_restored_faults(self.level, self.collections),
            *entry_faults("collections", self.collections),
            *_id_faults("request_id", self.request_id),
            *place_faults(self.place),
        )


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """Asks for what operations left behind; fields as in the contract's SweepRequest.

    Attributes:
        apply: Remove it too.
        min_age_seconds: What is younger is left alone.
    """

    apply: bool = False
    min_age_seconds: int = DEFAULT_SWEEP_AGE_SECONDS

    def check(self) -> None:
        """Raise InvalidRequest for an age that is none."""
        if not 0 <= self.min_age_seconds <= _LONGEST_AGE_SECONDS:
            text = f"{self.min_age_seconds} s is not allowed: 0 to 10 years are"
            _raise(FieldViolation("min_age", text))


Request = (
    CreateRequest
    | RestoreRequest
    | DeleteRequest
    | ExportRequest
    | ImportRequest
    | VerifyRequest
    | SweepRequest
)
"""All that begins an operation."""


def check_backup_name(name: str) -> None:
    """Raise InvalidRequest unless a backup may have this name."""
    _raise(*_backup_name_faults(name, required=True))


def _raise(*faults: FieldViolation) -> None:
    if faults:
        raise InvalidRequest(*faults)


def _backup_name_faults(name: str, *, required: bool) -> Iterator[FieldViolation]:
    if not name:
        if required:
            yield FieldViolation("backup_name", f"is required; {BACKUP_NAME_RULE}")
    elif not is_backup_name(name):
        yield FieldViolation(
            "backup_name", f"{name[:MAX_REQUEST_ID]!r} is not allowed: {BACKUP_NAME_RULE}"
        )


def _renaming_faults(
    suffix: str, renames: Mapping[str, str], mappings: Sequence[CollectionMapping]
) -> Iterator[FieldViolation]:
    if suffix and renames:
        yield FieldViolation("suffix", "cannot be combined with renames; give one of them")
    if mappings and (suffix or renames):
        text = "cannot be combined with suffix or renames; give one of them"
        yield FieldViolation("mappings", text)
    if not _SUFFIX.fullmatch(suffix):
        yield FieldViolation("suffix", "may have only letters, digits and _")
    yield from rename_faults(renames)
    yield from mapping_faults(mappings)


def _label_faults(labels: Mapping[str, str]) -> Iterator[FieldViolation]:
    if len(labels) > MAX_LABELS:
        yield FieldViolation(
            "labels", f"has {len(labels)} entries; at most {MAX_LABELS} are allowed"
        )
        return
    for name, value in labels.items():
        if not name:
            yield FieldViolation("labels", "a key is empty")
        if max(len(name.encode()), len(value.encode())) > MAX_LABEL_BYTES:
            yield FieldViolation(
                f"labels[{name[:40]!r}]", f"key and value may have at most {MAX_LABEL_BYTES} bytes"
            )


def _sample_faults(level: VerifyLevel, percent: int) -> Iterator[FieldViolation]:
    if not 0 <= percent <= 100:  # noqa: PLR2004 percent
        yield FieldViolation("sample_percent", f"{percent} is not a share: 1 to 100 are allowed")
    elif percent and level is not VerifyLevel.CONTENT:
        how = "reads all objects" if level.reads else "reads no objects"
        yield FieldViolation(
            "sample_percent",
            f"level {level.value} {how}; a sample is of level {VerifyLevel.CONTENT.value}",
        )


def _restored_faults(level: VerifyLevel, collections: Sequence[str]) -> Iterator[FieldViolation]:
    if collections and level is not VerifyLevel.RESTORED:
        yield FieldViolation(
            "collections",
            f"level {level.value} restores nothing; collections are chosen for level "
            f"{VerifyLevel.RESTORED.value}",
        )


def _pause_faults(seconds: int) -> Iterator[FieldViolation]:
    if seconds < 0:
        yield FieldViolation("gc_pause_seconds", f"{seconds} is no time: 0 or more is expected")


def _id_faults(name: str, given: str) -> Iterator[FieldViolation]:
    if len(given) > MAX_REQUEST_ID or not _REQUEST_ID.fullmatch(given):
        yield FieldViolation(
            name,
            f"may have at most {MAX_REQUEST_ID} printable ASCII characters without spaces",
        )
