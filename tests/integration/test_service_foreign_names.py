"""Names that stand in a backup's files never lead out of what the backup's own writer makes."""

import hashlib
import json
from typing import Any

import pytest

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.errors import BackupCorrupt, ObjectChanged
from milvus_backup_server.domain.layout import BackupLayout
from milvus_backup_server.domain.manifest import full_meta_suffix
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.backup_reader import BackupReader
from milvus_backup_server.service.meta_files import StoredMeta
from tests.support.service import World, add_collection, flushed, running

META = "backup/b/meta/"
HEAD = "manifest.1.json"
LINES = "manifest.1.collections.jsonl"
FULL = "full_meta.json"
FOREIGN = ["", "../../other/meta/x", "/x", "manifest.2.jsonl", "claim.json", "x" * 1000]


class Recording(StoreDecorator):
    """Remembers the keys read, and lets some reads fail."""

    def __init__(self, inner: ObjectStore, failing: str = "") -> None:
        super().__init__(inner)
        self.keys: set[str] = set()
        self._failing = failing

    async def get(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> bytes:
        self.keys.add(key)
        if self._failing and key.endswith(self._failing):
            raise ObjectChanged(f"{key} was changed", key=key)
        return await super().get(key, offset=offset, length=length, if_match=if_match)


@pytest.fixture
async def world() -> World:
    made = World()
    await flushed(made.milvus, await add_collection(made.milvus, "c", range(10)))
    async with running(made) as service:
        await service.create("b")
    return made


async def read_all(store: ObjectStore) -> int:
    reader = BackupReader(StoredMeta(store, BackupLayout("backup", "b"), 1000))
    files = await reader.files()
    async for _ in reader.collections(files):
        pass
    head = await reader.head(files)
    assert head is not None
    objects = 0
    async for collection in reader.manifest_collections(head):
        objects += len([item async for item in reader.manifest_objects(collection)])
    return objects


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def change_head(world: World, **values: Any) -> None:
    """Change the head, and its hash where that stands: all hashes agree."""
    store = world.backup_store
    head = json.loads(await store.get(META + HEAD)) | values
    await store.put(META + HEAD, json.dumps(head).encode())
    await link_to(world, HEAD)


async def link_to(world: World, name: str) -> None:
    store = world.backup_store
    full = await store.get(META + FULL)
    bare = full[: full.index(b',"milvus_backup_service":')]
    digest = sha256(await store.get(META + HEAD))
    await store.put(META + FULL, bare + full_meta_suffix(name, digest))


async def assert_refused(world: World, file: str) -> None:
    store = Recording(world.backup_store)
    with pytest.raises(BackupCorrupt) as caught:
        await read_all(store)
    assert caught.value.metadata["file"] == file
    assert len(caught.value.message) < 300
    assert {key for key in store.keys if not key.startswith(META + "manifest.1.")} <= {META + FULL}
    async with running(world) as service:
        error: BaseException
        try:
            error = await service.error(await service.start_restore(suffix="_r"))
        except BackupCorrupt as refused:
            error = refused
    assert getattr(error, "reason", "") == "BACKUP_CORRUPT"


async def test_what_was_written_reads_back_also_with_hashes_made_here(world: World) -> None:
    await change_head(world)
    assert await read_all(world.backup_store)


@pytest.mark.parametrize("name", FOREIGN)
async def test_the_file_of_collections(world: World, name: str) -> None:
    await change_head(world, collections_file=name)
    await assert_refused(world, HEAD)


@pytest.mark.parametrize("generation", [0, 2, -1])
async def test_the_generation(world: World, generation: int) -> None:
    await change_head(world, generation=generation)
    await assert_refused(world, HEAD)


@pytest.mark.parametrize("name", FOREIGN)
async def test_the_files_of_objects(world: World, name: str) -> None:
    store = world.backup_store
    line = json.loads(await store.get(META + LINES)) | {"objects_file": name}
    data = json.dumps(line).encode() + b"\n"
    await store.put(META + LINES, data)
    files = json.loads(await store.get(META + HEAD))["files"]
    await change_head(world, files=files | {LINES: sha256(data)})
    await assert_refused(world, LINES)


@pytest.mark.parametrize("name", FOREIGN)
async def test_the_name_of_the_manifest(world: World, name: str) -> None:
    await link_to(world, name)
    await assert_refused(world, FULL)


async def test_a_link_to_a_manifest_that_is_not_there(world: World) -> None:
    await link_to(world, "../x")
    await world.backup_store.delete([META + HEAD, f"{META}claim.json"])
    with pytest.raises(BackupCorrupt, match="the manifest is missing"):
        await read_all(world.backup_store)


@pytest.mark.parametrize("file", [HEAD, LINES, FULL])
async def test_a_file_that_changes_while_it_is_read_is_damaged(world: World, file: str) -> None:
    with pytest.raises(BackupCorrupt, match="was changed after it was written") as caught:
        await read_all(Recording(world.backup_store, file))
    assert caught.value.metadata["file"] == file
