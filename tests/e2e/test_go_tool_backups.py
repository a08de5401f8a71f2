"""Backups that released versions of the Go tool made restore to the rows they must give."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from milvus_backup.v1.backup_pb2 import BACKUP_FORMAT_BINLOG, BACKUP_STATE_COMPLETE
from milvus_backup_client import BackupNotRestorable
from tests.support.environment import Environment
from tests.support.fixtures import FIXTURES, ROWS, backup_objects
from tests.support.rows import Rows, assert_same_rows, fetch_many, load_expected
from tests.support.running_service import Service, environment_settings, running_service
from tests.support.tars import in_chunks

# In one process: all read from backups that are written once.
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-two")]

ROOT = "from_go"
EVERY = ("hello_milvus", "all_types", "bin_vec", "empty_one", "churn", "shop.orders")
WITHOUT_ARRAYS = ("hello_milvus", "bin_vec", "churn")


class Archive(NamedTuple):
    """A fixture, and what of it is restored."""

    name: str
    collections: tuple[str, ...]


ARCHIVES = (
    Archive("fx_go_0_5_16", EVERY),
    Archive("fx_go_0_4_30", EVERY),
    Archive("fx_go_0_4_3", EVERY),
    Archive("fx_go_0_3_3", WITHOUT_ARRAYS),
    Archive("fx_go_0_4_3_groups", ("groups",)),
    Archive("fx_go_0_5_16_groups", ("groups",)),
)
IMPORTED = "fx_go_0_4_3_groups"
"""This one comes in as the archive that it is; the others were unpacked there by hand."""
FROM_NEWER = {
    "fx_mv_2_5_27": "2.5.27",
    "fx_mv_2_6_18": "2.6.18",
    "fx_mv_2_6_18_types": "2.6.18",
    "fx_mv_2_5_27_rbac": "2.5.27",
    "fx_mv_2_6_18_rbac": "2.6.18",
}


@pytest.fixture(scope="module")
async def service(environment: Environment) -> AsyncIterator[Service]:
    """A service whose backups lie in Milvus's own bucket, so that they are imported in place."""
    bucket = environment.milvus.bucket
    names = {*(archive.name for archive in ARCHIVES), *FROM_NEWER} - {IMPORTED}
    for name in names:
        for key, data in backup_objects(name):
            environment.seaweed.objects.write(bucket, f"{ROOT}/{name}/{key}", data)
    settings = environment_settings(environment, backup_bucket=bucket, backup_root=ROOT)
    async with running_service(settings) as running:
        packed = (FIXTURES / f"{IMPORTED}.tar.gz").read_bytes()
        await running.client.import_backup(in_chunks(packed))
        yield running


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda archive: archive.name)
async def test_restores_to_the_rows_it_must_give(
    environment: Environment, service: Service, archive: Archive
) -> None:
    suffix = f"_{archive.name}"
    operation = await service.client.restore_backup(
        archive.name, collections=archive.collections, suffix=suffix
    )
    ended = await service.client.wait(operation)

    assert ended.restore_backup.staged_object_count == 0
    assert ended.restore_backup.size_checked_count > 0
    names = [_database_and_name(collection) for collection in archive.collections]
    restored = [(database, name + suffix) for database, name in names]
    found = fetch_many(environment.milvus.uri, restored)
    for (database, name), target in zip(names, restored, strict=True):
        assert_same_rows(_expected(database, name), found[target])


def _database_and_name(collection: str) -> tuple[str, str]:
    database, _, name = collection.rpartition(".")
    return database or "default", name


def _expected(database: str, name: str) -> Rows:
    if name == "empty_one":
        return {}
    key = "id" if name == "orders" else "pk"
    return load_expected(ROWS / f"{database}.{name}.jsonl.gz", key=key)


async def test_arrays_whose_type_0_3_did_not_record_are_refused_before_anything(
    service: Service,
) -> None:
    with pytest.raises(BackupNotRestorable) as refused:
        await service.client.restore_backup("fx_go_0_3_3", suffix="_never")

    assert refused.value.metadata["subject"] == "default.all_types"
    assert refused.value.metadata["field"] == "f_arr"


@pytest.mark.parametrize(("name", "version"), FROM_NEWER.items())
async def test_backups_of_newer_servers_are_described_and_refused(
    service: Service, name: str, version: str
) -> None:
    found = await service.client.get_backup(name)
    with pytest.raises(BackupNotRestorable) as refused:
        await service.client.restore_backup(name, suffix="_never")

    assert found.state == BACKUP_STATE_COMPLETE
    assert found.format == BACKUP_FORMAT_BINLOG
    assert found.milvus_version == version
    assert refused.value.metadata["needed"] == version.rpartition(".")[0]


async def test_all_are_listed(service: Service) -> None:
    listed = [backup async for backup in service.client.list_backups()]

    assert {backup.name for backup in listed} == {
        *(archive.name for archive in ARCHIVES),
        *FROM_NEWER,
    }
    assert all(not backup.exact and backup.notes for backup in listed)
