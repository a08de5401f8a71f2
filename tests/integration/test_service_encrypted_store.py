"""Backups in a store whose ETags look like MD5s and are none, as with SSE-KMS."""

import pytest

from milvus_backup_server.adapters.transfer import CopyMode, TransferSettings
from milvus_backup_server.domain.operations import OperationState, RestoreResult
from tests.support.running_service import Decorators
from tests.support.service import World, add_collection, running
from tests.support.stores import OtherEtags


@pytest.mark.parametrize(
    ("mode", "has_hashes"), [(CopyMode.AUTO, False), (CopyMode.STREAMING, True)]
)
async def test_such_an_etag_counts_as_no_hash(mode: CopyMode, has_hashes: bool) -> None:
    world = World()
    await add_collection(world.milvus, "c", range(10))
    decorators = Decorators(backup_store=OtherEtags)
    async with running(world, decorators, transfer=TransferSettings(mode=mode)) as service:
        await service.create("b", "c")
        restored = await service.restore("b", suffix="_r")
        assert isinstance(restored.result, RestoreResult)
        assert (restored.result.content_checked_count > 0) is has_hashes
        assert (restored.result.size_checked_count > 0) is not has_hashes
        assert (await service.verify("b")).state is OperationState.SUCCEEDED
