"""The service tells what it is, and tries what it depends on."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.diagnostics import CheckItem, CheckState
from milvus_backup_server.domain.errors import (
    BackupError,
    CopyDenied,
    MilvusDenied,
    MilvusUnavailable,
    StorageDenied,
    StorageUnavailable,
)
from milvus_backup_server.domain.objects import ObjectInfo
from tests.support.fake_milvus import FakeMilvus
from tests.support.held_calls import BACKUP_STORE, GATEWAY, MILVUS_STORE
from tests.support.meanwhile import Meanwhile, failing
from tests.support.running_service import Decorators
from tests.support.service import (
    LIMITS,
    ROOT,
    World,
    add_collection,
    filled,
    keys_below,
    running,
)
from tests.support.stores import NoCondition

NAMES = [
    "milvus",
    "milvus_version",
    "milvus_permissions",
    "milvus_storage",
    "milvus_objects",
    "backup_storage",
    "backup_storage_write",
    "conditional_writes",
    "staging_write",
    "transfer",
    "restore",
]
OK, WARNING = CheckState.OK, CheckState.WARNING
FAILED, SKIPPED = CheckState.FAILED, CheckState.SKIPPED


async def checked(world: World, decorators: Decorators | None = None) -> dict[str, CheckItem]:
    async with running(world, decorators) as service:
        items = await service.use_cases.diagnostics.check()
    assert [item.name for item in items] == NAMES
    return {item.name: item for item in items}


def not_ok(items: Mapping[str, CheckItem]) -> dict[str, CheckState]:
    return {name: item.state for name, item in items.items() if item.state is not OK}


ITSELF = "the store copies by itself; no data passes through this service"
THROUGH_US = "all data passes through this service"
STAGING = "main/a-bucket/files/milvus-backup-staging"
IN_PLACE = "in place: Milvus imports the backups from where they lie in its own bucket"
STAGED = f"staged: objects are copied to memory://{STAGING}, imported and removed"


def same_bucket() -> World:
    return World()


def same_store() -> World:
    return World(backup_bucket="b-bucket")


def two_stores() -> World:
    return World(backup_bucket="b-bucket", backup_server=MemoryServer("other"))


@pytest.mark.parametrize("flushed_rows", [True, False])
@pytest.mark.parametrize(
    ("make", "transfer", "restore"),
    [
        (same_bucket, ITSELF, IN_PLACE),
        (same_store, ITSELF, STAGED),
        (two_stores, THROUGH_US, STAGED),
    ],
)
async def test_where_all_is_well_all_is_ok_and_nothing_is_left(
    make: Callable[[], World], transfer: str, restore: str, flushed_rows: bool
) -> None:
    world = make()
    if flushed_rows:
        await filled(world)
    before = await world.traces()
    items = await checked(world)
    assert not_ok(items) == ({} if flushed_rows else {"milvus_objects": WARNING})
    assert items["milvus"].message == "fake:19530 answers; 1 databases"
    assert items["milvus_version"].message == "Milvus v2.3.5-lite; tested: >= 2.3.1, < 2.7.0"
    assert items["milvus_storage"].message == "memory://main/a-bucket/files answers"
    assert items["backup_storage_write"].message == "wrote, read and removed a probe object"
    assert items["conditional_writes"].message == "of two writers of one new object one wins"
    assert items["transfer"].message == transfer
    assert items["restore"].message == restore
    assert items["staging_write"].message == (
        "not needed: restores import in place"
        if restore is IN_PLACE
        else f"wrote, read and removed a probe object below memory://{STAGING}"
    )
    assert await world.traces() == before


async def test_a_flushed_object_is_read_and_moved_as_a_backup_moves_it() -> None:
    world = await filled(same_store())
    reading = Meanwhile(MILVUS_STORE, "get", nothing, part="files/insert_log/")
    items = await checked(world, reading.decorators)
    assert reading.fired == 1
    read = [subject for port, method, subject in reading.calls if (port, method) == READ]
    (key,) = [subject for subject in read if "/insert_log/" in subject]
    sizes = [len(await world.milvus_store.get(it)) for it in await keys_below(world.milvus_store)]
    size = len(await world.milvus_store.get(key))
    assert items["milvus_objects"].message == f"read {size} bytes of {key} of default.c"
    assert size == min(sizes)
    copies = [subject for port, method, subject in reading.calls if method == "copy"]
    assert [key.rsplit("/", 1)[1] for key in copies] == ["copied", "staged"]


READ = (MILVUS_STORE, "get")


async def nothing() -> None:
    pass


async def test_what_may_be_asked_of_milvus_is_asked() -> None:
    world = await filled()
    denied = Meanwhile(GATEWAY, "list_indexes", failing(MilvusDenied("no", subject="x")))
    items = await checked(world, denied.decorators)
    assert not_ok(items) == {"milvus_permissions": FAILED, "milvus_objects": SKIPPED}
    assert (await checked(world))["milvus_permissions"].message == (
        "may describe default.c; whether we may flush, create and import shows only when it is done"
    )
    assert (await checked(World()))["milvus_permissions"].message.startswith(
        "may list collections, of which there are none"
    )


async def test_a_store_where_two_writers_win_is_a_warning() -> None:
    items = await checked(await filled(), Decorators(backup_store=NoCondition))
    assert not_ok(items) == {"conditional_writes": WARNING}
    assert "two services that share it could write one backup at once" in (
        items["conditional_writes"].message
    )


class NoExchange(StoreDecorator):
    """A store that creates on a condition, and replaces without one."""

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        return await super().put(key, data, if_absent=if_absent)


async def test_a_store_where_two_replace_one_object_is_a_warning() -> None:
    items = await checked(await filled(), Decorators(backup_store=NoExchange))
    assert not_ok(items) == {"conditional_writes": WARNING}
    assert "could go on with one operation at once" in items["conditional_writes"].message


class OtherBytes(StoreDecorator):
    """A store that damages what it is given."""

    async def get(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> bytes:
        return (await super().get(key, offset=offset, length=length, if_match=if_match))[::-1]


async def test_a_store_that_gives_back_other_bytes_fails() -> None:
    items = await checked(await filled(), Decorators(backup_store=OtherBytes))
    assert items["backup_storage_write"].state is FAILED
    assert "gives back other bytes than were written" in items["backup_storage_write"].message


@pytest.mark.parametrize("number", [1, 2])
async def test_a_store_that_refuses_to_copy_by_itself_is_a_warning(number: int) -> None:
    world = await filled(same_store())
    port = (BACKUP_STORE, MILVUS_STORE)[number - 1]
    denied = Meanwhile(port, "copy", failing(CopyDenied("no")), times=10)
    items = await checked(world, denied.decorators)
    assert denied.fired == 1
    assert not_ok(items) == {"transfer": WARNING}
    assert items["transfer"].message == (
        "the store refuses to copy by itself; all data passes through this service"
    )


async def test_an_object_that_vanishes_meanwhile_is_told() -> None:
    world = await filled(same_store())

    async def vanish() -> None:
        keys = await keys_below(world.milvus_store, "files/")
        await world.milvus_store.delete(keys)

    gone = Meanwhile(BACKUP_STORE, "copy", vanish)
    items = await checked(world, gone.decorators)
    assert gone.fired == 1
    assert not_ok(items) == {"transfer": FAILED}
    assert "vanished while it was copied; try again" in items["transfer"].message


async def test_a_milvus_without_flushed_rows_proves_nothing() -> None:
    world = World()
    await add_collection(world.milvus, "empty")
    assert not_ok(await checked(world)) == {"milvus_objects": WARNING}


async def test_a_wrong_bucket_or_root_is_told() -> None:
    world = await filled()
    elsewhere = MemoryServer("main").store("a-bucket")
    items = await checked(world, Decorators(milvus_store=lambda _: elsewhere))
    assert not_ok(items) == {"milvus_objects": FAILED}
    error = items["milvus_objects"].error
    assert error is not None
    assert error.reason == "SOURCE_STORAGE_MISMATCH"


async def test_a_missing_bucket_of_milvus_is_told() -> None:
    world = await filled(World(backup_bucket="b-bucket"))
    del world.server.buckets["a-bucket"]
    items = await checked(world)
    assert not_ok(items) == {
        "milvus_storage": FAILED,
        "milvus_objects": SKIPPED,
        "staging_write": SKIPPED,
        "transfer": SKIPPED,
        "restore": SKIPPED,
    }
    assert items["milvus_objects"].message == "not tried: milvus_storage is not ok"


async def test_a_missing_backup_bucket_is_a_warning_where_a_create_makes_it() -> None:
    world = await filled(World(backup_bucket="b-bucket", create_backup_bucket=False))
    items = await checked(world)
    assert not_ok(items) == {
        "backup_storage": WARNING,
        "backup_storage_write": SKIPPED,
        "conditional_writes": SKIPPED,
        "transfer": SKIPPED,
    }
    async with running(world, limits=replace(LIMITS, create_bucket=False)) as service:
        found = await service.use_cases.diagnostics.check()
    states = {item.name: item for item in found}
    assert states["backup_storage"].state is FAILED
    assert "backup.storage.bucketName" in states["backup_storage"].message
    assert list(world.server.buckets) == ["a-bucket"]


NO_WRITE = {
    "backup_storage_write": FAILED,
    "conditional_writes": SKIPPED,
    "transfer": SKIPPED,
}


@pytest.mark.parametrize(
    ("port", "method", "error", "expected"),
    [
        (
            GATEWAY,
            "list_databases",
            MilvusDenied("no", subject="x"),
            {
                "milvus": FAILED,
                "milvus_version": SKIPPED,
                "milvus_permissions": SKIPPED,
                "milvus_objects": SKIPPED,
            },
        ),
        (
            GATEWAY,
            "version",
            MilvusUnavailable("down"),
            {"milvus_version": FAILED, "milvus_objects": SKIPPED},
        ),
        (
            MILVUS_STORE,
            "list_page",
            StorageDenied("no"),
            {
                "milvus_storage": FAILED,
                "milvus_objects": SKIPPED,
                "staging_write": SKIPPED,
                "transfer": SKIPPED,
                "restore": SKIPPED,
            },
        ),
        (
            BACKUP_STORE,
            "list_page",
            StorageUnavailable("down"),
            {
                "backup_storage": FAILED,
                "backup_storage_write": SKIPPED,
                "conditional_writes": SKIPPED,
                "transfer": SKIPPED,
            },
        ),
        (MILVUS_STORE, "get", StorageDenied("no"), {"milvus_objects": FAILED}),
        (BACKUP_STORE, "put", StorageDenied("no"), NO_WRITE),
        (BACKUP_STORE, "put", StorageUnavailable("full"), NO_WRITE),
        (BACKUP_STORE, "get", StorageDenied("no"), NO_WRITE),
        (MILVUS_STORE, "put", StorageDenied("no"), {"staging_write": FAILED, "transfer": SKIPPED}),
        (BACKUP_STORE, "copy", StorageDenied("no"), {"transfer": FAILED}),
        (MILVUS_STORE, "copy", StorageDenied("no"), {"transfer": FAILED}),
    ],
)
async def test_what_does_not_work_is_told_and_the_rest_is_tried(
    port: str, method: str, error: BackupError, expected: dict[str, CheckState]
) -> None:
    meanwhile = Meanwhile(port, method, failing(error))
    world = await filled(same_store())
    before = await world.traces()
    items = await checked(world, meanwhile.decorators)
    assert meanwhile.fired == 1
    assert not_ok(items) == expected
    assert await world.traces() == before
    assert [repr(item.error) for item in items.values() if item.error] == [repr(error)]


async def test_a_version_outside_the_tested_range_fails_unless_it_is_allowed() -> None:
    world = World()
    world.milvus = FakeMilvus(world.milvus_store, ROOT, version="2.7.0")
    await filled(world)
    items = await checked(world)
    assert not_ok(items) == {"milvus_version": FAILED, "milvus_objects": SKIPPED}
    async with running(world, limits=replace(LIMITS, allow_untested_versions=True)) as service:
        found = {item.name: item for item in await service.use_cases.diagnostics.check()}
        assert not_ok(found) == {"milvus_version": WARNING}
        info = await service.use_cases.diagnostics.server_info()
    assert info.cluster.supported
    assert "rest_import" in info.cluster.capabilities
    names = ", ".join(info.cluster.capabilities)
    assert found["milvus_version"].message.endswith(f"; capabilities: {names}")


@pytest.mark.parametrize("after", [True, False])
async def test_a_probe_object_is_removed_when_its_write_is_interrupted(after: bool) -> None:
    world = await filled()
    before = await world.traces()

    async def wait() -> None:
        await asyncio.sleep(0.2)

    meanwhile = Meanwhile(BACKUP_STORE, "put", wait, part="/check_", after=after)
    limits = replace(LIMITS, check_seconds=0.1)
    async with running(world, meanwhile.decorators, limits=limits) as service:
        found = {item.name: item for item in await service.use_cases.diagnostics.check()}
    assert meanwhile.fired == 1
    error = found["backup_storage_write"].error
    assert error is not None
    assert error.reason == "STORAGE_UNAVAILABLE"
    assert await world.traces() == before


async def test_a_copy_that_takes_too_long_is_ended_and_nothing_is_left() -> None:
    world = await filled(same_store())
    before = await world.traces()

    async def wait() -> None:
        await asyncio.sleep(0.4)

    slow = Meanwhile(BACKUP_STORE, "copy", wait, after=True)
    limits = replace(LIMITS, check_seconds=0.2)
    async with running(world, slow.decorators, limits=limits) as service:
        found = {item.name: item for item in await service.use_cases.diagnostics.check()}
    assert slow.fired == 1
    assert not_ok(found) == {"transfer": FAILED}
    assert found["transfer"].message == (
        "the object store memory://main did not answer within 0.2 s"
    )
    assert await world.traces() == before
