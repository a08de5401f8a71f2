"""What the service tells about itself and what it depends on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.objects import StoreLocation


class CheckState(Enum):
    """How one check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CheckItem:
    """One check; names as in the contract's CheckItem."""

    name: str
    state: CheckState
    message: str
    error: BackupError | None = None


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """Where a store is, and below which prefix."""

    location: StoreLocation
    root_path: str


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """A Milvus; ``error`` is set, and of version and capabilities nothing is known, if it does not answer."""

    name: str
    address: str
    storage: StoreInfo | None
    milvus_version: str = ""
    error: BackupError | None = None
    supported: bool = False
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The service."""

    version: str
    start_time: datetime
    cluster: ClusterInfo
    repository: StoreInfo
    running_operations: int
    pending_operations: int
