"""The one table from errors to what callers see."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TypeVar

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    PreconditionFailure,
    QuotaFailure,
    ResourceInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

import milvus_backup_server
from milvus_backup_server.api.status import (
    CODES,
    MAX_STATUS_BYTES,
    code_of,
    error_status,
)
from milvus_backup_server.domain import errors
from milvus_backup_server.domain.errors import BackupError, FieldViolation
from milvus_backup_server.domain.faults import Faults

INTERNAL = grpc.StatusCode.INTERNAL
M = TypeVar("M", bound=Message)

SECRET = "hunter2 at /internal/path line 17"


for module in pkgutil.walk_packages(milvus_backup_server.__path__, "milvus_backup_server."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)


def all_classes(base: type[BackupError] = BackupError) -> list[type[BackupError]]:
    found = [base]
    for child in base.__subclasses__():
        found += all_classes(child)
    return [kind for kind in found if kind.__module__.startswith("milvus_backup_server.")]


def elsewhere(kind: type[BackupError]) -> bool:
    return not kind.__module__.startswith(errors.__name__)


def details(status: Status) -> list[Message]:
    known = {
        kind.DESCRIPTOR.full_name: kind
        for kind in (
            BadRequest,
            ErrorInfo,
            PreconditionFailure,
            QuotaFailure,
            ResourceInfo,
            RetryInfo,
        )
    }
    found: list[Message] = []
    for packed in status.details:
        message: Message = known[packed.type_url.rpartition("/")[2]]()
        assert packed.Unpack(message)
        found.append(message)
    return found


def detail(status: Status, kind: type[M]) -> M:
    return next(item for item in details(status) if isinstance(item, kind))


def test_every_error_class_has_a_row_of_its_own() -> None:
    missing = [it.__name__ for it in all_classes() if it not in CODES and not elsewhere(it)]
    assert missing == []


def test_a_class_outside_the_domain_has_a_base_that_callers_may_see() -> None:
    kinds = [kind for kind in all_classes() if elsewhere(kind)]
    hidden = [kind.__name__ for kind in kinds if CODES.get(kind.__mro__[1]) in {None, INTERNAL}]
    assert hidden == []


def test_every_row_is_a_class_of_ours() -> None:
    assert set(CODES) <= set(all_classes())


@pytest.mark.parametrize("kind", all_classes(), ids=lambda kind: kind.__name__)
def test_reasons_are_upper_snake_case(kind: type[BackupError]) -> None:
    assert kind.reason.isupper()
    assert kind.reason.replace("_", "").isalnum()


def test_a_status_has_code_message_reason_domain_and_metadata() -> None:
    status = error_status(
        errors.StorageDenied("the store refused us", subject="a-bucket", status=403)
    )
    assert status.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    assert status.message == "the store refused us"
    info = detail(status, ErrorInfo)
    assert (info.reason, info.domain) == ("STORAGE_DENIED", "milvus-backup")
    assert dict(info.metadata) == {"subject": "a-bucket", "status": "403"}


@pytest.mark.parametrize(
    ("error", "code", "kinds"),
    [
        (
            errors.InvalidRequest(FieldViolation("suffix", "bad")),
            "INVALID_ARGUMENT",
            [ErrorInfo, BadRequest],
        ),
        (errors.BackupNotFound("nightly"), "NOT_FOUND", [ErrorInfo, ResourceInfo]),
        (errors.CollectionNotFound("db.c"), "NOT_FOUND", [ErrorInfo, ResourceInfo]),
        (errors.TargetAlreadyExists("db.c"), "ALREADY_EXISTS", [ErrorInfo, ResourceInfo]),
        (
            errors.RequestIdReused("x", request_id="r", operation="op"),
            "ALREADY_EXISTS",
            [ErrorInfo, ResourceInfo],
        ),
        (
            errors.OperationConflict("x", operation="op"),
            "ABORTED",
            [ErrorInfo, ResourceInfo],
        ),
        (
            errors.BucketNotFound("x", subject="b"),
            "FAILED_PRECONDITION",
            [ErrorInfo, PreconditionFailure],
        ),
        (errors.BackupCorrupt("x"), "DATA_LOSS", [ErrorInfo]),
        (errors.MilvusUnavailable("x"), "UNAVAILABLE", [ErrorInfo, RetryInfo]),
        (errors.ServerStopping("x"), "UNAVAILABLE", [ErrorInfo, RetryInfo]),
        (
            errors.TooManyOperations("x"),
            "RESOURCE_EXHAUSTED",
            [ErrorInfo, QuotaFailure, RetryInfo],
        ),
        (errors.OperationCancelled("x"), "CANCELLED", [ErrorInfo]),
        (errors.OperationInterrupted("x"), "ABORTED", [ErrorInfo]),
        (errors.ImportOutcomeUnknown("x"), "UNKNOWN", [ErrorInfo]),
        (errors.InternalError(), "INTERNAL", [ErrorInfo]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BackupError) else None,
)
def test_codes_and_details(error: BackupError, code: str, kinds: list[type[Message]]) -> None:
    status = error_status(error)
    assert status.code == grpc.StatusCode[code].value[0]
    assert [type(item) for item in details(status)] == kinds


def test_details_name_the_thing() -> None:
    found = detail(error_status(errors.BackupNotFound("nightly")), ResourceInfo)
    assert (found.resource_type, found.resource_name) == ("backup", "nightly")
    other = detail(error_status(errors.OperationConflict("x", operation="op1")), ResourceInfo)
    assert (other.resource_type, other.resource_name) == ("operation", "op1")
    precondition = error_status(errors.BucketNotFound("gone", subject="a-bucket"))
    (violation,) = detail(precondition, PreconditionFailure).violations
    assert (violation.type, violation.subject) == ("BUCKET_NOT_FOUND", "a-bucket")


def test_all_faults_of_a_request_arrive() -> None:
    faults = [FieldViolation(f"collections[{n}]", "is not a name") for n in range(10)]
    status = error_status(errors.InvalidRequest(*faults))
    fields = [item.field for item in detail(status, BadRequest).field_violations]
    assert fields == [fault.field for fault in faults]


def test_what_was_found_together_arrives_with_fields_and_reasons() -> None:
    faults = Faults()
    faults.add(errors.CollectionNotFound("db.c"), "collections[3]")
    faults.add(errors.TargetAlreadyExists("db.d"), "renames['c']")
    faults.add(errors.InvalidRequest(FieldViolation("mappings[0]", "meets another")))
    status = error_status(faults.error() or AssertionError())
    assert status.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert detail(status, ResourceInfo).resource_name == "db.c"
    found = detail(status, BadRequest).field_violations
    assert [(item.field, item.reason, item.description) for item in found] == [
        ("collections[3]", "COLLECTION_NOT_FOUND", "collection 'db.c' does not exist"),
        ("renames['c']", "TARGET_ALREADY_EXISTS", "collection 'db.d' already exists"),
        ("mappings[0]", "INVALID_REQUEST", "meets another"),
    ]


@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET),
        KeyError(SECRET),
        BackupError(SECRET, path=SECRET),
        errors.ObjectChanged(SECRET, key=SECRET),
        errors.CopyDenied(SECRET),
        errors.InvalidSettings(FieldViolation("x", SECRET)),
        ExceptionGroup(SECRET, [ValueError(SECRET)]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_not_for_callers_becomes_a_fixed_text(error: Exception) -> None:
    status = error_status(error)
    assert status.code == grpc.StatusCode.INTERNAL.value[0]
    assert status.message == "internal error; the log of the service has the details"
    assert SECRET.encode() not in status.SerializeToString()
    assert detail(status, ErrorInfo).reason == "INTERNAL"


def test_a_group_shows_its_first_error_for_callers() -> None:
    inner = ExceptionGroup("x", [errors.StorageUnavailable("the store is away")])
    status = error_status(ExceptionGroup("x", [ValueError(SECRET), inner]))
    assert status.message == "the store is away"


def test_a_class_of_elsewhere_counts_as_its_base() -> None:
    class Special(errors.BackupNotFound):
        reason = "SPECIAL"

    assert code_of(Special("x")) is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("letter", ["x", "ü", "\N{GRINNING FACE}", "\ud800"])
def test_no_status_is_too_large_for_trailing_metadata(letter: str) -> None:
    long = letter * 5000
    faults = [FieldViolation(long, long) for _ in range(1000)]
    together = Faults()
    for _ in range(50):
        together.add(errors.TargetAlreadyExists(long), long)
    for error in (
        together.error(),
        errors.InvalidRequest(*faults),
        errors.BackupNotFound(long),
        errors.BucketNotFound(long, **{f"key{n}": long for n in range(50)}),
        errors.TooManyOperations(long),
        errors.OperationConflict(long, operation=long),
    ):
        assert error is not None
        status = error_status(error)
        assert status.ByteSize() <= MAX_STATUS_BYTES
        assert len(status.message.encode()) <= 1024
        trailing = rpc_status.to_status(status).trailing_metadata
        assert sum(len(value) * 4 / 3 for _, value in trailing) < 5 * 1024
