"""Encrypted databases: their rows cannot be restored, and that is said before anything is touched."""

import json

import pytest

from milvus_backup_server.domain.errors import BackupNotRestorable
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.domain.records import DatabaseBackupInfo, KeyValue
from milvus_backup_server.domain.restore_options import RestoreOptions
from tests.support.fake_milvus import FakeMilvus
from tests.support.service import ROOT, World, add_collection, running

CIPHER = (
    KeyValue(key="cipher.enabled", value="true"),
    KeyValue(key="cipher.ezID", value="4711"),
    KeyValue(key="cipher.key", value="the-kms-key"),
)
WARNING = "database 'safe' is encrypted, and its key is not in the backup: its rows cannot be restored from it"


async def backed_up() -> World:
    world = World()
    world.milvus = FakeMilvus(world.milvus_store, ROOT, version="2.6.18")
    await world.milvus.create_database("safe", CIPHER)
    await add_collection(world.milvus, "safe.c", range(5))
    await add_collection(world.milvus, "c", range(5))
    async with running(world) as service:
        operation = await service.create()
    assert [warning.message for warning in operation.warnings] == [WARNING]
    return world


async def test_rows_of_an_encrypted_database_are_refused() -> None:
    world = await backed_up()
    before = await world.traces()
    async with running(world) as service:
        with pytest.raises(BackupNotRestorable, match="database 'safe' are encrypted") as caught:
            await service.start_restore(suffix="_r")
        planned = await service.start_restore(suffix="_r", validate_only=True)
    assert caught.value.metadata["field"] == "collections"
    assert planned.state is OperationState.FAILED
    assert await world.traces() == before


async def test_the_others_are_restored_and_so_are_their_schemas() -> None:
    world = await backed_up()
    async with running(world) as service:
        await service.restore(collections=("c",), suffix="_r")
        await service.restore(
            collections=("safe.c",), suffix="_r", options=RestoreOptions(meta_only=True)
        )
    assert world.collections() == [
        "default.",
        "default.c",
        "default.c_r",
        "safe.",
        "safe.c",
        "safe.c_r",
    ]


async def test_a_key_that_the_go_tool_recorded_counts() -> None:
    world = await backed_up()
    key = "backup/b/meta/full_meta.json"
    full = json.loads(await world.backup_store.get(key))
    for name in [it for it in await world.backups() if "/meta/" in it and it != key]:
        if "manifest" in name or name.endswith("claim.json"):
            await world.backup_store.delete([name])
    del full["milvus_backup_service"]
    full["database_backups"] = [{"db_name": "default"}, {"db_name": "safe", "ezk": "k"}]
    await world.backup_store.put(key, json.dumps(full).encode())
    async with running(world) as service:
        with pytest.raises(BackupNotRestorable, match="database 'safe' are encrypted"):
            await service.start_restore(suffix="_r")


def test_a_key_is_not_printed() -> None:
    assert "secret" not in repr(DatabaseBackupInfo(db_name="safe", ezk="secret"))
