from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.rpc.status_pb2 import Status

from milvus_backup.v1 import operation_pb2 as pb
from tests.support.command_line import run
from tests.support.scripted_service import (
    FOREVER,
    UNREACHABLE,
    ScriptedService,
    serving,
    status,
)

CREATE = pb.OPERATION_KIND_CREATE_BACKUP
DENIED = status(grpc.StatusCode.FAILED_PRECONDITION, "STORAGE_DENIED", "the bucket 'b'\nis closed")
STARTED = pb.Operation(name="op_1", kind=CREATE, state=pb.OPERATION_STATE_PENDING, revision=1)


@pytest.fixture
async def service() -> ScriptedService:
    service = ScriptedService()
    service.on("CreateBackup", STARTED)
    return service


@pytest.fixture
async def address(service: ScriptedService) -> AsyncIterator[str]:
    async with serving(service) as address:
        yield address


async def test_what_comes_from_outside_does_not_steer_the_terminal(
    service: ScriptedService, address: str
) -> None:
    error = status(grpc.StatusCode.FAILED_PRECONDITION, "MILVUS_REFUSED", "\x1b[2Jno\x9b1m")
    service.on("WatchOperation", ended(pb.OPERATION_STATE_FAILED, error))
    result = await run(address, "create", "-n", "nightly")
    assert result.stderr.splitlines()[-1] == "Error: ?[2Jno?1m (MILVUS_REFUSED)"


async def test_what_would_help_is_told_as_a_flag(service: ScriptedService, address: str) -> None:
    text = (
        "a.restore_indexes could not be loaded: its field 'restore_indexes' would have no index; "
        "restore_indexes makes those that the backup has"
    )
    refused = status(grpc.StatusCode.FAILED_PRECONDITION, "TARGET_UNFIT", text)
    service.on("WatchOperation", ended(pb.OPERATION_STATE_FAILED, refused))
    result = await run(address, "create", "-n", "nightly")
    assert result.stderr.splitlines()[-1] == (
        "Error: a.restore_indexes could not be loaded: its field 'restore_indexes' would have no "
        "index; --rebuild_index makes those that the backup has (TARGET_UNFIT)"
    )


def ended(state: pb.OperationState.ValueType, error: Status | None = None) -> pb.Operation:
    return pb.Operation(name="op_1", kind=CREATE, state=state, error=error, revision=9)


@pytest.mark.parametrize(
    ("operation", "line", "code"),
    [
        (
            ended(pb.OPERATION_STATE_FAILED, DENIED),
            "Error: the bucket 'b' is closed (STORAGE_DENIED)",
            1,
        ),
        (
            ended(
                pb.OPERATION_STATE_FAILED,
                status(grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE", "no store"),
            ),
            "Error: no store (STORAGE_UNAVAILABLE)",
            1,
        ),
        (
            ended(
                pb.OPERATION_STATE_CANCELLED,
                status(grpc.StatusCode.CANCELLED, "OPERATION_CANCELLED", "cancelled on request"),
            ),
            "Error: cancelled on request (OPERATION_CANCELLED)",
            3,
        ),
        (
            ended(
                pb.OPERATION_STATE_INTERRUPTED,
                status(grpc.StatusCode.ABORTED, "OPERATION_INTERRUPTED", "the service stopped"),
            ),
            "Error: the service stopped (OPERATION_INTERRUPTED)",
            5,
        ),
    ],
    ids=["failed", "store", "cancelled", "interrupted"],
)
async def test_how_an_operation_ends(
    service: ScriptedService, address: str, operation: pb.Operation, line: str, code: int
) -> None:
    service.on("WatchOperation", operation)
    done = await run(address, "create", "-n", "nightly")
    assert (done.stdout, done.exit_code) == ("", code)
    assert line in done.stderr.splitlines()[-2:]
    watched = await run(address, "watch", "op_1", "--output", "json")
    assert json.loads(watched.stdout)["name"] == "op_1"
    assert (watched.stderr, watched.exit_code) == (f"{line}\n", code)


async def test_a_partial_success(service: ScriptedService, address: str) -> None:
    partial = ended(pb.OPERATION_STATE_PARTIALLY_SUCCEEDED)
    partial.collection_count = 3
    partial.failed_collection_count = 1
    partial.collections.add(
        database="shop", name="a", state=pb.COLLECTION_STATE_FAILED, error=DENIED
    )
    partial.collections.add(database="shop", name="b", state=pb.COLLECTION_STATE_SUCCEEDED)
    service.on("WatchOperation", partial)
    done = await run(address, "create", "-n", "nightly", "--output", "json")
    assert json.loads(done.stdout)["state"] == "OPERATION_STATE_PARTIALLY_SUCCEEDED"
    assert done.exit_code == 6
    assert done.stderr == (
        "Failed: shop.a: the bucket 'b' is closed (STORAGE_DENIED)\n"
        "Error: 1 of 3 collections failed (OPERATION_PARTIALLY_SUCCEEDED)\n"
    )


async def test_warnings(service: ScriptedService, address: str) -> None:
    warned = ended(pb.OPERATION_STATE_SUCCEEDED)
    warned.warnings.append(status(grpc.StatusCode.NOT_FOUND, "COLLECTION_NOT_FOUND", "c is gone"))
    warned.warning_count = 3
    service.on("WatchOperation", warned)
    done = await run(address, "watch", "op_1")
    assert done.exit_code == 0
    assert done.stderr.splitlines()[-2:] == [
        "Warning: c is gone (COLLECTION_NOT_FOUND)",
        "Warning: and 2 more",
    ]


@pytest.mark.parametrize(
    ("answer", "line", "code"),
    [
        (
            status(grpc.StatusCode.NOT_FOUND, "BACKUP_NOT_FOUND", "backup 'x' does not exist"),
            "Error: backup 'x' does not exist (BACKUP_NOT_FOUND)",
            1,
        ),
        (
            status(grpc.StatusCode.UNAVAILABLE, "MILVUS_UNAVAILABLE", "Milvus is away"),
            "Error: Milvus is away (MILVUS_UNAVAILABLE)",
            1,
        ),
        (
            status(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING", "the service stops"),
            "Error: the service stops (SERVER_STOPPING)",
            4,
        ),
        (
            status(grpc.StatusCode.UNIMPLEMENTED, text="Method not found!"),
            "Error: Method not found!",
            1,
        ),
        (status(grpc.StatusCode.INTERNAL), "Error: the service answered INTERNAL", 1),
    ],
    ids=["missing", "milvus", "stopping", "method", "internal"],
)
async def test_a_refused_call(
    service: ScriptedService, address: str, answer: Status, line: str, code: int
) -> None:
    service.on("GetBackup", answer)
    done = await run(address, "get", "-n", "x")
    assert (done.stdout, done.stderr, done.exit_code) == ("", f"{line}\n", code)


@pytest.mark.parametrize("code", list(grpc.StatusCode)[1:], ids=lambda code: code.name)
async def test_no_status_gives_a_traceback(
    service: ScriptedService, address: str, code: grpc.StatusCode
) -> None:
    service.on("CreateBackup", status(code, "MADE_UP_LATER", "no"))
    service.on("CancelOperation", status(code, text="no"))
    for command in (["create", "-n", "x"], ["cancel", "op_1"]):
        done = await run(address, *command)
        assert done.stdout == ""
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
        assert done.exit_code in {1, 2, 4}


async def test_nobody_listens(tmp_path: Path) -> None:
    done = await run(f"unix:{tmp_path}/none", "list")
    assert (done.stdout, done.exit_code) == ("", 4)
    assert done.stderr.startswith(f"Error: the service at unix:{tmp_path}/none cannot be reached: ")
    assert done.stderr.count("\n") == 1


async def test_no_answer(service: ScriptedService, address: str) -> None:
    service.on("GetBackup", FOREVER)
    done = await run(address, "get", "-n", "x", "--timeout", "0.2")
    assert (done.stderr, done.exit_code) == (
        f"Error: the service at {address} did not answer in time\n",
        4,
    )


async def test_a_watch_that_loses_its_operation(service: ScriptedService, address: str) -> None:
    service.on("WatchOperation", STARTED, UNREACHABLE)
    service.on(
        "WatchOperation", status(grpc.StatusCode.NOT_FOUND, "OPERATION_NOT_FOUND", "forgotten")
    )
    done = await run(address, "watch", "op_1")
    assert done.stderr.splitlines()[-1] == "Error: forgotten (OPERATION_NOT_FOUND)"
    assert done.exit_code == 1


async def test_a_service_that_stops_while_followed(service: ScriptedService, address: str) -> None:
    service.on(
        "WatchOperation",
        status(grpc.StatusCode.UNAVAILABLE, "OPERATION_STALLED", "no end in sight"),
    )
    done = await run(address, "watch", "op_1")
    assert done.stderr == (
        "Lost; the operation goes on if the service does.\n"
        f"  watch it:  milvus-backup --address {address} watch op_1\n"
        f"  cancel it: milvus-backup --address {address} cancel op_1\n"
        "Error: no end in sight (OPERATION_STALLED)\n"
    )


@pytest.mark.parametrize(
    "command",
    ["watch op_1", "cancel op_1", "create --detach", "delete -n x --detach"],
)
async def test_what_needs_a_running_service(command: str) -> None:
    done = await run("", *command.split())
    assert (done.stdout, done.exit_code) == ("", 2)
    assert done.stderr.endswith(
        "running service: give --address HOST:PORT or set MILVUS_BACKUP_ADDRESS\n"
    )
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("flags", ["--config x.yaml", "--set log.level=warn"])
async def test_settings_are_not_for_a_service_that_runs(flags: str) -> None:
    flag = flags.split(maxsplit=1)[0]
    for words in (f"{flags} list", f"list {flags}", f"--config= list {flags}"):
        done = await run("127.0.0.1:1", *words.split())
        assert (done.stdout, done.exit_code) == ("", 2)
        assert "is for a service that is started here" in done.stderr
        assert flag in done.stderr or "--config" in done.stderr


async def test_an_address_on_the_command_line_wins(service: ScriptedService, address: str) -> None:
    service.on("CancelOperation", STARTED)
    before = await run("127.0.0.1:1", "--address", address, "cancel", "op_1")
    after = await run("127.0.0.1:1", "cancel", "op_1", "--address", address)
    assert (before.exit_code, after.exit_code) == (0, 0)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("get", "Missing option '-n' / '--name'"),
        ("delete", "Missing option '-n' / '--name'"),
        ("restore", "Missing option '-n' / '--name'"),
        ("watch", "Missing argument 'OPERATION'"),
        ("create --label team", "'team' is not key=value"),
        ("create --label a=1 --label a=2", "'a' is given twice"),
        ("create --filter a,,b", "there is an empty name in 'a,,b'"),
        ("create --partition a", "'a' is not coll:part,part2"),
        ("restore -n x --partition a:p,,q", "'a:p,,q' is not coll:part,part2"),
        ("restore -n x --partition :p", "':p' is not coll:part,part2"),
        ("restore -n x -r a", "'a' is not old:new"),
        ("restore -n x -r a:b:c", "'a:b:c' is not old:new"),
        ("restore -n x -r a:", "'a:' is not old:new"),
        ("restore -n x -r a:b,a:c", "'a' is renamed twice"),
        ("list --output xml", "'xml' is not one of 'text', 'wide', 'json'"),
        ("list --timeout 0", "0.0 is not in the range x>0"),
        ("backup", "No such command 'backup'"),
        ("backup --help", "No such command 'backup'"),
        ("create --strateg auto", "No such option '--strateg'. Did you mean '--strategy'?"),
        ("--addres x list", "No such option '--addres'. Did you mean '--address'?"),
        ("completion tcsh", "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
        ("restore secondary -n x --source_cluster_id a", "restore secondary is not supported: "),
        ("migrate -n x -c y", "migrate is not supported: it belongs to Zilliz Cloud"),
        ("l0compact --help", "l0compact is not supported: "),
    ],
)
async def test_a_wrong_command_line(words: str, fault: str) -> None:
    done = await run("127.0.0.1:1", *words.split())
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: ")
    assert fault in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
