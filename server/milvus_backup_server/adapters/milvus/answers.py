"""What Milvus answers, and what happens on the way to it, in the words of the domain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

import grpc
import grpc.aio

from milvus_backup_server.adapters.milvus.stubs import Message, common_pb2
from milvus_backup_server.domain.errors import (
    BackupError,
    CollectionNotFound,
    DatabaseNotFound,
    ImportOutcomeUnknown,
    MilvusDenied,
    MilvusRefused,
    MilvusUnavailable,
)
from milvus_backup_server.domain.failures import LOST, leaves_open
from milvus_backup_server.domain.milvus import CollectionName

_LONGEST_TEXT = 300
_HIDDEN = "***"
_NAMED = re.compile(r"\[collection=([^\]]*)\]")

NOT_SENT = "NOT_SENT"
"""The code of an error of a request that never reached Milvus."""

NOTHING = CollectionName("", "")
"""The subject of a call about the whole Milvus."""


class Answer(Enum):
    """What a status of Milvus means."""

    OK = "ok"
    COLLECTION_MISSING = "collection missing"
    DATABASE_MISSING = "database missing"
    DATABASE_EXISTS = "database exists"
    INDEX_MISSING = "index missing"
    NOT_LOADED = "not loaded"
    ALIAS_MISSING = "alias missing"
    ALIAS_EXISTS = "alias exists"
    REPLICA_MISSING = "replica missing"
    KEY_MISSING = "key missing"
    PASSING = "passing"
    LOST = "lost"
    """One part of Milvus did not get the answer of another: it may be done, or not."""
    DENIED = "denied"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Asked:
    """A call: for what its answer means, and to name things in messages.

    Attributes:
        method: The name of the RPC.
        address: Where Milvus is.
        subject: The collection; without a name for calls about a database or several collections.
        secrets: What the request holds and no message may.
    """

    method: str
    address: str
    subject: CollectionName = NOTHING
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def said(self, text: str) -> str:
        """Return a text of Milvus as messages tell it. Cut first, a secret at its edge would be there in part."""
        for secret in self.secrets:
            text = text.replace(secret, _HIDDEN)
        return short(text)


# Numbers of Milvus 2.3 and later; the same in all of them.
_CODES: Mapping[int, Answer] = {
    1: Answer.PASSING,  # not ready
    2: Answer.PASSING,  # unavailable
    4: Answer.PASSING,  # too many requests
    8: Answer.PASSING,  # rate limit
    100: Answer.COLLECTION_MISSING,
    101: Answer.NOT_LOADED,
    201: Answer.NOT_LOADED,  # of a partition
    400: Answer.REPLICA_MISSING,
    600: Answer.PASSING,  # a segment that a compaction replaced while it was looked up
    700: Answer.INDEX_MISSING,
    800: Answer.DATABASE_MISSING,
    1000: Answer.KEY_MISSING,
    1400: Answer.DENIED,
    1401: Answer.DENIED,
    1600: Answer.ALIAS_MISSING,
    1602: Answer.ALIAS_EXISTS,
}

# The numbers before them, which 2.3 sends as well and some of its parts alone.
_OLD_CODES: Mapping[int, Answer] = {
    common_pb2.PermissionDenied: Answer.DENIED,
    common_pb2.CollectionNotExists: Answer.COLLECTION_MISSING,
    common_pb2.CollectionNameNotFound: Answer.COLLECTION_MISSING,
    common_pb2.IndexNotExist: Answer.INDEX_MISSING,
    common_pb2.RateLimit: Answer.PASSING,
    common_pb2.NotReadyServe: Answer.PASSING,
    common_pb2.NotReadyCoordActivating: Answer.PASSING,
}

# Errors that went from one part of Milvus to another lose their number on the way.
_TEXTS: tuple[tuple[re.Pattern[str], Answer], ...] = (
    (
        re.compile(r"database not found|database:\S* not found", re.IGNORECASE),
        Answer.DATABASE_MISSING,
    ),
    (re.compile(r"database already exist", re.IGNORECASE), Answer.DATABASE_EXISTS),
    (
        re.compile(r"collection not found|can't find collection", re.IGNORECASE),
        Answer.COLLECTION_MISSING,
    ),
    (re.compile(r"index not found|index not exist", re.IGNORECASE), Answer.INDEX_MISSING),
    (re.compile(r"has not been loaded", re.IGNORECASE), Answer.NOT_LOADED),
    (
        re.compile(r"import task id doesn't exist|import job does not exist", re.IGNORECASE),
        Answer.KEY_MISSING,
    ),
    (
        re.compile(
            r"code = (?:Unavailable|DeadlineExceeded|Canceled)|deadline exceeded|context canceled"
            r"|transport is closing",
            re.IGNORECASE,
        ),
        Answer.LOST,
    ),
    # Behind that one: an import that may have been taken must not count as turned away.
    (
        re.compile(
            r"rate limit exceeded|not ready|segment not found|number of jobs has reached the limit",
            re.IGNORECASE,
        ),
        Answer.PASSING,
    ),
)

_RPC_CODES: Mapping[grpc.StatusCode, type[BackupError]] = {
    grpc.StatusCode.UNAVAILABLE: MilvusUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: MilvusUnavailable,
    grpc.StatusCode.CANCELLED: MilvusUnavailable,
    grpc.StatusCode.ABORTED: MilvusUnavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: MilvusUnavailable,
    grpc.StatusCode.UNAUTHENTICATED: MilvusDenied,
    grpc.StatusCode.PERMISSION_DENIED: MilvusDenied,
}

# In place of the library's own words, which speak of its insides.
_RPC_TEXTS: Mapping[grpc.StatusCode, str] = {
    grpc.StatusCode.UNAVAILABLE: "no connection",
    grpc.StatusCode.DEADLINE_EXCEEDED: "no answer in time",
    grpc.StatusCode.CANCELLED: "the connection was closed",
}

# How a connection that broke in the middle of an answer looks under these codes.
_BROKEN = re.compile(r"RST_STREAM|stream removed|connection reset|socket closed", re.IGNORECASE)

_NOT_CONNECTED = re.compile(r"failed to connect", re.IGNORECASE)

# With these the request was turned away before anything was done.
_NOT_TAKEN = frozenset(
    {
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


def meaning(status: Message) -> Answer:
    """Return what a ``common.Status`` means; both of its codes must be 0 for OK."""
    if status.code == 0 and status.error_code == 0:
        return Answer.OK
    known = _CODES.get(status.code) or _by_text(status.reason)
    known = known or _OLD_CODES.get(status.error_code)
    return known or (Answer.PASSING if status.retriable else Answer.REFUSED)


def _by_text(text: str) -> Answer | None:
    return next((answer for pattern, answer in _TEXTS if pattern.search(text)), None)


def error_of(status: Message, asked: Asked) -> BackupError:
    """Return the error that a status other than OK means."""
    answer, text = meaning(status), asked.said(status.reason)
    if answer is Answer.COLLECTION_MISSING:
        return CollectionNotFound(_missing(asked.subject, text))
    if answer is Answer.DATABASE_MISSING and asked.subject.database:
        return DatabaseNotFound(asked.subject.database)
    if answer is Answer.PASSING:
        return milvus_error(MilvusUnavailable, asked, text, status.code)
    if answer is Answer.LOST:
        return milvus_error(MilvusUnavailable, asked, text, LOST)
    kind = MilvusDenied if answer is Answer.DENIED else MilvusRefused
    return milvus_error(kind, asked, text, status.code)


def _missing(subject: CollectionName, text: str) -> str:
    found = _NAMED.search(text)
    name = subject.name or (found[1] if found else "")
    return str(CollectionName(subject.database, name))


def milvus_error(kind: type[BackupError], asked: Asked, text: str, code: str | int) -> BackupError:
    """Return an error of a call, with what Milvus or the way to it said."""
    said = "does not answer" if kind is MilvusUnavailable else "refuses"
    return kind(
        f"Milvus at {asked.address} {said} {asked.method}: {text}",
        subject=str(asked.subject) if asked.subject.name else asked.address,
        call=asked.method,
        address=asked.address,
        code=code,
    )


@contextmanager
def translated(asked: Asked) -> Iterator[None]:
    """Raise what gRPC raises inside as an error of the domain."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        cause = None if asked.secrets else error
        raise from_rpc(error.code(), error.details() or "", asked) from cause


def from_rpc(code: grpc.StatusCode, details: str, asked: Asked) -> BackupError:
    """Return the error that a failed RPC means."""
    broken = code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN) and _BROKEN.search(details)
    kind = MilvusUnavailable if broken else _RPC_CODES.get(code, MilvusRefused)
    text = _RPC_TEXTS.get(code) or asked.said(details) or code.name
    return milvus_error(kind, asked, text, code.name)


@contextmanager
def outcome_known(asked: Asked) -> Iterator[None]:
    """Raise ImportOutcomeUnknown where an error leaves open whether Milvus took the import.

    A refusal in Milvus's own words, and a connection that never came about, are known outcomes.
    """
    try:
        yield
    except (MilvusUnavailable, MilvusRefused) as error:
        if _leaves_open(error):
            raise _unknown(asked, error) from error
        raise


def _leaves_open(error: BackupError) -> bool:
    cause = error.__cause__
    if isinstance(cause, grpc.aio.AioRpcError):
        sent = not _NOT_CONNECTED.search(cause.details() or "")
        return sent and cause.code() not in _NOT_TAKEN
    return leaves_open(error)


def _unknown(asked: Asked, error: BackupError) -> ImportOutcomeUnknown:
    return ImportOutcomeUnknown(
        f"whether Milvus took the import into {asked.subject} is not known: {error.message}",
        **{**error.metadata, "collection": str(asked.subject)},
    )


def short(text: str) -> str:
    """Return the first line of a text of Milvus, without stack trace and repeated wrapping."""
    line = text.split("stack trace", 1)[0].strip().split("\n", 1)[0]
    line = line.rsplit(" desc = ", 1)[-1].strip(" :,")
    return line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT]}..."
