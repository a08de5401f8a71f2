"""A simulated Milvus at real ports."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc.aio
from aiohttp import web

from milvus_backup_server.adapters.milvus.stubs import milvus_pb2_grpc
from tests.support.simulator.grpc_face import GrpcFace
from tests.support.simulator.imports import ImportJobs
from tests.support.simulator.model import SimulatedMilvus
from tests.support.simulator.rest import ManagementFace, RestFace

_HOST = "127.0.0.1"
_HTTP2 = b"PRI * HTTP/2"
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Simulator:
    """A simulated Milvus that is served.

    Attributes:
        port: gRPC and REST, as Milvus has both at one port.
        management_port: the management API.
    """

    milvus: SimulatedMilvus
    jobs: ImportJobs
    grpc: GrpcFace
    rest: RestFace
    management: ManagementFace
    port: int
    management_port: int


@asynccontextmanager
async def simulator(milvus: SimulatedMilvus) -> AsyncIterator[Simulator]:
    """Serve a simulated Milvus."""
    jobs = ImportJobs(milvus)
    face, rest, management = GrpcFace(milvus, jobs), RestFace(milvus, jobs), ManagementFace(milvus)
    async with AsyncExitStack() as stack:
        grpc_port = await _serve_grpc(stack, face)
        rest_port = await _serve_http(stack, rest.application())
        management_port = await _serve_http(stack, management.application())
        port = await _serve_both(stack, grpc_port, rest_port)
        yield Simulator(milvus, jobs, face, rest, management, port, management_port)


async def _serve_grpc(stack: AsyncExitStack, face: GrpcFace) -> int:
    server = grpc.aio.server(interceptors=[CountingInterceptor(face)])
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(face, server)
    port = server.add_insecure_port(f"{_HOST}:0")
    await server.start()
    stack.push_async_callback(server.stop, None)
    return int(port)


async def _serve_http(stack: AsyncExitStack, application: web.Application) -> int:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, _HOST, 0).start()
    return int(runner.addresses[0][1])


async def _serve_both(stack: AsyncExitStack, grpc_port: int, rest_port: int) -> int:
    """Listen where a connection goes to gRPC or to REST by how it begins."""
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        with contextlib.suppress(
            ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
        ):
            await _relay(reader, writer, grpc_port, rest_port)
        connections.discard(task)

    server = await asyncio.start_server(connected, _HOST, 0)

    async def close() -> None:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    stack.push_async_callback(close)
    return int(server.sockets[0].getsockname()[1])


async def _relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, grpc_port: int, rest_port: int
) -> None:
    try:
        begin = await reader.readexactly(len(_HTTP2))
        port = grpc_port if begin == _HTTP2 else rest_port
        back, forth = await asyncio.open_connection(_HOST, port)
        forth.write(begin)
        try:
            await asyncio.wait(
                {
                    asyncio.create_task(_pump(reader, forth)),
                    asyncio.create_task(_pump(back, writer)),
                },
                return_when=asyncio.ALL_COMPLETED,
            )
        finally:
            forth.close()
    finally:
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


class CountingInterceptor(grpc.aio.ServerInterceptor):
    """Notes the methods called."""

    def __init__(self, face: GrpcFace) -> None:
        self._face = face

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        self._face.calls.append(handler_call_details.method.rpartition("/")[2])
        return await continuation(handler_call_details)
