"""Backups over HTTP: what is told of them is true, whatever happened to whoever made them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from milvus_backup_server.domain.errors import StorageDenied
from milvus_backup_server.domain.operations import Caller, Origin
from milvus_backup_server.service.operations import OperationLimits
from tests.support.held_calls import BACKUP_STORE, GATEWAY, Gate, Gates, around_all
from tests.support.http_service import HttpService, listening, serving
from tests.support.running_service import Decorators
from tests.support.service import World, add_collection
from tests.support.stores import FailingStore

MANY = 60  # more than a backup carries by itself


@pytest.fixture
async def world() -> World:
    made = World()
    await add_collection(made.milvus, "c", range(10))
    await add_collection(made.milvus, "shop.d", range(10))
    return made


@pytest.fixture
async def http(world: World) -> AsyncIterator[HttpService]:
    async with serving(world) as service:
        yield service


async def data(http: HttpService, **query: str) -> dict[str, Any]:
    answer = await http.json("GET", "/get_backup", params=query)
    assert answer["msg"] == "success", answer
    found: dict[str, Any] = answer["data"]
    return found


async def state(http: HttpService, **query: str) -> tuple[int, str]:
    found = await data(http, **query)
    return found["state_code"], found.get("errorMessage", "")


async def ended(http: HttpService, task_id: str) -> None:
    operation = http.service.operations.find(task_id)
    await http.service.end(operation)


def failing_copies() -> Decorators:
    def store(inner: Any) -> FailingStore:
        failing = FailingStore(inner)
        failing.fail("copy", StorageDenied("the store refused", subject="b"), at={1})
        return failing

    return Decorators(backup_store=store)


async def test_after_a_restart_a_backup_is_found_by_name_and_by_id(world: World) -> None:
    async with serving(world) as first:
        made = (await first.create("b", requestId="id-1"))["data"]
    async with serving(world) as second:
        by_name, by_id = await data(second, backup_name="b"), await data(second, backup_id="id-1")
        listed = await second.json("GET", "/list")
    assert by_name == by_id == {**made, "end_time": by_name["end_time"]}
    assert abs(by_name["end_time"] - made["end_time"]) <= 1
    assert [item["id"] for item in listed["data"]] == ["id-1"]


async def test_a_backup_that_grpc_made_is_found_by_its_operation(http: HttpService) -> None:
    operation = await http.service.create("b")
    assert (await data(http, backup_id=operation.name))["id"] == operation.name
    assert (await data(http, backup_name="b"))["id"] == operation.name


async def test_the_newest_of_an_id_counts(world: World) -> None:
    async with serving(world) as http:
        for name in ("b", "a"):
            await http.create(name, requestId="same")
        assert (await data(http, backup_id="same"))["name"] == "a"
    async with serving(world) as restarted:
        assert (await data(restarted, backup_id="same"))["name"] == "a"


async def test_an_id_makes_no_two_calls_one(http: HttpService) -> None:
    first = await http.create("b", requestId="same")
    other = await http.create("c", requestId="same")
    again = await http.create("b", requestId="same")
    assert (first["data"]["name"], other["data"]["name"]) == ("b", "c")
    assert (again["code"], again["requestId"]) == (3, "same")
    assert "already exists" in again["msg"]


async def test_a_backup_under_the_name_of_an_older_one_is_another(http: HttpService) -> None:
    await http.create("b", requestId="old")
    await http.json("DELETE", "/delete", params={"backup_name": "b"})
    gone = await http.json("GET", "/get_backup", params={"backup_id": "old"})
    assert (gone["code"], gone["msg"]) == (3, "backup 'b' does not exist")
    await http.create("b", requestId="new")
    still = await http.json("GET", "/get_backup", params={"backup_id": "old"})
    assert still == gone
    assert (await data(http, backup_name="b"))["id"] == "new"


async def test_why_a_create_failed_is_told_to_who_waits_and_to_who_asks_later(
    world: World,
) -> None:
    async with serving(world, failing_copies()) as http:
        waited = await http.create("b", requestId="id-1")
        assert waited == {
            "requestId": "id-1",
            "code": 3,
            "msg": "the store refused",
            "data": None,
        }
        for query in ({"backup_name": "b"}, {"backup_id": "id-1"}):
            assert await state(http, **query) == (3, "the store refused")
        failed = await data(http, backup_name="b")
        assert (failed["progress"], failed["size"]) == (0, 0)
        assert failed["end_time"] >= failed["start_time"] > 0
        assert (await http.json("GET", "/list"))["data"] == []
        again = await http.create("b", requestId="id-2")
        assert "already exists, whole or in part" in again["msg"]
        await http.json("DELETE", "/delete", params={"backup_name": "b"})
        await http.create("b", requestId="id-3")
        assert await state(http, backup_name="b") == (2, "")
        assert await state(http, backup_id="id-1") == (3, "the store refused")


async def test_a_create_under_way_and_one_that_is_cancelled(world: World) -> None:
    gates = Gates()
    gate = gates.gate = Gate(BACKUP_STORE, "copy")
    async with serving(world, around_all(gates)) as http:
        await http.create("b", requestId="id-1", **{"async": True})
        await gate.reached.wait()
        running = await data(http, backup_name="b")
        assert (running["id"], running["state_code"], running["progress"]) == ("id-1", 1, 19)
        assert running["end_time"] == -62135596800
        assert (await http.json("GET", "/list"))["data"] == []
        await http.json("POST", "/operations/id-1/cancel")
        await ended(http, "id-1")
        assert await state(http, backup_id="id-1") == (3, "cancelled on request")


async def test_a_create_that_waits_for_its_turn(world: World) -> None:
    gates = Gates()
    gate = gates.gate = Gate(GATEWAY, "flush")
    one = OperationLimits(concurrent=1, cleanup_seconds=1)
    async with serving(world, around_all(gates), operations=one) as http:
        await http.create("first", **{"async": True})
        await gate.reached.wait()
        await http.create("second", **{"async": True})
        assert await state(http, backup_name="second") == (0, "")
        assert (await data(http, backup_name="second"))["progress"] == 1
        gate.opened.set()


async def test_a_create_that_the_service_interrupted(world: World) -> None:
    gates = Gates()
    gate = gates.gate = Gate(BACKUP_STORE, "copy")
    async with serving(world, around_all(gates)) as http:
        waiting = asyncio.create_task(http.create("b", requestId="id-1"))
        await gate.reached.wait()
        await http.service.operations.drain(0)
        answer = await waiting
        assert (answer["code"], answer["requestId"], answer["data"]) == (3, "id-1", None)
        assert "stopped before the operation's end" in answer["msg"]
        assert (await state(http, backup_name="b"))[0] == 3
    async with serving(world) as restarted:
        code, message = await state(restarted, backup_name="b")
        assert (code, message) == (
            3,
            "a create or delete ended before its time: full_meta.json is not there",
        )
        assert (await restarted.json("GET", "/list"))["data"] == []


async def test_a_damaged_backup_is_not_listed_and_says_so(world: World) -> None:
    async with serving(world) as http:
        await http.create("b")
        await world.backup_store.put("backup/b/meta/backup_meta.json", b"{")
        assert (await http.json("GET", "/list"))["data"] == []
        code, message = await state(http, backup_name="b")
        assert code == 3
        assert "backup_meta.json is not JSON" in message


async def test_a_legacy_backup_is_listed(world: World) -> None:
    async with serving(world) as http:
        head, level = b'{"id":"i","size":5}', b'{"infos":[]}'
        for file in ("collection_meta", "partition_meta", "segment_meta", "backup_meta"):
            content = head if file == "backup_meta" else level
            await world.backup_store.put(f"backup/old/meta/{file}.json", content)
        assert await http.json("GET", "/list") == {"data": [{"id": "i", "name": "old", "size": 5}]}
        assert await state(http, backup_name="old") == (2, "")


async def test_many_collections_are_all_told(world: World) -> None:
    names = [f"m_{number:03}" for number in range(MANY)]
    for name in names:
        await add_collection(world.milvus, f"many.{name}")
    async with serving(world) as http:
        made = (await http.create("b", db_collections={"many": []}))["data"]
        found = await data(http, backup_name="b")
    assert found == made
    assert [item["collection_name"] for item in found["collection_backups"]] == names
    assert found["collection_backups"][-1]["schema"]["fields"][0]["name"] == "pk"
    assert (found["state_code"], found["progress"]) == (2, 100)


async def test_damage_behind_what_was_read_is_an_error_and_not_half_an_answer(
    world: World,
) -> None:
    for number in range(MANY):
        await add_collection(world.milvus, f"many.m_{number:03}")
    async with serving(world) as http:
        await http.create("b", db_collections={"many": []})
        ((key, data_),) = [
            (key, await world.backup_store.get(key))
            for key in await world.backups()
            if key.endswith("collections.jsonl")
        ]
        await world.backup_store.put(key, data_.replace(b"m_059", b"m_xxx"))
        code, message = await state(http, backup_name="b")
        assert (code, message) == (3, f"{key.rpartition('/')[2]} was changed after it was written")


async def test_going_away_stops_nothing(world: World) -> None:
    gates = Gates()
    gate = gates.gate = Gate(BACKUP_STORE, "copy")
    async with listening(world, around_all(gates)) as http:
        waiting = asyncio.create_task(http.create("b", requestId="id-1"))
        await gate.reached.wait()
        waiting.cancel()
        await asyncio.wait({waiting})
        await asyncio.sleep(0.1)  # for the server to notice
        gate.opened.set()
        await ended(http, "id-1")
        assert await state(http, backup_id="id-1") == (2, "")


async def test_a_delete_is_waited_for(world: World) -> None:
    gates = Gates()
    async with serving(world, around_all(gates)) as http:
        await http.create("b")
        gate = gates.gate = Gate(BACKUP_STORE, "list_page", part="b/", number=3)
        waiting = asyncio.create_task(
            http.json("DELETE", "/delete", params={"backup_name": "b"}, headers={"request_id": "d"})
        )
        await gate.reached.wait()
        code, message = await state(http, backup_name="b")
        assert (code, message) == (3, "the backup is being deleted")
        assert http.service.operations.find("d").backup_name == "b"
        assert not waiting.done()
        gate.opened.set()
        assert await waiting == {"requestId": "d", "msg": "success"}
        assert await world.backups() == []


async def test_calls_are_known_to_come_over_http(http: HttpService) -> None:
    await http.create("b", requestId="id-1")
    assert http.service.operations.find("id-1").caller == Caller("anonymous", Origin.HTTP)
