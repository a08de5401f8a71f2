from __future__ import annotations

import pickle

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

import milvus_backup_client as client
from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup_client import BackupServiceError, from_rpc_error, from_status
from milvus_backup_server.domain import errors as domain
from tests.support.scripted_service import invalid, status

# What a store answers is translated by the use cases; settings are read before anybody can call.
NOT_FOR_CALLERS = (domain.ObjectStoreError, domain.InvalidSettings)


def subclasses(base: type[domain.BackupError]) -> list[type[domain.BackupError]]:
    return [base, *(found for sub in base.__subclasses__() for found in subclasses(sub))]


def reasons_of_the_server() -> dict[str, str]:
    return {
        found.__name__: found.reason
        for found in subclasses(domain.BackupError)
        if found.__module__.startswith("milvus_backup_server.")  # tests have some of their own
        and "reason" in vars(found)
        and found is not domain.BackupError
        and not issubclass(found, NOT_FOR_CALLERS)
    }


def test_the_server_has_reasons() -> None:
    assert len(reasons_of_the_server()) >= 28


@pytest.mark.parametrize(("name", "reason"), sorted(reasons_of_the_server().items()))
def test_every_reason_of_the_server_has_its_class(name: str, reason: str) -> None:
    error = from_status(status(grpc.StatusCode.UNKNOWN, reason, "what happened"))
    assert type(error).__name__ == name
    assert error.reason == reason
    assert name in client.__all__


def test_a_request_with_faults() -> None:
    error = from_status(invalid(backup_name="is too long", suffix="has a dot"))
    assert type(error) is client.InvalidRequest
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.violations == (
        client.FieldViolation("backup_name", "is too long"),
        client.FieldViolation("suffix", "has a dot"),
    )
    assert str(error) == "backup_name: is too long; suffix: has a dot (INVALID_REQUEST)"
    assert repr(error) == (
        "InvalidRequest('backup_name: is too long; suffix: has a dot (INVALID_REQUEST)')"
    )


def test_an_operation_that_failed_looks_like_a_call_that_failed() -> None:
    sent = status(
        grpc.StatusCode.FAILED_PRECONDITION,
        "STORAGE_DENIED",
        "the bucket 'b' is forbidden",
        subject="b",
    )
    operation = Operation(name="op_1")
    of_operation = from_status(sent, operation)
    call = grpc.aio.AioRpcError(
        grpc.StatusCode.FAILED_PRECONDITION,
        trailing_metadata=grpc.aio.Metadata(
            ("grpc-status-details-bin", sent.SerializeToString()),
        ),
        details="the bucket 'b' is forbidden",
    )
    of_call = from_rpc_error(call)
    assert type(of_call) is type(of_operation) is client.StorageDenied
    assert of_call.status == of_operation.status == sent
    assert of_call.metadata == of_operation.metadata == {"subject": "b"}
    assert of_call.operation is None
    assert of_operation.operation == operation


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, client.InvalidRequest),
        (grpc.StatusCode.NOT_FOUND, client.NotFound),
        (grpc.StatusCode.ALREADY_EXISTS, client.AlreadyExists),
        (grpc.StatusCode.FAILED_PRECONDITION, client.PreconditionFailed),
        (grpc.StatusCode.UNAVAILABLE, client.Unavailable),
        (grpc.StatusCode.UNIMPLEMENTED, client.MethodUnsupported),
        (grpc.StatusCode.DEADLINE_EXCEEDED, client.DeadlineExceeded),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, BackupServiceError),
        (grpc.StatusCode.ABORTED, BackupServiceError),
    ],
)
def test_an_unknown_reason_goes_by_its_code(
    code: grpc.StatusCode, kind: type[BackupServiceError]
) -> None:
    error = from_status(status(code, "MADE_UP_LATER", "news"))
    assert type(error) is kind
    assert (error.reason, error.code, str(error)) == (
        "MADE_UP_LATER",
        code,
        "news (MADE_UP_LATER)",
    )


def test_without_reason_it_was_not_the_service() -> None:
    call = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, details="connection refused")
    assert type(from_rpc_error(call)) is client.ServiceUnreachable
    of_operation = from_status(status(grpc.StatusCode.UNAVAILABLE, text="?"))
    assert type(of_operation) is client.Unavailable


def test_the_reason_of_a_proxy_does_not_count() -> None:
    sent = Status(code=grpc.StatusCode.UNAVAILABLE.value[0])
    sent.details.add().Pack(ErrorInfo(reason="BACKUP_NOT_FOUND", domain="proxy.example.com"))
    error = from_status(sent)
    assert type(error) is client.Unavailable
    assert error.reason == ""
    assert str(error) == "the service answered UNAVAILABLE"


def test_when_to_try_again() -> None:
    sent = status(grpc.StatusCode.UNAVAILABLE, "MILVUS_UNAVAILABLE")
    assert from_status(sent).retry_after_seconds is None
    retry = RetryInfo()
    retry.retry_delay.FromMilliseconds(2500)
    sent.details.add().Pack(retry)
    assert from_status(sent).retry_after_seconds == 2.5


def test_a_status_that_was_rewritten_on_the_way() -> None:
    sent = status(grpc.StatusCode.NOT_FOUND, "BACKUP_NOT_FOUND", "gone").SerializeToString()
    rewritten = grpc.aio.AioRpcError(
        grpc.StatusCode.INTERNAL,
        trailing_metadata=grpc.aio.Metadata(("grpc-status-details-bin", sent)),
        details="the proxy knows better",
    )
    garbage = grpc.aio.AioRpcError(
        grpc.StatusCode.NOT_FOUND,
        trailing_metadata=grpc.aio.Metadata(("grpc-status-details-bin", b"\xff\xff\xff")),
        details="gone",
    )
    assert str(from_rpc_error(rewritten)) == "the proxy knows better"
    assert type(from_rpc_error(garbage)) is client.NotFound


def test_garbage_in_a_status() -> None:
    sent = Status(code=999, message="odd")
    sent.details.append(
        Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff\xff")
    )
    error = from_status(sent)
    assert type(error) is BackupServiceError
    assert error.code is grpc.StatusCode.UNKNOWN
    assert str(error) == "odd"


def test_an_error_survives_pickling() -> None:
    sent = status(grpc.StatusCode.NOT_FOUND, "BACKUP_NOT_FOUND", "gone", resource="nightly")
    error = from_status(sent, Operation(name="op_1"))
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is client.BackupNotFound
    assert again.metadata == {"resource": "nightly"}
    assert again.operation == Operation(name="op_1")
