"""The whole service as ``app`` builds it: starts when nothing else is up, stops in order."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from milvus_backup.v1 import operation_pb2, server_service_pb2
from milvus_backup.v1.operation_service_pb2 import WatchOperationRequest, WatchOperationsRequest
from milvus_backup.v1.operation_service_pb2_grpc import OperationServiceStub
from milvus_backup.v1.server_service_pb2_grpc import ServerServiceStub
from milvus_backup_server.app import StopRequest, running_app
from milvus_backup_server.domain.errors import ServerStopping
from milvus_backup_server.domain.operations import DeleteResult, Result
from milvus_backup_server.service.tracker import Tracker
from milvus_backup_server.settings.models import Settings
from tests.support.stoppable_app import NOBODY, OUTSIDE, WAITS, Work, stoppable


def settings(grace: float = 0.2, **grpc_face: Any) -> Settings:
    face = {"port": 0, **grpc_face}
    off = {"enabled": False}
    service = {"shutdownGraceSeconds": grace, "grpc": face, "http": off, **WAITS}
    return Settings.model_validate({**OUTSIDE, "service": service})


class StuckWork(Work):
    """An operation that does not listen when it is cancelled."""

    async def _body(self, tracker: Tracker) -> Result:
        while not self.let_end.is_set():
            with suppress(asyncio.CancelledError):
                await self.let_end.wait()
        return DeleteResult(0)


@dataclass
class Outcome:
    """What a watcher saw: the states, and the error that ended the stream, if any."""

    states: list[int] = field(default_factory=list)
    error: grpc.aio.AioRpcError | None = None

    async def follow(self, call: Any) -> None:
        try:
            async for operation in call:
                self.states.append(operation.state)
        except grpc.aio.AioRpcError as error:
            self.error = error


async def test_it_starts_when_nothing_else_is_up() -> None:
    async with (
        running_app(settings()) as app,
        grpc.aio.insecure_channel(app.address) as channel,
    ):
        info = await ServerServiceStub(channel).GetServerInfo(
            server_service_pb2.GetServerInfoRequest()
        )
        assert info.cluster.address == f"localhost:{NOBODY}"
        assert info.cluster.error.code == grpc.StatusCode.UNAVAILABLE.value[0]
        assert info.repository.bucket == "a-bucket"


async def test_what_runs_is_drained_with_its_watchers() -> None:
    watcher = Outcome()
    async with stoppable(settings(grace=20)) as (app, stop):
        work = Work(app)
        await work.begin()
        async with grpc.aio.insecure_channel(app.address) as channel:
            call = OperationServiceStub(channel).WatchOperation(
                WatchOperationRequest(name=work.name)
            )
            following = asyncio.create_task(watcher.follow(call))
            await asyncio.sleep(0.2)
            stop.set()
            await asyncio.sleep(0.2)
            health: Any = HealthStub(channel)
            answer = await health.Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
            with pytest.raises(ServerStopping):
                await Work(app).begin()
            work.let_end.set()
            await following
    assert watcher.states[-1] == operation_pb2.OPERATION_STATE_SUCCEEDED
    assert watcher.error is None


async def test_what_does_not_end_in_time_is_interrupted_and_its_watchers_see_it() -> None:
    one, many, nothing = Outcome(), Outcome(), Outcome()
    async with stoppable(settings(grace=0.3)) as (app, stop):
        work = Work(app)
        await work.begin()
        async with grpc.aio.insecure_channel(app.address) as channel:
            stub = OperationServiceStub(channel)
            slow = WatchOperationsRequest(names=[work.name])
            slow.min_interval.seconds = 60
            following = [
                asyncio.create_task(
                    one.follow(stub.WatchOperation(WatchOperationRequest(name=work.name)))
                ),
                asyncio.create_task(many.follow(stub.WatchOperations(slow))),
                asyncio.create_task(nothing.follow(stub.WatchOperations(WatchOperationsRequest()))),
            ]
            await asyncio.sleep(0.2)
            began = time.monotonic()
            stop.set()
            await asyncio.gather(*following)
            assert time.monotonic() - began < 30
    for outcome in (one, many):
        assert outcome.states[-1] == operation_pb2.OPERATION_STATE_INTERRUPTED
        assert outcome.error is None
    assert nothing.error is not None
    assert nothing.error.code() is grpc.StatusCode.UNAVAILABLE
    assert nothing.states[-1] == operation_pb2.OPERATION_STATE_INTERRUPTED


async def test_a_second_request_ends_the_grace() -> None:
    asked = StopRequest()
    async with stoppable(settings(grace=60), asked) as (app, stop):
        await Work(app).begin()
        asked.ask()
        stop.set()
        await asyncio.sleep(0.2)
        began = time.monotonic()
        asked.ask()
    assert time.monotonic() - began < 30


async def test_a_second_request_does_not_wait_for_what_is_stuck() -> None:
    asked = StopRequest()
    async with stoppable(settings(grace=60), asked) as (app, stop):
        work = StuckWork(app)
        await work.begin()
        asked.ask()
        stop.set()
        await asyncio.sleep(0.2)
        began = time.monotonic()
        asked.ask()
    took = time.monotonic() - began
    work.let_end.set()
    assert took < 30


async def test_a_taken_port_leaves_nothing_open() -> None:
    async with running_app(settings()) as app:
        port = app.endpoint.port
        with pytest.raises(OSError, match="cannot listen"):
            async with running_app(settings(port=port)):
                pass


# --- the process


@dataclass
class Process:
    """``python -m milvus_backup_server`` with its log."""

    process: asyncio.subprocess.Process
    log: list[dict[str, Any]] = field(default_factory=list)

    async def line(self, event: str) -> dict[str, Any]:
        assert self.process.stderr
        async with asyncio.timeout(60):
            while data := await self.process.stderr.readline():
                self.log.append(json.loads(data))
                if self.log[-1]["event"] == event:
                    return self.log[-1]
        raise AssertionError(f"the log ended without {event}: {self.log}")


@asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[Process]:
    """Run it for the time of a block, and kill what is left of it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "milvus_backup_server",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Process(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_the_command_serves_until_a_signal(tmp_path: Path) -> None:
    socket, config = tmp_path / "s.sock", tmp_path / "backup.yaml"
    config.write_text("configVersion: v2\nx: 1\n")
    words = ("--config", str(config), "--grpc-socket", str(socket), "-p", "0")
    async with started(*words) as running:
        line = await running.line("serving")
        assert line["address"] == f"unix:{socket}"
        assert line["file"] == str(config)
        async with grpc.aio.insecure_channel(line["address"]) as channel:
            health: Any = HealthStub(channel)
            answer = await health.Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        running.process.send_signal(signal.SIGTERM)
        await running.line("stopped")
        out, _ = await running.process.communicate()
        assert (running.process.returncode, out) == (0, b"")
        (warning,) = [line for line in running.log if line["level"] == "warning"]
        assert "unknown setting x is ignored" in warning["warning"]


@pytest.mark.parametrize("redirection", ["</dev/null", "<&-", f"<{__file__}"])
async def test_only_a_pipe_is_a_lifeline(redirection: str, tmp_path: Path) -> None:
    words = (sys.executable, "-m", "milvus_backup_server", "--config", "", "--stop-with-stdin")
    socket = ("--grpc-socket", str(tmp_path / "socket"), "--port", "0")
    process = await asyncio.create_subprocess_shell(
        f"{shlex.join([*words, *socket])} {redirection}", stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await process.communicate()
    assert stderr.decode() == (
        "milvus-backup server: --stop-with-stdin: "
        "expected standard input to be a pipe from the program that starts the service\n"
    )
    assert process.returncode == 2


async def test_a_taken_port_is_one_line() -> None:
    async with running_app(settings()) as app:
        async with started("--config", "", "--grpc-port", str(app.endpoint.port)) as running:
            _, err = await running.process.communicate()
        assert running.process.returncode == 1
        # gRPC's core writes a line of its own before ours.
        assert "Traceback" not in err.decode()
        assert (
            err.decode()
            .splitlines()[-1]
            .startswith(f"milvus-backup server: cannot listen on {app.address}")
        )
