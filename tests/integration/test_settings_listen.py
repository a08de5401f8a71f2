"""Settings of where the service listens and what it lets in: each is seen from outside."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from milvus_backup_server.app import RunningApp, running_app
from milvus_backup_server.settings.models import Settings

OTHER_LOOPBACK = "127.0.0.2"


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def service(
    grpc_face: dict[str, Any] | None = None,
    http_face: dict[str, Any] | None = None,
    **sections: Any,
) -> AsyncIterator[RunningApp]:
    """Run a service whose HTTP is off unless it is asked for, on free ports unless told otherwise."""
    faces = {
        "grpc": {"port": 0, **(grpc_face or {})},
        "http": {"enabled": False} if http_face is None else {"port": 0, **http_face},
    }
    chosen = {"service": {"shutdownGraceSeconds": 0, **faces}, **sections}
    async with running_app(Settings.model_validate(chosen)) as app:
        yield app


async def is_serving(target: str) -> bool:
    async with grpc.aio.insecure_channel(target) as channel:
        health: Any = HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=60)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def get(url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=60) as client:
        return await client.get(url, headers=headers)


async def test_grpc_host() -> None:
    async with service({"host": OTHER_LOOPBACK}) as app:
        assert app.address.startswith(f"{OTHER_LOOPBACK}:")
        assert await is_serving(app.address)


async def test_grpc_port() -> None:
    port = free_port()
    async with service({"port": port}):
        assert await is_serving(f"127.0.0.1:{port}")


async def test_grpc_socket(tmp_path: Path) -> None:
    async with service({"socket": str(tmp_path / "s")}):
        assert await is_serving(f"unix:{tmp_path / 's'}")


async def test_http_enabled() -> None:
    async with service(http_face={"enabled": True}) as app:
        assert (await get(f"{app.url}/api/v1/hello")).status_code == 200
    async with service(http_face={"enabled": False}) as app:
        assert app.url == ""


async def test_http_host() -> None:
    async with service(http_face={"host": OTHER_LOOPBACK}) as app:
        assert app.url.startswith(f"http://{OTHER_LOOPBACK}:")
        assert (await get(f"{app.url}/api/v1/hello")).status_code == 200


async def test_http_port() -> None:
    port = free_port()
    async with service(http_face={"port": port}):
        assert (await get(f"http://127.0.0.1:{port}/api/v1/hello")).status_code == 200


async def test_http_allowed_hosts() -> None:
    async with service(http_face={"allowedHosts": ["backup.example"]}) as app:
        assert (await get(f"{app.url}/api/v1/hello", host="backup.example")).status_code == 200
        assert (await get(f"{app.url}/api/v1/hello", host="other.example")).status_code == 403


async def test_http_max_body() -> None:
    async with service(http_face={"maxBodyMiB": 1}) as app, httpx.AsyncClient(timeout=60) as client:
        for kib, is_refused in ((2048, True), (512, False)):
            content = b'{"backup_name": "' + b"x" * kib * 1024 + b'"}'
            answer = await client.post(f"{app.url}/api/v1/create", content=content)
            assert answer.status_code in {200, 400}
            assert ("larger than 1 MiB" in answer.text) == is_refused


async def test_swagger_base_path() -> None:
    async with service(http_face={}, server={"swaggerBasePath": "/milvus/api/v1"}) as app:
        document = (await get(f"{app.url}/api/v1/docs/doc.json")).json()
        assert document["servers"] == [{"url": "/milvus/api/v1"}]
