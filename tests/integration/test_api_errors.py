"""Errors of calls: whole for callers, with nothing of our insides, and logged once."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
import structlog
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from milvus_backup.v1.backup_service_pb2 import CreateBackupRequest, GetBackupRequest
from milvus_backup.v1.backup_service_pb2_grpc import BackupServiceStub
from milvus_backup.v1.operation_service_pb2 import (
    CancelOperationRequest,
    GetOperationRequest,
    ListOperationCollectionsRequest,
    ListOperationProblemsRequest,
    ListOperationsRequest,
    ResumeOperationRequest,
    RetryOperationRequest,
    WatchOperationRequest,
    WatchOperationsRequest,
)
from milvus_backup.v1.operation_service_pb2_grpc import OperationServiceStub
from milvus_backup_server.api.permissions import PERMISSIONS
from milvus_backup_server.api.status import CODES, error_status
from milvus_backup_server.domain import errors
from milvus_backup_server.domain.errors import BackupError, FieldViolation
from milvus_backup_server.telemetry import configure_logging
from tests.support.fake_use_cases import FakeApi, failure, serving_fakes

SECRET = "hunter2 in /internal/path.py"
STREAMS = {name for name in PERMISSIONS if "/Watch" in name}


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with serving_fakes() as served:
        yield served


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    configure_logging("info", stream)
    yield stream
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def sample(kind: type[BackupError]) -> BackupError:
    if issubclass(kind, errors.InvalidRequest | errors.InvalidSettings):
        return kind(FieldViolation("suffix", "is wrong"), FieldViolation("renames", "too"))
    if issubclass(kind, errors.InternalError):
        return kind()
    if issubclass(kind, errors.NotFound | errors.AlreadyExists):
        return kind("nightly")
    return kind("what happened", subject="a-bucket", operation="op_1")


async def status_of(call: Any) -> Status:
    error: Any = await failure(call)
    status: Status | None = rpc_status.from_call(error)
    assert status is not None
    return status


def info_of(status: Status) -> ErrorInfo:
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


async def test_every_error_arrives_whole(api: FakeApi) -> None:
    stub = BackupServiceStub(api.channel)
    for kind, code in CODES.items():
        api.catalog.error = sample(kind)
        error: Any = await failure(stub.GetBackup(GetBackupRequest(backup_name="nightly")))
        status = rpc_status.from_call(error)
        assert status == error_status(sample(kind)), kind
        assert (error.code(), error.details()) == (code, status.message), kind
        reason = "INTERNAL" if code is grpc.StatusCode.INTERNAL else kind.reason
        assert info_of(status).reason == reason, kind


async def test_many_faults_of_a_request_arrive(api: FakeApi) -> None:
    faults = [FieldViolation(f"collections[{n}]", "ü" * 300) for n in range(10_000)]
    api.create.error = errors.InvalidRequest(*faults)
    status = await status_of(BackupServiceStub(api.channel).CreateBackup(CreateBackupRequest()))
    assert info_of(status).metadata["violations"] == "10000"
    shown = BadRequest()
    assert status.details[1].Unpack(shown)
    assert shown.field_violations[0].field == "collections[0]"


@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET),
        errors.ObjectChanged(SECRET, key=SECRET),
        ExceptionGroup(SECRET, [KeyError(SECRET)]),
        grpc.aio.AioRpcError(
            grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), SECRET
        ),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_nothing_of_our_insides_reaches_a_caller(
    api: FakeApi, log: io.StringIO, error: Exception
) -> None:
    api.catalog.error = error
    call = BackupServiceStub(api.channel).GetBackup(GetBackupRequest(backup_name="nightly"))
    found = await failure(call)
    assert found.code() is grpc.StatusCode.INTERNAL
    assert found.details() == "internal error; the log of the service has the details"
    assert "hunter2" not in f"{found!r} {found.trailing_metadata()}"
    (line,) = lines(log)
    assert line["level"] == "error"
    assert "hunter2" in line["exception"]
    assert "Traceback" in line["exception"]


async def test_a_failed_call_is_one_line_without_the_request(
    api: FakeApi, log: io.StringIO
) -> None:
    api.create.error = errors.BackupAlreadyExists("nightly")
    request = CreateBackupRequest(backup_name="nightly", labels={"note": "hunter2"})
    await failure(BackupServiceStub(api.channel).CreateBackup(request))
    api.create.error = errors.StorageUnavailable("the store is away")
    await failure(BackupServiceStub(api.channel).CreateBackup(request))
    refused, failed = lines(log)
    assert (refused["level"], refused["reason"]) == ("info", "BACKUP_ALREADY_EXISTS")
    assert (failed["level"], failed["reason"]) == ("warning", "STORAGE_UNAVAILABLE")
    assert refused["rpc"] == "/milvus_backup.v1.BackupService/CreateBackup"
    assert refused["peer"].startswith("ipv4:127.0.0.1:")
    assert "hunter2" not in log.getvalue()


async def test_bytes_that_are_no_message_are_refused(api: FakeApi) -> None:
    channel: Any = api.channel
    for method in PERMISSIONS:
        multi = channel.unary_stream if method in STREAMS else channel.unary_unary
        # Field 1 announces more bytes than come.
        status = await status_of(multi(method)(b"\x0a\xff\x01"))
        assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0], method
        assert info_of(status).reason == "INVALID_REQUEST", method


async def test_bytes_that_are_no_request_of_reflection_are_refused(api: FakeApi) -> None:
    channel: Any = api.channel
    method = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    status = await status_of(channel.stream_stream(method)(iter([b"\x0a\xff\x01"])))
    assert info_of(status).reason == "INVALID_REQUEST"


@pytest.mark.parametrize("service", ["BackupService", "OperationService", "Nothing"])
async def test_an_rpc_that_is_not_there(api: FakeApi, service: str) -> None:
    channel: Any = api.channel
    error = await failure(channel.unary_unary(f"/milvus_backup.v1.{service}/Nothing")(b""))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_request_that_is_too_large(api: FakeApi) -> None:
    request = CreateBackupRequest(backup_name="x" * (5 << 20))
    error = await failure(BackupServiceStub(api.channel).CreateBackup(request))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert api.create.asked == []


async def test_wrong_fields_of_what_the_api_itself_reads(api: FakeApi) -> None:
    backups, operations = BackupServiceStub(api.channel), OperationServiceStub(api.channel)
    watch_all = WatchOperationsRequest(names=[str(n) for n in range(1001)])
    too_slow = WatchOperationRequest(name="x")
    too_slow.min_interval.seconds = 61
    calls: list[tuple[str, Any]] = [
        ("view", backups.GetBackup(GetBackupRequest(view=7))),  # type: ignore[arg-type]
        ("page_size", operations.ListOperations(ListOperationsRequest(page_size=-1))),
        ("page_token", operations.ListOperations(ListOperationsRequest(page_token="x"))),
        ("states[0]", operations.ListOperations(ListOperationsRequest(states=[0]))),  # type: ignore[list-item]
        ("kinds[0]", operations.ListOperations(ListOperationsRequest(kinds=[99]))),  # type: ignore[list-item]
        ("names", operations.WatchOperations(watch_all)),
        ("names[1]", operations.WatchOperations(WatchOperationsRequest(names=["x", ""]))),
        ("min_interval", operations.WatchOperation(too_slow)),
    ]
    for field, call in calls:
        status = await status_of(call)
        assert info_of(status).metadata["field"] == field


async def test_a_request_that_names_no_operation(api: FakeApi) -> None:
    operations = OperationServiceStub(api.channel)
    calls: list[Any] = [
        operations.GetOperation(GetOperationRequest()),
        operations.WatchOperation(WatchOperationRequest()),
        operations.CancelOperation(CancelOperationRequest()),
        operations.ResumeOperation(ResumeOperationRequest()),
        operations.RetryOperation(RetryOperationRequest()),
        operations.ListOperationCollections(ListOperationCollectionsRequest()),
        operations.ListOperationProblems(ListOperationProblemsRequest()),
    ]
    for call in calls:
        status = await status_of(call)
        assert status.message == "name: is required: the name that the call which began it returned"
        assert info_of(status).metadata["field"] == "name"


async def test_an_unknown_operation(api: FakeApi) -> None:
    operations = OperationServiceStub(api.channel)
    calls: list[Any] = [
        operations.GetOperation(GetOperationRequest(name="gone")),
        operations.WatchOperation(WatchOperationRequest(name="gone")),
        operations.WatchOperations(WatchOperationsRequest(names=["gone"])),
    ]
    for call in calls:
        assert info_of(await status_of(call)).reason == "OPERATION_NOT_FOUND"


@pytest.mark.parametrize("how", ["cancel", "deadline"])
async def test_a_call_that_is_given_up_is_cancelled_and_no_failure(
    api: FakeApi, log: io.StringIO, how: str
) -> None:
    api.catalog.never = asyncio.Event()
    timeout = 0.2 if how == "deadline" else None
    call = BackupServiceStub(api.channel).GetBackup(GetBackupRequest(), timeout=timeout)
    await api.catalog.entered.wait()
    if how == "cancel":
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    else:
        assert (await failure(call)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(60):
        await api.catalog.cancelled.wait()
    assert lines(log) == []
