"""How many rows a binlog holds and when the first was written, read from its first bytes.

A binlog of storage version 1 begins with a magic number and a descriptor event; that event holds
the timestamps of the first and the last row, and ends in a JSON text with ``original_size``, the
bytes of the column before encoding. The timestamp column has 8 bytes a row.
"""

from __future__ import annotations

import re

TIMESTAMP_FIELD = 1
"""Field id of the timestamp column that Milvus adds to every collection."""

HEADER_BYTES = 512
"""So many bytes of a binlog are enough to find its descriptor."""

_ORIGINAL_SIZE = re.compile(rb'"original_size"\s*:\s*"?(\d+)"?')
_TIMESTAMP_BYTES = 8
_MAGIC = b"\xbc\xfa\xff\x00"
# Behind the magic number, the event's header and the ids of collection, partition, segment, field.
_FIRST_TIMESTAMP = slice(53, 61)


def timestamp_rows(header: bytes) -> int | None:
    """Return the rows of a timestamp binlog from its first ``HEADER_BYTES``; None if they do not tell."""
    found = _ORIGINAL_SIZE.search(header)
    return int(found[1]) // _TIMESTAMP_BYTES if found else None


def first_timestamp(header: bytes) -> int | None:
    """Return the timestamp of a binlog's first row from its first ``HEADER_BYTES``; None if they do not tell."""
    found = header[_FIRST_TIMESTAMP]
    if not header.startswith(_MAGIC) or len(found) < _TIMESTAMP_BYTES:
        return None
    return int.from_bytes(found, "little")
