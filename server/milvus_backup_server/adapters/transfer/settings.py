"""How much the transfer engine does at once, and the arithmetic of parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

MIB = 1 << 20

_MOST_PARTS = 10_000  # of an upload: a rule of S3
_MOST_COPIED = 5 << 30  # by one request: likewise


class CopyMode(Enum):
    """Who copies: the store by itself, or this process by reading and writing."""

    AUTO = "auto"  # the store where it can
    DIRECT = "direct"  # the store, and nobody else
    STREAMING = "streaming"  # this process


@dataclass(frozen=True, slots=True)
class TransferSettings:
    """Limits of the engine. Requests in flight are limited by the stores themselves.

    Attributes:
        workers: Objects on the way at once, for each call of ``transfer``.
        part_size_bytes: Read and written at once where bytes come through us. An object that is no
            larger is written by one request.
        bytes_in_flight: Memory for such bytes, of all calls together.
        copy_threshold_bytes: Larger objects are copied by the store in parts.
        copy_part_size_bytes: The size of these parts.
        parts_in_flight: Parts of one object on the way at once.
        mode: Who copies.
    """

    workers: int = 16
    part_size_bytes: int = 8 * MIB
    bytes_in_flight: int = 64 * MIB
    copy_threshold_bytes: int = 256 * MIB
    copy_part_size_bytes: int = 128 * MIB
    parts_in_flight: int = 4
    mode: CopyMode = CopyMode.AUTO

    def is_one_copy(self, size: int) -> bool:
        """Tell whether the store copies an object of that size by one request."""
        return size <= min(self.copy_threshold_bytes, _MOST_COPIED)


class Part(NamedTuple):
    """A range of an object that becomes a part of the copy."""

    number: int
    offset: int
    length: int


def parts_of(size: int, part_size: int) -> Iterator[Part]:
    """Divide an object into parts, larger ones than asked for if they would be too many."""
    length = max(part_size, -(-size // _MOST_PARTS))
    for number, offset in enumerate(range(0, size, length), start=1):
        yield Part(number, offset, min(length, size - offset))
