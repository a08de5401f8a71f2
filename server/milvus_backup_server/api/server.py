"""The gRPC server: our three services, health and reflection, and what connections may ask for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import grpc.aio
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from milvus_backup.v1 import backup_service_pb2, operation_service_pb2, server_service_pb2
from milvus_backup.v1.backup_service_pb2_grpc import add_BackupServiceServicer_to_server
from milvus_backup.v1.operation_service_pb2_grpc import add_OperationServiceServicer_to_server
from milvus_backup.v1.server_service_pb2_grpc import add_ServerServiceServicer_to_server
from milvus_backup_server.api.backup_servicer import BackupServicer
from milvus_backup_server.api.interceptors import CallInterceptor
from milvus_backup_server.api.operation_servicer import OperationServicer
from milvus_backup_server.api.server_servicer import ServerServicer
from milvus_backup_server.service.use_cases import UseCases

SERVICE_NAMES = (
    backup_service_pb2.DESCRIPTOR.services_by_name["BackupService"].full_name,
    operation_service_pb2.DESCRIPTOR.services_by_name["OperationService"].full_name,
    server_service_pb2.DESCRIPTOR.services_by_name["ServerService"].full_name,
)
HEALTH_NAME = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

_MESSAGE_BYTES = 4 * 1024 * 1024
_STOP_GRACE_SECONDS = 0.5


def channel_options() -> list[tuple[str, int]]:
    """Return what connections may do: how large, how many, how often they may ping."""
    return [
        # Two servers on one port would share its calls; a taken port has to be an error.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MESSAGE_BYTES),
        ("grpc.max_concurrent_streams", 256),
        # A watch may be silent for hours: both ends find out in time that the other one is gone.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the server listens: host and port (0: any free one), or the path of a unix socket."""

    host: str = "127.0.0.1"
    port: int = 50051
    socket: str = ""

    @property
    def target(self) -> str:
        """The address as gRPC clients take it."""
        if self.socket:
            return f"unix:{quote(self.socket)}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class ApiServer:
    """The gRPC face of the service."""

    def __init__(self, use_cases: UseCases) -> None:
        self._health = health_aio.HealthServicer()
        self._server = grpc.aio.server(interceptors=[CallInterceptor()], options=channel_options())
        add_BackupServiceServicer_to_server(BackupServicer(use_cases), self._server)
        add_OperationServiceServicer_to_server(
            OperationServicer(use_cases),
            self._server,
        )
        add_ServerServiceServicer_to_server(ServerServicer(use_cases.diagnostics), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*SERVICE_NAMES, HEALTH_NAME, reflection.SERVICE_NAME)
        files: Any = _ReflectedFiles()
        reflection.enable_server_reflection(names, self._server, pool=files)

    async def start(self, endpoint: Endpoint) -> Endpoint:
        """Listen, serve, and return where: with the port that was chosen for port 0.

        Raises:
            OSError: The address is taken or cannot be listened on.
        """
        if endpoint.socket and await _answers(endpoint.socket):
            raise OSError(f"{endpoint.socket} is taken by a running server")
        try:
            port = self._server.add_insecure_port(endpoint.target)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {endpoint.target}: is the address taken?") from error
        await self._server.start()
        for name in SERVICE_NAMES:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return endpoint if endpoint.socket else replace(endpoint, port=port)

    async def announce_stop(self) -> None:
        """Tell health checks that the service is going; calls are still served."""
        await self._health.enter_graceful_shutdown()

    async def stop(self) -> None:
        """Take no more calls and end those that are open, watches of health among them."""
        await self.announce_stop()
        await self._server.stop(_STOP_GRACE_SECONDS)


class _ReflectedFiles:
    """The descriptors that reflection tells of: protobuf's own pool, which finds no methods."""

    def __getattr__(self, name: str) -> Any:
        return getattr(descriptor_pool.Default(), name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802
        """Return the file of a symbol, a method among them."""
        find = descriptor_pool.Default().FindFileContainingSymbol
        try:
            return find(symbol)
        except KeyError:
            return find(symbol.rpartition(".")[0])


async def _answers(socket: str) -> bool:
    """Tell whether someone listens on a unix socket; gRPC would remove it from under them."""
    try:
        _, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    writer.close()
    return True
