"""Every change of every file of a backup is found, and no restore of a changed backup gives other rows."""

import pytest

from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.domain.verification import VerifyLevel
from tests.support.mutations import MUTATIONS, Mutation, SmallBackup
from tests.support.service import running

LISTING, CONTENT = VerifyLevel.LISTING, VerifyLevel.CONTENT
META = {
    "meta/backup_meta.json",
    "meta/collection_meta.json",
    "meta/full_meta.json",
    "meta/manifest.1.collections.jsonl",
    "meta/manifest.1.json",
    "meta/partition_meta.json",
    "meta/segment_meta.json",
}


@pytest.fixture(scope="module")
async def backup() -> SmallBackup:
    """One for all tests here: who changes it puts it back."""
    return await SmallBackup.make()


def test_the_backup_has_every_kind_of_file(backup: SmallBackup) -> None:
    ids = {key.split("/")[2] for key in backup.keys if key.startswith("binlogs/")}
    assert len(ids) == 2
    meta = {key for key in backup.keys if key.startswith("meta/")}
    assert meta == META | {f"meta/manifest.1/{number}.jsonl" for number in ids}
    assert sum("/delta_log/" in key for key in backup.keys) == 1
    assert len(backup.keys) * len(MUTATIONS) >= 200


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
async def test_every_change_of_every_file_is_found(backup: SmallBackup, mutation: Mutation) -> None:
    async with running(backup.world) as service:
        for key in backup.keys:
            put_back = await backup.damage(key, mutation)
            try:
                read = await backup.found(service, CONTENT)
                assert read is None or key in read
                if mutation.size or key.startswith("meta/"):
                    listed = await backup.found(service, LISTING)
                    assert listed is None or key in listed
                await backup.require_refused_or_exact(service)
            finally:
                await put_back()
        assert (await service.verify(level=CONTENT)).state is OperationState.SUCCEEDED
