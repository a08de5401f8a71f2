"""What both halves of the mapping share: times, enums, labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from milvus_backup.v1.backup_pb2 import BackupPlace
from milvus_backup_server.api.texts import fit
from milvus_backup_server.domain.errors import FieldViolation, InvalidRequest
from milvus_backup_server.domain.places import HOME, Place

E = TypeVar("E")

MAX_LABELS = 64
MAX_LABEL_BYTES = 256


def timestamp(moment: datetime | None) -> Timestamp | None:
    """Return a time as the contract has it; None stays absent."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def label_map(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels within the bounds that requests keep; those read from files may be larger."""
    chosen = list(labels.items())[:MAX_LABELS]
    return {fit(key, MAX_LABEL_BYTES): fit(value, MAX_LABEL_BYTES) for key, value in chosen}


def read_place(message: BackupPlace) -> Place:
    """Return the place that a request names; the use case checks it."""
    return Place(message.bucket_name, message.path)


def place_message(place: Place) -> BackupPlace | None:
    """Return a place as the contract shows it; that of the settings is absent."""
    if place == HOME:
        return None
    return BackupPlace(bucket_name=fit(place.bucket), path=fit(place.root))


def read_enum(field: str, number: int, table: Mapping[E, int], default: E) -> E:
    """Return the member that the number of an enum field stands for; 0 is UNSPECIFIED, the default.

    Raises:
        InvalidRequest: The number is not known.
    """
    if number == 0:
        return default
    for member, known in table.items():
        if known == number:
            return member
    raise InvalidRequest(_unknown(field, number, (0, *table.values())))


def read_enums(field: str, numbers: Iterable[int], table: Mapping[E, int]) -> frozenset[E]:
    """Return the members that the numbers of a repeated enum field stand for.

    Raises:
        InvalidRequest: A number is UNSPECIFIED or not known.
    """
    members = {number: member for member, number in table.items()}
    known: set[E] = set()
    faults: list[FieldViolation] = []
    for index, number in enumerate(numbers):
        if number in members:
            known.add(members[number])
        else:
            faults.append(_unknown(f"{field}[{index}]", number, members))
    if faults:
        raise InvalidRequest(*faults)
    return frozenset(known)


def _unknown(field: str, number: int, known: Iterable[int]) -> FieldViolation:
    expected = ", ".join(map(str, sorted(known)))
    return FieldViolation(field, f"{number} is not a known value: expected one of {expected}")
