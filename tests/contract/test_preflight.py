"""The checks of a repository in a real S3 server."""

from dataclasses import replace

import pytest

from milvus_backup_server.adapters.s3 import S3Clients
from milvus_backup_server.domain.diagnostics import CheckState
from milvus_backup_server.service.objects import list_objects
from tests.contract.s3_profiles import profile
from tests.support.running_service import Decorators
from tests.support.seaweedfs import SeaweedFS
from tests.support.service import LIMITS, World, add_collection, flushed, running

pytestmark = [pytest.mark.s3, pytest.mark.xdist_group("seaweedfs-contract")]


@pytest.mark.parametrize(
    ("milvus_too", "transfer"),
    [
        (False, "all data passes through this service"),
        (True, "the store copies by itself; no data passes through this service"),
    ],
)
async def test_all_is_well_and_nothing_is_left(
    seaweed: SeaweedFS, clients: S3Clients, milvus_too: bool, transfer: str
) -> None:
    store = await clients.store(profile(seaweed, "suite-one"))
    milvus = await clients.store(profile(seaweed, "suite-two"))
    world = World()
    around = Decorators(backup_store=lambda _: store)
    if milvus_too:
        around = Decorators(backup_store=lambda _: store, milvus_store=lambda _: milvus)
    else:
        await flushed(world.milvus, await add_collection(world.milvus, "c", range(3)))
    limits = replace(LIMITS, check_seconds=60)  # a new bucket takes its time
    async with running(world, around, limits=limits) as service:
        items = {item.name: item for item in await service.use_cases.diagnostics.check()}
    not_ok = {name: item.state for name, item in items.items() if item.state is not CheckState.OK}
    assert not_ok == ({"milvus_objects": CheckState.WARNING} if milvus_too else {})
    assert items["conditional_writes"].message == "of two writers of one new object one wins"
    assert items["transfer"].message == transfer
    for bucket, prefix in ((store, "backup/.milvus-backup/"), (milvus, "files/milvus-backup-st")):
        left = [item.key async for item in list_objects(bucket, prefix)]
        # Restores of other tests in this bucket are remembered for a day.
        assert [key for key in left if "/finished-restores/" not in key] == []
