"""What the steps of one create share: the checked request, and the heads of what it writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from milvus_backup_server.domain.capabilities import Capabilities
from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.manifest import ManifestHead, ManifestMissing, ManifestSource
from milvus_backup_server.domain.milvus import CollectionName, FlushAll
from milvus_backup_server.domain.records import BackupInfo
from milvus_backup_server.domain.selection import Selection
from milvus_backup_server.domain.strategies import BackupStrategy
from milvus_backup_server.service.cluster_records import ClusterRecords
from milvus_backup_server.service.context import Cluster, Repository, Storage
from milvus_backup_server.service.gc_pause import GcPausing
from milvus_backup_server.service.snapshot import Selected


@dataclass(frozen=True, slots=True)
class CheckedCreate:
    """A create whose request passed every check.

    Attributes:
        selection: What was asked for.
        selected: What that meant when the call was accepted.
        accepted: Milvus's timestamp when the call was accepted; the moments lie behind it.
        accept_time: The same by our own clock.
        strategy: How Milvus is flushed, and whether rows are copied.
        pausing: How Milvus's garbage collection is paused; None: it is not.
        pause_gc: Whether that was asked for.
        rbac: Whether users, roles and grants are backed up too.
        allow_partial: Whether the backup is complete without the collections that fail.
    """

    operation: str
    task_id: str
    backup_name: str
    selection: Selection
    selected: Selected
    labels: Mapping[str, str]
    cluster: Cluster
    source: Storage
    repository: Repository
    milvus_version: str
    capabilities: Capabilities
    accepted: int
    accept_time: datetime
    strategy: BackupStrategy = BackupStrategy.AUTO
    pausing: GcPausing | None = None
    pause_gc: bool = False
    rbac: bool = False
    allow_partial: bool = False

    @property
    def backup_id(self) -> str:
        """The id that the backup is written with: the caller's own, if it gave one."""
        return self.task_id or self.operation


def backup_info(
    checked: CheckedCreate, records: ClusterRecords, flushed: FlushAll | None
) -> BackupInfo:
    """Return the head of the Go tool's files; their size is not known here.

    Args:
        checked: What was asked for.
        records: What the source has beside collections.
        flushed: The flush of everything, if there was one.
    """
    return BackupInfo(
        id=checked.backup_id,
        name=checked.backup_name,
        milvus_version=checked.milvus_version,
        rbac_meta=records.rbac,
        database_backups=records.databases,
        flush_all_msgs_base64=flushed.messages if flushed is not None else {},
        control_channel_name=flushed.control_channel if flushed is not None else "",
        physical_channel_names=flushed.physical_channels if flushed is not None else (),
    )


def manifest_head(
    checked: CheckedCreate,
    records: ClusterRecords,
    failed: Mapping[CollectionName, BackupError],
    version: str,
) -> ManifestHead:
    """Return the head of the manifest; hashes and totals are not known here.

    Args:
        checked: What was asked for.
        records: What else the source has.
        failed: The collections that are not in the backup.
        version: Our own.
    """
    source = checked.source
    return ManifestHead(
        writer=f"milvus-backup {version}",
        operation=checked.operation,
        create_time=checked.accept_time.isoformat(),
        end_time=datetime.now(UTC).isoformat(),
        milvus_version=checked.milvus_version,
        source=ManifestSource(
            cluster=checked.cluster.name,
            endpoint=source.store.location.endpoint,
            bucket=source.store.location.bucket,
            root_path=source.root,
        ),
        labels=dict(checked.labels),
        databases=records.databases,
        exact=checked.strategy.flushes,
        strategy=checked.strategy.value,
        missing=tuple(_missing(failed)),
        rbac=records.rbac_counts,
    )


def _missing(failed: Mapping[CollectionName, BackupError]) -> Iterator[ManifestMissing]:
    for name in sorted(failed):
        yield ManifestMissing(
            db_name=name.database,
            collection_name=name.name,
            reason=failed[name].reason,
            message=failed[name].message,
        )
