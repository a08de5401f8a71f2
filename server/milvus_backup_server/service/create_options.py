"""Options of a create that the connected Milvus, or the operator's settings, may not allow."""

from __future__ import annotations

from collections.abc import Iterator

from milvus_backup_server.domain.capabilities import (
    BULK_FLUSH_FROM,
    GC_PAUSE_FROM,
    RBAC_FROM,
    Capabilities,
)
from milvus_backup_server.domain.errors import (
    BackupError,
    FieldViolation,
    InvalidRequest,
    MilvusVersionUnsupported,
)
from milvus_backup_server.domain.requests import CreateRequest
from milvus_backup_server.domain.strategies import BackupStrategy
from milvus_backup_server.service.checks import version_needed
from milvus_backup_server.service.context import Cluster, WorkLimits
from milvus_backup_server.service.gc_pause import GcPausing


def option_faults(
    request: CreateRequest, cluster: Cluster, version: str, capabilities: Capabilities
) -> Iterator[tuple[str, BackupError]]:
    """Yield what cannot be done, each with its field."""
    if request.strategy is BackupStrategy.BULK_FLUSH and not capabilities.flush_all:
        yield "strategy", version_needed("the strategy bulk_flush", BULK_FLUSH_FROM, version)
    if request.rbac and not capabilities.rbac:
        yield "rbac", version_needed("backing up users, roles and grants", RBAC_FROM, version)
    if request.gc_pause_address.rstrip("/") not in ("", cluster.management_endpoint.rstrip("/")):
        text = (
            "is not the address of the settings (milvus.management.endpoint), and no other is asked"
        )
        yield "gc_pause_address", InvalidRequest(FieldViolation("gc_pause_address", text))


def gc_pausing(
    request: CreateRequest, limits: WorkLimits, capabilities: Capabilities
) -> GcPausing | None:
    """Return how a create pauses the garbage collection; None if it does not, or cannot."""
    wanted = request.pause_gc or limits.pause_gc
    if not wanted or not capabilities.gc_pause or not request.strategy.copies:
        return None
    return GcPausing(request.gc_pause_seconds, everything=request.selection.everything)


def not_paused(version: str) -> MilvusVersionUnsupported:
    """Return the warning that the garbage collection goes on; it names what that means."""
    return MilvusVersionUnsupported(
        f"Milvus's garbage collection is not paused: that needs Milvus {GC_PAUSE_FROM} or later (this is "
        f"{version}); a collection whose objects vanish meanwhile is flushed and copied anew",
        subject="milvus",
        version=version,
        needed=str(GC_PAUSE_FROM),
    )
