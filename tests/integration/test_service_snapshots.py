"""Backups in the snapshot format of Milvus 3.0: listed as what they are, refused by what would read them."""

import json

import pytest

from milvus_backup_server.domain.backups import BackupFormat, BackupState
from milvus_backup_server.domain.errors import BackupNotRestorable
from tests.support.service import World, running

NOTE = "a snapshot of Milvus 3.0 or later: this service does not restore it"
REFUSED = f"backup 'b' has the format snapshot: {NOTE}"
SNAPSHOT = "bundle/snapshots/11/metadata/12.json"
COLLECTION = {
    "id": "x",
    "collection_id": 11,
    "db_name": "default",
    "collection_name": "hello",
    "schema": {
        "name": "hello",
        "fields": [{"fieldID": 100, "name": "pk", "is_primary_key": True, "data_type": 5}],
    },
    "shards_num": 1,
    "backup_timestamp": 461820030940348422,
    "size": 4096,
    "has_index": False,
    "snapshot_backup": {"metadata_path": SNAPSHOT, "total_files": 3, "total_bytes": 4096},
}
HEAD = {
    "id": "x",
    "state_code": 0,
    "name": "b",
    "size": 0,
    "milvus_version": "3.0.1",
    "format": "snapshot",
}
FILES = {
    SNAPSHOT: {},
    "bundle/insert_log/11/1/2/100/3": {},
    "meta/backup_meta.json": HEAD,
    "meta/collection_meta.json": {"infos": [COLLECTION]},
    "meta/full_meta.json": {**HEAD, "collection_backups": [COLLECTION]},
}


async def with_snapshot(*but: str) -> World:
    world = World()
    for key, content in FILES.items():
        if key not in but:
            await world.backup_store.put(f"backup/b/{key}", json.dumps(content).encode())
    return world


async def test_a_snapshot_is_listed_as_one_with_its_collections() -> None:
    world = await with_snapshot()
    async with running(world) as service:
        backup = await service.catalog.get("b")
        (listed,) = (await service.catalog.list("", 10, full=False)).items
        (collection,) = (await service.catalog.collections("b", 0, 10)).items
    assert (backup.state, backup.format) == (BackupState.COMPLETE, BackupFormat.SNAPSHOT)
    assert (listed.state, listed.format) == (BackupState.COMPLETE, BackupFormat.SNAPSHOT)
    assert (backup.notes, backup.exact, backup.milvus_version) == ((NOTE,), False, "3.0.1")
    assert (collection.database, collection.name) == ("default", "hello")
    assert collection.record.to_json() == COLLECTION


async def test_what_would_read_its_rows_is_refused() -> None:
    world = await with_snapshot()
    before = await world.traces()
    async with running(world) as service:
        for refused in (service.start_restore, service.start_verify, service.export):
            with pytest.raises(BackupNotRestorable) as caught:
                await refused("b")
            assert caught.value.message == REFUSED
            assert caught.value.metadata["format"] == "snapshot"
        assert service.operations.list("", 10).items == ()
    assert await world.traces() == before


async def test_a_torn_snapshot_is_incomplete() -> None:
    world = await with_snapshot("meta/full_meta.json")
    async with running(world) as service:
        backup = await service.catalog.get("b")
    assert backup.state is BackupState.INCOMPLETE


@pytest.mark.parametrize("torn", [False, True])
async def test_a_snapshot_can_be_deleted_whole_or_torn(*, torn: bool) -> None:
    world = await with_snapshot(*(["meta/full_meta.json"] if torn else []))
    async with running(world) as service:
        await service.delete()
    assert await world.backups() == []
