"""Operations of which some collections fail, over HTTP: told as failed, with the reasons, and retried."""

from milvus_backup_server.domain.errors import MilvusRefused
from tests.support.held_calls import GATEWAY
from tests.support.http_service import HttpService, serving
from tests.support.meanwhile import Meanwhile, failing
from tests.support.service import World, add_collection, named

FAIL, SUCCESS = 3, 2


async def two_collections() -> World:
    world = World()
    for name in ("one", "two"):
        await add_collection(world.milvus, name, range(5))
    return world


async def ended(http: HttpService, name: str) -> None:
    async for _ in http.service.operations.watch(name, 0.02):
        pass


async def test_a_restore_that_succeeds_in_part_and_its_retry() -> None:
    world = await two_collections()
    refusing = Meanwhile(GATEWAY, "create_collection", failing(MilvusRefused("no")), first=2)
    async with serving(world, refusing.decorators) as http:
        await http.create()
        body = {"backup_name": "b", "collection_suffix": "_r", "id": "mine"}
        answer = await http.json("POST", "/restore", json=body)
        told = await http.json("GET", "/get_restore", params={"id": "mine"})
        retry = await http.json("POST", "/operations/mine/retry")
        await ended(http, retry["data"]["name"])
        again = await http.json("GET", "/get_restore", params={"id": "mine"})
    message = "the operation partially succeeded: 1 of 2 collections failed; default.two_r: no"
    assert answer == {"code": FAIL, "msg": message, "data": None}
    assert (told["data"]["state_code"], told["data"]["errorMessage"]) == (FAIL, message)
    tasks = told["data"]["collection_restore_tasks"]
    assert [(it["target_collection_name"], it["state_code"]) for it in tasks] == [
        ("one_r", SUCCESS),
        ("two_r", FAIL),
    ]
    assert again["data"]["state_code"] == SUCCESS
    (task,) = again["data"]["collection_restore_tasks"]
    assert task["target_collection_name"] == "two_r"
    assert world.milvus.collection(named("two_r")).live_keys() == [0, 1, 2, 3, 4]
