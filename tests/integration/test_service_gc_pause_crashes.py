"""The pause of Milvus's garbage collection when the service dies: whoever comes next gives it back."""

import asyncio
import json
from dataclasses import replace

import pytest

from milvus_backup_server.domain.errors import StorageUnavailable
from milvus_backup_server.domain.leftovers import LeftoverKind, LeftoverState, SweepResult
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.domain.requests import SweepRequest
from tests.support.bodies import in_time
from tests.support.gateways import GatewayDecorator
from tests.support.gc_spy import Spy, spied
from tests.support.newer import Newer, newer
from tests.support.replicas import QUICK
from tests.support.service import CALLER, World, keys_below
from tests.support.simulator import adopt
from tests.support.stores import FailingStore

pytestmark = pytest.mark.usefixtures("own_disk")

ARCHIVE = "fx_mv_2_6_18"
SELDOM = replace(QUICK, progress=3600)
"""Records are written when something asks for it, not when a test has waited long enough."""
VERSIONS = pytest.mark.parametrize("version", ["2.5.27", "2.6.18"])


async def recorded(world: World) -> dict[str, bytes]:
    """Return the records of operations by key, without the signs of life of services."""
    keys = await keys_below(world.backup_store, "records/.milvus-backup/operations/")
    return {key: await world.backup_store.get(key) for key in keys}


async def crashed(world: World, version: str) -> tuple[str, dict[str, tuple[int, int]]]:
    """Leave of a create what a service leaves that is killed when it has just paused.

    What it writes while it is stopped is taken back.

    Returns:
        The operation, and the leases that it left.
    """
    spies: list[Spy] = []
    async with newer(
        version,
        world,
        around=lambda inner: spied(spies, inner),
        records=world.backup_store,
        recording=SELDOM,
    ) as it:
        await adopt(it.milvus, ARCHIVE)
        spies[0].it = it
        stuck = asyncio.Event()

        async def get_stuck() -> None:
            it.simulator.management.refuse = 500
            stuck.set()
            await asyncio.Event().wait()

        spies[0].act = get_stuck
        operation = await it.service.start_create("b", "deletes", pause_gc=True)
        await in_time(stuck.wait())
        records = await recorded(world)
        await it.service.operations.drain(0)
        left = dict(it.simulator.management.paused)
    assert len(left) == 1
    assert await recorded(world) != records
    await world.backup_store.delete([*await recorded(world)])
    for key, content in records.items():
        await world.backup_store.put(key, content)
    return operation.name, left


async def held(it: Newer) -> list[str]:
    """Return the tickets that are on record."""
    return [lease.ticket for _, lease in await it.service.use_cases.directory.gc_leases()]


async def test_a_pause_without_ticket_is_on_record_before_milvus_is_asked() -> None:
    world, seen = World(), list[bool]()

    class Look(GatewayDecorator):
        async def pause_gc(self, seconds: int, collection_id: int = 0) -> str:
            (content,) = (await recorded(world)).values()
            seen.append(bool(json.loads(content).get("gc_leases")))
            return await self._inner.pause_gc(seconds, collection_id)

    async with newer(
        "2.5.27", world, around=Look, records=world.backup_store, recording=SELDOM
    ) as it:
        await adopt(it.milvus, ARCHIVE)
        await it.service.create("b", "deletes", pause_gc=True)
    assert seen == [True]


async def test_a_store_that_takes_no_records_holds_no_create_up() -> None:
    world = World()
    records = FailingStore(world.backup_store)
    records.fail("put", StorageUnavailable("no answer"))
    async with newer("2.5.27", world, records=records, recording=SELDOM) as it:
        await adopt(it.milvus, ARCHIVE)
        await it.service.create("b", "deletes", pause_gc=True)
        assert it.simulator.management.resumed == [""]
    assert records.injected["put"] > 1


@VERSIONS
async def test_a_resume_takes_the_lease_up_and_gives_it_back(version: str) -> None:
    world = World()
    name, left = await crashed(world, version)
    async with newer(version, world, records=world.backup_store) as it:
        await adopt(it.milvus, ARCHIVE)
        it.simulator.management.paused.update(left)
        assert await held(it) == [*left]
        last = await it.service.resume(name)
        assert last.state is OperationState.SUCCEEDED, last.error
        assert it.simulator.management.paused == {}
        resumed = it.simulator.management.resumed
        assert resumed == [""] if "" in left else {*left} < {*resumed}


@VERSIONS
async def test_a_cancel_after_a_crash_gives_it_back(version: str) -> None:
    world = World()
    name, left = await crashed(world, version)
    async with newer(version, world, records=world.backup_store) as it:
        it.simulator.management.paused.update(left)
        assert await held(it) == [*left]
        last = await it.service.end(await it.service.use_cases.control.cancel(name))
        assert last.state is OperationState.CANCELLED
        assert it.simulator.management.paused == {}


@pytest.mark.parametrize(("version", "age"), [("2.5.27", 3600), ("2.6.18", 0), ("2.6.18", 3600)])
async def test_a_sweep_gives_it_back(version: str, age: int) -> None:
    world = World()
    name, left = await crashed(world, version)
    what = "collection 4706" if version == "2.6.18" else "all collections"
    async with newer(version, world, records=world.backup_store) as it:
        it.simulator.management.paused.update(left)
        assert await held(it) == [*left]
        for apply in (False, True):
            begun = await it.service.use_cases.sweep.start(SweepRequest(apply, age), CALLER)
            swept = await it.service.end(begun)
            assert isinstance(swept.result, SweepResult)
            kinds = [item.kind for item in swept.result.leftovers if item.operation == name]
            assert (LeftoverKind.OPERATION in kinds) is (age == 0)
            if age or not apply:
                (pause,) = [x for x in swept.result.leftovers if x.kind is LeftoverKind.GC_PAUSE]
                assert pause.operation == name
                assert pause.state is (LeftoverState.REMOVED if apply else LeftoverState.FOUND)
                assert pause.subject.startswith(f"garbage collection of {what}")
        assert it.simulator.management.paused == {}
        again = await it.service.end(
            await it.service.use_cases.sweep.start(SweepRequest(False, age), CALLER)
        )
        assert isinstance(again.result, SweepResult)
        assert LeftoverKind.GC_PAUSE not in {item.kind for item in again.result.leftovers}
