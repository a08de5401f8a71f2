"""The server itself: where it listens, what it offers besides our services."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from milvus_backup.v1.operation_service_pb2 import ListOperationsRequest
from milvus_backup.v1.operation_service_pb2_grpc import OperationServiceStub
from milvus_backup_server.api.server import ApiServer, Endpoint
from tests.support.fake_use_cases import FakeApi, failure, serving_fakes

OURS = [f"milvus_backup.v1.{name}Service" for name in ("Backup", "Operation", "Server")]
SYMBOLS = [
    "milvus_backup.v1.Operation",
    "milvus_backup.v1.BackupService.CreateBackup",
    "google.rpc.ErrorInfo",
]
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with serving_fakes() as served:
        yield served


def another_server(api: FakeApi) -> ApiServer:
    return ApiServer(api.use_cases)


async def reflected(api: FakeApi, **asked: Any) -> reflection_pb2.ServerReflectionResponse:
    channel: Any = api.channel
    stub: Any = ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**asked)]))
    answer: reflection_pb2.ServerReflectionResponse = await call.read()
    return answer


async def health(api: FakeApi, service: str) -> int:
    stub: Any = HealthStub(api.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
    return int(answer.status)


async def test_reflection_tells_of_every_service(api: FakeApi) -> None:
    answer = await reflected(api, list_services="")
    assert [item.name for item in answer.list_services_response.service] == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        *OURS,
    ]


@pytest.mark.parametrize("symbol", [*OURS, *SYMBOLS])
async def test_reflection_gives_the_files_of_a_symbol(api: FakeApi, symbol: str) -> None:
    answer = await reflected(api, file_containing_symbol=symbol)
    files = answer.file_descriptor_response.file_descriptor_proto
    names = [FileDescriptorProto.FromString(data).name for data in files]
    folder = "google/rpc/" if symbol.startswith("google") else "milvus_backup/v1/"
    assert any(name.startswith(folder) for name in names)


async def test_reflection_does_not_know_what_is_not_there(api: FakeApi) -> None:
    answer = await reflected(api, file_containing_symbol="milvus_backup.v1.Nothing.AtAll")
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.parametrize("service", ["", *OURS])
async def test_health_of_each_service(api: FakeApi, service: str) -> None:
    assert await health(api, service) == SERVING
    await api.server.announce_stop()
    assert await health(api, service) == NOT_SERVING


async def test_health_of_an_unknown_service(api: FakeApi) -> None:
    stub: Any = HealthStub(api.channel)
    error = await failure(stub.Check(health_pb2.HealthCheckRequest(service="nothing")))
    assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_a_watch_of_health_does_not_hold_up_the_stop(api: FakeApi) -> None:
    stub: Any = HealthStub(api.channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == SERVING
    async with asyncio.timeout(20):
        await api.server.stop()
    assert (await watch.read()).status == NOT_SERVING


async def test_a_taken_port_is_an_error(api: FakeApi) -> None:
    port = int(api.target.rpartition(":")[2])
    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
        await another_server(api).start(Endpoint(port=port))


async def test_a_unix_socket(api: FakeApi, tmp_path: Path) -> None:
    path = tmp_path / "a b%20.sock"
    server = another_server(api)
    endpoint = await server.start(Endpoint(socket=str(path)))
    try:
        assert path.is_socket()
        async with grpc.aio.insecure_channel(endpoint.target) as channel:
            await OperationServiceStub(channel).ListOperations(ListOperationsRequest())
        with pytest.raises(OSError, match="taken by a running server"):
            await another_server(api).start(Endpoint(socket=str(path)))
    finally:
        await server.stop()


async def test_a_socket_that_a_killed_server_left_is_taken_over(
    api: FakeApi, tmp_path: Path
) -> None:
    path = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert path.is_socket()
    server = another_server(api)
    endpoint = await server.start(Endpoint(socket=str(path)))
    async with grpc.aio.insecure_channel(endpoint.target) as channel:
        await OperationServiceStub(channel).ListOperations(ListOperationsRequest())
    await server.stop()


def test_targets() -> None:
    assert Endpoint().target == "127.0.0.1:50051"
    assert Endpoint("::1", 1).target == "[::1]:1"
    assert Endpoint(socket="/run/x.sock").target == "unix:/run/x.sock"
