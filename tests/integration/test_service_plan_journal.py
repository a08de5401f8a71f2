"""The plan of a create stands in the store while it copies, and is read again as it was."""

import asyncio
import dataclasses

import pytest

from milvus_backup_server.domain.errors import BackupNameLost
from milvus_backup_server.domain.layout import BackupLayout
from milvus_backup_server.domain.operations import OperationState, Phase
from milvus_backup_server.service.claim import Claim, claim, new_claim, parse_claim, take_over
from milvus_backup_server.service.collection_plan import CollectionPlan
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.plan_journal import PlanJournal, RecalledPlan
from milvus_backup_server.service.spool import SpoolDirectory
from tests.support.phases import PhaseGate
from tests.support.service import (
    BACKUPS,
    INDEX,
    LIMITS,
    World,
    add_collection,
    named,
    running,
)

NAMES = [named("c"), named("d"), named("empty"), named("other.c")]
LAYOUT = BackupLayout(BACKUPS, "b")


async def interrupted(world: World, phase: Phase = Phase.COPYING) -> str:
    """Begin a create of the collections above, stop the service in a phase, and return its name."""
    for name in ("c", "d", "empty", "other.c"):
        keys = () if name == "empty" else range(10)
        collection = await add_collection(world.milvus, name, keys, partitions=["p"])
        await world.milvus.create_index(collection, INDEX)
    gate = PhaseGate(phase, number=2)
    async with running(world, gate.decorators) as service:
        gate.operations = service.operations
        operation = await service.start_create("b")
        await gate.wait()
        stopping = asyncio.create_task(service.operations.drain(0))
        gate.opened.set()
        await stopping
        last = service.operations.get(operation.name)
    assert last.state is OperationState.INTERRUPTED
    return operation.name


def journal(world: World, operation: str) -> PlanJournal:
    return PlanJournal(Storage("backup", world.backup_store, BACKUPS), operation, LIMITS)


async def recalled(world: World, operation: str, spools: SpoolDirectory) -> RecalledPlan | None:
    return await journal(world, operation).recall(spools)


async def plan_keys(world: World) -> list[str]:
    return [key for key in await world.backups() if "/plans/" in key]


async def keys_of(plan: CollectionPlan) -> list[str]:
    return [item.source_key async for item in plan.objects()]


async def test_an_interrupted_create_leaves_its_claim_and_its_plan() -> None:
    world = World()
    name = await interrupted(world)
    files = [key.partition(f"/plans/{name}/")[2] for key in await plan_keys(world)]
    assert files == ["1/0.1.jsonl", "1/1.1.jsonl", "1/2.1.jsonl", "1/3.1.jsonl", "1/plan.json"]
    standing = parse_claim(await world.backup_store.get(LAYOUT.meta("claim.json")))
    assert standing.operation == name

    async with SpoolDirectory() as spools:
        plan = await recalled(world, name, spools)
        assert plan is not None
        assert list(plan.selected.collections) == NAMES
        assert plan.selected.databases == ("default", "other")
        assert list(plan.plans) == NAMES
        for collection in NAMES:
            found = plan.plans[collection]
            description = await world.milvus.describe_collection(collection)
            assert found.snapshot.name == collection
            assert found.snapshot.description == description
            assert found.snapshot.moment > 0
            assert [it.name for it in found.snapshot.partitions] == ["_default", "p"]
            assert found.snapshot.indexes == tuple(await world.milvus.list_indexes(collection))
            stored = [
                key for key in await world.source_keys() if f"_log/{found.collection_id}/" in key
            ]
            assert sorted(await keys_of(found)) == stored
            assert found.amount.objects == len(stored)
            assert found.amount.rows == (0 if collection == named("empty") else 10)


@pytest.mark.parametrize("phase", [Phase.PLANNING, Phase.FLUSHING])
async def test_a_create_that_was_interrupted_before_its_plan_leaves_none(phase: Phase) -> None:
    world = World()
    name = await interrupted(world, phase)
    assert await world.backups() == []
    async with SpoolDirectory() as spools:
        assert await recalled(world, name, spools) is None


async def test_a_plan_goes_with_the_backup() -> None:
    world = World()
    await interrupted(world)
    assert await plan_keys(world)
    async with running(world, generation=2) as service:
        await service.delete("b")
        assert await world.backups() == []
        await service.create("b")
    assert await plan_keys(world) == []


async def test_a_changed_byte_makes_a_plan_useless_and_leaves_the_others() -> None:
    world = World()
    name = await interrupted(world)
    keys = await plan_keys(world)
    original = await world.backup_store.get(keys[0])
    async with SpoolDirectory() as spools:
        for position in range(0, len(original), 37):
            changed = bytearray(original)
            changed[position] ^= 1
            await world.backup_store.put(keys[0], bytes(changed))
            plan = await recalled(world, name, spools)
            assert plan is not None
            assert list(plan.plans) == NAMES[1:], position
        await world.backup_store.put(keys[0], original[:-1])
        plan = await recalled(world, name, spools)
        assert plan is not None
        assert list(plan.plans) == NAMES[1:]
        await world.backup_store.put(keys[-1], b"{}")
        assert await recalled(world, name, spools) is None


async def test_the_last_plan_of_a_collection_counts() -> None:
    world = World()
    name = await interrupted(world)
    async with SpoolDirectory() as spools:
        first = journal(world, name)
        plan = await first.recall(spools)
        assert plan is not None
        for version, generation in enumerate([1, 1, 3, 2], start=10):
            old = plan.plans[NAMES[1]]
            snapshot = dataclasses.replace(old.snapshot, moment=version)
            await first.write_one(generation, dataclasses.replace(old, snapshot=snapshot))
        last = await recalled(world, name, spools)
        assert last is not None
        assert last.plans[NAMES[1]].snapshot.moment == 12
        assert last.plans[NAMES[0]].snapshot.moment == plan.plans[NAMES[0]].snapshot.moment


# --- the claim


async def test_a_claim_is_taken_over_by_its_own_operation_alone() -> None:
    world = World()
    assert await take_over(world.backup_store, LAYOUT, "mine", 7) is None
    await claim(world.backup_store, LAYOUT, new_claim("mine", 5))
    with pytest.raises(BackupNameLost):
        await take_over(world.backup_store, LAYOUT, "other", 7)
    assert (await standing(world)).generation == 5
    ours = await take_over(world.backup_store, LAYOUT, "mine", 7)
    assert ours is not None
    assert await standing(world) == ours
    assert (ours.operation, ours.generation) == ("mine", 7)
    later = await take_over(world.backup_store, LAYOUT, "mine", 7)  # a clock that went back
    assert later is not None
    assert later.generation == 8


async def test_one_of_many_takes_a_claim_over() -> None:
    world = World()
    await claim(world.backup_store, LAYOUT, new_claim("mine", 5))
    taken = await asyncio.gather(
        *(take_over(world.backup_store, LAYOUT, "mine", 10 + number) for number in range(8)),
        return_exceptions=True,
    )
    won = [it for it in taken if not isinstance(it, BaseException)]
    assert all(isinstance(it, BackupNameLost) for it in taken if it not in won)
    assert len(won) == 1
    assert await standing(world) == won[0]


async def standing(world: World) -> Claim:
    return parse_claim(await world.backup_store.get(LAYOUT.meta("claim.json")))
