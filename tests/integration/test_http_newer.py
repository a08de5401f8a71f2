"""The HTTP API over a Milvus 2.6, in memory: users, a flush of everything, a pause of garbage collection."""

import json
from typing import Any

from milvus_backup_server.domain.records import RbacMeta
from tests.support.fake_milvus import FakeMilvus
from tests.support.http_service import HttpService, serving
from tests.support.service import ROOT, World, add_collection

HASH = "$2a$04$vaAib7RNwH1HF.9GWxQy5OUmZjOGbfmFpUDjn/4KePKEgqqsqYH5q"
ACCESS = RbacMeta.from_json(
    {
        "users": [{"user": "bob", "password": HASH, "roles": [{"name": "rdr"}]}],
        "roles": [{"name": "rdr"}],
    }
)


async def world() -> World:
    made = World()
    made.milvus = FakeMilvus(made.milvus_store, ROOT, version="2.6.18")
    await add_collection(made.milvus, "one", range(5))
    made.milvus.access = ACCESS
    return made


async def everything_told(service: HttpService) -> str:
    """Return all answers about what is there."""
    paths = ("/list", "/get_backup?backup_name=b", "/operations", "/check")
    told = [(await service.client.get(path)).text for path in paths]
    names = [operation["name"] for operation in json.loads(told[2])["data"]["operations"]]
    each = [(await service.client.get(f"/operations/{name}")).text for name in names]
    return "\n".join([*told, *each])


async def full_meta(service: HttpService) -> Any:
    return json.loads(await service.world.backup_store.get("backup/b/meta/full_meta.json"))


async def test_users_over_http_without_their_hashes() -> None:
    async with serving(await world()) as service:
        created = await service.create(rbac=True)
        assert (await full_meta(service))["rbac_meta"] == ACCESS.to_json()
        service.world.milvus.access = RbacMeta()
        body = {"backup_name": "b", "collection_suffix": "_r", "rbac": True}
        restored = await service.json("POST", "/restore", json=body)
        assert service.world.milvus.access == ACCESS
        told = [json.dumps(created), json.dumps(restored), await everything_told(service)]
    assert (created["msg"], restored["msg"]) == ("success", "success")
    assert HASH not in "\n".join(told)
    assert HASH[:20] not in "\n".join(told)


async def test_a_flush_of_everything_over_http() -> None:
    async with serving(await world()) as service:
        created = await service.create(strategy="bulk_flush")
        assert (await full_meta(service))["control_channel_name"] == "dml_0_vcchan"
    assert created["msg"] == "success"


async def test_a_pause_over_http_is_given_back() -> None:
    async with serving(await world()) as service:
        created = await service.create(gc_pause_enable=True, gc_pause_seconds=60)
        assert service.world.milvus.gc_pauses == {}
        assert service.world.milvus.gc_paused == 1
    assert created["msg"] == "success"
