"""One flush of everything, from Milvus 2.6.11 on: what it records, and that rows are those of its moment."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from milvus_backup_server.adapters.milvus.stubs import common_pb2
from milvus_backup_server.domain.errors import MilvusRefused
from milvus_backup_server.domain.layout import manifest_collections_file
from milvus_backup_server.domain.milvus import FlushAll
from milvus_backup_server.domain.operations import Operation, OperationState, Phase
from milvus_backup_server.domain.strategies import BackupStrategy
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.plan_journal import PlanJournal
from milvus_backup_server.service.snapshot import Selected
from milvus_backup_server.service.spool import SpoolDirectory
from tests.support.fake_milvus import FakeMilvus
from tests.support.gateways import GatewayDecorator
from tests.support.meanwhile import Meanwhile
from tests.support.newer import Newer, newer
from tests.support.phases import PhaseGate
from tests.support.service import (
    BACKUPS,
    LIMITS,
    ROOT,
    World,
    add_collection,
    named,
    running,
)
from tests.support.simulator import adopt
from tests.support.simulator.model import Fault

BULK, AUTO = BackupStrategy.BULK_FLUSH, BackupStrategy.AUTO


async def moments(world: World) -> dict[str, int]:
    """Return the moment of each collection of our manifest by its name."""
    key = f"{BACKUPS}/b/meta/{manifest_collections_file(1)}"
    lines = (await world.backup_store.get(key)).decode().splitlines()
    return {it["collection_name"]: it.get("moment", 0) for it in map(json.loads, lines)}


def ticks(full: Any) -> dict[str, int]:
    """Return the timestamps of the messages that a backup tells of."""
    found = {}
    for channel, text in full["flush_all_msgs_base64"].items():
        message = common_pb2.ImmutableMessage.FromString(base64.b64decode(text))
        found[channel] = int(message.properties["_tt"], 36)
    return found


def flushed(it: Newer) -> tuple[int, int]:
    """Return how many flushes of everything there were, and how many of collections."""
    return it.milvus.flushes_of_all, it.milvus.flushes


@pytest.mark.parametrize("strategy", [AUTO, BULK])
async def test_one_call_flushes_all_and_stands_in_the_backup(strategy: BackupStrategy) -> None:
    async with newer("2.6.11") as it:
        await adopt(it.milvus, "fx_mv_2_6_18")
        it.milvus.flushing_all = 3
        operation = await it.service.create(strategy=strategy)
        full, found = await it.full_meta("b"), await moments(it.service.world)
        assert flushed(it) == (1, 0)
        assert it.milvus.flushing_all == 0
    assert operation.warnings == ()
    channels = [f"by-dev-rootcoord-dml_{number}" for number in range(16)]
    assert list(full["flush_all_msgs_base64"]) == sorted(channels)
    assert full["physical_channel_names"] == channels
    assert full["control_channel_name"] == "by-dev-rootcoord-dml_0_vcchan"
    told = ticks(full)
    for record in full["collection_backups"]:
        assert "channel_checkpoints" not in record
        assert "backup_timestamp" not in record
        (channel,) = record["physical_channel_names"]
        assert found[record["collection_name"]] == told[channel]


@pytest.mark.parametrize(
    ("version", "strategy"),
    [
        ("2.6.10", AUTO),
        ("2.6.18", BackupStrategy.SERIAL_FLUSH),
    ],
)
async def test_else_collections_are_flushed(version: str, strategy: BackupStrategy) -> None:
    async with newer(version) as it:
        await adopt(it.milvus, "fx_mv_2_6_18_types")
        await it.service.create(strategy=strategy)
        full = await it.full_meta("b")
        assert flushed(it)[0] == 0
        assert flushed(it)[1] > 0
    assert "flush_all_msgs_base64" not in full
    assert all(record["channel_checkpoints"] for record in full["collection_backups"])


async def test_without_a_flush_there_is_none_of_everything() -> None:
    async with newer("2.6.18") as it:
        await adopt(it.milvus, "fx_mv_2_6_18_types")
        await it.service.create("b", strategy=BackupStrategy.SKIP_FLUSH)
        await it.service.create("c", strategy=BackupStrategy.META_ONLY)
        assert flushed(it) == (0, 0)


async def test_auto_flushes_the_collections_where_milvus_refuses_all() -> None:
    async with newer("2.6.18") as it:
        await adopt(it.milvus, "fx_mv_2_6_18_types")
        it.milvus.flush_all_fault = Fault(65535, "not today")
        operation = await it.service.create()
        assert flushed(it) == (0, 5)  # each collection by itself
        assert "flush_all_msgs_base64" not in await it.full_meta("b")
    (warning,) = operation.warnings
    assert warning.message.startswith("the collections are flushed one by one: Milvus at")
    assert warning.message.endswith("refuses FlushAll: not today")


class Reticent(GatewayDecorator):
    """Does not tell of a channel how far it is flushed."""

    hidden: tuple[str, ...] = ()

    async def flush_all(self) -> FlushAll:
        done = await super().flush_all()
        told = {it: moment for it, moment in done.moments.items() if it not in self.hidden}
        return replace(done, moments={**told, "other": 0})


async def test_a_collection_of_which_the_answer_tells_nothing_is_flushed_by_itself() -> None:
    reticent: list[Reticent] = []

    def around(inner: MilvusGateway) -> Reticent:
        reticent.append(Reticent(inner))
        return reticent[0]

    async with newer("2.6.18", around=around) as it:
        records = await adopt(it.milvus, "fx_mv_2_6_18_types")
        alone = records[0].collection_name
        reticent[0].hidden = records[0].physical_channel_names
        await it.service.create()
        found = await moments(it.service.world)
        assert it.milvus.flushes_of_all == 1
        assert it.milvus.flushes > 0
    assert [name for name, moment in found.items() if not moment] == []
    assert alone in found


async def test_bulk_flush_fails_where_milvus_refuses_it() -> None:
    async with newer("2.6.18") as it:
        await adopt(it.milvus, "fx_mv_2_6_18_types")
        it.milvus.flush_all_fault = Fault(65535, "not today")
        error = await it.service.error(await it.service.start_create(strategy=BULK))
        assert isinstance(error, MilvusRefused)
        assert await it.service.world.backups() == []


@pytest.mark.parametrize("strategy", [AUTO, BULK])
async def test_a_flush_of_all_that_does_not_end_is_given_up(strategy: BackupStrategy) -> None:
    async with newer("2.6.18", limits=replace(LIMITS, flush_seconds=0.2)) as it:
        await adopt(it.milvus, "fx_mv_2_6_18_types")
        it.milvus.flushing_all = 1_000_000
        operation = await it.service.end(await it.service.start_create(strategy=strategy))
        text = "Milvus did not finish the flush of everything within 0.2 s"
        if strategy is BULK:
            assert operation.state is OperationState.INTERRUPTED
            assert operation.error is not None
            assert operation.error.message.startswith(text)
        else:
            assert operation.state is OperationState.SUCCEEDED
            assert [text in warning.message for warning in operation.warnings] == [True]


async def test_a_collection_whose_segments_were_replaced_is_flushed_by_itself() -> None:
    async with newer("2.6.18") as it:
        await adopt(it.milvus, "fx_mv_2_6_18")
        collection = it.milvus.databases["default"]["deletes"]
        gone = next(item for item in collection.segments if not item.l0)
        it.milvus.replace_after_flush = (collection, gone)
        await it.service.create()
        assert flushed(it) == (1, 1)
        full, found = await it.full_meta("b"), await moments(it.service.world)
    told = ticks(full)
    by_itself = {
        record["collection_name"]
        for record in full["collection_backups"]
        if found[record["collection_name"]] > max(told.values())
    }
    assert by_itself == {"deletes"}


# --- rows, with a Milvus that takes writes


def world_of(version: str = "2.6.18") -> World:
    world = World()
    world.milvus = FakeMilvus(world.milvus_store, ROOT, version=version)
    return world


async def restored(world: World) -> list[int | str]:
    async with running(world) as service:
        await service.restore("b", suffix="_r")
    return world.milvus.keys(named("c_r"))


async def created(world: World, point: Meanwhile) -> Operation:
    async with running(world, point.decorators) as service:
        operation = await service.create()
    assert point.fired == 1
    return operation


async def test_what_is_written_after_the_flush_is_not_in_the_backup() -> None:
    world = world_of()
    name = await add_collection(world.milvus, "c", range(10), shards=2)

    async def write() -> None:
        world.milvus.upsert(name, range(3, 20))
        world.milvus.delete(name, [0])

    point = Meanwhile("gateway", "flush_all", write, after=True)
    await created(world, point)
    assert "flush" not in {method for _, method, _ in point.calls}
    (moment,) = (await moments(world)).values()
    assert moment < world.milvus.collection(name).deleted[0]
    assert await restored(world) == [*range(10)]


async def test_what_a_compaction_removed_after_the_flush_makes_another() -> None:
    world = world_of()
    name = await add_collection(world.milvus, "c", range(10))
    stamps: list[int] = []

    async def compact() -> None:
        await world.milvus.is_all_flushed(FlushAll({}))
        stamps.append(world.milvus.delete(name, [0, 1]))
        await world.milvus.compact(name)

    point = Meanwhile("gateway", "is_all_flushed", compact)
    await created(world, point)
    assert [method for _, method, _ in point.calls].count("flush") == 1
    (moment,) = (await moments(world)).values()
    assert moment > stamps[0]
    assert await restored(world) == [*range(2, 10)]


async def test_segments_replaced_before_the_flush_are_no_reason_for_another() -> None:
    world = world_of()
    name = await add_collection(world.milvus, "c", range(10))
    await world.milvus.flush_all()
    await world.milvus.is_all_flushed(FlushAll({}))
    world.milvus.delete(name, [0])
    assert await world.milvus.compact(name)
    point = Meanwhile("gateway", "flush_all", _nothing)
    await created(world, point)
    assert "flush" not in {method for _, method, _ in point.calls}
    assert await restored(world) == [*range(1, 10)]


async def _nothing() -> None:
    pass


async def test_a_resumed_create_tells_of_the_flush_too() -> None:
    world = world_of()
    await add_collection(world.milvus, "c", range(10))
    gate = PhaseGate(Phase.COPYING)
    async with running(world, gate.decorators, records=world.backup_store) as service:
        gate.operations = service.operations
        operation = await service.start_create()
        await gate.wait()
        gate.opened.set()
        await service.operations.drain(0)
    async with running(world, generation=2, records=world.backup_store) as service:
        last = await service.resume(operation.name)
    assert last.state is OperationState.SUCCEEDED, last.error
    full = json.loads(await world.backup_store.get("backup/b/meta/full_meta.json"))
    assert full["control_channel_name"] == "dml_0_vcchan"
    assert len(full["flush_all_msgs_base64"]) == 16


async def test_a_plan_remembers_the_flush() -> None:
    world, done = (
        World(),
        FlushAll({"dml_0": 1 << 60}, {"dml_0": "bXNn"}, "dml_0_vcchan", ("dml_0",)),
    )
    journal = PlanJournal(Storage("backup", world.backup_store, BACKUPS), "o", LIMITS)
    await journal.write(1, Selected(("default",), ()), {}, done)
    async with SpoolDirectory() as spools:
        recalled = await journal.recall(spools)
    assert recalled is not None
    assert recalled.flush_all == done
