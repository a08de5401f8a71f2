"""Who makes the call that is being served."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeAlias

import grpc.aio

from milvus_backup_server.domain.operations import Caller, Origin

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
"""What gRPC tells a handler about its call."""

ORIGIN_KEY: Final = "x-milvus-backup-origin"
"""Metadata key by which the command line tells that it is one."""

_ANONYMOUS = Caller()
_current: ContextVar[Caller] = ContextVar("caller", default=_ANONYMOUS)


def current_caller() -> Caller:
    """Return who makes the call that is being served."""
    return _current.get()


def read_caller(metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
    """Return the caller that a call's metadata tells of; anonymous while there are no logins."""
    if (ORIGIN_KEY, Origin.CLI.value) in metadata:
        return Caller(origin=Origin.CLI)
    return _ANONYMOUS


@contextmanager
def acting_as(caller: Caller) -> Iterator[None]:
    """Make this the current caller of the block."""
    token = _current.set(caller)
    try:
        yield
    finally:
        _current.reset(token)
