"""Two sets of rows compared one by one, on local disk as soon as they are many."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from milvus_backup_server.domain.binlogs import Key
from milvus_backup_server.domain.row_form import bucket_of
from milvus_backup_server.domain.verification import SHOWN_KEYS, RowDifference
from milvus_backup_server.service.scratch import ScratchDatabase

_TABLE = "CREATE TABLE {} (key, digest, PRIMARY KEY (key, digest)) WITHOUT ROWID"
_MISSING = "FROM wanted WHERE key NOT IN (SELECT key FROM found)"
_EXTRA = "FROM found WHERE key NOT IN (SELECT key FROM wanted)"
_DIFFERENT = (
    "FROM found WHERE key IN (SELECT key FROM wanted) AND NOT EXISTS "
    "(SELECT 1 FROM wanted WHERE wanted.key = found.key AND wanted.digest = found.digest)"
)


class RowDifferences(ScratchDatabase):
    """Compares rows by key and hash.

    A key that several rows of the backup have, as Milvus inserts what is there once more, has its like in
    any of them: a query tells one.

    Args:
        buckets: The groups of keys that are compared; others are passed over.
    """

    def __init__(self, buckets: Collection[int]) -> None:
        super().__init__(*map(_TABLE.format, ("wanted", "found")))
        self._buckets = buckets

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

    def _add(self, statement: str, keys: Sequence[Key], digests: Sequence[bytes]) -> None:
        self._put(statement, self._compared(zip(keys, digests, strict=True)))

    def _compared(self, rows: Iterable[tuple[Key, bytes]]) -> Iterator[tuple[Key, bytes]]:
        return (row for row in rows if bucket_of(row[0]) in self._buckets)

    def _count(self, rows: str) -> int:
        found = self._database.execute(f"SELECT count(DISTINCT key) {rows}")
        return int(found.fetchone()[0])

    def _keys(self, rows: str) -> tuple[str, ...]:
        query = f"SELECT DISTINCT key {rows} ORDER BY key LIMIT {SHOWN_KEYS}"
        return tuple(str(key) for (key,) in self._database.execute(query))
