"""Milvus and the service are killed while Milvus imports: a resume gives exactly the rows."""

import asyncio
from pathlib import Path

import pytest

from milvus_backup.v1 import operation_pb2 as pb
from tests.support.datasets import make_versioned
from tests.support.environment import BACKUP_BUCKET, Environment, service_settings
from tests.support.milvus import MilvusStandalone
from tests.support.rows import assert_same_rows, fetch_rows
from tests.support.service_process import SOON_LOST, importing, serving

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("stopping")]

NAME = "resumed_rows"
KEPT = "kept_rows"


async def test_a_restore_whose_service_and_milvus_were_killed_during_an_import_ends_exact(
    environment: Environment, tmp_path: Path
) -> None:
    with MilvusStandalone(environment.seaweed, "milvus-killed") as milvus:
        data = [
            await asyncio.to_thread(make_versioned, milvus.uri, name, range(3000))
            for name in (KEPT, NAME)
        ]
        values = service_settings(environment.seaweed, milvus, backup_root="killed_restore")
        (tmp_path / "run").mkdir()
        async with serving(values, tmp_path, **SOON_LOST) as service:
            made = await service.client.create_backup("killed", collections=[KEPT, NAME])
            assert (await service.client.wait(made)).state == pb.OPERATION_STATE_SUCCEEDED
            begun = await service.client.restore_backup("killed", suffix="_r")
            async with asyncio.timeout(120):
                await importing(service.client, begun.name, f"{NAME}_r")
            milvus.kill()
            await asyncio.to_thread(service.child.kill)
        await asyncio.to_thread(milvus.start)
        async with serving(values, tmp_path, **SOON_LOST) as service:
            while True:
                found = await service.client.get_operation(begun.name)
                if found.state == pb.OPERATION_STATE_INTERRUPTED:
                    break
                await asyncio.sleep(0.5)
            ended = await service.client.wait(await service.client.resume_operation(begun.name))
            assert ended.state == pb.OPERATION_STATE_SUCCEEDED, ended.error
            assert "anew" in " ".join(it.message for it in ended.warnings)
            assert ended.restore_backup.row_count == 6000
        for item in data:
            rows = fetch_rows(milvus.uri, "default", f"{item.collection}_r")
            assert_same_rows(rows, item.rows)
    keys = environment.seaweed.objects.keys(BACKUP_BUCKET, "killed_restore/.milvus-backup/restores")
    assert list(keys) == []
