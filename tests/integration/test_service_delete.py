"""A backup is removed: so that it is at no time listed as complete without being so."""

from collections.abc import Sequence

import pytest

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.errors import (
    BackupNotFound,
    InvalidRequest,
    NotABackup,
    OperationConflict,
    StorageDenied,
)
from milvus_backup_server.domain.operations import DeleteResult, OperationState, Phase
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.fixtures import put_backup
from tests.support.held_calls import BACKUP_STORE
from tests.support.meanwhile import Meanwhile
from tests.support.running_service import Decorators
from tests.support.service import World, add_collection, running
from tests.support.stores import FailingStore, GatedStore

FULL = "backup/b/meta/full_meta.json"
BACKUP = "backup/b/meta/backup_meta.json"
CLAIM = "backup/b/meta/claim.json"
NOTES = "backup/.milvus-backup/"


class Recording(StoreDecorator):
    """Notes the keys in the order in which they are deleted."""

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self.deleted: list[str] = []

    async def delete(self, keys: Sequence[str]) -> None:
        assert len(keys) <= 1000
        self.deleted += [key for key in keys if not key.startswith(NOTES)]
        await super().delete(keys)


async def with_backup() -> World:
    world = World()
    await add_collection(world.milvus, "c", range(10))
    async with running(world) as service:
        await service.create("b")
        await service.create("b2")
    return world


async def test_what_makes_it_complete_goes_first_and_the_claim_last() -> None:
    world = await with_backup()
    keys = [key for key in await world.backups() if key.startswith("backup/b/")]
    stores: list[Recording] = []

    def recording(inner: ObjectStore) -> Recording:
        stores.append(Recording(inner))
        return stores[-1]

    async with running(world, Decorators(backup_store=recording)) as service:
        operation = await service.delete("b")
    deleted = stores[0].deleted
    assert sorted(deleted) == keys
    assert deleted[:2] == [FULL, BACKUP]
    assert deleted[-1] == CLAIM
    data = [number for number, key in enumerate(deleted) if "/binlogs/" in key]
    assert data == list(range(2, 2 + len(data)))
    assert operation.result == DeleteResult(len(keys))
    assert operation.progress.phase is Phase.DELETING
    assert operation.progress.phases[-1].done.objects == len(keys)
    assert all(key.startswith("backup/b2/") for key in await world.backups())
    assert await world.backups()


async def test_a_delete_stopped_anywhere_is_never_listed_as_complete() -> None:
    for stop in range(1, 8):
        world = await with_backup()
        stores: list[FailingStore] = []

        def failing(inner: ObjectStore) -> FailingStore:
            stores.append(FailingStore(inner))  # noqa: B023 - used in this turn
            stores[-1].fail("delete", StorageDenied("no"), at=[stop])  # noqa: B023 - likewise
            return stores[-1]  # noqa: B023 - likewise

        async with running(world, Decorators(backup_store=failing)) as service:
            last = await service.end(await service.start_delete("b"))
            if last.state is OperationState.SUCCEEDED:
                assert stop > 4  # behind the backup itself, or nothing was left to stop
                return
            assert last.state is OperationState.FAILED
            shown = await service.catalog.get("b")
            assert shown.state is (BackupState.COMPLETE if stop == 1 else BackupState.INCOMPLETE)
            await service.delete("b")
            assert not [key for key in await world.backups() if key.startswith("backup/b/")]
    pytest.fail("the delete had more steps than this test")


async def test_backups_of_the_go_tool_are_removed_too() -> None:
    world = World()
    await put_backup(world.backup_store, "backup", "fx_go_0_4_30", name="go")
    await put_backup(world.backup_store, "backup", "fx_go_0_4_3_groups", name="old", legacy=True)
    async with running(world) as service:
        await service.delete("go")
        await service.delete("old")
    assert await world.backups() == []


@pytest.mark.parametrize("key", ["meta/claim.json", "binlogs/insert_log/1/2/3/3/100/5"])
async def test_whatever_is_left_of_a_backup_can_be_removed(key: str) -> None:
    world = World()
    await world.backup_store.put(f"backup/b/{key}", b"")
    async with running(world) as service:
        assert (await service.delete("b")).result == DeleteResult(1)
    assert await world.backups() == []


@pytest.mark.parametrize("key", ["stray", "insert_log/1/2/3/100/5"])
async def test_what_is_no_backup_is_left_alone(key: str) -> None:
    world = World()
    await world.backup_store.put("backup/b/meta/claim.json", b"{}")
    await world.backup_store.put(f"backup/b/{key}", b"")
    async with running(world) as service:
        with pytest.raises(NotABackup, match="which is no part of a backup"):
            await service.start_delete("b")
    assert len(await world.backups()) == 2


async def test_uploads_that_a_crash_left_are_removed_too() -> None:
    world = World()
    await world.backup_store.put(CLAIM, b"{}")
    for key in ("backup/b/binlogs/insert_log/1/2/3/3/100/5", "backup/b2/binlogs/x", "other"):
        upload = await world.backup_store.start_upload(key)
        await world.backup_store.upload_part(upload, 1, b"part")
    async with running(world) as service:
        await service.delete("b")
    left = [upload.key for upload in await world.backup_store.list_uploads("")]
    assert left == ["backup/b2/binlogs/x", "other"]


async def test_a_store_that_does_not_list_uploads_does_not_prevent_a_delete() -> None:
    world = await with_backup()
    stores: list[FailingStore] = []

    def failing(inner: ObjectStore) -> FailingStore:
        stores.append(FailingStore(inner))
        stores[-1].fail("list_uploads", StorageDenied("not allowed"))
        return stores[-1]

    async with running(world, Decorators(backup_store=failing)) as service:
        await service.delete("b")
    assert stores[0].injected["list_uploads"] == 1


async def test_what_is_not_there_is_not_found() -> None:
    world = await with_backup()
    async with running(world) as service:
        for name in ("x", "b_", "a"):
            with pytest.raises(BackupNotFound):
                await service.start_delete(name)
        for name in ("", "..", "b/meta"):
            with pytest.raises(InvalidRequest):
                await service.start_delete(name)


async def test_without_a_bucket_nothing_is_found() -> None:
    world = World(backup_bucket="b-bucket", create_backup_bucket=False)
    async with running(world) as service:
        with pytest.raises(BackupNotFound):
            await service.start_delete("b")


async def test_more_objects_than_one_request_removes() -> None:
    world = World()
    for number in range(2500):
        await world.backup_store.put(f"backup/b/binlogs/{number}", b"")
    await world.backup_store.put(CLAIM, b"")
    async with running(world) as service:
        assert (await service.delete("b")).result == DeleteResult(2501)
    assert await world.backups() == []


async def test_nothing_else_runs_on_a_backup_that_is_being_removed() -> None:
    world = await with_backup()
    refused: list[str] = []

    async def meanwhile() -> None:
        assert (await service.catalog.get("b")).state is BackupState.DELETING
        for start in (service.start_create, service.start_restore, service.start_delete):
            with pytest.raises(OperationConflict) as caught:
                await start("b")
            refused.append(caught.value.metadata["operation"])

    hooked = Meanwhile(BACKUP_STORE, "list_page", meanwhile, part="/binlogs/")
    async with running(world, hooked.decorators) as service:
        operation = await service.delete("b")
        assert refused == [operation.name] * 3
        with pytest.raises(BackupNotFound):
            await service.catalog.get("b")


async def test_a_cancelled_delete_can_be_done_again() -> None:
    world = await with_backup()
    stores: list[GatedStore] = []

    def gated(inner: ObjectStore) -> GatedStore:
        stores.append(GatedStore(inner, "delete", after=True))
        return stores[-1]

    async with running(world, Decorators(backup_store=gated)) as service:
        operation = await service.start_delete("b")
        await stores[0].wait_for(1)
        service.operations.cancel(operation.name)
        assert (await service.end(operation)).state is OperationState.CANCELLED
        assert (await service.catalog.get("b")).state is BackupState.INCOMPLETE
        stores[0].gate.set()
        await service.delete("b")
    assert not [key for key in await world.backups() if key.startswith("backup/b/")]
