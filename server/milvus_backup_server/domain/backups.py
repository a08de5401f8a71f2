"""Backups as the catalog shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Generic, TypeVar

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
class BackupFieldSummary:
    """A field of a backed-up collection; ``data_type`` is Milvus's name of it, such as ``FloatVector``."""

    name: str
    data_type: str
    primary_key: bool


@dataclass(frozen=True, slots=True)
class BackupCollectionSummary:
    """One collection in a backup; fields as in the contract's BackupCollection."""

    database: str
    name: str
    collection_id: int
    row_count: int
    size_bytes: int
    segment_count: int
    partition_count: int
    shard_count: int
    indexes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    load_state: str = ""
    moment: int | None = None
    fields: tuple[BackupFieldSummary, ...] = ()


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup; fields as in the contract's Backup, None where it is not known."""

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


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list; ``next_key`` is where the next one begins, empty on the last."""

    items: tuple[T, ...]
    next_key: str = ""
