"""Clients that change a collection all the while, and know what must be in it at any moment."""

import threading
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from types import TracebackType
from typing import Self, cast

from pymilvus import MilvusClient

from tests.support.datasets import versioned_row, versioned_rows
from tests.support.rows import Key, Row, Rows, assert_same_rows

_JOIN_SECONDS = 60.0
_ONLY = "only"  # the version of rows that are never changed


class Loop:
    """Does something again and again in a thread of its own, from entering the block to leaving it.

    Leaving it raises what made it end early.

    Attributes:
        done: how many times it was done.
    """

    def __init__(self, step: Callable[[], object], *, pause: float = 0.0) -> None:
        """Make it.

        Args:
            step: what to do; it gets no argument.
            pause: seconds between two times.
        """
        self.done = 0
        self._step = step
        self._pause = pause
        self._failure: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(_JOIN_SECONDS)
        if kind is None:
            assert not self._thread.is_alive()
            if self._failure is not None:
                raise self._failure

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._step()
                self.done += 1
                self._stop.wait(self._pause)
        except Exception as error:  # noqa: BLE001 - raised where the block is left
            self._failure = error


class Writer:
    """Makes one change after another, numbered from 1, and knows the rows after each of them.

    Attributes:
        begun: number of the last change that was sent.
        acknowledged: number of the last change that Milvus acknowledged.
    """

    def __init__(self, client: MilvusClient, collection: str) -> None:
        self._client = client
        self._collection = collection
        self.begun = 0
        self.acknowledged = 0

    def step(self) -> None:
        """Make the next change and wait until it is acknowledged."""
        self.begun += 1
        self._change(self.begun)
        self.acknowledged = self.begun

    def owns(self, key: Key) -> bool:
        """Whether only this writer writes rows with that key."""
        raise NotImplementedError

    def rows_after(self, number: int) -> Rows:
        """Return the rows with keys of this writer after so many changes."""
        raise NotImplementedError

    def lost_deletes(self, rows: Mapping[Key, Row]) -> set[Key]:
        """Return the keys that were deleted and are there all the same.

        Args:
            rows: of the whole collection, after the last change.
        """
        return {key for key in rows if self.owns(key)} - self.rows_after(self.acknowledged).keys()

    def assert_moment(
        self,
        rows: Mapping[Key, Row],
        first: int,
        last: int,
        *,
        lost: AbstractSet[Key] = frozenset(),
    ) -> int:
        """Check that rows are those after one and the same change, and return its number.

        Args:
            rows: of the whole collection.
            first: number of the earliest change that it may be.
            last: number of the latest one.
            lost: keys that are not looked at.
        """
        mine = {key: row for key, row in rows.items() if self.owns(key) and key not in lost}
        found = self._number_of(mine)
        expected = self.rows_after(found)
        assert_same_rows({key: expected[key] for key in expected if key not in lost}, mine)
        assert first <= found <= last, f"rows of change {found}, not of {first} to {last}"
        return found

    def _change(self, number: int) -> None:
        raise NotImplementedError

    def _number_of(self, rows: Mapping[Key, Row]) -> int:
        """Return the number of the last change that can be seen in rows."""
        raise NotImplementedError


class Upserter(Writer):
    """Upserts all its keys by each change; the version of every row is the change's number."""

    def __init__(self, client: MilvusClient, collection: str, keys: range) -> None:
        super().__init__(client, collection)
        self._keys = keys

    def owns(self, key: Key) -> bool:
        return key in self._keys

    def rows_after(self, number: int) -> Rows:
        return {key: versioned_row(key, str(number)) for key in self._keys}

    def _change(self, number: int) -> None:
        self._client.upsert(self._collection, versioned_rows(self._keys, str(number)))

    def _number_of(self, rows: Mapping[Key, Row]) -> int:
        return max((int(cast("str", row["version"])) for row in rows.values()), default=0)


class Queue(Writer):
    """Inserts a block of new keys by an odd change, and deletes the oldest block by an even one.

    It begins with `blocks` blocks, numbered from 0, which are in the collection before.
    """

    def __init__(
        self, client: MilvusClient, collection: str, *, start: int, size: int, blocks: int
    ) -> None:
        super().__init__(client, collection)
        self._start, self._size, self._blocks = start, size, blocks

    def owns(self, key: Key) -> bool:
        return isinstance(key, int) and key >= self._start

    def rows_after(self, number: int) -> Rows:
        left = range(number // 2, self._blocks + (number + 1) // 2)
        return {key: versioned_row(key, _ONLY) for block in left for key in self._keys(block)}

    def _change(self, number: int) -> None:
        if number % 2:
            keys = self._keys(self._blocks + number // 2)
            self._client.insert(self._collection, versioned_rows(keys, _ONLY))
        else:
            self._client.delete(self._collection, ids=list(self._keys(number // 2 - 1)))

    def _keys(self, block: int) -> range:
        first = self._start + block * self._size
        return range(first, first + self._size)

    def _number_of(self, rows: Mapping[Key, Row]) -> int:
        blocks = [(cast("int", key) - self._start) // self._size for key in rows] or [0]
        inserted = max(max(blocks) - self._blocks + 1, 0)
        deleted = min(blocks)
        return inserted + deleted
