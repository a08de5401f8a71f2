"""Restores that cannot be: refused before anything is touched."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from milvus_backup_server.adapters.store_wrappers import RetryingStore, RetryPolicy
from milvus_backup_server.domain.errors import (
    BackupError,
    BackupNotFound,
    BackupNotRestorable,
    BucketNotFound,
    CollectionNotFound,
    InvalidRequest,
    MilvusUnavailable,
    MilvusVersionUnsupported,
    OperationConflict,
    StorageUnavailable,
    TargetAlreadyExists,
)
from milvus_backup_server.domain.operations import OperationState, Phase
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.fake_milvus import FakeMilvus
from tests.support.gateways import DelayingGateway
from tests.support.held_calls import BACKUP_STORE, GATEWAY
from tests.support.meanwhile import Meanwhile, failing
from tests.support.phases import PhaseGate
from tests.support.running_service import Decorators
from tests.support.service import (
    LIMITS,
    ROOT,
    World,
    add_collection,
    keys_below,
    named,
    running,
)
from tests.support.stores import FailingStore

META = "backup/b/meta/"


async def with_backup(world: World | None = None) -> World:
    world = world or World()
    for name in ("one", "two", "shop.one"):
        await add_collection(world.milvus, name, range(5))
    async with running(world) as service:
        await service.create("b")
    return world


async def refused(world: World, **fields: Any) -> BackupError:
    """Begin a restore that is refused and return the error; nothing was touched."""
    before = await world.traces()
    everything = await keys_below(world.milvus_store)
    async with running(world) as service:
        with pytest.raises(BackupError) as caught:
            await service.start_restore(**fields)
        assert service.operations.list("", 10).items == ()
    assert await world.traces() == before
    assert await keys_below(world.milvus_store) == everything
    return caught.value


# --- names


async def test_targets_that_exist_are_all_named() -> None:
    error = await refused(await with_backup(), collections=("one", "shop.one"))
    assert isinstance(error, TargetAlreadyExists)
    assert "'default.one' already exists" in error.message
    assert "'shop.one' already exists" in error.message
    assert error.metadata["count"] == "2"


async def test_an_alias_of_a_target_s_name_is_in_the_way_too() -> None:
    world = await with_backup()
    world.milvus.point_alias(named("one"), "uno")
    error = await refused(world, renames={"two": "uno"}, collections=("two",))
    assert isinstance(error, TargetAlreadyExists)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"renames": {"one": "x", "two": "x"}}, "would both become default.x"),
        ({"renames": {"shop.*": "default.*"}}, "would both become default.one"),
        ({"renames": {"one": "two"}}, "would both become default.two"),
        ({"suffix": "_" * 254}, "is not a name that Milvus accepts"),
    ],
)
async def test_two_sources_never_meet_in_one_target(fields: Mapping[str, Any], told: str) -> None:
    error = await refused(await with_backup(), **fields)
    assert isinstance(error, InvalidRequest)
    assert told in error.message


async def test_names_that_change_places_do_not_meet() -> None:
    world = await with_backup()
    for name in ("one", "two"):
        await world.milvus.drop_collection(named(name))
    async with running(world) as service:
        await service.restore(renames={"one": "two", "two": "one"}, collections=("one", "two"))
    assert {"default.one", "default.two"} <= set(world.collections())


@pytest.mark.parametrize(
    ("fields", "reason", "resource"),
    [
        ({"collections": ("one", "nothing")}, "COLLECTION_NOT_FOUND", "default.nothing"),
        ({"collections": ("nowhere.one",)}, "DATABASE_NOT_FOUND", "nowhere"),
        ({"collections": ("nowhere.*",)}, "DATABASE_NOT_FOUND", "nowhere"),
        ({"target_collections": ("one_x",)}, "COLLECTION_NOT_FOUND", "default.one_x"),
        ({"target_collections": ("one_r", "nowhere.*")}, "DATABASE_NOT_FOUND", "nowhere"),
        (
            {"collections": ("two",), "target_collections": ("one_r",)},
            "COLLECTION_NOT_FOUND",
            "default.one_r",
        ),
    ],
)
async def test_what_is_named_must_be_in_the_backup(
    fields: Mapping[str, Any], reason: str, resource: str
) -> None:
    error = await refused(await with_backup(), suffix="_r", **fields)
    assert (error.reason, error.metadata["resource"]) == (reason, resource)


async def test_fields_are_checked_before_anything_is_asked() -> None:
    world = await with_backup()
    silent = Meanwhile(BACKUP_STORE, "list_page", failing(AssertionError("asked")))
    async with running(world, silent.decorators) as service:
        with pytest.raises(InvalidRequest):
            await service.start_restore("b", suffix="-", collections=("*",))
    assert silent.calls == []


# --- the backup


async def test_a_backup_that_is_not_there() -> None:
    world = await with_backup()
    async with running(world) as service:
        with pytest.raises(BackupNotFound):
            await service.start_restore("nothing")
    empty = World(backup_bucket="b-bucket", create_backup_bucket=False)
    async with running(empty) as service:
        with pytest.raises(BackupNotFound):
            await service.start_restore("b")


async def test_an_incomplete_backup() -> None:
    world = await with_backup()
    await world.backup_store.delete([f"{META}full_meta.json"])
    error = await refused(world, suffix="_r")
    assert isinstance(error, BackupNotRestorable)
    assert error.metadata["state"] == "incomplete"
    assert "'b' is incomplete: " in error.message


@pytest.mark.parametrize("data", [None, b"", b"[]"])
@pytest.mark.parametrize("file", ["manifest.1.json", "backup_meta.json"])
async def test_a_backup_whose_head_is_missing_or_damaged(file: str, data: bytes | None) -> None:
    world = await with_backup()
    if data is None:
        await world.backup_store.delete([META + file])
    else:
        await world.backup_store.put(META + file, data)
    error = await refused(world, suffix="_r")
    assert error.reason == "BACKUP_CORRUPT"
    assert file in error.message or "the manifest is missing" in error.message


@pytest.mark.parametrize("method", ["list_databases", "has_collection"])
async def test_a_milvus_that_does_not_tell_of_the_targets_is_given_up_in_time(method: str) -> None:
    world = await with_backup()
    decorators = Decorators(gateway=lambda inner: DelayingGateway(inner, {method: 60}))
    async with running(world, decorators, limits=replace(LIMITS, check_seconds=0.2)) as service:
        with pytest.raises(MilvusUnavailable, match=r"did not answer within 0\.2 s"):
            await service.start_restore(suffix="_r")


async def test_a_store_that_does_not_list_the_metadata_is_given_up_in_time() -> None:
    world = await with_backup()

    async def hang() -> None:
        await asyncio.sleep(60)

    # The first is of the catalog, the second of the plan.
    for number in (1, 2):
        meanwhile = Meanwhile(BACKUP_STORE, "list_page", hang, first=number, shielded=False)
        limits = replace(LIMITS, check_seconds=0.2)
        async with running(world, meanwhile.decorators, limits=limits) as service:
            with pytest.raises(StorageUnavailable, match=r"did not answer within 0\.2 s"):
                await service.start_restore(suffix="_r")
        assert meanwhile.fired == 1


async def test_a_store_that_does_not_give_the_heads_is_given_up_in_time() -> None:
    world = await with_backup()

    async def hang() -> None:
        await asyncio.sleep(60)

    meanwhile = Meanwhile(BACKUP_STORE, "get", hang, part="backup_meta.json", shielded=False)
    limits = replace(LIMITS, check_seconds=0.2)
    async with running(world, meanwhile.decorators, limits=limits) as service:
        with pytest.raises(StorageUnavailable, match=r"did not answer within 0\.2 s"):
            async with asyncio.timeout(30):
                await service.start_restore(suffix="_r")
    assert meanwhile.fired == 1


async def test_a_store_that_cannot_be_reached_is_not_said_to_be_slow() -> None:
    world = await with_backup()
    refused_ = StorageUnavailable("cannot list a-bucket at http://store: cannot connect")

    def unreachable(inner: ObjectStore) -> ObjectStore:
        store = FailingStore(inner)
        store.fail("list_page", refused_)
        return RetryingStore(store, RetryPolicy())

    limits = replace(LIMITS, check_seconds=0.2)
    async with running(world, Decorators(backup_store=unreachable), limits=limits) as service:
        with pytest.raises(StorageUnavailable) as caught:
            await service.start_restore(suffix="_r")
    assert caught.value.message == f"{refused_.message} (tried for 0.2 s)"


async def test_milvus_is_not_blamed_for_heads_that_take_their_time() -> None:
    world = await with_backup()

    async def slow() -> None:
        await asyncio.sleep(0.3)

    heads = Meanwhile(BACKUP_STORE, "get", slow, part="backup_meta.json")
    around = heads.decorators
    decorators = replace(
        around, gateway=lambda it: around.gateway(DelayingGateway(it, {"version": 0.3}))
    )
    limits = replace(LIMITS, check_seconds=0.5)
    async with running(world, decorators, limits=limits) as service:
        assert (await service.start_restore(suffix="_r", validate_only=True)).error is None
    assert heads.fired == 1


async def test_milvus_is_not_blamed_for_metadata_that_take_their_time() -> None:
    world = await with_backup()

    async def slow() -> None:
        await asyncio.sleep(0.3)

    meanwhile = Meanwhile(BACKUP_STORE, "get", slow, part="full_meta.json")
    limits = replace(LIMITS, check_seconds=0.2)
    async with running(world, meanwhile.decorators, limits=limits) as service:
        assert (await service.start_restore(suffix="_r", validate_only=True)).error is None
    assert meanwhile.fired == 1


async def test_a_backup_of_a_newer_format_version() -> None:
    world = await with_backup()
    head = await world.backup_store.get(f"{META}manifest.1.json")
    newer = head.replace(b'"format_version":1', b'"format_version":3')
    await world.backup_store.put(f"{META}manifest.1.json", newer)
    error = await refused(world, suffix="_r")
    assert isinstance(error, BackupNotRestorable)
    assert "format version 3; this service reads up to 1" in error.message


@pytest.mark.parametrize("format_", ["snapshot", "of tomorrow"])
async def test_a_backup_of_another_format(format_: str) -> None:
    world = World()
    for file in ("full_meta", "backup_meta"):
        values = {"id": "x", "name": "b", "format": format_, "milvus_version": "2.3.5"}
        await world.backup_store.put(f"{META}{file}.json", json.dumps(values).encode())
    error = await refused(world)
    assert isinstance(error, BackupNotRestorable)
    assert "format" in error.metadata


async def test_damaged_metadata_is_found_before_anything_is_touched() -> None:
    world = await with_backup()
    for file in ("full_meta.json", "manifest.1.collections.jsonl", "segment_meta.json"):
        original = await world.backup_store.get(META + file)
        changed = original.replace(b'"default"', b'"defaulu"', 1)
        changed = changed if changed != original else original.replace(b'"size":', b'"sizf":', 1)
        await world.backup_store.put(META + file, changed)
        before = world.collections()
        async with running(world) as service:
            try:
                error = await service.error(await service.start_restore(suffix="_r"))
            except BackupError as found:
                error = found
        assert error.reason == "BACKUP_CORRUPT", file
        assert world.milvus.imports.jobs == {}
        assert world.collections() == before
        await world.backup_store.put(META + file, original)


async def test_a_backup_in_the_making_or_being_removed() -> None:
    for phase in (Phase.COPYING, Phase.DELETING):
        world = await with_backup()
        gate = PhaseGate(phase)
        async with running(world, gate.decorators) as service:
            gate.operations = service.operations
            name = "new" if phase is Phase.COPYING else "b"
            start = service.start_create if phase is Phase.COPYING else service.start_delete
            operation = await start(name)
            await gate.wait()
            with pytest.raises(OperationConflict) as caught:
                await service.start_restore(name, suffix="_r")
            assert caught.value.metadata["operation"] == operation.name


async def test_two_restores_into_one_target() -> None:
    world = await with_backup()
    gate = PhaseGate(Phase.IMPORTING)
    async with running(world, gate.decorators) as service:
        gate.operations = service.operations
        first = await service.start_restore(suffix="_r")
        await gate.wait()
        with pytest.raises(OperationConflict) as caught:
            await service.start_restore(renames={"one": "two_r"}, collections=("one",))
        assert caught.value.metadata["operation"] == first.name
        second = await service.start_restore(suffix="_s")
        gate.opened.set()
        for operation in (first, second):
            assert (await service.end(operation)).state is OperationState.SUCCEEDED


async def test_a_request_id_makes_a_restore_safe_to_repeat() -> None:
    world = await with_backup()
    async with running(world) as service:
        first = await service.restore(suffix="_r", request_id="id")
        # Without the id the targets would be in the way now.
        again = await service.start_restore(suffix="_r", request_id="id")
        assert again == first


# --- Milvus and the stores


async def test_a_version_outside_the_tested_range() -> None:
    world = await with_backup()
    old = world.milvus
    world.milvus = FakeMilvus(world.milvus_store, ROOT, version="2.7.0")
    error = await refused(world)
    assert isinstance(error, MilvusVersionUnsupported)
    async with running(world, limits=replace(LIMITS, allow_untested_versions=True)) as service:
        await service.restore()
    assert world.milvus.keys(named("one")) == old.keys(named("one"))
    told = {job.options.hybrid_end_ts for job in world.milvus.imports.jobs.values()}
    assert told == {True}  # as that version takes it


async def test_a_missing_bucket_of_milvus() -> None:
    world = await with_backup(World(backup_bucket="b-bucket"))
    del world.server.buckets["a-bucket"]
    async with running(world) as service:
        with pytest.raises(BucketNotFound) as caught:
            await service.start_restore(suffix="_r")
    assert caught.value.metadata["setting"] == "milvus.storage.bucketName"
    assert list(world.server.buckets) == ["b-bucket"]


@pytest.mark.parametrize(
    ("port", "method", "error"),
    [
        (GATEWAY, "version", MilvusUnavailable("down")),
        (GATEWAY, "list_databases", MilvusUnavailable("down")),
        (GATEWAY, "has_collection", MilvusUnavailable("down")),
        (BACKUP_STORE, "list_page", StorageUnavailable("down")),
        (BACKUP_STORE, "get", StorageUnavailable("down")),
    ],
)
async def test_what_does_not_answer_the_checks_is_told(
    port: str, method: str, error: BackupError
) -> None:
    world = await with_backup()
    meanwhile = Meanwhile(port, method, failing(error))
    async with running(world, meanwhile.decorators) as service:
        with pytest.raises(type(error)):
            await service.start_restore(suffix="_r")
    assert meanwhile.fired == 1


async def test_what_the_backup_lacks_is_told_before_targets_that_exist_and_with_them() -> None:
    error = await refused(await with_backup(), collections=("one", "nothing"))
    assert isinstance(error, CollectionNotFound)
    assert [(item.field, item.reason) for item in error.obstacles] == [
        ("collections[1]", "COLLECTION_NOT_FOUND"),
        ("renames", "TARGET_ALREADY_EXISTS"),
    ]
