"""Databases on local disk that live as long as the work they serve."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from milvus_backup_server.domain.errors import WorkSpaceUnavailable


class ScratchDatabase:
    """An SQLite database in memory, and in a temporary file as soon as it is large. Close it.

    Its methods are called in any thread, one at a time, and none while it is closed: so with
    ``concurrency.in_thread``.

    Args:
        tables: Statements that make its tables.
    """

    def __init__(self, *tables: str) -> None:
        # The empty name is SQLite's for a database in a temporary file that ends with it.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        # It dies with its work: nothing needs to outlive a crash.
        for statement in ("PRAGMA synchronous = OFF", "PRAGMA journal_mode = OFF", *tables):
            self._database.execute(statement)

    def close(self) -> None:
        """Give the space back."""
        self._database.close()

    def __enter__(self) -> Self:
        """Begin to use it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _put(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run a statement for each row, all in one transaction."""
        self._database.execute("BEGIN")
        self._database.executemany(statement, rows)
        self._database.execute("COMMIT")


@contextmanager
def keeping(what: str) -> Iterator[None]:
    """Raise WorkSpaceUnavailable for what SQLite raises inside.

    Args:
        what: What the service keeps there, for the message.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise WorkSpaceUnavailable(
            f"the service cannot keep {what} in its temporary directory",
            directory=tempfile.gettempdir(),
        ) from error
