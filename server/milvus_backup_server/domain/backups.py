"""Backups as the catalog shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Generic, TypeVar

from milvus_backup_server.domain.manifest import ManifestMissing
from milvus_backup_server.domain.milvus import DEFAULT_DATABASE
from milvus_backup_server.domain.places import HOME, Place
from milvus_backup_server.domain.rbac import RbacCounts
from milvus_backup_server.domain.records import CollectionBackupInfo, DatabaseBackupInfo
from milvus_backup_server.domain.strategies import BackupStrategy
from milvus_backup_server.domain.verification import BackupIdentity, Verification

T = TypeVar("T")


class BackupState(Enum):
    """How far a backup got."""

    CREATING = "creating"
    COMPLETE = "complete"
    LEGACY = "legacy"
    INCOMPLETE = "incomplete"
    DELETING = "deleting"


class BackupFormat(Enum):
    """What kind of files a backup holds."""

    BINLOG = "binlog"
    SNAPSHOT = "snapshot"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class BackupCollectionSummary:
    """One collection in a backup.

    Attributes:
        record: Everything that was recorded of it but its segments.
        row_count: Rows in its segments: an upper bound as soon as rows were deleted.
        segment_count: Segments, L0 segments included.
        moment: Hybrid timestamp to which it is exact; None if there is none.
    """

    record: CollectionBackupInfo
    row_count: int = 0
    segment_count: int = 0
    moment: int | None = None

    @property
    def database(self) -> str:
        """The database; early Go tools left it empty for ``default``."""
        return self.record.db_name or DEFAULT_DATABASE

    @property
    def name(self) -> str:
        """The collection's name."""
        return self.record.collection_name


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup; fields as in the contract's Backup, None where it is not known.

    ``collections``, ``meta_size_bytes``, ``databases``, ``rpc_channel`` and ``rbac`` are read only
    where a whole backup is asked for.
    """

    name: str
    state: BackupState
    format: BackupFormat = BackupFormat.UNKNOWN
    id: str = ""
    size_bytes: int | None = None
    collection_count: int | None = None
    row_count: int | None = None
    create_time: datetime | None = None
    end_time: datetime | None = None
    milvus_version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    exact: bool = False
    notes: tuple[str, ...] = ()
    collections: tuple[BackupCollectionSummary, ...] = ()
    meta_size_bytes: int | None = None
    databases: tuple[DatabaseBackupInfo, ...] = ()
    backup_timestamp: int = 0
    rpc_channel: Mapping[str, Any] = field(default_factory=dict)
    rbac: RbacCounts | None = None
    identity: BackupIdentity | None = None
    verifications: tuple[Verification, ...] = ()
    strategy: BackupStrategy | None = None
    missing: tuple[ManifestMissing, ...] = ()
    place: Place = HOME


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list; ``next_key`` is where the next one begins, empty on the last."""

    items: tuple[T, ...]
    next_key: str = ""


def page_of(items: tuple[T, ...], offset: int, limit: int) -> Page[T]:
    """Return a page of a list whose keys are offsets."""
    end = offset + limit
    return Page(items[offset:end], str(end) if end < len(items) else "")
