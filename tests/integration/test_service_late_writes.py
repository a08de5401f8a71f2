"""The moment of a flush moves to before what was under way while it sealed the segments."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import pytest

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.milvus import CollectionName, Flush, hybrid_timestamp
from milvus_backup_server.domain.objects import ListPage
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.late_writes import LateWrites
from tests.support.gateways import GatewayDecorator
from tests.support.service import ROOT, World, add_collection, flushed

T = TypeVar("T")

STEP = hybrid_timestamp(50)


class Growing(GatewayDecorator):
    """Says of some segments that rows are still added to them."""

    segments: frozenset[int] = frozenset()

    async def is_flushed(self, collection: CollectionName, flush: Flush) -> bool:
        return not flush.sealed_ids & self.segments


class SmallPages(StoreDecorator):
    """Lists so many entries at a time."""

    def __init__(self, inner: ObjectStore, entries: int) -> None:
        super().__init__(inner)
        self._entries = entries

    async def list_page(
        self, prefix: str, *, token: str = "", delimiter: bool = False, limit: int = 1000
    ) -> ListPage:
        few = min(limit, self._entries)
        return await super().list_page(prefix, token=token, delimiter=delimiter, limit=few)


@dataclass
class Case:
    """A collection with a flush that has been written."""

    world: World
    gateway: Growing
    name: CollectionName
    accepted: int
    flush: Flush
    page: int

    async def settled(self, copied_seconds: float = 0) -> Flush | None:
        storage = Storage("milvus", SmallPages(self.world.milvus_store, self.page), ROOT)
        late = LateWrites(self.gateway, storage, self.accepted, copied_seconds)
        return await late.settled(self.name, self.flush)

    async def flush_again(self) -> None:
        self.flush = (await self.world.milvus.flush("default", [self.name.name]))[self.name.name]
        while not await self.world.milvus.is_flushed(self.name, self.flush):
            pass

    async def later_segment(self, first: int) -> int:
        """Flush another segment, whose first row has a timestamp."""
        self.world.milvus.insert(self.name, [700])
        await flushed(self.world.milvus, self.name)
        segment = self.world.milvus.collection(self.name).segments[-1]
        for key in segment.keys:
            if key.split("/")[-2] == "1":
                await self.world.milvus_store.put(key, binlog(first))
        return segment.segment_id


def binlog(first: int) -> bytes:
    """Return the beginning of a binlog whose first row has a timestamp."""
    return b"\xbc\xfa\xff\x00" + bytes(49) + first.to_bytes(8, "little") + b'{"original_size":"8"}'


@pytest.fixture(params=[1000, 2], ids=["one page", "pages"])
async def case(request: pytest.FixtureRequest) -> Case:
    world = World()
    name = await add_collection(world.milvus, "c", range(5))
    await flushed(world.milvus, name)
    accepted = world.milvus.clock.tick()
    world.milvus.clock.advance(60)
    world.milvus.insert(name, range(5, 8))
    flush = (await world.milvus.flush("default", ["c"]))["c"]
    while not await world.milvus.is_flushed(name, flush):
        pass
    return Case(world, Growing(world.milvus), name, accepted, flush, request.param)


async def test_where_nothing_was_under_way_the_moment_is_that_of_the_flush(case: Case) -> None:
    assert await case.settled() == case.flush


async def test_rows_of_later_segments_that_are_later_do_not_matter(case: Case) -> None:
    await case.later_segment(case.flush.moment + 1)
    assert await case.settled() == case.flush


async def test_a_row_before_the_flush_in_a_later_segment_moves_the_moment(case: Case) -> None:
    first = case.flush.moment - STEP
    await case.later_segment(case.flush.moment - 3)
    await case.later_segment(first)
    settled = await case.settled()
    assert settled is not None
    assert settled.moment == first - 1
    assert settled.segment_ids == case.flush.segment_ids


async def test_a_segment_that_still_grows_counts_with_what_it_has_written(case: Case) -> None:
    first = case.flush.moment - 7
    segment = await case.later_segment(first)
    collection = case.world.milvus.collection(case.name)
    collection.segments = [it for it in collection.segments if it.segment_id != segment]
    assert await case.settled() == case.flush  # dropped or replaced: none of Milvus's segments
    case.gateway.segments = frozenset({segment})
    settled = await case.settled()
    assert settled is not None
    assert settled.moment == first - 1


async def test_several_growing_segments_are_told_from_garbage(case: Case) -> None:
    first = case.flush.moment - 7
    collection = case.world.milvus.collection(case.name)
    made = [await case.later_segment(first + number) for number in range(5)]
    collection.segments = [it for it in collection.segments if it.segment_id not in made]
    case.gateway.segments = frozenset({made[1], made[4]})
    settled = await case.settled()
    assert settled is not None
    assert settled.moment == first + 1 - 1


async def test_a_moment_that_would_not_be_behind_the_call_needs_another_flush(case: Case) -> None:
    await case.later_segment(case.accepted)
    assert await case.settled() is None


async def test_a_compaction_while_the_flush_was_written_needs_another_flush(case: Case) -> None:
    await case.world.milvus.compact(case.name)
    assert await case.settled() is None


async def test_a_compaction_whose_garbage_is_gone_needs_none_here(case: Case) -> None:
    # The listing finds out that the segments are gone.
    await case.world.milvus.compact(case.name)
    await case.world.milvus.collect_garbage()
    assert await case.settled() == case.flush


async def test_a_segment_that_appears_while_it_is_looked_for_needs_another_flush(
    case: Case,
) -> None:
    segment = await case.later_segment(case.flush.moment - 7)
    collection = case.world.milvus.collection(case.name)
    hidden = [it for it in collection.segments if it.segment_id == segment]
    collection.segments = [it for it in collection.segments if it.segment_id != segment]

    class Appearing(Growing):
        async def _call(self, method: str, subject: str, call: Callable[[], Awaitable[T]]) -> T:
            if method == "describe_collection":  # behind the first look at the segments
                collection.segments += hidden
            return await call()

    case.gateway = Appearing(case.world.milvus)
    assert await case.settled() is None


async def test_behind_a_compaction_it_waits_for_the_deletes_that_are_still_copied(
    case: Case,
) -> None:
    await case.world.milvus.compact(case.name)
    await case.flush_again()
    settling = asyncio.create_task(case.settled(copied_seconds=0.3))
    await asyncio.sleep(0.05)
    assert not settling.done()
    assert await settling == case.flush


async def test_a_compaction_during_that_wait_needs_another_flush(case: Case) -> None:
    await case.world.milvus.compact(case.name)
    await case.flush_again()
    settling = asyncio.create_task(case.settled(copied_seconds=0.3))
    await asyncio.sleep(0.05)
    await case.world.milvus.compact(case.name)
    assert await settling is None


async def test_it_does_not_wait_where_the_flush_is_long_past_or_nothing_was_replaced(
    case: Case,
) -> None:
    async with asyncio.timeout(60):
        assert await case.settled(copied_seconds=1000) == case.flush
        await case.world.milvus.compact(case.name)
        await case.flush_again()
        case.world.milvus.clock.advance(1001)
        assert await case.settled(copied_seconds=1000) == case.flush
