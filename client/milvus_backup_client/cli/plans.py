"""What a create or restore would do, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.filesize import decimal

from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup.v1.plan_pb2 import (
    CreateBackupPlan,
    PlannedCollection,
    PlanObstacle,
    RestoreBackupPlan,
)
from milvus_backup.v1.rbac_pb2 import RbacCounts, RbacPlan


def plan_lines(operation: Operation) -> Iterator[str]:
    """Yield the plan that a `validate_only` operation carries, a line per collection."""
    if operation.WhichOneof("result") == "create_plan":
        yield from _create_lines(operation.create_plan)
    elif operation.WhichOneof("result") == "restore_plan":
        yield from _restore_lines(operation.restore_plan)


def _create_lines(plan: CreateBackupPlan) -> Iterator[str]:
    size = f", {decimal(plan.size_bytes)}" if plan.HasField("size_bytes") else ""
    yield (
        f"would back up to {plan.backup_name}: {plan.collection_count:,} collections, "
        f"{plan.segment_count:,} segments, at most {plan.row_count:,} rows{size} (flushed by now)"
    )
    for found in plan.collections:
        yield (
            f"  {found.database}.{found.name}: {_partitions(found)}, "
            f"{found.segment_count:,} segments, at most {found.row_count:,} rows"
        )
    yield from _more(plan.collection_count - len(plan.collections))
    way = "the store copies by itself" if plan.server_side_copy else "through the service"
    yield f"copying: {way}"
    if plan.HasField("rbac"):
        yield f"users and rights: {rbac_text(plan.rbac)}"
    if plan.new_bucket:
        yield f"new bucket: {plan.new_bucket}"
    yield from _obstacle_lines(plan.obstacles, plan.obstacle_count)


def _restore_lines(plan: RestoreBackupPlan) -> Iterator[str]:
    yield (
        f"would restore {plan.collection_count:,} collections, {plan.segment_count:,} segments, "
        f"at most {plan.row_count:,} rows, {decimal(plan.size_bytes)}, "
        f"about {plan.import_job_count:,} import jobs"
    )
    for found in plan.collections:
        yield (
            f"  {_renamed(found)}: {_partitions(found)}, {found.segment_count:,} segments, "
            f"at most {found.row_count:,} rows, {decimal(found.size_bytes)}{_served(found)}"
        )
    yield from _more(plan.collection_count - len(plan.collections))
    if plan.dropped_collections:
        yield f"dropped when the new ones are whole: {', '.join(plan.dropped_collections)}"
        yield from _more(plan.dropped_collection_count - len(plan.dropped_collections))
    yield from plan.notes
    if plan.new_databases:
        yield f"new databases: {', '.join(plan.new_databases)}"
    if plan.HasField("rbac"):
        yield from _rbac_lines(plan.rbac)
    if plan.index_count:
        yield f"new indexes: {plan.index_count:,}"
    if plan.staged:
        size = decimal(plan.staged_bytes)
        yield f"the objects ({size}) are first copied into Milvus's bucket"
    yield from _obstacle_lines(plan.obstacles, plan.obstacle_count)


def rbac_text(counts: RbacCounts) -> str:
    """Return how many users and so on there are."""
    return (
        f"{counts.user_count:,} users, {counts.role_count:,} roles, {counts.grant_count:,} grants, "
        f"{counts.privilege_group_count:,} privilege groups"
    )


def _rbac_lines(plan: RbacPlan) -> Iterator[str]:
    parts = {
        "users": plan.users,
        "roles": plan.roles,
        "grants": plan.grants,
        "privilege groups": plan.privilege_groups,
    }
    for title, part in parts.items():
        yield f"{title}: {part.new_count:,} new, {part.existing_count:,} there already and kept"
        yield from (f"  {name}" for name in part.new_names)
        yield from _more(part.new_count - len(part.new_names))


def _obstacle_lines(obstacles: Sequence[PlanObstacle], count: int) -> Iterator[str]:
    if count:
        yield f"in the way: {count:,}"
    for found in obstacles:
        where = f"{found.field}: " if found.field else ""
        yield f"  {where}{found.description} ({found.reason})"
    yield from _more(count - len(obstacles))


def _served(found: PlannedCollection) -> str:
    more = f" and {found.alias_count - len(found.aliases):,} more"
    told = ", ".join(found.aliases) + (more if found.alias_count > len(found.aliases) else "")
    return (f", alias {told}" if found.aliases else "") + (", loaded" if found.loaded else "")


def _partitions(found: PlannedCollection) -> str:
    more = [f"{found.partition_count - len(found.partitions):,} more"]
    names = [*found.partitions, *(more if len(found.partitions) < found.partition_count else [])]
    shown = f" ({', '.join(names)})" if found.partitions else ""
    return f"{found.partition_count:,} partitions{shown}"


def _renamed(found: PlannedCollection) -> str:
    source = f"{found.database}.{found.name}"
    target = f"{found.target_database}.{found.target_name}"
    return source if source == target else f"{source} -> {target}"


def _more(count: int) -> Iterator[str]:
    if count > 0:
        yield f"  and {count:,} more"
