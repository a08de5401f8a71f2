"""Messages of the contract as text: names, amounts, times, JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, timedelta

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.filesize import decimal

from milvus_backup.v1.operation_pb2 import (
    Operation,
    OperationCollection,
    OperationKind,
    OperationPhase,
    OperationState,
    PhaseProgress,
    Progress,
)

# Codes 0 to 31 and 127 to 159, but for line ends and tabs.
_CONTROLS = dict.fromkeys({*range(32), *range(127, 160)} - {ord("\n"), ord("\t")}, "?")


def printable(text: str) -> str:
    """Return a text for a terminal: names and reasons come from outside, and must not steer it."""
    return text.translate(_CONTROLS)


def json_text(message: Message, *, indent: int | None = 4) -> str:
    """Return a message as protobuf's JSON, fields named as in the contract.

    Args:
        message: Any message. Its 64-bit integers become strings, as protobuf's rules have it.
        indent: Spaces; None: all on one line.
    """
    return MessageToJson(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
        indent=indent,
    )


def enum_text(enum: EnumDescriptor, number: int) -> str:
    """Return an enum's value in words: `writing metadata`; a number that is not known as such."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    known = enum.values_by_number.get(number)
    return known.name.removeprefix(prefix).replace("_", " ").lower() if known else f"#{number}"


def phase_text(phase: int) -> str:
    """Return a phase in words."""
    return enum_text(OperationPhase.DESCRIPTOR, phase)


def state_text(operation: Operation) -> str:
    """Return an operation's state in words."""
    return enum_text(OperationState.DESCRIPTOR, operation.state)


def title(operation: Operation) -> str:
    """Return what an operation does: `create backup nightly`."""
    kind = enum_text(OperationKind.DESCRIPTOR, operation.kind)
    return f"{kind} {operation.backup_name}".rstrip()


def collection_title(collection: OperationCollection) -> str:
    """Return a collection's full name, and what it becomes if that differs."""
    source = f"{collection.database}.{collection.name}"
    target = f"{collection.target_database}.{collection.target_name}"
    return source if target in {".", source} else f"{source} -> {target}"


def present_phase(progress: Progress) -> PhaseProgress | None:
    """Return the phase that runs now, or ran last; None before the first."""
    return next((found for found in progress.phases if found.phase == progress.phase), None)


def amounts(phase: PhaseProgress) -> Iterator[str]:
    """Yield what a phase has done, of what: `540.0 MB of 1.0 GB`, `12 of 245 objects`."""
    for unit in ("bytes", "objects", "segments", "rows"):
        done, total = _amount(phase, unit)
        if done or total:
            yield _amount_text(unit, done, total)


def fraction(phase: PhaseProgress) -> float | None:
    """Return how much of a phase is done, 0 to 1; None while that cannot be told."""
    for unit in ("bytes", "objects", "segments", "rows"):
        done, total = _amount(phase, unit)
        if total:
            return min(done / total, 1.0)
    return None


def percent(phase: PhaseProgress) -> Iterator[str]:
    """Yield how much of a phase is done, if that can be told."""
    done = fraction(phase)
    if done is not None:
        yield f"{done:.0%}"


def speed(progress: Progress) -> Iterator[str]:
    """Yield the rate and the time left, as far as they are known."""
    if progress.bytes_per_second:
        yield f"{decimal(progress.bytes_per_second)}/s"
    if progress.HasField("remaining"):
        yield f"{timedelta(seconds=max(progress.remaining.ToSeconds(), 0))} left"


def time_text(timestamp: Timestamp) -> str:
    """Return a time in UTC, to the second."""
    return timestamp.ToDatetime(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def duration_seconds(operation: Operation) -> float:
    """Return how long an operation took from its acceptance to its end."""
    return (operation.end_time.ToNanoseconds() - operation.create_time.ToNanoseconds()) / 1e9


def _amount(phase: PhaseProgress, unit: str) -> tuple[int, int]:
    return getattr(phase, f"{unit}_done"), getattr(phase, f"{unit}_total")


def _amount_text(unit: str, done: int, total: int) -> str:
    if unit == "bytes":
        return f"{decimal(done)} of {decimal(total)}" if total else decimal(done)
    return f"{done:,} of {total:,} {unit}" if total else f"{done:,} {unit}"
