"""What Milvus's logs hold: rows and deletes, and which logs belong together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

Key: TypeAlias = int | str
"""A primary key."""

ROW_ID_FIELD = 0
TIMESTAMP_FIELD = 1
DYNAMIC_FIELD = "$meta"
"""Name of the column that holds the dynamic fields of a row as one JSON object."""

_FIRST_USER_FIELD = 100


@dataclass(frozen=True, slots=True)
class SegmentLogs:
    """The logs of one segment, as keys of an object store.

    Attributes:
        columns: Insert logs by field id (storage version 1) or column group (2), in the order of
            writing.
        deltas: Its delta logs; the only logs of an L0 segment.
    """

    columns: Mapping[int, Sequence[str]]
    deltas: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """A deleted key. It counts for rows that are older than its hybrid timestamp."""

    key: Key
    timestamp: int


@dataclass(frozen=True, slots=True)
class Unfit:
    """Stands for a value that is none of its field's type."""


UNFIT: Final = Unfit()


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Some rows of a segment, column by column.

    Values are Python's own: numbers, strings, lists for arrays and for vectors of 32-bit floats and
    of int8, a dictionary from index to value for sparse vectors, decoded JSON, None for null.
    Binary, float16 and bfloat16 vectors and geometries (WKB) stay bytes, points in time
    (Timestamptz) microseconds since 1970. UNFIT is one that cannot be told so.

    Attributes:
        timestamps: When each row was written, as hybrid timestamps.
        keys: Primary keys.
        columns: Values by field name; the fields of an array of structs as ``struct[field]``.
    """

    timestamps: Sequence[int]
    keys: Sequence[Key]
    columns: Mapping[str, Sequence[object]]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.timestamps)

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield the rows as dictionaries, the dynamic fields among the others."""
        names = [name for name in self.columns if name != DYNAMIC_FIELD]
        extras = self.columns.get(DYNAMIC_FIELD)
        for number in range(len(self)):
            row = {name: self.columns[name][number] for name in names}
            extra = extras[number] if extras else None
            yield row | extra if isinstance(extra, dict) else row

    def keep(self, numbers: Sequence[int]) -> RowBatch:
        """Return a batch of only the rows with these positions."""
        if len(numbers) == len(self):
            return self
        return RowBatch(
            [self.timestamps[number] for number in numbers],
            [self.keys[number] for number in numbers],
            {name: [items[at] for at in numbers] for name, items in self.columns.items()},
        )


def is_user_field(field_id: int) -> bool:
    """Tell whether a field is the user's (or the dynamic one), not one of Milvus's own."""
    return field_id >= _FIRST_USER_FIELD


def columns_of(keys: Iterable[str]) -> dict[int, list[str]]:
    """Return the insert logs of one segment by field or column group, in the order of writing.

    Args:
        keys: Of the insert logs: ``.../{field}/{log}``.

    Raises:
        ValueError: A key does not end in two numbers.
    """
    found: dict[int, list[str]] = {}
    for key in keys:
        found.setdefault(int(key.rsplit("/", 2)[-2]), []).append(key)
    for logs in found.values():
        logs.sort(key=_log_id)
    return found


def _log_id(key: str) -> int:
    return int(key.rpartition("/")[2])
