"""Settings for people and programs to look at: each with its value and where that comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from milvus_backup_server.settings.loading import Loaded
from milvus_backup_server.settings.sources import Given, Source

_HEADINGS: Final = ("PARAMETER", "VALUE", "SOURCE", "SOURCE_KEY")


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting.

    Attributes:
        parameter: Its key.
        value: Its value; masked if it is a secret.
        source: Where the value comes from.
        source_key: The key or the variable there; empty for a default.
    """

    parameter: str
    value: object
    source: str
    source_key: str


def entries(loaded: Loaded) -> Iterator[Entry]:
    """Yield every setting in the order of the sample file."""
    for key, value in loaded.settings.shown().items():
        source, source_key = _source(loaded.given.get(key.lower()))
        yield Entry(key, value, source, source_key)


def table(shown: Sequence[Entry]) -> str:
    """Return entries as lines with columns, the headings first."""
    rows = [
        _HEADINGS,
        tuple("-" * len(heading) for heading in _HEADINGS),
        *((row.parameter, text(row.value), row.source, row.source_key) for row in shown),
    ]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _source(row: Given | None) -> tuple[str, str]:
    if row is None or row.source is Source.DEFAULT:
        return Source.DEFAULT.value, ""
    return row.source.value, row.variable or row.key


def text(value: object) -> str:
    """Return a value for people: as it may stand in a file, lists with commas."""
    if isinstance(value, list):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
