"""The service tells what it is, and tries what it depends on."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.diagnostics import CheckItem, CheckState
from milvus_backup_server.domain.errors import (
    BackupError,
    MilvusDenied,
    MilvusUnavailable,
    StorageDenied,
    StorageUnavailable,
)
from milvus_backup_server.domain.operations import Phase
from milvus_backup_server.service.operations import OperationLimits
from tests.support.fake_milvus import FakeMilvus
from tests.support.gateways import DelayingGateway
from tests.support.held_calls import BACKUP_STORE, GATEWAY, MILVUS_STORE
from tests.support.meanwhile import Meanwhile, failing
from tests.support.phases import PhaseGate
from tests.support.running_service import Decorators
from tests.support.service import LIMITS, ROOT, World, add_collection, flushed, running

NAMES = [
    "milvus",
    "milvus_version",
    "milvus_storage",
    "milvus_objects",
    "backup_storage",
    "backup_storage_write",
    "transfer",
]
OK, WARNING = CheckState.OK, CheckState.WARNING
FAILED, SKIPPED = CheckState.FAILED, CheckState.SKIPPED


async def filled(world: World | None = None) -> World:
    world = world or World()
    await flushed(world.milvus, await add_collection(world.milvus, "c", range(3)))
    return world


async def checked(world: World, decorators: Decorators | None = None) -> dict[str, CheckItem]:
    async with running(world, decorators) as service:
        items = await service.use_cases.diagnostics.check()
    assert [item.name for item in items] == NAMES
    return {item.name: item for item in items}


def not_ok(items: Mapping[str, CheckItem]) -> dict[str, CheckState]:
    return {name: item.state for name, item in items.items() if item.state is not OK}


@pytest.mark.parametrize(
    ("world", "transfer"),
    [
        (World(), "same bucket: the store copies by itself, restores import in place"),
        (World(backup_bucket="b-bucket"), "same endpoint: the store copies by itself"),
        (
            World(backup_bucket="b-bucket", backup_server=MemoryServer("other")),
            "different stores: bytes pass through this service",
        ),
    ],
    ids=["same bucket", "same store", "two stores"],
)
async def test_where_all_is_well_all_is_ok_and_nothing_is_left(world: World, transfer: str) -> None:
    await filled(world)
    before = await world.traces()
    items = await checked(world)
    assert not_ok(items) == {}
    assert items["milvus"].message == "fake:19530 answers; 1 databases"
    assert items["milvus_version"].message == "Milvus v2.3.5-lite; tested: >= 2.3.1, < 2.4.0"
    assert items["milvus_storage"].message == "memory://main/a-bucket/files answers"
    assert "read files/insert_log/" in items["milvus_objects"].message
    assert items["transfer"].message.startswith(transfer)
    assert await world.traces() == before


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
    assert not_ok(items) == {"milvus_storage": FAILED, "milvus_objects": SKIPPED}
    assert items["milvus_objects"].message == "not tried: milvus_storage is not ok"


async def test_a_missing_backup_bucket_is_a_warning_where_a_create_makes_it() -> None:
    world = await filled(World(backup_bucket="b-bucket", create_backup_bucket=False))
    items = await checked(world)
    assert not_ok(items) == {"backup_storage": WARNING, "backup_storage_write": SKIPPED}
    async with running(world, limits=replace(LIMITS, create_bucket=False)) as service:
        found = await service.use_cases.diagnostics.check()
    states = {item.name: item for item in found}
    assert states["backup_storage"].state is FAILED
    assert "backup.storage.bucketName" in states["backup_storage"].message
    assert list(world.server.buckets) == ["a-bucket"]


@pytest.mark.parametrize(
    ("port", "method", "error", "expected"),
    [
        (
            GATEWAY,
            "list_databases",
            MilvusDenied("no", subject="x"),
            {"milvus": FAILED, "milvus_version": SKIPPED, "milvus_objects": SKIPPED},
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
            {"milvus_storage": FAILED, "milvus_objects": SKIPPED},
        ),
        (MILVUS_STORE, "get", StorageDenied("no"), {"milvus_objects": FAILED}),
        (BACKUP_STORE, "put", StorageDenied("no"), {"backup_storage_write": FAILED}),
        (BACKUP_STORE, "put", StorageUnavailable("full"), {"backup_storage_write": FAILED}),
    ],
)
async def test_what_does_not_work_is_told_and_the_rest_is_tried(
    port: str, method: str, error: BackupError, expected: dict[str, CheckState]
) -> None:
    meanwhile = Meanwhile(port, method, failing(error))
    items = await checked(await filled(), meanwhile.decorators)
    assert meanwhile.fired == 1
    assert not_ok(items) == expected
    assert [item.error for item in items.values() if item.error] == [error]


async def test_a_version_outside_the_tested_range_fails_unless_it_is_allowed() -> None:
    world = World()
    world.milvus = FakeMilvus(world.milvus_store, ROOT, version="2.6.18")
    await filled(world)
    items = await checked(world)
    assert not_ok(items) == {"milvus_version": FAILED, "milvus_objects": SKIPPED}
    async with running(world, limits=replace(LIMITS, allow_untested_versions=True)) as service:
        found = {item.name: item for item in await service.use_cases.diagnostics.check()}
        assert not_ok(found) == {"milvus_version": WARNING}
        info = await service.use_cases.diagnostics.server_info()
    assert info.cluster.supported
    assert "rest_import" in info.cluster.capabilities


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


# --- what the service is


async def test_the_service_tells_what_it_is() -> None:
    world = await filled(World(backup_bucket="b-bucket"))
    async with running(world) as service:
        info = await service.use_cases.diagnostics.server_info()
    assert info.version == "1.2.3"
    assert (info.running_operations, info.pending_operations) == (0, 0)
    cluster = info.cluster
    assert (cluster.name, cluster.address, cluster.milvus_version) == (
        "default",
        "fake:19530",
        "v2.3.5-lite",
    )
    assert (cluster.error, cluster.supported, cluster.capabilities) == (None, True, ())
    assert cluster.storage is not None
    assert (cluster.storage.location.bucket, cluster.storage.root_path) == ("a-bucket", "files")
    assert (info.repository.location.bucket, info.repository.root_path) == ("b-bucket", "backup")


async def test_it_tells_so_also_while_milvus_is_down() -> None:
    world = await filled()
    decorators = Decorators(gateway=lambda inner: DelayingGateway(inner, {"": 60}))
    async with running(world, decorators, limits=replace(LIMITS, check_seconds=0.05)) as service:
        info = await service.use_cases.diagnostics.server_info()
    assert info.cluster.milvus_version == ""
    assert info.cluster.error is not None
    assert info.cluster.error.reason == "MILVUS_UNAVAILABLE"
    assert not info.cluster.supported


async def test_operations_are_counted() -> None:
    world = await filled()
    gate = PhaseGate(Phase.COPYING)
    one_place = OperationLimits(concurrent=1)
    async with running(world, gate.decorators, operations=one_place) as service:
        gate.operations = service.operations
        first = await service.start_create("first")
        await gate.wait()
        await service.start_create("second")
        info = await service.use_cases.diagnostics.server_info()
        assert (info.running_operations, info.pending_operations) == (1, 1)
        gate.opened.set()
        await service.end(first)
