"""A sweep over gRPC and HTTP: what is asked arrives, and what was found is told."""

import httpx
import pytest

from milvus_backup.v1 import operation_pb2, sweep_pb2
from milvus_backup_client import BackupClient, InvalidRequest
from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.api.server import ApiServer, Endpoint
from tests.support.http_service import http_client
from tests.support.service import Service, World, running

pytestmark = pytest.mark.usefixtures("own_disk")

OLD = "20200101t000000_0123abcd"
PLANS = f"backup/.milvus-backup/plans/{OLD}/"


async def world_with_leftovers() -> World:
    world = World()
    await world.backup_store.put(f"{PLANS}1/plan.json", b"{}")
    return world


async def test_over_grpc() -> None:
    world, records = await world_with_leftovers(), MemoryServer().store("records")
    async with running(world, records=records) as service:
        server = ApiServer(service.use_cases)
        endpoint = await server.start(Endpoint(port=0))
        try:
            async with BackupClient(endpoint.target) as client:
                with pytest.raises(InvalidRequest) as refused:
                    await client.sweep(min_age_seconds=-1)
                assert [it.field for it in refused.value.violations] == ["min_age"]
                young = await client.wait(await client.sweep())
                assert young.sweep.leftover_count == 0
                found = await client.wait(await client.sweep(min_age_seconds=0))
                removed = await client.wait(await client.sweep(apply=True, min_age_seconds=0))
        finally:
            await server.stop()
    assert found.kind == operation_pb2.OPERATION_KIND_SWEEP
    assert not found.sweep.applied
    assert [(it.kind, it.subject, it.state) for it in found.sweep.leftovers] == [
        (sweep_pb2.LEFTOVER_KIND_PLAN, PLANS, sweep_pb2.LEFTOVER_STATE_FOUND)
    ]
    assert removed.sweep.applied
    assert (removed.sweep.leftover_count, removed.sweep.removed_count) == (1, 1)
    assert await world.backups() == []


async def swept(service: Service, client: httpx.AsyncClient, query: str) -> dict[str, object]:
    answer = await client.post(f"/sweep{query}")
    assert answer.status_code == 200, answer.text
    name = answer.json()["data"]["name"]
    await service.operations.end_of(name)
    told = (await client.get(f"/operations/{name}")).json()["data"]
    assert isinstance(told, dict)
    return told


async def test_over_http() -> None:
    world, records = await world_with_leftovers(), MemoryServer().store("records")
    async with running(world, records=records) as service, http_client(service.use_cases) as client:
        refused = await client.post("/sweep?min_age_seconds=-1")
        assert refused.status_code == 400
        found = await swept(service, client, "?min_age_seconds=0")
        assert found["leftovers"] == [
            {
                "kind": "PLAN",
                "subject": PLANS,
                "operation": OLD,
                "object_count": 1,
                "size_bytes": 2,
                "state": "FOUND",
            }
        ]
        removed = await swept(service, client, "?apply=true&min_age_seconds=0")
        assert removed["result"] == {
            "leftover_count": 1,
            "found_count": 0,
            "removed_count": 1,
            "kept_count": 0,
            "failed_count": 0,
        }
    assert await world.backups() == []
