"""A database on local disk is never closed under a thread that uses it: that would end the process."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.binlogs import Delete, RowBatch, SegmentLogs
from milvus_backup_server.domain.records import CollectionSchema
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.rows import DeleteIndex, note_deletes


class HeldDeletes(list[Delete]):
    """Deletes that are read in a thread, and not to their end before that is allowed."""

    def __init__(self) -> None:
        super().__init__([Delete(1, 1)])
        self.reached = threading.Event()
        self.go = threading.Event()

    def __iter__(self) -> Iterator[Delete]:
        self.reached.set()
        self.go.wait(60)
        return super().__iter__()


class OneLog:
    """A reader of one delta log."""

    def __init__(self, deletes: Sequence[Delete]) -> None:
        self._deletes = deletes

    async def deletes(
        self, store: ObjectStore, keys: Sequence[str]
    ) -> AsyncGenerator[Sequence[Delete], None]:
        yield self._deletes

    async def rows(
        self,
        store: ObjectStore,
        logs: SegmentLogs,
        schema: CollectionSchema,
        *,
        fields: Sequence[str] | None = None,
    ) -> AsyncGenerator[RowBatch, None]:
        none: Sequence[RowBatch] = ()
        for batch in none:
            yield batch


async def test_who_is_cancelled_waits_for_the_thread_that_uses_the_database() -> None:
    held = HeldDeletes()

    async def work() -> None:
        with DeleteIndex() as index:
            await note_deletes(OneLog(held), MemoryServer("m").store("b"), ["log"], index)

    working = asyncio.create_task(work())
    assert await asyncio.to_thread(held.reached.wait, 60)
    for _ in range(3):
        working.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not working.done()
    held.go.set()
    with pytest.raises(asyncio.CancelledError):
        await working
