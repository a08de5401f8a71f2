"""The HTTP face over the real use cases, a Milvus in memory and stores in memory; and a client of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from milvus_backup_server.http.application import build_app
from milvus_backup_server.http.options import API_PATH, HttpOptions
from milvus_backup_server.http.server import HttpServer
from milvus_backup_server.service.operations import OperationLimits
from milvus_backup_server.service.use_cases import UseCases
from tests.support.running_service import Decorators
from tests.support.service import Service, World, running

OPTIONS = HttpOptions(port=0, version="1.2.3", settings={"milvus.user": "root"})


@dataclass(frozen=True)
class HttpService:
    """A service that answers HTTP.

    Attributes:
        service: what is below.
        client: a client whose paths begin below `/api/v1`.
    """

    service: Service
    client: httpx.AsyncClient

    @property
    def world(self) -> World:
        """Stores and Milvus."""
        return self.service.world

    async def json(self, method: str, path: str, **request: Any) -> Any:
        """Return the JSON of an answer of HTTP status 200."""
        answer = await self.client.request(method, path, **request)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def create(self, name: str = "b", **body: Any) -> Any:
        """Make a backup and return the answer."""
        return await self.json("POST", "/create", json={"backup_name": name, **body})


@asynccontextmanager
async def serving(
    world: World,
    decorators: Decorators | None = None,
    *,
    options: HttpOptions = OPTIONS,
    operations: OperationLimits | None = None,
) -> AsyncIterator[HttpService]:
    """Serve for the time of a block, without a socket: answers arrive whole."""
    async with (
        running(world, decorators, operations=operations) as service,
        http_client(service.use_cases, options) as client,
    ):
        yield HttpService(service, client)


@asynccontextmanager
async def http_client(
    use_cases: UseCases, options: HttpOptions = OPTIONS
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of an application that serves these use cases."""
    app = httpx.ASGITransport(build_app(use_cases, options))
    base = f"http://localhost:8080{API_PATH}"
    async with httpx.AsyncClient(transport=app, base_url=base) as client:
        yield client


@asynccontextmanager
async def listening(
    world: World, decorators: Decorators | None = None, *, options: HttpOptions = OPTIONS
) -> AsyncIterator[HttpService]:
    """Serve for the time of a block on a real port, where answers can be streamed and left."""
    async with (
        running(world, decorators) as service,
        http_port(service.use_cases, options) as url,
        httpx.AsyncClient(base_url=url, timeout=60) as client,
    ):
        yield HttpService(service, client)


@asynccontextmanager
async def http_port(use_cases: UseCases, options: HttpOptions = OPTIONS) -> AsyncIterator[str]:
    """Yield the URL of a server of these use cases on a free port."""
    server = HttpServer(use_cases, options)
    try:
        where = await server.start()
        yield f"http://{where.authority}{API_PATH}"
    finally:
        await server.stop()
