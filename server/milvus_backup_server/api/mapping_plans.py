"""Plans from the domain to the contract: totals of everything, the first collections by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from milvus_backup.v1 import plan_pb2
from milvus_backup_server.api.mapping_rbac import rbac_counts, rbac_plan_message
from milvus_backup_server.api.texts import MAX_NAME_BYTES, fit, fit_int
from milvus_backup_server.domain.errors import Obstacle
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    SHOWN_COLLECTIONS,
    CreatePlan,
    PlannedCollection,
    RestorePlan,
)
from milvus_backup_server.domain.targets import TargetAction

SHOWN_PARTITIONS = 20
ACTIONS = {
    action: plan_pb2.TargetAction.Value(f"TARGET_ACTION_{action.name}") for action in TargetAction
}


def create_plan_message(plan: CreatePlan) -> plan_pb2.CreateBackupPlan:
    """Return what a create would do as the contract shows it."""
    return plan_pb2.CreateBackupPlan(
        backup_name=fit(plan.backup_name),
        collections=_first(plan.collections, lambda item: item.source),
        collection_count=len(plan.collections),
        segment_count=sum(item.segment_count for item in plan.collections),
        row_count=fit_int(sum(item.row_count for item in plan.collections)),
        server_side_copy=plan.server_side_copy,
        partition_count=sum(item.partition_count for item in plan.collections),
        size_bytes=_size(plan),
        databases=[fit(name) for name in plan.databases[:SHOWN_COLLECTIONS]],
        new_bucket=fit(plan.new_bucket),
        obstacles=_obstacles(plan.obstacles),
        obstacle_count=len(plan.obstacles),
        rbac=rbac_counts(plan.rbac),
    )


def restore_plan_message(plan: RestorePlan) -> plan_pb2.RestoreBackupPlan:
    """Return what a restore would do as the contract shows it."""
    return plan_pb2.RestoreBackupPlan(
        collections=_first(plan.collections, lambda item: item.target or item.source),
        collection_count=len(plan.collections),
        segment_count=sum(item.segment_count for item in plan.collections),
        row_count=fit_int(sum(item.row_count for item in plan.collections)),
        size_bytes=fit_int(sum(item.size_bytes for item in plan.collections)),
        import_job_count=sum(item.import_job_count for item in plan.collections),
        new_databases=[fit(name) for name in plan.new_databases[:SHOWN_COLLECTIONS]],
        staged=plan.staged,
        partition_count=sum(item.partition_count for item in plan.collections),
        staged_bytes=fit_int(plan.staged_bytes),
        index_count=sum(item.index_count for item in plan.collections),
        new_database_count=len(plan.new_databases),
        obstacles=_obstacles(plan.obstacles),
        obstacle_count=len(plan.obstacles),
        dropped_collections=[fit(str(it)) for it in plan.dropped[:SHOWN_COLLECTIONS]],
        dropped_collection_count=len(plan.dropped),
        notes=[fit(note) for note in plan.notes[:SHOWN_COLLECTIONS]],
        rbac=rbac_plan_message(plan.rbac),
    )


def _size(plan: CreatePlan) -> int | None:
    return fit_int(sum(item.size_bytes for item in plan.collections)) if plan.sized else None


def _obstacles(obstacles: Sequence[Obstacle]) -> list[plan_pb2.PlanObstacle]:
    return [
        plan_pb2.PlanObstacle(
            field=fit(item.field),
            reason=item.reason,
            subject=fit(item.subject),
            description=fit(item.description),
        )
        for item in obstacles[:SHOWN_COLLECTIONS]
    ]


def _first(
    collections: Iterable[PlannedCollection], order: Callable[[PlannedCollection], CollectionName]
) -> list[plan_pb2.PlannedCollection]:
    return [_collection(item) for item in sorted(collections, key=order)[:SHOWN_COLLECTIONS]]


def _collection(item: PlannedCollection) -> plan_pb2.PlannedCollection:
    return plan_pb2.PlannedCollection(
        database=fit(item.source.database),
        name=fit(item.source.name),
        target_database=fit(item.target.database) if item.target else "",
        target_name=fit(item.target.name) if item.target else "",
        partition_count=item.partition_count,
        segment_count=item.segment_count,
        row_count=fit_int(item.row_count),
        size_bytes=fit_int(item.size_bytes),
        import_job_count=item.import_job_count,
        partitions=[fit(name, MAX_NAME_BYTES) for name in item.partitions[:SHOWN_PARTITIONS]],
        shard_count=fit_int(item.shard_count, 32),
        index_count=item.index_count,
        target_action=ACTIONS[item.action] if item.target else plan_pb2.TARGET_ACTION_UNSPECIFIED,
        aliases=[fit(name, MAX_NAME_BYTES) for name in item.aliases[:SHOWN_PARTITIONS]],
        alias_count=len(item.aliases),
        loaded=item.loaded,
    )
