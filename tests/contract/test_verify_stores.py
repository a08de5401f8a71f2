"""Verification over real stores: every kind of damage to the files of a backup is found."""

from pathlib import Path

import pytest

from milvus_backup_server.adapters.local import LocalStore
from milvus_backup_server.adapters.s3 import S3Clients
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.domain.verification import VerifyLevel, VerifyResult
from milvus_backup_server.ports.object_store import ObjectStore
from tests.contract.s3_profiles import profile
from tests.support.mutations import MUTATIONS, SmallBackup
from tests.support.seaweedfs import SeaweedFS
from tests.support.service import running

LISTING, CONTENT = VerifyLevel.LISTING, VerifyLevel.CONTENT


async def require_all_found(store: ObjectStore) -> None:
    """Do each kind of damage once, each to another file; every pair is tried in memory."""
    backup = await SmallBackup.make(store)
    step = len(backup.keys) // len(MUTATIONS)
    async with running(backup.world, backup.decorators) as service:
        for key, mutation in zip(backup.keys[::step], MUTATIONS, strict=False):
            put_back = await backup.damage(key, mutation)
            read = await backup.found(service, CONTENT)
            assert read is None or key in read, mutation.name
            if mutation.size:
                listed = await backup.found(service, LISTING)
                assert listed is None or key in listed, mutation.name
            await put_back()
        whole = await service.verify(level=CONTENT)
        assert whole.state is OperationState.SUCCEEDED
        assert isinstance(whole.result, VerifyResult)
        data = sum(key.startswith("binlogs/") for key in backup.keys)
        assert whole.result.counts.hash_checked == data
        assert (await service.verify(level=LISTING)).state is OperationState.SUCCEEDED
        (shown,) = [
            it for it in (await service.catalog.get("b")).verifications if it.level is CONTENT
        ]
        assert shown.problem_count == 0


@pytest.mark.s3
@pytest.mark.xdist_group("seaweedfs-contract")
async def test_on_s3(seaweed: SeaweedFS, clients: S3Clients) -> None:
    store = await clients.store(profile(seaweed, "suite-verify"))
    await store.create_bucket()
    await require_all_found(store)


async def test_in_a_directory(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    await require_all_found(store)
