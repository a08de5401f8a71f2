"""Archives of backups that lie in a real S3 server."""

import uuid
from dataclasses import replace

import pytest

from milvus_backup_server.adapters.s3 import S3Clients
from milvus_backup_server.domain.errors import ArchiveInvalid
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.objects import list_objects
from tests.contract.s3_profiles import profile
from tests.support.fixtures import FIXTURES, backup_objects
from tests.support.running_service import Decorators
from tests.support.seaweedfs import SeaweedFS
from tests.support.service import LIMITS, World, add_collection, named, running
from tests.support.tars import below, files_of, go_backup, in_chunks, tar_of

pytestmark = [pytest.mark.s3, pytest.mark.xdist_group("seaweedfs-contract")]

PARTS = 5 << 20
"""The smallest parts that S3 takes."""


@pytest.fixture
async def store(seaweed: SeaweedFS, clients: S3Clients) -> ObjectStore:
    return await clients.store(profile(seaweed, "suite-one"))


@pytest.fixture
def name() -> str:
    return f"b_{uuid.uuid4().hex}"


def decorators(store: ObjectStore) -> Decorators:
    return Decorators(backup_store=lambda _: store)


async def objects(store: ObjectStore, name: str) -> dict[str, bytes]:
    keys = [item.key async for item in list_objects(store, f"backup/{name}/")]
    return {key.removeprefix(f"backup/{name}/"): await store.get(key) for key in keys}


async def test_a_backup_goes_out_and_comes_in_again(store: ObjectStore, name: str) -> None:
    world = World()
    collection = await add_collection(world.milvus, "c", range(500))
    async with running(world, decorators(store)) as service:
        await service.create(name)
        before = await objects(store, name)
        archive = await service.export(name)
        assert files_of(archive).keys() == below(name, before).keys() - {f"{name}/meta/claim.json"}
        await service.delete(name)
        assert await objects(store, name) == {}
        await service.import_(in_chunks(archive))
        after = await objects(store, name)
        await service.restore(name, suffix="_r")
        await service.delete(name)
    assert {key for key in after if after[key] != before.get(key)} == {"meta/claim.json"}
    assert after.keys() == before.keys()
    assert world.milvus.keys(named("c_r")) == world.milvus.keys(collection)


async def test_an_archive_of_the_go_tool_comes_in_as_it_is(store: ObjectStore, name: str) -> None:
    data = (FIXTURES / "fx_go_0_5_16.tar.gz").read_bytes()
    async with running(World(), decorators(store)) as service:
        await service.import_(in_chunks(data), name)
        assert await objects(store, name) == dict(backup_objects("fx_go_0_5_16"))
        await service.delete(name)


async def test_objects_of_many_parts(store: ObjectStore, name: str) -> None:
    files = go_backup(2, 3 * PARTS + 1)
    limits = replace(LIMITS, part_bytes=PARTS)
    async with running(World(), decorators(store), limits=limits) as service:
        await service.import_(in_chunks(tar_of(below(name, files)), 1 << 20))
        assert await objects(store, name) == files
        assert files_of(await service.export(name)) == below(name, files)
        await service.delete(name)


async def test_nothing_is_left_of_what_is_refused(store: ObjectStore, name: str) -> None:
    files = below(name, go_backup(20, 100_000) | go_backup(1, 2 * PARTS))
    archive = tar_of(files)[:-1_000_000]
    limits = replace(LIMITS, part_bytes=PARTS)
    async with running(World(), decorators(store), limits=limits) as service:
        with pytest.raises(ArchiveInvalid):
            await service.import_(in_chunks(archive))
    assert await objects(store, name) == {}
    assert await store.list_uploads(f"backup/{name}/") == []
