"""The command `verify`: what it asks for, what it says, and how it ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from milvus_backup.v1 import operation_pb2 as pb
from milvus_backup.v1 import verification_pb2
from milvus_backup.v1.backup_service_pb2 import VerifyBackupRequest
from milvus_backup_client.cli.verified import verification_json, verification_text
from tests.support.command_line import run
from tests.support.scripted_service import ScriptedService, serving, status

ACCEPTED = Timestamp(seconds=1_700_000_000)
DAMAGED = "backup 'nightly' is damaged (objects: 102 missing)"
CORRUPT = status(grpc.StatusCode.DATA_LOSS, "BACKUP_CORRUPT", DAMAGED)
PROBLEMS = [
    verification_pb2.Problem(
        key="binlogs/insert_log/1/2/3/3/100/4",
        kind=verification_pb2.PROBLEM_KIND_MISSING,
        message="binlogs/insert_log/1/2/3/3/100/4 is missing",
        database="shop",
        collection="hats",
    ),
    verification_pb2.Problem(
        key="meta/full_meta.json",
        kind=verification_pb2.PROBLEM_KIND_CONTENT,
        message="full_meta.json was changed\nafter it was written",
    ),
]


def operation(state: pb.OperationState.ValueType, **fields: object) -> pb.Operation:
    return pb.Operation(
        name="op_1",
        kind=pb.OPERATION_KIND_VERIFY_BACKUP,
        state=state,
        backup_name="nightly",
        create_time=ACCEPTED,
        end_time=ACCEPTED,
        revision=state,
        **fields,  # type: ignore[arg-type]
    )


@pytest.fixture
async def service() -> ScriptedService:
    made = ScriptedService()
    made.on("VerifyBackup", operation(pb.OPERATION_STATE_PENDING))
    return made


@pytest.fixture
async def address(service: ScriptedService) -> AsyncIterator[str]:
    async with serving(service) as address:
        yield address


def ends(service: ScriptedService, **result: object) -> None:
    found = verification_pb2.VerifyBackupResult(**result)  # type: ignore[arg-type]
    if found.sound:
        last = operation(pb.OPERATION_STATE_SUCCEEDED, verify_backup=found)
    else:
        last = operation(pb.OPERATION_STATE_FAILED, verify_backup=found, error=CORRUPT)
    service.on("WatchOperation", last)


async def test_a_sound_backup_by_listing(service: ScriptedService, address: str) -> None:
    ends(
        service,
        level=verification_pb2.VERIFY_LEVEL_LISTING,
        sound=True,
        metadata_file_count=8,
        size_bytes=12_300_000,
        listed_count=1_300,
        sample_percent=100,
    )
    result = await run(address, "verify", "-n", "nightly")
    assert result.exit_code == 0
    assert result.stdout == (
        "nightly is sound by level listing\n"
        "  8 metadata files read\n"
        "  none of 12.3 MB of data read; --level content reads it\n"
        "  1,300 objects compared by what the store lists\n"
    )
    (request,) = service.requests["VerifyBackup"]
    assert isinstance(request, VerifyBackupRequest)
    assert (request.backup_name, request.level, request.sample_percent, request.sample_seed) == (
        "nightly",
        verification_pb2.VERIFY_LEVEL_LISTING,
        0,
        0,
    )


async def test_a_sample(service: ScriptedService, address: str) -> None:
    ends(
        service,
        level=verification_pb2.VERIFY_LEVEL_CONTENT,
        sound=True,
        metadata_file_count=5,
        size_bytes=1000,
        read_bytes=200,
        etag_checked_count=2,
        hash_checked_count=1,
        read_count=3,
        listed_count=8,
        sample_percent=20,
        sample_seed=77,
        notes=["made by the Go tool"],
    )
    result = await run(
        address, "verify", "-n", "nightly", "--level", "content", "--sample", "20", "--seed", "77"
    )
    assert result.exit_code == 0
    assert result.stdout == (
        "nightly is sound by level content\n"
        "  5 metadata files read\n"
        "  200 bytes of 1.0 kB of data read\n"
        "  1 objects compared with their recorded hashes\n"
        "  2 objects compared with the store's own ETags\n"
        "  3 objects read, with nothing to compare them with\n"
        "  8 objects compared by what the store lists\n"
        "  sample of 20 percent, seed 77\n"
        "  made by the Go tool\n"
    )
    (request,) = service.requests["VerifyBackup"]
    assert (request.level, request.sample_percent, request.sample_seed) == (
        verification_pb2.VERIFY_LEVEL_CONTENT,
        20,
        77,
    )


async def test_damage_is_told_in_lines_and_by_the_exit_code(
    service: ScriptedService, address: str
) -> None:
    ends(service, problem_count=102, problems=PROBLEMS)
    result = await run(address, "verify", "-n", "nightly")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines()[-4:] == [
        "Damaged: binlogs/insert_log/1/2/3/3/100/4 is missing (shop.hats)",
        "Damaged: full_meta.json was changed after it was written",
        "Damaged: and 100 more",
        f"Error: {DAMAGED} (BACKUP_CORRUPT)",
    ]


async def test_json_has_the_whole_operation(service: ScriptedService, address: str) -> None:
    ends(service, problem_count=2, problems=PROBLEMS)
    result = await run(address, "verify", "-n", "nightly", "--output", "json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["state"] == "OPERATION_STATE_FAILED"
    assert [it["kind"] for it in found["verify_backup"]["problems"]] == [
        "PROBLEM_KIND_MISSING",
        "PROBLEM_KIND_CONTENT",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("-n", "b", "--level", "all"),
        ("-n", "b", "--sample", "0"),
        ("-n", "b", "--sample", "101"),
        ("-n", "b", "--seed", "0"),
    ],
)
async def test_wrong_arguments_are_refused_before_the_service_is_asked(
    service: ScriptedService, address: str, arguments: tuple[str, ...]
) -> None:
    result = await run(address, "verify", *arguments)
    assert result.exit_code == 2
    assert not service.requests


def test_how_a_backup_was_verified_is_said_in_a_line_and_in_json() -> None:
    whole = verification_pb2.BackupVerification(
        level=verification_pb2.VERIFY_LEVEL_CONTENT,
        sample_percent=100,
        end_time=ACCEPTED,
        sound=True,
        operation="op_1",
    )
    assert verification_text(whole) == "2023-11-14 22:13:20Z by level content: sound"
    assert verification_json(whole) == {
        "level": "content",
        "sample_percent": 100,
        "end_time": 1_700_000_000,
        "sound": True,
        "problem_count": 0,
        "operation": "op_1",
        "restored_collection_count": 0,
        "some_collections": False,
    }
    part = verification_pb2.BackupVerification(
        level=verification_pb2.VERIFY_LEVEL_CONTENT,
        sample_percent=5,
        end_time=ACCEPTED,
        problem_count=1200,
    )
    assert verification_text(part) == (
        "2023-11-14 22:13:20Z by level content of 5 percent: 1,200 problems"
    )
    some = verification_pb2.BackupVerification(
        level=verification_pb2.VERIFY_LEVEL_RESTORED,
        sample_percent=100,
        end_time=ACCEPTED,
        sound=True,
        restored_collection_count=2,
        some_collections=True,
    )
    assert verification_text(some) == (
        "2023-11-14 22:13:20Z by level restored of 2 collections: sound"
    )


async def test_rows_that_differ_are_told_with_their_keys(
    service: ScriptedService, address: str
) -> None:
    rows = verification_pb2.RowDifference(
        partition="p",
        missing_count=7,
        different_count=1,
        missing_keys=["1", "2"],
        different_keys=["x y"],
        unfit_keys=["9"],
    )
    problem = verification_pb2.Problem(
        kind=verification_pb2.PROBLEM_KIND_ROWS,
        message="partition 'p' of shop.hats is restored to other rows: 7 missing, 1 different",
        database="shop",
        collection="hats",
        rows=rows,
    )
    result = verification_pb2.VerifyBackupResult(
        level=verification_pb2.VERIFY_LEVEL_RESTORED, problem_count=1, problems=[problem]
    )
    differ = status(grpc.StatusCode.DATA_LOSS, "ROWS_DIFFER", "other rows")
    last = operation(pb.OPERATION_STATE_FAILED, verify_backup=result, error=differ)
    service.on("WatchOperation", last)
    command = ("verify", "-n", "nightly", "--level", "restored", "--filter", "shop.hats,books")
    ended = await run(address, *command)
    assert ended.exit_code == 1
    (request,) = service.requests["VerifyBackup"]
    assert isinstance(request, VerifyBackupRequest)
    assert request.level == verification_pb2.VERIFY_LEVEL_RESTORED
    assert request.collections == ["shop.hats", "books"]
    assert (
        "Damaged: partition 'p' of shop.hats is restored to other rows: 7 missing, 1 different; "
        "missing 1, 2; different x y; not fitting 9\n"
    ) in ended.stderr


async def test_what_was_restored_and_compared_is_told(
    service: ScriptedService, address: str
) -> None:
    ends(
        service,
        level=verification_pb2.VERIFY_LEVEL_RESTORED,
        sound=True,
        restored_collection_count=2,
        compared_row_count=3400,
    )
    ended = await run(address, "verify", "-n", "nightly", "--level", "restored")
    assert ended.exit_code == 0
    assert "  3,400 rows of 2 collections restored, compared with the logs, and dropped\n" in (
        ended.stdout
    )
