"""Operations: what runs, how far it is, how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from milvus_backup_server.domain.errors import BackupError, Obstacle
from milvus_backup_server.domain.leftovers import SweepResult
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.places import HOME, Place
from milvus_backup_server.domain.rbac import RbacCounts, RbacPlan
from milvus_backup_server.domain.targets import TargetAction
from milvus_backup_server.domain.verification import VerifyResult

SHOWN_COLLECTIONS = 50
"""Collections that an operation, a plan or a FULL backup carries; the rest is paged."""

SHOWN_WARNINGS = 50
"""Warnings that an operation carries; the others are only counted."""


class OperationKind(Enum):
    """What an operation does."""

    CREATE_BACKUP = "create_backup"
    RESTORE_BACKUP = "restore_backup"
    DELETE_BACKUP = "delete_backup"
    EXPORT_BACKUP = "export_backup"
    IMPORT_BACKUP = "import_backup"
    VERIFY_BACKUP = "verify_backup"
    SWEEP = "sweep"


class OperationState(Enum):
    """The life of an operation."""

    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    INTERRUPTED = "interrupted"
    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partially_succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """True if the operation never changes again."""
        return self in _FINAL

    @property
    def ends_watch(self) -> bool:
        """True if a watch sends this state and ends."""
        return self.final or self is OperationState.INTERRUPTED


_FINAL = frozenset(
    {
        OperationState.SUCCEEDED,
        OperationState.PARTIALLY_SUCCEEDED,
        OperationState.FAILED,
        OperationState.CANCELLED,
    }
)


class Phase(Enum):
    """What an operation is doing."""

    PLANNING = "planning"
    FLUSHING = "flushing"
    LISTING = "listing"
    COPYING = "copying"
    CHECKING = "checking"
    WRITING_METADATA = "writing_metadata"
    VERIFYING = "verifying"
    STAGING = "staging"
    IMPORTING = "importing"
    FINISHING = "finishing"
    DELETING = "deleting"
    CLEANING_UP = "cleaning_up"
    SENDING = "sending"
    RECEIVING = "receiving"
    COMPARING = "comparing"


class CollectionState(Enum):
    """How one collection of an operation fares."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"


class Origin(Enum):
    """Through which face of the service a call came."""

    GRPC = "grpc"
    HTTP = "http"
    CLI = "cli"
    SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asked, with which rights."""

    principal: str = "anonymous"
    origin: Origin = Origin.GRPC
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Amount:
    """Work in the units that are counted. ``rows`` only where Milvus counts them."""

    bytes: int = 0
    objects: int = 0
    segments: int = 0
    rows: int = 0

    def __add__(self, other: Amount) -> Amount:
        """Add unit by unit."""
        return Amount(
            self.bytes + other.bytes,
            self.objects + other.objects,
            self.segments + other.segments,
            self.rows + other.rows,
        )

    def __neg__(self) -> Amount:
        """Return the amount that takes this one back."""
        return Amount(-self.bytes, -self.objects, -self.segments, -self.rows)


@dataclass(frozen=True, slots=True)
class PhaseProgress:
    """How far one phase is; a total that is not known is None."""

    phase: Phase
    start_time: datetime
    end_time: datetime | None = None
    done: Amount = Amount()
    bytes_total: int | None = None
    objects_total: int | None = None
    segments_total: int | None = None
    rows_total: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an operation is.

    Attributes:
        phases: The phases begun so far, in the order of their beginning; the last one is the
            present one.
        bytes_per_second: Over the last seconds of the present phase.
        remaining_seconds: Estimated time to the end of the present phase; None if it cannot be
            told.
        waiting_for: What it waits for outside of this service.
    """

    phases: tuple[PhaseProgress, ...] = ()
    bytes_per_second: int = 0
    remaining_seconds: float | None = None
    waiting_for: str = ""

    @property
    def phase(self) -> Phase | None:
        """The present phase, or the last one."""
        return self.phases[-1].phase if self.phases else None


@dataclass(frozen=True, slots=True)
class CollectionProgress:
    """How one collection of an operation fares. Bytes are those of the main phase.

    Attributes:
        start_time: When its state became RUNNING.
        end_time: When its state became one that it keeps.
    """

    source: CollectionName
    target: CollectionName | None = None
    state: CollectionState = CollectionState.PENDING
    error: BackupError | None = None
    bytes_done: int = 0
    bytes_total: int | None = None
    row_count: int | None = None
    moment: int | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class CreateResult:
    """What a create made. ``row_count`` is an upper bound as soon as rows were deleted.

    Attributes:
        rbac: The users, roles and grants in the backup; None if they were not asked for.
    """

    collection_count: int
    object_count: int
    size_bytes: int
    row_count: int
    server_side_copy_count: int
    rbac: RbacCounts | None = None


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What a restore made; counts as in the contract's RestoreBackupResult.

    Attributes:
        rbac: The users, roles and grants that were added; None if they were not asked for.
    """

    collection_count: int
    import_job_count: int
    row_count: int
    content_checked_count: int
    size_checked_count: int
    staged_object_count: int
    rbac: RbacCounts | None = None


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """What a delete removed."""

    object_count: int


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export sent; ``archive_bytes`` is the size of the archive."""

    object_count: int
    size_bytes: int
    archive_bytes: int


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import made; counts as in the contract's ImportBackupResult."""

    collection_count: int
    object_count: int
    size_bytes: int
    row_count: int
    content_checked_count: int
    size_checked_count: int


@dataclass(frozen=True, slots=True)
class PlannedCollection:
    """One collection of a plan; fields as in the contract's PlannedCollection."""

    source: CollectionName
    target: CollectionName | None = None
    partition_count: int = 0
    segment_count: int = 0
    row_count: int = 0
    size_bytes: int = 0
    import_job_count: int = 0
    partitions: tuple[str, ...] = ()
    shard_count: int = 0
    index_count: int = 0
    action: TargetAction = TargetAction.CREATE
    aliases: tuple[str, ...] = ()
    loaded: bool = False


@dataclass(frozen=True, slots=True)
class CreatePlan:
    """What a create would do, approximately: nothing was flushed.

    Attributes:
        databases: What the backup would tell of databases, by name.
        sized: Whether the bytes of all collections could be found out in time.
        new_bucket: The bucket that it would make, empty if it is there.
        obstacles: What stands in the way.
        rbac: The users, roles and grants that it would back up; None if they were not asked for.
    """

    backup_name: str
    collections: tuple[PlannedCollection, ...]
    server_side_copy: bool
    databases: tuple[str, ...] = ()
    sized: bool = False
    new_bucket: str = ""
    obstacles: tuple[Obstacle, ...] = ()
    rbac: RbacCounts | None = None


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What a restore would do.

    Attributes:
        staged_bytes: What would be copied into Milvus's bucket, each source once.
        notes: What should be known before.
        obstacles: What stands in the way.
        rbac: What becomes of users, roles and grants; None if they were not asked for.
    """

    collections: tuple[PlannedCollection, ...]
    new_databases: tuple[str, ...]
    staged: bool
    staged_bytes: int = 0
    obstacles: tuple[Obstacle, ...] = ()
    notes: tuple[str, ...] = ()
    rbac: RbacPlan | None = None

    @property
    def dropped(self) -> tuple[CollectionName, ...]:
        """The collections that it would drop, in the order of the plan."""
        replaced = (it.target for it in self.collections if it.action is TargetAction.REPLACE)
        return tuple(name for name in replaced if name is not None)


Result = (
    CreateResult
    | RestoreResult
    | DeleteResult
    | VerifyResult
    | ExportResult
    | ImportResult
    | SweepResult
    | CreatePlan
    | RestorePlan
)


@dataclass(frozen=True, slots=True)
class Operation:
    """A snapshot of an operation.

    Attributes:
        collections: At most ``SHOWN_COLLECTIONS``, failed and running ones first.
        warnings: The oldest ``SHOWN_WARNINGS``; ``warning_count`` counts all.
        task_id: A name that the caller gave it; others may have the same.
        revision: Counts the changes; a larger number is newer.
        owner: The service that runs it, where that is another one than the one that answers.
        place: Where the backup lies.
    """

    name: str
    kind: OperationKind
    state: OperationState
    backup_name: str
    create_time: datetime
    caller: Caller
    start_time: datetime | None = None
    end_time: datetime | None = None
    progress: Progress = Progress()
    warnings: tuple[BackupError, ...] = ()
    warning_count: int = 0
    error: BackupError | None = None
    result: Result | None = None
    collections: tuple[CollectionProgress, ...] = ()
    collection_count: int = 0
    succeeded_count: int = 0
    failed_count: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    task_id: str = ""
    retry_of: str = ""
    revision: int = 0
    owner: str = ""
    place: Place = HOME
