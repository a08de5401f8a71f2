"""What later versions of Milvus have beside collections: the real 2.3.5 and the one in memory refuse it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.milvus import GrpcMilvusGateway, MilvusSettings
from milvus_backup_server.domain.errors import DatabaseNotFound, MilvusRefused
from milvus_backup_server.domain.records import DatabaseBackupInfo, KeyValue, RbacMeta
from milvus_backup_server.ports.milvus import MilvusGateway
from tests.support.fake_milvus import FakeMilvus
from tests.support.service import ROOT
from tests.support.simulator import SimulatedMilvus, simulator

pytestmark = pytest.mark.xdist_group("milvus-one")

CALLS: dict[str, Callable[[MilvusGateway], Awaitable[object]]] = {
    "describe_database": lambda it: it.describe_database("default"),
    "rbac": lambda it: it.rbac(),
    "restore_rbac": lambda it: it.restore_rbac(RbacMeta()),
    "pause_gc": lambda it: it.pause_gc(60),
    "resume_gc": lambda it: it.resume_gc(""),
}


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.e2e)])
async def early(request: pytest.FixtureRequest) -> AsyncIterator[MilvusGateway]:
    if request.param == "fake":
        yield FakeMilvus(MemoryServer().store("milvus"), ROOT)
        return
    milvus = request.getfixturevalue("environment").milvus
    endpoint = milvus.management_endpoint
    settings = MilvusSettings(host=milvus.host, port=milvus.port, management_endpoint=endpoint)
    gateway = GrpcMilvusGateway(settings)
    yield gateway
    await gateway.close()


@pytest.mark.parametrize("call", CALLS)
async def test_2_3_refuses_it(early: MilvusGateway, call: str) -> None:
    with pytest.raises(MilvusRefused):
        await CALLS[call](early)


@asynccontextmanager
async def later(kind: str) -> AsyncIterator[MilvusGateway]:
    store = MemoryServer().store("milvus")
    if kind == "fake":
        yield FakeMilvus(store, ROOT, version="2.6.18")
        return
    async with simulator(SimulatedMilvus(store, "2.6.18", ROOT)) as served:
        management = f"http://127.0.0.1:{served.management_port}"
        settings = MilvusSettings(
            host="127.0.0.1", port=served.port, management_endpoint=management
        )
        gateway = GrpcMilvusGateway(settings)
        yield gateway
        await gateway.close()


@pytest.mark.parametrize("kind", ["fake", "simulated"])
async def test_2_6_does_it(kind: str) -> None:
    async with later(kind) as gateway:
        properties = (KeyValue(key="database.max.collections", value="10"),)
        await gateway.create_database("shop", properties)
        found = await gateway.describe_database("shop")
        assert (found.db_name, found.properties) == ("shop", properties)
        assert await gateway.describe_database("default") == DatabaseBackupInfo(
            db_name="default", db_id=1
        )
        with pytest.raises(DatabaseNotFound):
            await gateway.describe_database("nowhere")
        assert await gateway.rbac() == RbacMeta()
        await gateway.restore_rbac(RbacMeta.from_json({"roles": [{"name": "reader"}]}))
        with pytest.raises(MilvusRefused, match="exists"):
            await gateway.restore_rbac(RbacMeta.from_json({"roles": [{"name": "reader"}]}))
        assert (await gateway.rbac()).to_json() == {"roles": [{"name": "reader"}]}
        ticket = await gateway.pause_gc(60)
        assert ticket
        assert await gateway.pause_gc(60, 7) != ticket
        await gateway.resume_gc(ticket)
        done = await gateway.flush_all()
        assert len(done.moments) == len(done.messages) == len(done.physical_channels) == 16
        assert await gateway.is_all_flushed(done)
