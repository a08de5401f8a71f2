"""What a create or restore would do, as text."""

from __future__ import annotations

from collections.abc import Iterator

from rich.filesize import decimal

from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup.v1.plan_pb2 import CreateBackupPlan, PlannedCollection, RestoreBackupPlan


def plan_lines(operation: Operation) -> Iterator[str]:
    """Yield the plan that a `validate_only` operation carries, a line per collection."""
    if operation.WhichOneof("result") == "create_plan":
        yield from _create_lines(operation.create_plan)
    elif operation.WhichOneof("result") == "restore_plan":
        yield from _restore_lines(operation.restore_plan)


def _create_lines(plan: CreateBackupPlan) -> Iterator[str]:
    yield (
        f"would back up to {plan.backup_name}: {plan.collection_count:,} collections, "
        f"{plan.segment_count:,} segments, at most {plan.row_count:,} rows (flushed by now)"
    )
    for found in plan.collections:
        yield (
            f"  {found.database}.{found.name}: {found.partition_count:,} partitions, "
            f"{found.segment_count:,} segments, at most {found.row_count:,} rows"
        )
    yield from _more(plan.collection_count - len(plan.collections))
    way = "the store copies by itself" if plan.server_side_copy else "through the service"
    yield f"copying: {way}"


def _restore_lines(plan: RestoreBackupPlan) -> Iterator[str]:
    yield (
        f"would restore {plan.collection_count:,} collections, {plan.segment_count:,} segments, "
        f"at most {plan.row_count:,} rows, {decimal(plan.size_bytes)}, "
        f"about {plan.import_job_count:,} import jobs"
    )
    for found in plan.collections:
        yield (
            f"  {_renamed(found)}: {found.segment_count:,} segments, "
            f"at most {found.row_count:,} rows, {decimal(found.size_bytes)}"
        )
    yield from _more(plan.collection_count - len(plan.collections))
    if plan.new_databases:
        yield f"new databases: {', '.join(plan.new_databases)}"
    if plan.staged:
        yield "the objects are first copied into Milvus's bucket"


def _renamed(found: PlannedCollection) -> str:
    source = f"{found.database}.{found.name}"
    target = f"{found.target_database}.{found.target_name}"
    return source if source == target else f"{source} -> {target}"


def _more(count: int) -> Iterator[str]:
    if count > 0:
        yield f"  and {count:,} more"
