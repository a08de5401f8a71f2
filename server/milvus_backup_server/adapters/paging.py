"""Pages of a listing in key order, for the stores that list by themselves.

The token of a page is the least string that its first entry may be.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

DELIMITER = "/"
_AFTER_DELIMITER = chr(ord(DELIMITER) + 1)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key, or a common prefix that ends in the delimiter."""

    name: str
    is_prefix: bool = False

    @property
    def successor(self) -> str:
        """The least string behind the key, or behind everything that begins with the prefix."""
        return end_of_directory(self.name) if self.is_prefix else f"{self.name}\0"


def end_of_directory(name: str) -> str:
    """Return the least string behind all that begin with ``name``, which ends in the delimiter."""
    return name[: -len(DELIMITER)] + _AFTER_DELIMITER


def take_page(entries: Iterable[Entry], limit: int) -> tuple[list[Entry], str]:
    """Return the first entries and the token of the next page, empty if there is none."""
    page = list(islice(entries, limit + 1))
    if len(page) <= limit:
        return page, ""
    return page[:limit], page[limit - 1].successor
