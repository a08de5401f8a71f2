"""A stand-in for the server package: what `milvus-backup` starts when it is given no address.

It has the server's command, listens where it is told and ends with its standard input, and answers
by a script. `installed` makes a directory that holds it under the server's name.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import grpc

from milvus_backup.v1 import operation_pb2 as pb
from milvus_backup.v1.backup_service_pb2 import ListBackupsResponse
from tests.support.scripted_service import FOREVER, Pause, ScriptedService, serving, status

_REPOSITORY = Path(__file__).parents[2]
_SCRIPT = "SCRIPTED_CHILD"
_TOLD = ("CreateBackup", "WatchOperation")
CREATE = pb.OPERATION_KIND_CREATE_BACKUP


def installed(directory: Path, script: str) -> dict[str, str]:
    """Put it into a directory; return the environment variables that let it be found.

    `script` names a function of this module, or is Python code to be the module instead.
    """
    package = directory / "milvus_backup_server"
    package.mkdir()
    (package / "__init__.py").touch()
    ours = "from tests.support.scripted_child import server_command\n"
    (package / "__main__.py").write_text(ours if script in SCRIPTS else script, encoding="utf-8")
    return {"PYTHONPATH": f"{directory}{os.pathsep}{_REPOSITORY}", _SCRIPT: script}


def server_command(argv: list[str]) -> int:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--grpc-socket", type=Path, required=True)
    parser.add_argument("--stop-with-stdin", action="store_true", required=True)
    parser.add_argument("--config")
    options, _ = parser.parse_known_args(argv)
    directory = options.grpc_socket.parent
    mode = stat.S_IMODE(directory.stat().st_mode)
    say(
        "started",
        argv=argv,
        directory=str(directory),
        mode=f"{mode:o}",
        config=_content_of(options.config),
        temporary=tempfile.gettempdir(),
        pid=os.getpid(),
    )
    asyncio.run(_serve(options.grpc_socket))
    return 0


def say(event: str, **facts: object) -> None:
    """Write a line of the log, as the server does, and to the file that the test reads."""
    line = json.dumps({"event": event, "level": "info", **facts})
    sys.stderr.write(f"{line}\n")
    with Path(os.environ["SCRIPTED_CHILD_LOG"]).open("a", encoding="utf-8") as log:
        log.write(f"{line}\n")


def _content_of(config: str | None) -> str:
    file = Path(config or "/dev/null")
    return file.read_text(encoding="utf-8") if file.exists() else ""


async def _serve(listen: Path) -> None:
    service = ScriptedService()
    SCRIPTS[os.environ[_SCRIPT]](service)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    async with serving(service, f"unix:{listen}"):
        watches = [asyncio.create_task(_tell(service, method)) for method in _TOLD]
        await ended.wait()
        for watch in watches:
            watch.cancel()
    say("stopped", requests=list(service.requests))


async def _tell(service: ScriptedService, method: str) -> None:
    await service.asked(method)
    say(f"asked {method}")


def state(revision: int, kind: pb.OperationState.ValueType, *warnings: str) -> pb.Operation:
    """Make a state of the one operation of the scripts."""
    return pb.Operation(
        name="op_1",
        kind=CREATE,
        backup_name="nightly",
        state=kind,
        revision=revision,
        warnings=[
            status(grpc.StatusCode.FAILED_PRECONDITION, "LEFT_BEHIND", warning)
            for warning in warnings
        ],
        warning_count=len(warnings),
    )


STARTED = state(1, pb.OPERATION_STATE_PENDING)
COPYING = state(2, pb.OPERATION_STATE_RUNNING)
COPYING.progress.phase = pb.OPERATION_PHASE_COPYING
COPYING.progress.phases.add(phase=pb.OPERATION_PHASE_COPYING)
CANCELLING = state(3, pb.OPERATION_STATE_CANCELLING)
CANCELLED = state(4, pb.OPERATION_STATE_CANCELLED)
CANCELLED.error.CopyFrom(
    status(grpc.StatusCode.CANCELLED, "OPERATION_CANCELLED", "cancelled on request")
)


def cancels_well(service: ScriptedService) -> None:
    """Its operation ends when it is cancelled."""
    service.on("CreateBackup", STARTED)
    service.on("WatchOperation", STARTED, COPYING, FOREVER)
    service.on("WatchOperation", CANCELLING, Pause(0.3), CANCELLED)
    service.on("CancelOperation", CANCELLING)


def cancels_with_remains(service: ScriptedService) -> None:
    """Its operation cannot remove everything."""
    service.on("CreateBackup", STARTED)
    service.on("WatchOperation", STARTED, COPYING, FOREVER)
    ended = state(4, pb.OPERATION_STATE_CANCELLED, "objects below nightly/binlogs are still there")
    ended.error.CopyFrom(CANCELLED.error)
    service.on("WatchOperation", CANCELLING, ended)
    service.on("CancelOperation", CANCELLING)


def answers_late(service: ScriptedService) -> None:
    """It takes a while to begin the operation."""
    service.on("CreateBackup", Pause(1), STARTED)
    service.on("WatchOperation", CANCELLED)
    service.on("CancelOperation", CANCELLING)


def never_cancels(service: ScriptedService) -> None:
    """Its operation hangs."""
    service.on("CreateBackup", STARTED)
    service.on("WatchOperation", STARTED, COPYING, FOREVER)
    service.on("WatchOperation", CANCELLING, FOREVER)
    service.on("CancelOperation", CANCELLING)


def ends_before_the_cancel(service: ScriptedService) -> None:
    """Its operation has ended when the cancel comes."""
    service.on("CreateBackup", STARTED)
    service.on("WatchOperation", STARTED, COPYING, FOREVER)
    service.on("WatchOperation", state(5, pb.OPERATION_STATE_SUCCEEDED))
    service.on(
        "CancelOperation",
        status(grpc.StatusCode.FAILED_PRECONDITION, "OPERATION_ENDED", "it has ended"),
    )


def has_no_backups(service: ScriptedService) -> None:
    """It answers a list."""
    service.on("ListBackups", ListBackupsResponse())


def fails_inside(service: ScriptedService) -> None:
    """It has a fault of its own."""
    service.on(
        "ListBackups", status(grpc.StatusCode.INTERNAL, "INTERNAL", "an error inside the service")
    )


SCRIPTS: dict[str, Callable[[ScriptedService], None]] = {
    script.__name__: script
    for script in (
        cancels_well,
        cancels_with_remains,
        answers_late,
        never_cancels,
        ends_before_the_cancel,
        has_no_backups,
        fails_inside,
    )
}
