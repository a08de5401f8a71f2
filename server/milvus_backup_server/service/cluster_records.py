"""What a backup tells of a Milvus beside its collections: databases, and users if asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from milvus_backup_server.domain.capabilities import Capabilities
from milvus_backup_server.domain.errors import (
    BackupError,
    BackupNotRestorable,
    DatabaseNotFound,
    MilvusDenied,
    MilvusRefused,
)
from milvus_backup_server.domain.rbac import RbacCounts
from milvus_backup_server.domain.records import DatabaseBackupInfo, RbacMeta
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.concurrency import for_each

_CALLS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class ClusterRecords:
    """The Go tool's records of it.

    Attributes:
        rbac: Users, roles, grants and privilege groups; None if they are not backed up.
    """

    databases: tuple[DatabaseBackupInfo, ...] = ()
    rbac: RbacMeta | None = None

    @property
    def rbac_counts(self) -> RbacCounts | None:
        """How many users and so on there are; None if they are not backed up."""
        return None if self.rbac is None else RbacCounts.of(self.rbac)


async def read_cluster_records(
    gateway: MilvusGateway,
    capabilities: Capabilities,
    databases: Sequence[str],
    *,
    rbac: bool,
    warn: Callable[[BackupError], None],
) -> ClusterRecords:
    """Read what Milvus tells now. It is kept in memory alone until the backup is written: it holds hashes.

    Args:
        gateway: The Milvus.
        capabilities: What it can do.
        databases: The names of those that are backed up.
        rbac: Whether users and so on are, too.
        warn: Told of databases whose properties we may not read; they are backed up by name.
    """
    found = {name: DatabaseBackupInfo(db_name=name) for name in databases}

    async def describe(name: str) -> None:
        try:
            found[name] = await gateway.describe_database(name)
        except DatabaseNotFound:
            return  # dropped since: its name is what is known of it
        except (MilvusDenied, MilvusRefused) as error:
            text = f"the properties of database {name!r} are not in the backup: {error.message}"
            warn(type(error)(text, **error.metadata))

        if found[name].encrypted:
            warn(_encrypted(name))

    if capabilities.database_properties:
        await for_each(databases, describe, concurrent=_CALLS_AT_ONCE)
    return ClusterRecords(
        databases=tuple(found[name] for name in databases),
        rbac=await gateway.rbac() if rbac else None,
    )


def _encrypted(name: str) -> BackupNotRestorable:
    text = (
        f"database {name!r} is encrypted, and its key is not in the backup: its rows cannot be restored "
        "from it"
    )
    return BackupNotRestorable(text, subject=name)
