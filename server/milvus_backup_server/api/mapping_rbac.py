"""Users, roles, grants and privilege groups from the domain to the contract: counts and names."""

from __future__ import annotations

from milvus_backup.v1 import rbac_pb2
from milvus_backup_server.api.texts import MAX_NAME_BYTES, fit
from milvus_backup_server.domain.operations import SHOWN_COLLECTIONS
from milvus_backup_server.domain.rbac import RbacCounts, RbacPart, RbacPlan


def rbac_counts(counts: RbacCounts | None) -> rbac_pb2.RbacCounts | None:
    """Return counts as the contract shows them; None for none."""
    if counts is None:
        return None
    return rbac_pb2.RbacCounts(
        user_count=counts.users,
        role_count=counts.roles,
        grant_count=counts.grants,
        privilege_group_count=counts.privilege_groups,
    )


def rbac_plan_message(plan: RbacPlan | None) -> rbac_pb2.RbacPlan | None:
    """Return a plan as the contract shows it; None for none."""
    if plan is None:
        return None
    return rbac_pb2.RbacPlan(
        users=_part(plan.users),
        roles=_part(plan.roles),
        grants=_part(plan.grants),
        privilege_groups=_part(plan.privilege_groups),
    )


def _part(part: RbacPart) -> rbac_pb2.RbacPlanPart:
    return rbac_pb2.RbacPlanPart(
        new_names=[fit(name, MAX_NAME_BYTES) for name in part.new[:SHOWN_COLLECTIONS]],
        new_count=len(part.new),
        existing_names=[fit(name, MAX_NAME_BYTES) for name in part.present[:SHOWN_COLLECTIONS]],
        existing_count=len(part.present),
    )
