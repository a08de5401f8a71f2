"""Users, roles, grants and privilege groups as the contract shows them: bounded, without hashes."""

from milvus_backup.v1.rbac_pb2 import RbacCounts as Counts
from milvus_backup.v1.rbac_pb2 import RbacPlan as Plan
from milvus_backup.v1.rbac_pb2 import RbacPlanPart as Part
from milvus_backup_server.api.mapping_rbac import rbac_counts, rbac_plan_message
from milvus_backup_server.domain.rbac import RbacCounts, RbacPart, RbacPlan
from milvus_backup_server.domain.records import RbacUser


def test_counts() -> None:
    found = rbac_counts(RbacCounts(users=1, roles=2, grants=3, privilege_groups=4))
    assert found == Counts(user_count=1, role_count=2, grant_count=3, privilege_group_count=4)
    assert rbac_counts(None) is None


def test_a_plan() -> None:
    plan = RbacPlan(users=RbacPart(("ann",), ("bob", "carl")), grants=RbacPart(new=("g",)))
    assert rbac_plan_message(plan) == Plan(
        users=Part(
            new_names=["ann"], new_count=1, existing_names=["bob", "carl"], existing_count=2
        ),
        roles=Part(),
        grants=Part(new_names=["g"], new_count=1),
        privilege_groups=Part(),
    )
    assert rbac_plan_message(None) is None


def test_a_plan_of_many_long_names_is_short() -> None:
    part = RbacPart(("é" * 10_000,) * 10_000, ("x" * 10_000,) * 10_000)
    message = rbac_plan_message(RbacPlan(part, part, part, part))
    assert message is not None
    assert message.grants.new_count == 10_000
    assert message.ByteSize() < 1 << 17


def test_a_user_is_printed_without_the_hash() -> None:
    assert "$2a$" not in repr(RbacUser(user="ann", password="$2a$10$secret"))
