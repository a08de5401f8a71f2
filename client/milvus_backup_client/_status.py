"""Reading a ``google.rpc.Status``: its code, its details, and where a failed call carries one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

DOMAIN = "milvus-backup"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_Detail = TypeVar("_Detail", bound=Message)


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One fault of a request: the path of the field, and what would be right."""

    field: str
    description: str


def code_of(status: Status) -> grpc.StatusCode:
    """Return the gRPC code of a status; UNKNOWN for a number that gRPC does not have."""
    return _CODES.get(status.code, grpc.StatusCode.UNKNOWN)


def detail_of(status: Status, kind: type[_Detail]) -> _Detail | None:
    """Return the first detail of that kind, or None if the status has none."""
    found = kind()
    try:
        return found if any(packed.Unpack(found) for packed in status.details) else None
    except DecodeError:
        return None


def error_info_of(status: Status) -> ErrorInfo | None:
    """Return the ErrorInfo of the backup service, or None: those of proxies do not count."""
    info = detail_of(status, ErrorInfo)
    return info if info is not None and info.domain == DOMAIN else None


def violations_of(status: Status) -> tuple[FieldViolation, ...]:
    """Return the faults of the request that a status lists."""
    bad_request = detail_of(status, BadRequest)
    faults = bad_request.field_violations if bad_request else ()
    return tuple(FieldViolation(fault.field, fault.description) for fault in faults)


def status_of(error: grpc.aio.AioRpcError) -> Status:
    """Return the status that a failed call carries, made from code and text if it carries none."""
    try:
        found: Status | None = rpc_status.from_call(cast("grpc.Call", error))
    except (DecodeError, ValueError):  # something on the way rewrote the code or the details
        found = None
    if found is not None:
        return found
    return Status(code=error.code().value[0], message=error.details() or "")


def make_status(code: grpc.StatusCode, reason: str, message: str) -> Status:
    """Make a status of this client's own, in the form that the service uses."""
    status = Status(code=code.value[0], message=message)
    status.details.add().Pack(ErrorInfo(reason=reason, domain=DOMAIN))
    return status
