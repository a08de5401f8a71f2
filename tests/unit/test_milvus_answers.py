"""Statuses and gRPC codes as errors of the domain; the texts are those of real servers."""

import grpc
import pytest

from milvus_backup_server.adapters.milvus.answers import (
    Answer,
    Asked,
    error_of,
    from_rpc,
    meaning,
    short,
)
from milvus_backup_server.adapters.milvus.stubs import Message, common_pb2
from milvus_backup_server.domain.errors import (
    BackupError,
    CollectionNotFound,
    DatabaseNotFound,
    MilvusDenied,
    MilvusRefused,
    MilvusUnavailable,
)
from milvus_backup_server.domain.milvus import CollectionName

ASKED = Asked("DescribeCollection", "milvus:19530", CollectionName("shop", "c1"))


def status(code: int = 0, reason: str = "", *, old: int = 0, retriable: bool = False) -> Message:
    return common_pb2.Status(code=code, reason=reason, error_code=old, retriable=retriable)


@pytest.mark.parametrize(
    ("code", "old", "reason", "meant"),
    [
        (0, 0, "", Answer.OK),
        (100, 4, "collection not found[collection=c]", Answer.COLLECTION_MISSING),
        (100, 1, "can't find collection collection not found", Answer.COLLECTION_MISSING),
        (0, 1, "can't find collection: c", Answer.COLLECTION_MISSING),
        (0, 4, "", Answer.COLLECTION_MISSING),
        (65535, 1, "code = Unknown desc = collection not found", Answer.COLLECTION_MISSING),
        (800, 1, "database not found[database=nodb]", Answer.DATABASE_MISSING),
        (65535, 1, "database not found[database=nodb]", Answer.DATABASE_MISSING),
        (65535, 1, "database:nodb not found", Answer.DATABASE_MISSING),
        (65535, 1, "database already exist: shop", Answer.DATABASE_EXISTS),
        (700, 25, "index not found[collection=c]", Answer.INDEX_MISSING),
        (101, 1, "collection not loaded[collection=1]", Answer.NOT_LOADED),
        (201, 1, "partition not loaded[partition=2]", Answer.NOT_LOADED),
        (1000, 1, "key not found[key=by-dev/meta/importtask/123]", Answer.KEY_MISSING),
        (0, 1, "collection 5 has not been loaded to memory or load failed", Answer.NOT_LOADED),
        (0, 1, "import task id doesn't exist", Answer.KEY_MISSING),
        (1, 1, "service not ready[standalone=1]", Answer.PASSING),
        (8, 49, "rate limit exceeded[rate=1]", Answer.PASSING),
        (65535, 1, "rpc error: code = Unavailable desc = closing", Answer.LOST),
        (65535, 1, "context deadline exceeded", Answer.LOST),
        (65535, 1, "DataCoord not ready: context deadline exceeded", Answer.LOST),
        (1401, 3, "privilege not permitted", Answer.DENIED),
        (0, 3, "permission deny", Answer.DENIED),
        (200, 15, "partition not found[partition=p3]", Answer.REFUSED),
        (65535, 1, "create duplicate collection with different parameters", Answer.REFUSED),
        (0, 1, "", Answer.REFUSED),
    ],
)
def test_meanings(code: int, old: int, reason: str, meant: Answer) -> None:
    assert meaning(status(code, reason, old=old)) is meant


def test_what_milvus_calls_retriable_may_pass() -> None:
    answer = status(103, "collection not fully loaded", old=1, retriable=True)
    assert meaning(answer) is Answer.PASSING


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (100, CollectionNotFound),
        (800, DatabaseNotFound),
        (8, MilvusUnavailable),
        (1400, MilvusDenied),
        (200, MilvusRefused),
    ],
)
def test_statuses_become_errors(code: int, kind: type[BackupError]) -> None:
    assert type(error_of(status(code, "why"), ASKED)) is kind


def test_a_refusal_names_the_call_and_the_collection() -> None:
    error = error_of(status(200, "partition not found[partition=p3]"), ASKED)
    assert error.metadata == {
        "subject": "shop.c1",
        "call": "DescribeCollection",
        "address": "milvus:19530",
        "code": "200",
    }
    assert error.message == (
        "Milvus at milvus:19530 refuses DescribeCollection: partition not found[partition=p3]"
    )


def test_a_missing_collection_of_several_is_named() -> None:
    asked = Asked("Flush", "milvus:19530", CollectionName("shop", ""))
    reason = "collection not found[database=shop][collection=gone]"
    assert error_of(status(100, reason), asked).metadata["resource"] == "shop.gone"


@pytest.mark.parametrize(
    ("code", "details", "said", "kind"),
    [
        (
            grpc.StatusCode.UNAVAILABLE,
            "failed to connect to all addresses",
            "no connection",
            MilvusUnavailable,
        ),
        (
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "Deadline Exceeded",
            "no answer in time",
            MilvusUnavailable,
        ),
        (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "request is rejected",
            "request is rejected",
            MilvusUnavailable,
        ),
        (
            grpc.StatusCode.INTERNAL,
            "Received RST_STREAM with error code 2",
            "Received RST_STREAM with error code 2",
            MilvusUnavailable,
        ),
        (grpc.StatusCode.UNKNOWN, "Stream removed", "Stream removed", MilvusUnavailable),
        (grpc.StatusCode.UNAUTHENTICATED, "auth check failure", "auth check failure", MilvusDenied),
        (
            grpc.StatusCode.PERMISSION_DENIED,
            "PrivilegeFlush: permission deny to bob",
            "PrivilegeFlush: permission deny to bob",
            MilvusDenied,
        ),
        (
            grpc.StatusCode.UNIMPLEMENTED,
            "unknown method DescribeDatabase",
            "unknown method DescribeDatabase",
            MilvusRefused,
        ),
        (grpc.StatusCode.INTERNAL, "panic", "panic", MilvusRefused),
    ],
)
def test_rpc_codes_become_errors(
    code: grpc.StatusCode, details: str, said: str, kind: type[BackupError]
) -> None:
    error = from_rpc(code, details, ASKED)
    assert type(error) is kind
    assert error.message.endswith(said)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("index not found", "index not found"),
        ("stack trace: /milvus/pkg/tracer.go:51\nmain", ""),
        ("oops, stack trace: /milvus/a.go:1", "oops"),
        ("first\nsecond", "first"),
        ("attempt #9: rpc error: code = Unknown desc = no disk", "no disk"),
        ("x" * 400, "x" * 300 + "..."),
    ],
)
def test_texts_are_short(text: str, shown: str) -> None:
    assert short(text) == shown
