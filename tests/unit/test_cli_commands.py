from __future__ import annotations

import json
from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from milvus_backup.v1 import backup_service_pb2, operation_service_pb2, plan_pb2
from milvus_backup.v1 import operation_pb2 as pb
from milvus_backup.v1.backup_service_pb2 import CollectionPartitions
from tests.support.command_line import run
from tests.support.scripted_service import (
    UNREACHABLE,
    ScriptedService,
    invalid,
    serving,
    status,
)

ACCEPTED = Timestamp(seconds=1_700_000_000)
ENDED = Timestamp(seconds=1_700_000_012, nanos=340_000_000)


def operation(kind: pb.OperationKind.ValueType, state: pb.OperationState.ValueType) -> pb.Operation:
    final = state >= pb.OPERATION_STATE_SUCCEEDED
    return pb.Operation(
        name="op_1",
        kind=kind,
        state=state,
        backup_name="nightly",
        create_time=ACCEPTED,
        end_time=ENDED if final else None,
        revision=state,
    )


def begun(kind: pb.OperationKind.ValueType) -> pb.Operation:
    return operation(kind, pb.OPERATION_STATE_PENDING)


def succeeded(kind: pb.OperationKind.ValueType) -> pb.Operation:
    return operation(kind, pb.OPERATION_STATE_SUCCEEDED)


CREATE = pb.OPERATION_KIND_CREATE_BACKUP
RESTORE = pb.OPERATION_KIND_RESTORE_BACKUP
DELETE = pb.OPERATION_KIND_DELETE_BACKUP


@pytest.fixture
async def service() -> ScriptedService:
    return ScriptedService()


@pytest.fixture
async def address(service: ScriptedService) -> AsyncIterator[str]:
    async with serving(service) as address:
        yield address


async def test_the_command_line_says_that_it_is_one(service: ScriptedService, address: str) -> None:
    service.on("ListBackups", backup_service_pb2.ListBackupsResponse())
    await run(address, "list", "--timeout", "7")
    assert service.metadata[0]["x-milvus-backup-origin"] == "cli"
    assert str(service.metadata[0]["user-agent"]).startswith("milvus-backup-cli/")
    assert 2 < service.time_remaining[0] < 8


async def test_create(service: ScriptedService, address: str) -> None:
    service.on("CreateBackup", begun(CREATE))
    service.on("WatchOperation", begun(CREATE), succeeded(CREATE))
    done = await run(
        address,
        *("create", "-n", "nightly", "--filter", "shop.*, db.books,films,empty."),
        *("--partition", "films:p, q", "--partition", "a:r", "--partition", "films:s"),
        *("--label", "team=search", "--label", "why=a=b", "--request-id", "r-1"),
    )
    assert (done.stdout, done.exit_code) == ("create backup success\nduration:12.34 s\n", 0)
    assert done.stderr == "create backup nightly: operation op_1\npending\nsucceeded\n"
    assert service.requests["CreateBackup"] == [
        backup_service_pb2.CreateBackupRequest(
            backup_name="nightly",
            collections=["shop.*", "db.books", "films", "empty."],
            partitions=[
                CollectionPartitions(collection="films", partitions=["p", "q", "s"]),
                CollectionPartitions(collection="a", partitions=["r"]),
            ],
            labels={"team": "search", "why": "a=b"},
            request_id="r-1",
        )
    ]


async def test_create_without_options_backs_up_everything_under_a_name_that_is_told(
    service: ScriptedService, address: str
) -> None:
    service.on("CreateBackup", begun(CREATE))
    service.on("WatchOperation", succeeded(CREATE))
    done = await run(address, "create")
    assert (done.stdout, done.exit_code) == (
        "backup name: nightly\ncreate backup success\nduration:12.34 s\n",
        0,
    )
    (request,) = service.requests["CreateBackup"]
    assert (request.backup_name, list(request.collections), request.validate_only) == (
        "",
        [],
        False,
    )
    assert request.request_id


async def test_create_as_json_prints_the_last_state_alone(
    service: ScriptedService, address: str
) -> None:
    service.on("CreateBackup", begun(CREATE))
    service.on("WatchOperation", begun(CREATE), succeeded(CREATE))
    done = await run(address, "create", "-n", "nightly", "--output", "json")
    assert json.loads(done.stdout)["state"] == "OPERATION_STATE_SUCCEEDED"
    assert done.stdout.startswith('{\n    "name": "op_1"')
    assert done.stderr == ""


async def test_detach(service: ScriptedService, address: str) -> None:
    service.on("CreateBackup", begun(CREATE))
    done = await run(address, "create", "-n", "nightly", "--detach")
    assert (done.stdout, done.exit_code) == ("op_1\n", 0)
    assert done.stderr == f"watch it: milvus-backup --address {address} watch op_1\n"
    as_json = await run(address, "create", "-n", "nightly", "--detach", "--output", "json")
    assert json.loads(as_json.stdout)["name"] == "op_1"


async def test_restore(service: ScriptedService, address: str) -> None:
    service.on("RestoreBackup", begun(RESTORE))
    service.on("WatchOperation", succeeded(RESTORE))
    done = await run(
        address,
        *(
            "restore",
            "-n",
            "nightly",
            "--filter",
            "shop2.a,shop2.b",
            "-r",
            "shop.*:shop2.*,a:b,c.:d.",
        ),
        *("--partition", "shop.a:p"),
        *("--rebuild_index", "--skip-content-check", "--label", "why=drill"),
        *("--request-id", "r-2"),
    )
    assert (done.stdout, done.exit_code) == ("duration:12.34 s\n", 0)
    assert service.requests["RestoreBackup"] == [
        backup_service_pb2.RestoreBackupRequest(
            backup_name="nightly",
            target_collections=["shop2.a", "shop2.b"],
            partitions=[CollectionPartitions(collection="shop.a", partitions=["p"])],
            renames={"shop.*": "shop2.*", "a": "b", "c.": "d."},
            restore_indexes=True,
            skip_content_check=True,
            labels={"why": "drill"},
            request_id="r-2",
        )
    ]


async def test_restore_with_a_suffix(service: ScriptedService, address: str) -> None:
    service.on("RestoreBackup", begun(RESTORE))
    service.on("WatchOperation", succeeded(RESTORE))
    await run(address, "restore", "--name", "nightly", "-s", "_new", "--rebuild-index")
    (request,) = service.requests["RestoreBackup"]
    assert (request.suffix, request.restore_indexes) == ("_new", True)


async def test_delete(service: ScriptedService, address: str) -> None:
    service.on("DeleteBackup", begun(DELETE))
    service.on("WatchOperation", succeeded(DELETE))
    done = await run(address, "delete", "-n", "nightly")
    assert (done.stdout, done.exit_code) == ("delete backup done\n", 0)


async def test_the_plan_of_a_create(service: ScriptedService, address: str) -> None:
    planned = succeeded(CREATE)
    planned.create_plan.CopyFrom(
        plan_pb2.CreateBackupPlan(
            backup_name="nightly",
            collections=[
                plan_pb2.PlannedCollection(
                    database="shop", name="a", partition_count=2, segment_count=3, row_count=4000
                )
            ],
            collection_count=12,
            segment_count=30,
            row_count=50_000,
            server_side_copy=True,
        )
    )
    service.on("CreateBackup", planned)
    done = await run(address, "create", "-n", "nightly", "--validate-only")
    assert done.exit_code == 0
    assert done.stdout == (
        "would back up to nightly: 12 collections, 30 segments, at most 50,000 rows"
        " (flushed by now)\n"
        "  shop.a: 2 partitions, 3 segments, at most 4,000 rows\n"
        "  and 11 more\n"
        "copying: the store copies by itself\n"
    )
    assert done.stderr == ""
    assert service.requests["CreateBackup"][0].validate_only
    assert not service.requests["WatchOperation"]


async def test_the_plan_of_a_restore(service: ScriptedService, address: str) -> None:
    planned = succeeded(RESTORE)
    planned.restore_plan.CopyFrom(
        plan_pb2.RestoreBackupPlan(
            collections=[
                plan_pb2.PlannedCollection(
                    database="shop",
                    name="a",
                    target_database="shop2",
                    target_name="a",
                    partition_count=1,
                    segment_count=3,
                    row_count=4000,
                    size_bytes=5_000_000,
                )
            ],
            collection_count=1,
            segment_count=3,
            row_count=4000,
            size_bytes=5_000_000,
            import_job_count=2,
            new_databases=["shop2"],
            staged=True,
            staged_bytes=5_000_000,
        )
    )
    service.on("RestoreBackup", planned)
    done = await run(address, "restore", "-n", "nightly", "--validate-only")
    assert done.stdout == (
        "would restore 1 collections, 3 segments, at most 4,000 rows, 5.0 MB, about 2 import jobs\n"
        "  shop.a -> shop2.a: 1 partitions, 3 segments, at most 4,000 rows, 5.0 MB\n"
        "new databases: shop2\n"
        "the objects (5.0 MB) are first copied into Milvus's bucket\n"
    )


async def test_a_plan_is_shown_even_if_something_is_in_its_way(
    service: ScriptedService, address: str
) -> None:
    planned = pb.Operation(
        name="op_1",
        kind=RESTORE,
        state=pb.OPERATION_STATE_FAILED,
        error=status(grpc.StatusCode.ALREADY_EXISTS, "TARGET_ALREADY_EXISTS", "it is there"),
    )
    obstacle = plan_pb2.PlanObstacle(
        field="suffix", reason="TARGET_ALREADY_EXISTS", description="it is there"
    )
    planned.restore_plan.CopyFrom(
        plan_pb2.RestoreBackupPlan(obstacles=[obstacle], obstacle_count=1)
    )
    service.on("RestoreBackup", planned)
    done = await run(address, "restore", "-n", "nightly", "--validate-only")
    assert done.stdout == (
        "would restore 0 collections, 0 segments, at most 0 rows, 0 bytes, about 0 import jobs\n"
        "in the way: 1\n"
        "  suffix: it is there (TARGET_ALREADY_EXISTS)\n"
    )
    assert "it is there" in done.stderr
    assert done.exit_code not in (0, 2)


async def test_watch(service: ScriptedService, address: str) -> None:
    service.on("WatchOperation", begun(CREATE), succeeded(CREATE))
    done = await run(address, "watch", "op_1")
    assert (done.stdout, done.exit_code) == ("create backup success\nduration:12.34 s\n", 0)
    assert service.requests["WatchOperation"][0].name == "op_1"


async def test_watch_as_json_prints_a_line_for_each_change(
    service: ScriptedService, address: str
) -> None:
    service.on("WatchOperation", begun(CREATE), UNREACHABLE)
    service.on("WatchOperation", begun(CREATE), succeeded(CREATE))
    done = await run(address, "watch", "op_1", "--output", "json")
    states = [json.loads(line)["state"] for line in done.stdout.splitlines()]
    assert states == ["OPERATION_STATE_PENDING", "OPERATION_STATE_SUCCEEDED"]
    assert (done.stderr, done.exit_code) == ("", 0)


async def test_cancel(service: ScriptedService, address: str) -> None:
    service.on("CancelOperation", operation(CREATE, pb.OPERATION_STATE_CANCELLING))
    done = await run(address, "cancel", "op_1")
    assert (done.stdout, done.exit_code) == ("op_1: cancelling\n", 0)
    as_json = await run(address, "cancel", "op_1", "--output", "json")
    assert json.loads(as_json.stdout)["state"] == "OPERATION_STATE_CANCELLING"


async def test_operations(service: ScriptedService, address: str) -> None:
    other = succeeded(DELETE)
    other.name = "op_20"
    service.on(
        "ListOperations",
        operation_service_pb2.ListOperationsResponse(
            operations=[begun(CREATE), other, begun(RESTORE)], next_page_token="more"
        ),
    )
    done = await run(address, "operations", "--limit", "2", "-n", "nightly")
    assert done.stdout == (
        "op_1   2023-11-14 22:13:20Z  pending              create backup nightly\n"
        "op_20  2023-11-14 22:13:20Z  succeeded            delete backup nightly\n"
    )
    (request,) = service.requests["ListOperations"]
    assert (request.backup_name, request.page_size) == ("nightly", 2)
    as_json = await run(address, "operations", "--limit", "1", "--output", "json")
    assert [found["name"] for found in json.loads(as_json.stdout)["operations"]] == ["op_1"]


async def test_operations_without_those_that_only_the_records_tell_of(
    service: ScriptedService, address: str
) -> None:
    away = status(grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE", "the store is away")
    service.on(
        "ListOperations",
        operation_service_pb2.ListOperationsResponse(
            operations=[begun(CREATE)], records_error=away
        ),
    )
    done = await run(address, "operations")
    assert done.stdout == "op_1  2023-11-14 22:13:20Z  pending              create backup nightly\n"
    assert done.stderr == "Error: the store is away (STORAGE_UNAVAILABLE)\n"
    assert done.exit_code == 1


async def test_a_wrong_request(service: ScriptedService, address: str) -> None:
    service.on("CreateBackup", invalid(backup_name="must not have a dot"))
    done = await run(address, "create", "-n", "a.b")
    assert (done.stdout, done.stderr, done.exit_code) == (
        "",
        "Error: backup_name: must not have a dot (INVALID_REQUEST)\n",
        2,
    )
