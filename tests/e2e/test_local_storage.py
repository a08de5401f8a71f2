"""A Milvus that keeps its data in a directory, backed up into another one and restored from it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from milvus_backup.v1.server_service_pb2 import CHECK_STATE_OK
from tests.support.datasets import make_churn
from tests.support.milvus import MilvusStandalone
from tests.support.rows import assert_same_rows, fetch_rows
from tests.support.running_service import FAST, running_service, settings_of
from tests.support.seaweedfs import SeaweedFS

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("local_storage")]


@pytest.fixture(scope="module")
def milvus() -> Iterator[MilvusStandalone]:
    in_a_directory = {"common": {"storageType": "local"}}
    with MilvusStandalone(SeaweedFS(), "not-used", overrides=in_a_directory) as running:
        yield running


def settings(milvus: MilvusStandalone, backups: Path, **storage: str) -> Any:
    return settings_of(
        {
            "configVersion": "v2",
            "milvus": {
                "grpc": {"address": milvus.host, "port": milvus.port},
                "storage": {"provider": "local", "rootPath": str(milvus.directory / "local")},
            },
            "backup": {"storage": {"rootPath": str(backups), **storage}},
            "service": FAST,
        }
    )


def files_below(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


async def test_backed_up_and_restored_row_by_row(milvus: MilvusStandalone, tmp_path: Path) -> None:
    churn = make_churn(milvus.uri)
    staging = milvus.directory / "local" / "milvus-backup-staging"
    async with running_service(settings(milvus, tmp_path / "backups")) as service:
        await service.client.wait(await service.client.create_backup("b"))
        assert (await service.client.get_backup("b")).exact
        checks = {it.name: it.state for it in (await service.client.check()).items}
        assert set(checks.values()) == {CHECK_STATE_OK}, checks
        ended = await service.client.wait(
            await service.client.restore_backup("b", suffix="_staged")
        )
    assert ended.restore_backup.staged_object_count > 0
    assert ended.restore_backup.content_checked_count > 0
    assert ended.restore_backup.size_checked_count == 0
    assert files_below(staging) == set()
    assert_same_rows(churn.rows, fetch_rows(milvus.uri, "default", "churn_staged"))

    # Where Milvus sees the backups it imports from there.
    seen = settings(milvus, tmp_path / "backups", localPath=str(tmp_path / "backups"))
    before = files_below(tmp_path / "backups" / "b")
    async with running_service(seen) as service:
        ended = await service.client.wait(
            await service.client.restore_backup("b", suffix="_in_place")
        )
    assert ended.restore_backup.staged_object_count == 0
    assert files_below(tmp_path / "backups" / "b") == before
    assert_same_rows(churn.rows, fetch_rows(milvus.uri, "default", "churn_in_place"))
