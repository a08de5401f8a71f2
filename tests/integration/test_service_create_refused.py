"""Creates that cannot be: refused before anything is written, or failed and visibly not complete."""

from dataclasses import replace

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.errors import (
    BackupAlreadyExists,
    BackupError,
    BucketNotFound,
    CollectionNotFound,
    DatabaseNotFound,
    InvalidRequest,
    MilvusDenied,
    MilvusUnavailable,
    MilvusVersionUnsupported,
    OperationConflict,
    StorageDenied,
    StorageUnavailable,
)
from milvus_backup_server.domain.operations import CollectionState, OperationState, Phase
from milvus_backup_server.ports.milvus import MilvusGateway
from tests.support.fake_milvus import FakeMilvus
from tests.support.gateways import DelayingGateway, FailingGateway
from tests.support.held_calls import BACKUP_STORE, GATEWAY, MILVUS_STORE
from tests.support.meanwhile import Meanwhile, failing
from tests.support.running_service import Decorators
from tests.support.service import LIMITS, ROOT, World, add_collection, flushed, running


async def filled() -> World:
    world = World()
    await flushed(world.milvus, await add_collection(world.milvus, "c", range(10)))
    await add_collection(world.milvus, "d", range(5))
    return world


# --- refused by the checks


async def refused(world: World, *collections: str, decorators: Decorators | None = None) -> str:
    """Begin a create that is refused, and return the reason; nothing was written or flushed."""
    before = await world.traces()
    async with running(world, decorators) as service:
        with pytest.raises(BackupError) as caught:
            await service.start_create("b", *collections)
        assert service.operations.list("", 10).items == ()
    assert await world.traces() == before
    return caught.value.reason


async def test_fields_are_checked_before_anything_is_asked() -> None:
    world = await filled()
    silent = Meanwhile(GATEWAY, "version", failing(AssertionError("asked")))
    async with running(world, silent.decorators) as service:
        with pytest.raises(InvalidRequest):
            await service.start_create("../x", "-")
    assert silent.calls == []


@pytest.mark.parametrize(
    ("entry", "error", "resource"),
    [
        ("nothing", CollectionNotFound, "default.nothing"),
        ("default.nothing", CollectionNotFound, "default.nothing"),
        ("nowhere.c", DatabaseNotFound, "nowhere"),
        ("nowhere.*", DatabaseNotFound, "nowhere"),
        ("_mbtmp_20260131t120000_0a1b2c3d_0", CollectionNotFound, "default._mbtmp_"),
    ],
)
async def test_what_is_selected_must_be_there(
    entry: str, error: type[BackupError], resource: str
) -> None:
    world = await filled()
    await add_collection(world.milvus, "_mbtmp_20260131t120000_0a1b2c3d_0", range(3))
    async with running(world) as service:
        with pytest.raises(error) as caught:
            await service.start_create("b", "c", entry)
    assert caught.value.metadata["resource"].startswith(resource)
    assert await world.backups() == []


@pytest.mark.parametrize("key", ["meta/full_meta.json", "meta/claim.json", "binlogs/x", "other"])
async def test_a_name_is_taken_by_whatever_lies_under_it(key: str) -> None:
    world = await filled()
    await world.backup_store.put(f"backup/b/{key}", b"")
    await world.backup_store.put("backup/b2/meta/full_meta.json", b"{}")
    assert await refused(world) == "BACKUP_ALREADY_EXISTS"


async def test_a_longer_name_does_not_take_a_shorter_one() -> None:
    world = await filled()
    await world.backup_store.put("backup/bb/meta/full_meta.json", b"{}")
    async with running(world) as service:
        await service.create("b")


async def test_milvus_s_bucket_must_be_there_and_is_never_made() -> None:
    world = await filled()
    del world.server.buckets["a-bucket"]
    async with running(world) as service:
        with pytest.raises(BucketNotFound) as caught:
            await service.start_create()
    assert caught.value.metadata == {
        "subject": "a-bucket",
        "bucket": "a-bucket",
        "setting": "milvus.storage.bucketName",
    }
    assert world.server.buckets == {}


async def test_a_missing_backup_bucket_is_made_by_a_create_only_where_that_is_on() -> None:
    world = World(backup_bucket="b-bucket", create_backup_bucket=False)
    async with running(world, limits=replace(LIMITS, create_bucket=False)) as service:
        with pytest.raises(BucketNotFound) as caught:
            await service.start_create()
        assert caught.value.metadata["setting"] == "backup.storage.bucketName"
    assert list(world.server.buckets) == ["a-bucket"]
    async with running(world) as service:
        planned = await service.start_create(validate_only=True)
        assert planned.state is OperationState.SUCCEEDED
        assert list(world.server.buckets) == ["a-bucket"]
        await service.create()
    assert sorted(world.server.buckets) == ["a-bucket", "b-bucket"]


@pytest.mark.parametrize("version", ["2.2.16", "v2.3.0", "2.7.0", "3.0.0", "who knows"])
async def test_versions_outside_the_tested_range_are_refused_unless_allowed(version: str) -> None:
    world = World()
    world.milvus = FakeMilvus(world.milvus_store, ROOT, version=version)
    async with running(world) as service:
        with pytest.raises(MilvusVersionUnsupported) as caught:
            await service.start_create()
    assert caught.value.metadata["version"] == version
    assert caught.value.metadata["supported"] == ">= 2.3.1, < 2.7.0"
    async with running(world, limits=replace(LIMITS, allow_untested_versions=True)) as service:
        await service.create()


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("version", MilvusUnavailable("down")),
        ("version", MilvusDenied("no", subject="milvus")),
        ("allocate_timestamp", MilvusUnavailable("down")),
        ("list_databases", MilvusUnavailable("down")),
        ("list_collections", MilvusDenied("no", subject="milvus")),
    ],
)
async def test_what_milvus_answers_to_the_checks_is_told(method: str, error: BackupError) -> None:
    world = await filled()
    gateways: list[FailingGateway] = []

    def gateway(inner: MilvusGateway) -> FailingGateway:
        gateways.append(FailingGateway(inner, method, error))
        return gateways[-1]

    reason = await refused(world, decorators=Decorators(gateway=gateway))
    assert reason == error.reason
    assert gateways[0].injected == 1


async def test_a_milvus_that_does_not_answer_is_given_up_in_time() -> None:
    world = await filled()
    decorators = Decorators(gateway=lambda inner: DelayingGateway(inner, {"version": 60}))
    async with running(world, decorators, limits=replace(LIMITS, check_seconds=0.05)) as service:
        with pytest.raises(MilvusUnavailable, match=r"fake:19530 did not answer within 0\.05 s"):
            await service.start_create()


@pytest.mark.parametrize("error", [StorageDenied("no"), StorageUnavailable("down")])
async def test_what_the_store_answers_to_the_checks_is_told(error: BackupError) -> None:
    world = await filled()
    meanwhile = Meanwhile(BACKUP_STORE, "list_page", failing(error))
    assert await refused(world, decorators=meanwhile.decorators) == error.reason
    assert meanwhile.fired == 1


@pytest.mark.parametrize(
    ("port", "method"), [(GATEWAY, "describe_collection"), (BACKUP_STORE, "copy")]
)
async def test_a_second_create_of_a_name_is_told_of_the_first(port: str, method: str) -> None:
    # Also before anything is written.
    world = await filled()
    seen: list[str] = []

    async def again() -> None:
        with pytest.raises(OperationConflict) as caught:
            await service.start_create("b")
        seen.append(caught.value.metadata["operation"])

    async with running(world, Meanwhile(port, method, again).decorators) as service:
        operation = await service.create("b")
    assert seen == [operation.name]


# --- failed later


async def test_rows_whose_objects_are_elsewhere_are_a_wrong_bucket_or_root() -> None:
    world = await filled()
    elsewhere = MemoryServer("main").store("a-bucket")  # an empty bucket of the same name
    decorators = Decorators(milvus_store=lambda _: elsewhere)
    async with running(world, decorators) as service:
        operation = await service.end(await service.start_create("b", "c"))
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert operation.error.reason == "SOURCE_STORAGE_MISMATCH"
    assert operation.error.metadata["bucket"] == "a-bucket"
    assert operation.error.metadata["prefix"] == "files"
    assert operation.error.metadata["collection"] == "default.c"
    (shown,) = operation.collections
    assert shown.state is CollectionState.FAILED
    assert await world.backups() == []
    assert operation.progress.phase is Phase.LISTING


async def test_one_segment_without_objects_is_enough_to_say_so() -> None:
    world = await filled()
    world.milvus.insert(await add_collection(world.milvus, "c"), range(20, 25))
    collection = world.milvus.databases["default"]["c"]
    lost = collection.segments[0].segment_id

    async def lose() -> None:
        found = await world.milvus_store.list_page("files/insert_log/")
        await world.milvus_store.delete(
            [item.key for item in found.objects if f"/{lost}/" in item.key]
        )

    meanwhile = Meanwhile(GATEWAY, "describe_collection", lose)
    async with running(world, meanwhile.decorators) as service:
        error = await service.error(await service.start_create("b", "c"))
    assert meanwhile.fired == 1
    assert error.reason == "SOURCE_STORAGE_MISMATCH"
    assert str(lost) in error.message
    assert await world.backups() == []


async def test_a_column_that_lost_a_log_is_inconsistent() -> None:
    world = await filled()
    collection = world.milvus.databases["default"]["c"]
    segment = collection.segments[0]
    extra = segment.keys[0].rpartition("/")[0] + "/999"

    async def add() -> None:
        await world.milvus_store.put(extra, b"{}")

    meanwhile = Meanwhile(GATEWAY, "describe_collection", add)
    async with running(world, meanwhile.decorators) as service:
        error = await service.error(await service.start_create("b", "c"))
    assert error.reason == "SOURCE_INCONSISTENT"
    assert error.metadata["segment"] == str(segment.segment_id)


async def test_a_name_taken_between_check_and_claim_belongs_to_the_other_writer() -> None:
    world = await filled()

    async def take() -> None:
        await world.backup_store.put("backup/b/meta/claim.json", b"theirs")

    for point in ("put", "list_page"):
        first = 1 if point == "put" else 2  # the first listing is the check's
        meanwhile = Meanwhile(BACKUP_STORE, point, take, part="backup/b/", first=first)
        async with running(world, meanwhile.decorators) as service:
            operation = await service.start_create("b")
            error = await service.error(operation)
        assert meanwhile.fired == 1
        assert isinstance(error, BackupAlreadyExists)
        assert await world.backups() == ["backup/b/meta/claim.json"]
        assert await world.backup_store.get("backup/b/meta/claim.json") == b"theirs"
        await world.backup_store.delete(["backup/b/meta/claim.json"])


@pytest.mark.parametrize(
    ("port", "method", "number"),
    [
        (BACKUP_STORE, "copy", 1),
        (BACKUP_STORE, "copy", 4),
        (BACKUP_STORE, "put", 2),  # the first is the claim
        (BACKUP_STORE, "put", 4),
        (BACKUP_STORE, "put", 8),
        (BACKUP_STORE, "put", 9),  # full_meta.json
    ],
)
async def test_a_failed_create_shows_as_incomplete_and_can_be_deleted(
    port: str, method: str, number: int
) -> None:
    world = await filled()
    meanwhile = Meanwhile(port, method, failing(StorageDenied("full", bucket="x")), first=number)
    async with running(world, meanwhile.decorators) as service:
        error = await service.error(await service.start_create("b", "c"))
        assert meanwhile.fired == 1
        assert error.reason == "STORAGE_DENIED"
        shown = await service.catalog.get("b")
        assert shown.state is BackupState.INCOMPLETE
        assert shown.create_time is not None
        assert (await service.catalog.list("", 10, full=True)).items == (shown,)
        assert (await service.catalog.collections("b", 0, 10)).items == ()
        with pytest.raises(BackupAlreadyExists):
            await service.start_create("b")
        await service.delete("b")
        assert await world.backups() == []
        await service.create("b")


@pytest.mark.parametrize(
    ("port", "method"),
    [
        (GATEWAY, "flush"),
        (GATEWAY, "is_flushed"),
        (GATEWAY, "list_partitions"),
        (MILVUS_STORE, "list_page"),
    ],
)
async def test_a_create_that_fails_before_it_took_the_name_leaves_nothing(
    port: str, method: str
) -> None:
    world = await filled()
    error = MilvusDenied("no", subject="x") if port == GATEWAY else StorageDenied("no")
    meanwhile = Meanwhile(port, method, failing(error))
    async with running(world, meanwhile.decorators) as service:
        found = await service.error(await service.start_create())
    assert meanwhile.fired == 1
    assert found.reason == error.reason
    assert await world.backups() == []


async def test_a_flush_that_milvus_never_finishes_is_a_stall() -> None:
    world = await filled()
    world.milvus.flush_polls = 1_000_000
    async with running(world, limits=replace(LIMITS, flush_seconds=0.05)) as service:
        last = await service.end(await service.start_create())
    assert (last.state, last.error and last.error.metadata["cause"]) == (
        OperationState.INTERRUPTED,
        "OPERATION_STALLED",
    )
    assert "did not finish the flush of default." in str(last.error)


async def test_a_silence_of_milvus_during_the_flush_is_waited_out() -> None:
    world = await filled()
    silence = Meanwhile(GATEWAY, "is_flushed", failing(MilvusUnavailable("restarts")), times=3)
    async with running(world, silence.decorators) as service:
        await service.create()
    assert silence.fired == 3
