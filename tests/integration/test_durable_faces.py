"""After a restart, and on a second service, gRPC and HTTP tell of operations as before."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from milvus_backup.v1 import operation_pb2
from milvus_backup_client import (
    BackupClient,
    OperationNotFound,
    OperationNotResumable,
    errors,
)
from milvus_backup_server.app import RunningApp, running_app
from milvus_backup_server.domain.errors import StorageDenied
from milvus_backup_server.wiring import Adapters
from tests.support.http_service import http_client
from tests.support.outage import Outage
from tests.support.running_service import FAST, settings_of
from tests.support.service import World, add_collection

SETTINGS = {"configVersion": "v2", "service": FAST}


@asynccontextmanager
async def service(world: World) -> AsyncIterator[tuple[RunningApp, BackupClient]]:
    """Run the whole service, as after a restart."""
    adapters = Adapters(world.milvus, world.milvus_store, world.backup_store)
    async with running_app(settings_of(SETTINGS), adapters) as app, BackupClient(app.address) as it:
        yield app, it


@pytest.fixture
async def world() -> World:
    found = World()
    await add_collection(found.milvus, "one", range(10))
    await add_collection(found.milvus, "two", range(5))
    return found


async def get(client: httpx.AsyncClient, path: str) -> dict[str, object]:
    """Return the data of an answer."""
    answer = await client.get(path)
    found: dict[str, object] = answer.json()["data"]
    return found


async def test_a_restart_forgets_nothing(world: World) -> None:
    async with service(world) as (app, client):
        made = await client.wait(await client.create_backup("b", request_id="once"))
        restored = await client.wait(await client.restore_backup("b", suffix="_r"))
        collections = [it async for it in client.list_operation_collections(restored)]
        async with http_client(app.use_cases) as http:
            task = await get(http, f"/get_restore?id={restored.name}")
    async with service(world) as (app, client):
        assert await client.get_operation(made.name) == made
        assert [it.name async for it in client.list_operations()] == [restored.name, made.name]
        assert [it async for it in client.list_operation_collections(restored)] == collections
        assert [state async for state in client.watch(restored.name)] == [restored]
        assert await client.create_backup("b", request_id="once") == made
        async with http_client(app.use_cases) as http:
            assert await get(http, f"/get_restore?id={restored.name}") == task
            told = await get(http, f"/operations/{made.name}")
            assert (told["state"], told["backup_name"]) == ("SUCCEEDED", "b")


async def test_a_plan_is_on_no_record(world: World) -> None:
    async with service(world) as (_, client):
        plan = await client.create_backup("b", validate_only=True)
        assert [it async for it in client.list_operations()] == []
        with pytest.raises(OperationNotFound):
            await client.get_operation(plan.name)
    assert await world.backups() == []


async def test_who_only_asks_writes_nothing(world: World) -> None:
    async with service(world) as (_, client):
        assert [it async for it in client.list_operations()] == []
        assert [it async for it in client.list_backups()] == []
    assert await world.backups() == []


async def test_a_list_says_why_it_cannot_tell_what_is_on_record(world: World) -> None:
    async with service(world) as (_, client):
        await client.wait(await client.create_backup("b"))
    away = Outage(world.backup_store)
    world.backup_store = away
    async with service(world) as (app, client), http_client(app.use_cases) as http:
        away.fail(StorageDenied("the login is refused"), reads=True)
        with pytest.raises(errors.StorageDenied, match="the login is refused"):
            await anext(client.list_operations())
        assert await get(http, "/operations") == {
            "operations": [],
            "records_error": "the login is refused",
        }
        assert away.injected > 0
        away.error = None
        assert [it.backup_name async for it in client.list_operations()] == ["b"]
        assert set(await get(http, "/operations")) == {"operations"}


async def test_what_has_ended_is_not_resumed_by_any_face(world: World) -> None:
    async with service(world) as (app, client):
        made = await client.wait(await client.create_backup("b"))
        assert made.state == operation_pb2.OPERATION_STATE_SUCCEEDED
        with pytest.raises(OperationNotResumable, match="succeeded"):
            await client.resume_operation(made)
        async with http_client(app.use_cases) as http:
            answer = await http.post(f"/operations/{made.name}/resume")
    assert answer.status_code == 409
    assert "succeeded, not interrupted" in answer.json()["msg"]
