"""Milvus goes on while it is backed up: what is compacted, dropped or written meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from milvus_backup_server.domain.errors import MilvusUnavailable
from milvus_backup_server.domain.milvus import CollectionName, Flush
from milvus_backup_server.domain.operations import CreateResult, OperationState, Phase
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.operations import OperationLimits
from tests.support.fake_milvus_state import Key
from tests.support.gateways import GatewayDecorator
from tests.support.held_calls import BACKUP_STORE, GATEWAY, MILVUS_STORE
from tests.support.meanwhile import Action, Meanwhile
from tests.support.phases import PhaseGate
from tests.support.running_service import Decorators
from tests.support.service import (
    Service,
    World,
    add_collection,
    flushed,
    named,
    running,
    succeeded,
)


@dataclass(frozen=True)
class Point:
    """A call of a create, before which something happens."""

    port: str
    method: str
    part: str = ""
    number: int = 1

    def __str__(self) -> str:
        return f"{self.method} {self.part} {self.number}"

    def meanwhile(self, action: Action) -> Meanwhile:
        return Meanwhile(self.port, self.method, action, part=self.part, first=self.number)


FLUSHED = Point(GATEWAY, "is_flushed")
DESCRIBED = Point(GATEWAY, "describe_collection")
SEGMENTS = Point(GATEWAY, "list_segments")
INDEXES = Point(GATEWAY, "list_indexes")
LISTED_DELTAS = Point(MILVUS_STORE, "list_page", "/delta_log/")
LISTED_INSERTS = Point(MILVUS_STORE, "list_page", "/insert_log/")
COPIED_FIRST = Point(BACKUP_STORE, "copy")
COPIED_THIRD = Point(BACKUP_STORE, "copy", number=3)
CHECKED = Point(BACKUP_STORE, "list_page", "/binlogs/delta_log/")
POINTS = [
    FLUSHED,
    DESCRIBED,
    SEGMENTS,
    INDEXES,
    LISTED_DELTAS,
    LISTED_INSERTS,
    COPIED_FIRST,
    COPIED_THIRD,
    CHECKED,
]


@dataclass
class Writer:
    """Writes into one collection and keeps account of what is there at any time."""

    world: World
    name: CollectionName
    changes: list[tuple[int, bool, Sequence[Key]]] = field(default_factory=list)

    def insert(self, keys: Sequence[Key]) -> None:
        self.changes.append((self.world.milvus.insert(self.name, keys), True, keys))

    def delete(self, keys: Sequence[Key]) -> None:
        self.changes.append((self.world.milvus.delete(self.name, keys), False, keys))

    def upsert(self, keys: Sequence[Key]) -> None:
        stamp = self.world.milvus.upsert(self.name, list(keys))
        self.changes += [(stamp, False, keys), (stamp, True, keys)]

    def keys_at(self, moment: int) -> list[Key]:
        there: set[Key] = set()
        for stamp, inserted, keys in self.changes:
            if stamp <= moment:
                there = there | set(keys) if inserted else there - set(keys)
        return sorted(there, key=int)


async def written(world: World) -> Writer:
    """Make a collection with two flushed segments, a growing one, and deletes in each."""
    writer = Writer(world, await add_collection(world.milvus, "c"))
    for batch in (range(10), range(10, 20)):
        writer.insert(list(batch))
        await flushed(world.milvus, writer.name)
    writer.delete([3, 13])
    writer.insert(list(range(20, 25)))
    writer.upsert([4, 21])
    return writer


async def restored(service: Service, name: str = "b") -> list[Key]:
    """Restore beside the original and return the keys."""
    await service.restore(name, suffix="_restored")
    return service.world.milvus.keys(named("c_restored"))


def compaction(writer: Writer, *, garbage: bool) -> Action:
    """Return what a busy Milvus does: writes, compacts, writes, and perhaps collects garbage."""

    async def act() -> None:
        milvus = writer.world.milvus
        writer.delete([0, 10, 20])
        writer.upsert([1, 11])
        await flushed(milvus, writer.name)
        await milvus.compact(writer.name)
        writer.insert(list(range(1000, 1003)))
        if garbage:
            await milvus.collect_garbage()

    return act


@pytest.mark.parametrize("point", POINTS, ids=str)
async def test_a_compaction_at_any_time_leaves_the_backup_exact(point: Point) -> None:
    world = World()
    writer = await written(world)
    meanwhile = point.meanwhile(compaction(writer, garbage=False))
    async with running(world, meanwhile.decorators) as service:
        await service.create()
        (shown,) = (await service.catalog.get("b")).collections
        assert meanwhile.fired == 1
        assert shown.moment is not None
        assert await restored(service) == writer.keys_at(shown.moment)


@pytest.mark.parametrize("point", POINTS, ids=str)
async def test_objects_that_vanish_at_any_time_are_planned_anew(point: Point) -> None:
    world = World()
    writer = await written(world)
    meanwhile = point.meanwhile(compaction(writer, garbage=True))
    async with running(world, meanwhile.decorators) as service:
        operation = await service.create()
        (shown,) = (await service.catalog.get("b")).collections
        assert meanwhile.fired == 1
        assert shown.moment is not None
        assert await restored(service) == writer.keys_at(shown.moment)
    # All that was written before the create is in, whatever the moment is.
    assert shown.moment > max(stamp for stamp, _, _ in writer.changes[:5])
    result = operation.result
    assert isinstance(result, CreateResult)
    data = [key for key in await world.backups() if "/binlogs/" in key]
    assert result.object_count == len(data)


async def test_one_that_vanishes_again_and_again_is_reported_and_never_skipped() -> None:
    world = World()
    writer = await written(world)
    other = await add_collection(world.milvus, "a", range(3))
    act = compaction(writer, garbage=True)
    meanwhile = Meanwhile(
        BACKUP_STORE,
        "copy",
        act,
        part=f"/{world.milvus.collection(writer.name).collection_id}/",
        times=1000,
    )
    async with running(world, meanwhile.decorators) as service:
        operation = await service.end(await service.start_create())
        assert operation.state is OperationState.PARTIALLY_SUCCEEDED
        failed = {item.source: item.error for item in operation.collections if item.error}
        assert list(failed) == [writer.name]
        assert failed[writer.name].reason == "SOURCE_INCONSISTENT"
        assert failed[writer.name].metadata["collection"] == "default.c"
        assert (await service.catalog.get("b")).state.value == "incomplete"
    assert meanwhile.fired > 3
    assert world.milvus.keys(other) == [0, 1, 2]


async def test_acknowledged_rows_are_in_although_the_clock_stands_still_for_a_while() -> None:
    # The fake's clock gives several timestamps in one millisecond, as Milvus's does.
    world = World()
    name = await add_collection(world.milvus, "c", range(10))
    async with running(world) as service:
        for number in range(8):
            world.milvus.insert(name, [100 + number])
            await service.create(f"b{number}", "c")
            await service.restore(f"b{number}", suffix=f"_{number}")
            expected = [*range(10), *range(100, 101 + number)]
            assert world.milvus.keys(named(f"c_{number}")) == expected


async def test_rows_and_deletes_behind_the_moment_are_not_restored() -> None:
    world = World()
    writer = await written(world)

    async def write() -> None:
        writer.upsert([1, 2])
        writer.delete([5])
        writer.insert([500])

    meanwhile = Meanwhile(GATEWAY, "is_flushed", write)
    async with running(world, meanwhile.decorators) as service:
        await service.create()
        (shown,) = (await service.catalog.get("b")).collections
        keys = await restored(service)
    assert meanwhile.fired == 1
    assert shown.moment is not None
    assert keys == writer.keys_at(shown.moment)
    assert {1, 2, 5} <= set(keys)
    assert 500 not in keys


class Forgetting(GatewayDecorator):
    """A Milvus that is killed behind a flush: when it is back it never counts that one as done."""

    def __init__(self, inner: MilvusGateway, silences: int) -> None:
        super().__init__(inner)
        self.flushes: list[Flush] = []
        self.silences = {"is_flushed": silences, "flush": silences - 1}

    def _answer(self, method: str) -> None:
        if self.flushes and self.silences[method] > 0:
            self.silences[method] -= 1
            raise MilvusUnavailable("it starts")

    async def flush(self, database: str, collections: Sequence[str]) -> dict[str, Flush]:
        self._answer("flush")
        flushes = await super().flush(database, collections)
        self.flushes += flushes.values()
        return flushes

    async def is_flushed(self, collection: CollectionName, flush: Flush) -> bool:
        self._answer("is_flushed")
        return flush != self.flushes[0] and await super().is_flushed(collection, flush)


@pytest.mark.parametrize("silences", [1, 3])
async def test_a_flush_that_milvus_forgot_is_made_again(silences: int) -> None:
    world, made = World(), list[Forgetting]()
    writer = await written(world)

    def forgetting(inner: MilvusGateway) -> MilvusGateway:
        made.append(Forgetting(inner, silences))
        return made[0]

    async with running(world, Decorators(gateway=forgetting)) as service:
        await service.create()
        (shown,) = (await service.catalog.get("b")).collections
        keys = await restored(service)
    assert made[0].silences == {"is_flushed": 0, "flush": 0}
    assert shown.moment is not None
    assert len(made[0].flushes) == 2
    assert keys == writer.keys_at(shown.moment)


@pytest.mark.parametrize("point", [DESCRIBED, LISTED_DELTAS, COPIED_FIRST], ids=str)
async def test_a_collection_made_anew_is_backed_up_as_the_new_one(point: Point) -> None:
    world = World()
    writer = await written(world)
    old = world.milvus.collection(writer.name).collection_id

    async def recreate() -> None:
        await world.milvus.drop_collection(writer.name)
        keys = [
            item.key
            for kind in ("insert_log", "delta_log")
            for item in (await world.milvus_store.list_page(f"files/{kind}/{old}/")).objects
        ]
        await world.milvus_store.delete(keys)
        await add_collection(world.milvus, "c", range(70, 75))

    meanwhile = point.meanwhile(recreate)
    async with running(world, meanwhile.decorators) as service:
        await service.create()
        assert meanwhile.fired == 1
        assert await restored(service) == list(range(70, 75))
    # What was copied of the old one is not left in the backup.
    assert not [key for key in await world.backups() if f"/{old}/" in key]


async def test_a_collection_dropped_meanwhile_is_reported() -> None:
    world = World()
    writer = await written(world)
    await add_collection(world.milvus, "a", range(3))

    async def drop() -> None:
        await world.milvus.drop_collection(writer.name)

    meanwhile = Meanwhile(GATEWAY, "describe_collection", drop, part="default.c")
    async with running(world, meanwhile.decorators) as service:
        operation = await service.end(await service.start_create())
    assert meanwhile.fired == 1
    assert operation.state is OperationState.PARTIALLY_SUCCEEDED
    error = operation.collections[0].error
    assert error is not None
    assert error.reason == "COLLECTION_NOT_FOUND"
    assert error.metadata["resource"] == "default.c"
    assert "backup/b/meta/full_meta.json" not in await world.backups()


async def test_a_partition_dropped_meanwhile_is_not_in_the_backup() -> None:
    world = World()
    name = await add_collection(world.milvus, "c", range(5), partitions=["p"])
    world.milvus.insert(name, range(50, 55), "p")

    async def drop() -> None:
        collection = world.milvus.collection(name)
        partition = collection.partition("p")
        assert partition is not None
        collection.partitions.remove(partition)
        kept = [it for it in collection.segments if it.partition_id != partition.partition_id]
        collection.segments = kept

    meanwhile = Meanwhile(GATEWAY, "describe_collection", drop)
    async with running(world, meanwhile.decorators) as service:
        await service.create()
        (shown,) = (await service.catalog.get("b")).collections
        assert await restored(service) == list(range(5))
    assert meanwhile.fired == 1
    assert (len(shown.record.partition_backups), shown.row_count) == (1, 5)


async def test_segments_whose_rows_cannot_be_told_are_planned_anew() -> None:
    # A compaction replaced the segment, and its log has no header that tells the rows.
    world = World()
    writer = await written(world)

    async def hide() -> None:
        await world.milvus.compact(writer.name)
        page = await world.milvus_store.list_page("files/insert_log/")
        for item in page.objects:
            if item.key.split("/")[-2] == "1":
                await world.milvus_store.put(item.key, b"x" * item.size)

    meanwhile = Meanwhile(GATEWAY, "describe_collection", hide)
    async with running(world, meanwhile.decorators) as service:
        await service.create()
        (shown,) = (await service.catalog.get("b")).collections
        assert meanwhile.fired == 1
        live = len(world.milvus.keys(writer.name))
        assert shown.row_count >= live


async def test_a_collection_that_goes_while_the_operation_waits_is_not_missed() -> None:
    world = World()
    for name in ("one", "two"):
        await add_collection(world.milvus, name, range(3))
    gate = PhaseGate(Phase.PLANNING)
    bounds = OperationLimits(concurrent=1, cleanup_seconds=1.0)
    async with running(world, gate.decorators, operations=bounds) as service:
        gate.operations = service.operations
        first = await service.start_create("first", "one")
        await gate.wait()
        waiting = await service.start_create("everything")
        await world.milvus.drop_collection(named("two"))
        await add_collection(world.milvus, "three", range(4))
        gate.opened.set()
        succeeded(await service.end(first))
        succeeded(await service.end(waiting))
        backup = await service.catalog.get("everything")
    assert [item.name for item in backup.collections] == ["one", "three"]
