"""Both faces as ``app`` builds them: started, stopped in order, and the process with its options."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from milvus_backup_server.app import RunningApp, running_app
from milvus_backup_server.settings.models import Settings
from tests.support.stoppable_app import OUTSIDE, WAITS, Work, stoppable


def settings(grace: float = 0.2, **http_face: Any) -> Settings:
    faces = {"grpc": {"port": 0}, "http": {"port": 0, **http_face}}
    service = {"shutdownGraceSeconds": grace, **faces, **WAITS}
    return Settings.model_validate({**OUTSIDE, "service": service})


@asynccontextmanager
async def client_of(app: RunningApp) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{app.url}/api/v1", timeout=60) as client:
        yield client


async def states(client: httpx.AsyncClient, name: str) -> list[str]:
    """Follow an operation to the end of the stream."""
    async with client.stream("GET", f"/operations/{name}/events") as answer:
        lines = [line async for line in answer.aiter_lines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: "))["state"] for line in lines]


async def test_it_answers_when_nothing_else_is_up() -> None:
    async with running_app(settings()) as app, client_of(app) as client:
        assert (await client.get("/hello")).text == "Hello, This is backup service"
        listed = (await client.get("/list")).json()
        assert (listed["code"], listed["data"]) == (3, None)
        check = await client.get("/check")
        assert check.status_code == 500
        assert check.json()["error"].startswith("milvus: ")


async def test_http_can_be_off() -> None:
    async with running_app(settings(enabled=False)) as app:
        assert (app.http, app.url) == (None, "")


async def test_its_settings_reach_it() -> None:
    face = {"port": 0, "allowedHosts": ["backup.example"], "maxBodyMiB": 1}
    service = {"grpc": {"port": 0}, "http": face, **WAITS}
    server = {"swaggerBasePath": "/proxied"}
    chosen = Settings.model_validate({**OUTSIDE, "server": server, "service": service})
    async with running_app(chosen) as app, client_of(app) as client:
        named = await client.get("/hello", headers={"Host": "backup.example"})
        assert named.status_code == 200
        large = await client.post("/create", content=b" " * ((1 << 20) + 1))
        assert "larger than 1 MiB" in large.text
        document = (await client.get("/docs/doc.json")).json()
        assert document["servers"] == [{"url": "/proxied"}]


async def test_what_runs_is_drained_with_its_watchers() -> None:
    async with stoppable(settings(grace=20)) as (app, stop), client_of(app) as client:
        work = Work(app)
        await work.begin()
        following = asyncio.create_task(states(client, "long"))
        await asyncio.sleep(0.2)
        stop.set()
        await asyncio.sleep(0.2)
        shown = (await client.get("/operations/long")).json()
        assert shown["data"]["state"] == "RUNNING"
        refused = (await client.delete("/delete", params={"backup_name": "x"})).json()
        assert refused["code"] == 3
        assert "stopping" in refused["msg"]
        work.let_end.set()
        assert (await following)[-1] == "SUCCEEDED"


async def test_what_does_not_end_in_time_is_interrupted_and_its_watchers_see_it() -> None:
    async with stoppable(settings(grace=0.3)) as (app, stop), client_of(app) as client:
        await Work(app).begin()
        following = asyncio.create_task(states(client, "long"))
        await asyncio.sleep(0.2)
        stop.set()
        assert (await following)[-1] == "INTERRUPTED"


async def test_a_reader_that_reads_nothing_holds_up_nothing() -> None:
    async with stoppable(settings(grace=0.2)) as (app, stop):
        assert app.http is not None
        work = Work(app)
        await work.begin()
        with socket.create_connection(("127.0.0.1", app.http.port)) as stalled:
            path = "/api/v1/operations/long/events?min_interval=0"
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            stalled.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            for number in range(400):
                if work.tracker is not None:
                    work.tracker.wait_for(f"{number} " + "x" * 200_000)
                await asyncio.sleep(0.002)
            stop.set()
            await _gone(app)


async def _gone(app: RunningApp) -> None:
    assert app.http is not None
    async with asyncio.timeout(40):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", app.http.port)
            except OSError:
                return
            writer.close()
            await asyncio.sleep(0.05)


async def test_an_idle_connection_holds_up_nothing() -> None:
    async with stoppable(settings(grace=20)) as (app, stop):
        assert app.http is not None
        with socket.create_connection(("127.0.0.1", app.http.port)):
            stop.set()
            await _gone(app)


async def test_a_taken_port_leaves_nothing_open() -> None:
    async with running_app(settings()) as app:
        assert app.http is not None
        with pytest.raises(OSError, match=f"cannot listen on {app.http.authority}: "):
            async with running_app(settings(port=app.http.port)):
                pass


async def test_the_signals_stay_with_who_runs_the_loop() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    async with running_app(settings()):
        assert {number: signal.getsignal(number) for number in before} == before


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


async def start(*arguments: str, **environment: str) -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "milvus_backup_server",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment or None,
    )
    return Process(process)


async def test_the_command_serves_both_until_a_signal() -> None:
    everywhere = "0.0.0.0"  # noqa: S104 - which is warned of
    running = await start("--config", "", "--grpc-port", "0", "--host", everywhere, SERVER_PORT="0")
    line = await running.line("serving")
    port = line["http"].rpartition(":")[2]
    assert port not in {"0", "8080"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        assert (await client.get("/")).text == "Hello, This is backup service"
        assert (await client.get("/", headers={"Host": "evil.example"})).status_code == 403
        assert (await client.get("/api/v1/nothing")).status_code == 404
        assert (await client.post("/api/v1/create", content=b"{")).status_code == 400
        running.process.send_signal(signal.SIGTERM)
        await running.line("stopped")
    out, rest = await running.process.communicate()
    assert (running.process.returncode, out, rest) == (0, b"", b"")
    warning, *others = running.log
    assert warning["event"].startswith("there is no authentication")
    assert (warning["level"], warning["host"]) == ("warning", everywhere)
    assert [item["event"] for item in others] == ["serving", "stopping", "stopped"]
