"""The events around the Parquet data of a log of storage version 1.

Source: Milvus's ``internal/storage`` (event_header.go, event_data.go), the same from 2.0 to 2.6. A
log is a magic number and events. Each event has a header of 17 bytes: timestamp (8), type (1),
length with the header (4), position of the next event (4; some writers leave it out as -1). The
first one describes the log: ids of collection, partition, segment and field (8 each), first and
last timestamp (8 each), data type (4). The others have two timestamps and then the data. All
numbers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"\xbc\xfa\xff\x00"

_HEADER = struct.Struct("<QbII")
_DESCRIPTOR = struct.Struct("<4q2Qi")
_EVENT_TIMESTAMPS = 16
_FIELD_ID = 3


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the events of a log tell.

    Attributes:
        field_id: The field whose column it holds; -1 in delta logs.
        payloads: Where each piece of Parquet data begins and ends in the log.
    """

    field_id: int
    payloads: tuple[tuple[int, int], ...]


def read_envelope(data: memoryview) -> Envelope:
    """Read the events of a log.

    Raises:
        ValueError: It is cut off, or no log of this kind.
    """
    if bytes(data[: len(MAGIC)]) != MAGIC:
        raise ValueError("it does not begin like a log of Milvus")
    first, *others = _events(data)
    if first[1] - first[0] < _HEADER.size + _DESCRIPTOR.size:
        raise ValueError("its first event is no descriptor")
    described = _DESCRIPTOR.unpack_from(data, first[0] + _HEADER.size)
    skipped = _HEADER.size + _EVENT_TIMESTAMPS
    return Envelope(
        field_id=described[_FIELD_ID],
        payloads=tuple((begin + skipped, end) for begin, end in others),
    )


def _events(data: memoryview) -> Iterator[tuple[int, int]]:
    position = len(MAGIC)
    while True:
        if position + _HEADER.size > len(data):
            raise ValueError("it is cut off")
        *_, length, _ = _HEADER.unpack_from(data, position)
        end = position + length
        if length < _HEADER.size or end > len(data):
            raise ValueError("the lengths of its events do not fit")
        yield position, end
        position = end
        if position == len(data):
            return
