"""The checkpoints that the Go tool records: to which timestamp each channel had been flushed.

Source: ``channel_checkpoints`` of zilliztech/milvus-backup's ``backup.proto``; each is a ``MsgPosition``
of Milvus's ``msgpb``, whose field 4 is the timestamp.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import replace

from milvus_backup_server.domain.errors import BackupNotRestorable
from milvus_backup_server.domain.import_units import directory_of
from milvus_backup_server.domain.records import CollectionBackupInfo, SegmentBackupInfo

_TIMESTAMP = 4
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}


def group_cuts(record: CollectionBackupInfo) -> dict[int, int]:
    """Return the timestamp of its channel's checkpoint by the number of a group's directory.

    Raises:
        BackupNotRestorable: It does not follow from what was recorded.
    """
    stamps = {
        channel: _timestamp(record, text) for channel, text in record.channel_checkpoints.items()
    }
    if not stamps:
        raise _unknown(record, "no checkpoints of its channels were recorded")
    cuts: dict[int, int] = {}
    for segment in _segments(record):
        if not segment.group_id and not segment.is_l0:
            raise _unknown(record, f"segment {segment.segment_id} has no group of its own")
        channel = _channel(record, segment, stamps)
        number = directory_of(segment)
        if cuts.setdefault(number, stamps[channel]) != stamps[channel]:
            raise _unknown(record, f"group {number} has segments of several channels")
    return cuts


def _segments(record: CollectionBackupInfo) -> Iterator[SegmentBackupInfo]:
    for partition in record.partition_backups:
        yield from partition.segment_backups
    yield from (replace(segment, is_l0=True) for segment in record.l0_segments)


def _channel(
    record: CollectionBackupInfo, segment: SegmentBackupInfo, stamps: dict[str, int]
) -> str:
    """Return a segment's channel; where there is one only, it need not have been recorded."""
    channel = segment.v_channel
    if not channel and len(stamps) == 1 and record.shards_num == 1:
        (channel,) = stamps
    if channel not in stamps:
        raise _unknown(record, f"the channel of segment {segment.segment_id} was not recorded")
    return channel


def _timestamp(record: CollectionBackupInfo, text: str) -> int:
    try:
        found = dict(_fields(base64.b64decode(text, validate=True)))
        return found[_TIMESTAMP]
    except (binascii.Error, IndexError, KeyError, ValueError):
        raise _unknown(record, "a checkpoint cannot be read") from None


def _fields(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the numbers of a message of protobuf that are varints, by field."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        field, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, place = _varint(data, place)
            yield field, value
        elif kind == _BYTES:
            size, place = _varint(data, place)
            place += size
        else:
            place += _FIXED[kind]


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value, shift, place = value | (byte & 0x7F) << shift, shift + 7, place + 1
        if byte < 0x80:  # noqa: PLR2004 the bit that says that another byte follows
            return value, place


def _unknown(record: CollectionBackupInfo, why: str) -> BackupNotRestorable:
    name = f"{record.db_name or 'default'}.{record.collection_name}"
    return BackupNotRestorable(
        f"{name} cannot be cut at the checkpoints of its backup: {why}", subject=name
    )
