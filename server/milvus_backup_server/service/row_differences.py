"""Two sets of rows compared one by one, on local disk as soon as they are many."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Self

from milvus_backup_server.domain.binlogs import Key
from milvus_backup_server.domain.row_form import bucket_of
from milvus_backup_server.domain.verification import SHOWN_KEYS, RowDifference

_MISSING = "FROM wanted WHERE key NOT IN (SELECT key FROM found)"
_EXTRA = "FROM found WHERE key NOT IN (SELECT key FROM wanted)"
_DIFFERENT = (
    "FROM found WHERE key IN (SELECT key FROM wanted) AND NOT EXISTS "
    "(SELECT 1 FROM wanted WHERE wanted.key = found.key AND wanted.digest = found.digest)"
)


class RowDifferences:
    """Compares rows by key and hash. Close it.

    A key that several rows of the backup have, as Milvus inserts what is there once more, has its like in
    any of them: a query tells one.

    Args:
        buckets: The groups of keys that are compared; others are passed over.
    """

    def __init__(self, buckets: Collection[int]) -> None:
        self._buckets = buckets
        # The empty name is SQLite's for a database in a temporary file that ends with it.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("PRAGMA journal_mode = OFF")
        for table in ("wanted", "found"):
            self._database.execute(
                f"CREATE TABLE {table} (key, digest, PRIMARY KEY (key, digest)) WITHOUT ROWID"
            )

    def want(self, keys: Sequence[Key], digests: Sequence[bytes]) -> None:
        """Add rows of the backup."""
        self._add("INSERT OR IGNORE INTO wanted VALUES (?, ?)", keys, digests)

    def find(self, keys: Sequence[Key], digests: Sequence[bytes]) -> None:
        """Add rows of the collection."""
        self._add("INSERT OR IGNORE INTO found VALUES (?, ?)", keys, digests)

    def result(self, partition: str) -> RowDifference:
        """Return how they differ."""
        return RowDifference(
            partition=partition,
            missing=self._count(_MISSING),
            extra=self._count(_EXTRA),
            different=self._count(_DIFFERENT),
            missing_keys=self._keys(_MISSING),
            extra_keys=self._keys(_EXTRA),
            different_keys=self._keys(_DIFFERENT),
        )

    def close(self) -> None:
        """Give the space back."""
        self._database.close()

    def __enter__(self) -> Self:
        """Begin to use it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _add(self, statement: str, keys: Sequence[Key], digests: Sequence[bytes]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(statement, self._compared(zip(keys, digests, strict=True)))
        self._database.execute("COMMIT")

    def _compared(self, rows: Iterable[tuple[Key, bytes]]) -> Iterator[tuple[Key, bytes]]:
        return (row for row in rows if bucket_of(row[0]) in self._buckets)

    def _count(self, rows: str) -> int:
        found = self._database.execute(f"SELECT count(DISTINCT key) {rows}")
        return int(found.fetchone()[0])

    def _keys(self, rows: str) -> tuple[str, ...]:
        query = f"SELECT DISTINCT key {rows} ORDER BY key LIMIT {SHOWN_KEYS}"
        return tuple(str(key) for (key,) in self._database.execute(query))
