"""Paging: sizes, opaque tokens, and pages that are cut where a message would become too large."""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message

from milvus_backup.v1.backup_service_pb2 import ListBackupCollectionsRequest, ListBackupsRequest
from milvus_backup.v1.operation_service_pb2 import (
    ListOperationCollectionsRequest,
    ListOperationProblemsRequest,
    ListOperationsRequest,
)
from milvus_backup_server.api.texts import MAX_BODY_BYTES
from milvus_backup_server.domain.backups import Page
from milvus_backup_server.domain.errors import FieldViolation, InvalidRequest

T = TypeVar("T")
M = TypeVar("M", bound=Message)

PagedRequest = (
    ListBackupsRequest
    | ListBackupCollectionsRequest
    | ListOperationsRequest
    | ListOperationCollectionsRequest
    | ListOperationProblemsRequest
)

_DIGEST_BYTES = 12
_FIELD_OVERHEAD = 8
_FORGED = "is not a token of this list; begin again without one"


@dataclass(frozen=True, slots=True)
class PageSize:
    """What a list method makes of ``page_size``."""

    default: int
    largest: int


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page begins and how long it may be.

    Attributes:
        key: The last key of the page before, empty for the first page.
        limit: At most so many items.
        scope: Digest of the request's other fields; tokens are valid only with the same ones.
    """

    key: str
    limit: int
    scope: bytes

    def token(self, next_key: str) -> str:
        """Return the token of the page that begins behind ``next_key``; empty for an empty key."""
        if not next_key:
            return ""
        data = _seal(self.scope, next_key) + next_key.encode()
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    @property
    def offset(self) -> int:
        """The key as the number that ``collections`` lists count with."""
        if not self.key:
            return 0
        if not re.fullmatch(r"[0-9]{1,18}", self.key):
            raise InvalidRequest(FieldViolation("page_token", _FORGED))
        return int(self.key)


def read_position(request: PagedRequest, size: PageSize) -> Position:
    """Read the paging fields of a request.

    Raises:
        InvalidRequest: A negative page_size, or a token that is garbage or of another request.
    """
    scope = _scope(request)
    key = _read_token(request.page_token, scope) if request.page_token else ""
    faults = []
    if request.page_size < 0:
        expected = f"expected 0 for the default ({size.default}), or more"
        faults.append(FieldViolation("page_size", f"{request.page_size} is negative: {expected}"))
    if key is None:
        faults.append(FieldViolation("page_token", _FORGED))
    if faults:
        raise InvalidRequest(*faults)
    return Position(key or "", min(request.page_size or size.default, size.largest), scope)


def within(messages: Iterable[M], limit: int = MAX_BODY_BYTES) -> Iterator[M]:
    """Yield messages while they fit into ``limit`` bytes together; the first one always."""
    used = 0
    for message in messages:
        size = message.ByteSize() + _FIELD_OVERHEAD
        if used and used + size > limit:
            return
        used += size
        yield message


def cut_by_key(
    page: Page[T], convert: Callable[[T], M], key_of: Callable[[T], str]
) -> tuple[list[M], str]:
    """Return the messages of a page that fit, and the key behind which the next page begins."""
    messages = list(within(map(convert, page.items)))
    if len(messages) == len(page.items):
        return messages, page.next_key
    return messages, key_of(page.items[len(messages) - 1])


def cut_by_offset(page: Page[T], convert: Callable[[T], M], offset: int) -> tuple[list[M], str]:
    """Do the same for a list whose keys are offsets."""
    messages = list(within(map(convert, page.items)))
    if len(messages) == len(page.items):
        return messages, page.next_key
    return messages, str(offset + len(messages))


def _scope(request: PagedRequest) -> bytes:
    bare = copy.deepcopy(request)
    bare.page_size = 0
    bare.page_token = ""
    fields = bare.SerializeToString(deterministic=True)
    return hashlib.sha256(bare.DESCRIPTOR.full_name.encode() + b"\0" + fields).digest()


def _seal(scope: bytes, key: str) -> bytes:
    return hashlib.sha256(scope + key.encode()).digest()[:_DIGEST_BYTES]


def _read_token(token: str, scope: bytes) -> str | None:
    try:
        data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        key = data[_DIGEST_BYTES:].decode()
    except (binascii.Error, ValueError):
        return None
    same = (
        Position("", 0, scope).token(key) == token
    )  # also refuses other spellings of the same bytes
    return key if same else None
