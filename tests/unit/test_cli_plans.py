"""A plan as the command line shows it, with what stands in the way."""

from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup.v1.plan_pb2 import (
    CreateBackupPlan,
    PlannedCollection,
    PlanObstacle,
    RestoreBackupPlan,
)
from milvus_backup.v1.rbac_pb2 import RbacCounts, RbacPlan, RbacPlanPart
from milvus_backup_client.cli.plans import plan_lines


def test_a_create_with_everything_that_a_plan_can_tell() -> None:
    plan = CreateBackupPlan(
        backup_name="nightly",
        collections=[
            PlannedCollection(
                database="shop",
                name="a",
                partitions=["p", "q"],
                partition_count=12,
                segment_count=3,
                row_count=4000,
            )
        ],
        collection_count=1,
        segment_count=3,
        row_count=4000,
        size_bytes=5_000_000,
        new_bucket="backups",
        obstacles=[
            PlanObstacle(
                field="collections[1]",
                reason="COLLECTION_NOT_FOUND",
                subject="default.b",
                description="collection 'default.b' does not exist",
            ),
            PlanObstacle(reason="STORAGE_DENIED", description="the store refused us"),
        ],
        obstacle_count=5,
    )
    assert list(plan_lines(Operation(create_plan=plan))) == [
        "would back up to nightly: 1 collections, 3 segments, at most 4,000 rows, 5.0 MB (flushed by now)",
        "  shop.a: 12 partitions (p, q, 10 more), 3 segments, at most 4,000 rows",
        "copying: through the service",
        "new bucket: backups",
        "in the way: 5",
        "  collections[1]: collection 'default.b' does not exist (COLLECTION_NOT_FOUND)",
        "  the store refused us (STORAGE_DENIED)",
        "  and 3 more",
    ]


def test_a_restore_with_everything_that_a_plan_can_tell() -> None:
    found = PlannedCollection(
        database="shop",
        name="a",
        target_database="shop",
        target_name="a",
        partitions=["p"],
        partition_count=1,
        segment_count=3,
        row_count=4000,
        size_bytes=5_000_000,
    )
    plan = RestoreBackupPlan(
        collections=[found],
        collection_count=1,
        segment_count=3,
        row_count=4000,
        size_bytes=5_000_000,
        import_job_count=1,
        index_count=2,
        obstacles=[
            PlanObstacle(field="suffix", reason="TARGET_ALREADY_EXISTS", description="it is there")
        ],
        obstacle_count=1,
    )
    assert list(plan_lines(Operation(restore_plan=plan))) == [
        "would restore 1 collections, 3 segments, at most 4,000 rows, 5.0 MB, about 1 import jobs",
        "  shop.a: 1 partitions (p), 3 segments, at most 4,000 rows, 5.0 MB",
        "new indexes: 2",
        "in the way: 1",
        "  suffix: it is there (TARGET_ALREADY_EXISTS)",
    ]


def test_users_and_rights_of_a_create_are_counted() -> None:
    counts = RbacCounts(user_count=2, role_count=1, grant_count=1200, privilege_group_count=0)
    plan = CreateBackupPlan(backup_name="b", rbac=counts)
    lines = list(plan_lines(Operation(create_plan=plan)))
    assert "users and rights: 2 users, 1 roles, 1,200 grants, 0 privilege groups" in lines


def test_users_and_rights_of_a_restore_are_named() -> None:
    plan = RestoreBackupPlan(
        rbac=RbacPlan(
            users=RbacPlanPart(
                new_names=["ann"], new_count=2, existing_names=["bob"], existing_count=1
            ),
            grants=RbacPlanPart(
                new_names=["reader: Search on Collection shop.orders"], new_count=1
            ),
        )
    )
    assert list(plan_lines(Operation(restore_plan=plan)))[1:] == [
        "users: 2 new, 1 there already and kept",
        "  ann",
        "  and 1 more",
        "roles: 0 new, 0 there already and kept",
        "grants: 1 new, 0 there already and kept",
        "  reader: Search on Collection shop.orders",
        "privilege groups: 0 new, 0 there already and kept",
    ]


def test_an_operation_without_a_plan_has_no_lines() -> None:
    assert list(plan_lines(Operation())) == []
