"""Which objects there are, on local disk: any number of them by key, in memory that does not grow."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from milvus_backup_server.service.concurrency import in_thread
from milvus_backup_server.service.scratch import keeping

T = TypeVar("T")

_AT_ONCE = 500
_SETTINGS = (
    "PRAGMA journal_mode = OFF",  # the file dies with its operation
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -4096",  # 4 MiB
    """CREATE TABLE objects (
        number INTEGER PRIMARY KEY,
        key TEXT UNIQUE NOT NULL,
        size INTEGER NOT NULL,
        etag TEXT NOT NULL,
        md5 TEXT NOT NULL,
        wanted INTEGER NOT NULL DEFAULT 0
    )""",
)


@dataclass(frozen=True, slots=True)
class IndexedObject:
    """An object; ETag and MD5 are empty where they are not known."""

    key: str
    size: int
    etag: str = ""
    md5: str = ""


class ObjectIndex:
    """The objects of one backup. Use as an async context manager.

    Whatever is written raises WorkSpaceUnavailable when the disk does not take it.

    Args:
        path: Where its file will be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        self._database: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        """Make it."""
        self._database = await asyncio.to_thread(_open, self._path)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it; the file goes with the directory it is in."""
        with contextlib.suppress(sqlite3.Error):
            await self._run(sqlite3.Connection.close)

    async def add(self, items: Sequence[IndexedObject]) -> IndexedObject | None:
        """Add objects, and return the first whose key is taken already, behind which none was added."""

        def insert(database: sqlite3.Connection) -> IndexedObject | None:
            for item in items:
                row = (item.key, item.size, item.etag, item.md5)
                done = database.execute(
                    "INSERT OR IGNORE INTO objects (key, size, etag, md5) VALUES (?, ?, ?, ?)", row
                )
                if not done.rowcount:
                    return item
            return None

        return await self._run(insert)

    async def note_md5(self, key: str, md5: str) -> None:
        """Note the hash of an object's content."""
        await self._run(
            lambda database: database.execute(
                "UPDATE objects SET md5 = ? WHERE key = ?", (md5, key)
            ).close()
        )

    async def want(self, keys: Sequence[str]) -> list[IndexedObject | None]:
        """Mark objects as wanted, and return each as it is; None for one that is not there."""

        def mark(database: sqlite3.Connection) -> list[IndexedObject | None]:
            return [_marked(database, key) for key in keys]

        return await self._run(mark)

    async def unwanted(self) -> str:
        """Return the key of an object that nobody wanted; empty if there is none."""

        def find(database: sqlite3.Connection) -> str:
            row = database.execute("SELECT key FROM objects WHERE NOT wanted LIMIT 1").fetchone()
            return row[0] if row else ""

        return await self._run(find)

    async def totals(self) -> tuple[int, int]:
        """Return the number of objects and their bytes."""

        def count(database: sqlite3.Connection) -> tuple[int, int]:
            row = database.execute("SELECT count(*), coalesce(sum(size), 0) FROM objects")
            objects, size = row.fetchone()
            return objects, size

        return await self._run(count)

    async def objects(self) -> AsyncIterator[IndexedObject]:
        """Yield all objects in the order in which they were added."""
        last = 0
        while rows := await self._run(functools.partial(_rows, after=last)):
            for last, key, size, etag, md5 in rows:  # noqa: B007 it is where the next ones begin
                yield IndexedObject(key, size, etag, md5)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        assert self._database is not None  # noqa: S101 used inside its context
        database = self._database

        def guarded() -> T:
            with keeping("an index of objects"):
                return work(database)

        async with self._lock:
            return await in_thread(guarded)


def _open(path: Path) -> sqlite3.Connection:
    with keeping("an index of objects"):
        database = sqlite3.connect(path, check_same_thread=False)
        for statement in _SETTINGS:
            database.execute(statement)
        return database


def _marked(database: sqlite3.Connection, key: str) -> IndexedObject | None:
    database.execute("UPDATE objects SET wanted = 1 WHERE key = ?", (key,))
    row = database.execute(
        "SELECT key, size, etag, md5 FROM objects WHERE key = ?", (key,)
    ).fetchone()
    return IndexedObject(*row) if row else None


def _rows(database: sqlite3.Connection, after: int) -> list[tuple[int, str, int, str, str]]:
    return database.execute(
        "SELECT number, key, size, etag, md5 FROM objects WHERE number > ? ORDER BY number LIMIT ?",
        (after, _AT_ONCE),
    ).fetchall()
