"""Answers of a simulated Milvus over gRPC, and their status."""

from collections.abc import Callable
from typing import Any

from milvus_backup_server.adapters.milvus.stubs import Message, common_pb2
from tests.support.simulator.model import Fault

_UNEXPECTED = 1


def ok() -> Message:
    """Return a status that says nothing is wrong."""
    return common_pb2.Status()


def failed(fault: Fault) -> Message:
    """Return the status of a fault."""
    return common_pb2.Status(code=fault.code, error_code=_UNEXPECTED, reason=fault.message)


def status_of(act: Callable[[], object]) -> Message:
    """Do something and return its status."""
    try:
        act()
    except Fault as fault:
        return failed(fault)
    return ok()


def answer(kind: Any, make: Callable[[], Message]) -> Message:
    """Return an answer, or one of its kind with nothing but the status of a fault."""
    try:
        return make()
    except Fault as fault:
        return kind(status=failed(fault))
