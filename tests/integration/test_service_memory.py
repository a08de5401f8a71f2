"""Whatever holds bytes of objects does so within one budget."""

import asyncio
from dataclasses import replace

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.requests import ExportRequest
from milvus_backup_server.service.memory import ByteBudget
from milvus_backup_server.service.objects import md5_of_object
from tests.support.running_service import Decorators
from tests.support.service import CALLER, LIMITS, World, add_collection, running
from tests.support.stores import CountingStore, GatedStore
from tests.support.tars import in_chunks

MIB = 1 << 20


@pytest.mark.parametrize(("size", "held"), [(5 * MIB, 4 * MIB), (MIB, MIB)])
async def test_a_read_that_compares_holds_a_part(size: int, held: int) -> None:
    gated = GatedStore(MemoryServer().store("bucket"), "get")
    info = await gated.put("x", bytes(size))
    memory = ByteBudget(64 * MIB)
    reading = asyncio.create_task(md5_of_object(gated, info, 4 * MIB, memory=memory))
    await gated.wait_for(1)
    assert memory.used == held
    gated.gate.set()
    await reading
    assert memory.used == 0


async def test_restores_exports_and_imports_wait_for_memory() -> None:
    world = World()
    await add_collection(world.milvus, "c", range(10))
    reads = CountingStore(world.backup_store)
    limits = replace(LIMITS, memory=ByteBudget(64 * MIB))
    decorators = Decorators(backup_store=lambda _: reads)
    async with running(world, decorators, limits=limits) as service:
        await service.create("b", "c")
        archive = await service.export("b")
        taken = await limits.memory.acquire(64 * MIB)
        export = await service.use_cases.export.start(ExportRequest("b"), CALLER)
        restore = await service.start_restore("b", suffix="_r")
        importing = asyncio.create_task(service.import_(in_chunks(archive), "b2"))
        for _ in range(200):
            await asyncio.sleep(0)
        assert not importing.done()
        assert limits.memory.used == taken
        limits.memory.release(taken)
        assert b"".join([chunk async for chunk in export.chunks()]) == archive
        assert (await service.end(restore)).state.name == "SUCCEEDED"
        assert (await importing).state.name == "SUCCEEDED"
    assert limits.memory.used == 0
