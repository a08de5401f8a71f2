"""Backups go out as archives and come in again: key by key, byte by byte, and as they were written."""

import asyncio
import json
from collections.abc import Callable, Sequence

import pytest

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.objects import ObjectInfo, Upload, UploadedPart
from milvus_backup_server.domain.operations import (
    ExportResult,
    ImportResult,
    OperationKind,
    OperationState,
    Phase,
)
from milvus_backup_server.domain.requests import ExportRequest
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.archived import with_backup
from tests.support.fixtures import (
    FIXTURES,
    OF_MILVUS_2_3,
    WITH_DATA,
    backup_objects,
    metadata,
    put_backup,
)
from tests.support.running_service import Decorators
from tests.support.service import (
    CALLER,
    World,
    named,
    running,
)
from tests.support.tars import (
    below,
    files_of,
    go_backup,
    gzipped,
    in_chunks,
    tar_of,
)

CLAIM = "backup/b/meta/claim.json"


def fixture(archive: str) -> bytes:
    return (FIXTURES / f"{archive}.tar.gz").read_bytes()


class Writes(StoreDecorator):
    """Notes the keys in the order in which they are there."""

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self.keys: list[str] = []

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        written = await super().put(key, data, if_absent=if_absent, if_match=if_match)
        self.keys.append(key)
        return written

    async def complete_upload(self, upload: Upload, parts: Sequence[UploadedPart]) -> str:
        etag = await super().complete_upload(upload, parts)
        self.keys.append(upload.key)
        return etag

    async def delete(self, keys: Sequence[str]) -> None:
        await super().delete(keys)
        self.keys += [f"-{key}" for key in keys]


# --- round trips


async def test_a_backup_of_ours_goes_out_and_comes_in_again() -> None:
    world = await with_backup()
    before = await world.objects()
    async with running(world) as service:
        shown = await service.catalog.get("b")
        archive = await service.export()
        await service.delete()
        assert await world.objects() == {}
        operation = await service.import_(in_chunks(archive))
        after = await world.objects()
        # The claim tells who wrote the backup where it is.
        assert json.loads(after.pop(CLAIM))["operation"] == operation.name
        del before[CLAIM]
        assert after == before
        assert await service.catalog.get("b") == shown
        await service.restore("b", suffix="_r")
    assert world.milvus.keys(named("one_r")) == world.milvus.keys(named("one"))
    assert world.milvus.keys(named("shop.two_r")) == world.milvus.keys(named("shop.two"))
    assert isinstance(operation.result, ImportResult)
    data = {key: value for key, value in before.items() if "/binlogs/" in key}
    assert operation.result == ImportResult(
        collection_count=3,
        object_count=len(data),
        size_bytes=sum(map(len, data.values())),
        row_count=240,
        content_checked_count=len(data),
        size_checked_count=0,
    )


async def test_what_came_in_goes_out_as_the_same_archive() -> None:
    world = await with_backup()
    async with running(world) as service:
        first = await service.export()
        await service.import_(in_chunks(first), "c")
        second = await service.export("c")
    renamed = {key.replace("b/", "c/", 1): value for key, value in files_of(first).items()}
    assert files_of(second) == renamed
    assert list(files_of(second)) == list(renamed)
    assert len(second) == len(first)


@pytest.mark.parametrize("archive", WITH_DATA)
async def test_archives_of_the_go_tool_come_in_as_they_are(archive: str) -> None:
    world = World()
    expected = {f"backup/{archive}/{key}": data for key, data in backup_objects(archive)}
    async with running(world) as service:
        operation = await service.import_(in_chunks(fixture(archive)))
        assert await world.objects() == expected
        shown = await service.catalog.get(archive)
        exported = await service.export(archive)
        await service.delete(archive)
        await service.import_(in_chunks(exported))
        assert await world.objects() == expected
    assert (shown.name, shown.state) == (archive, BackupState.COMPLETE)
    assert operation.backup_name == archive
    full = metadata(archive)
    data = {key: value for key, value in expected.items() if "/binlogs/" in key}
    assert operation.result == ImportResult(
        collection_count=len(full["collection_backups"]),
        object_count=len(data),
        size_bytes=sum(map(len, data.values())),
        row_count=shown.row_count or 0,
        content_checked_count=0,
        size_checked_count=len(data),
    )


@pytest.mark.parametrize("archive", OF_MILVUS_2_3[1:])
async def test_what_came_in_is_restored(archive: str) -> None:
    world = World()
    async with running(world) as service:
        await service.import_(in_chunks(fixture(archive)), "mine")
        assert (await service.catalog.get("mine")).state is BackupState.COMPLETE
        await service.restore("mine")
    assert len(world.milvus.collection(named("hello_milvus")).live_keys()) == 3000
    assert len(world.milvus.collection(named("shop.orders")).live_keys()) == 400


async def test_a_legacy_backup_goes_out_and_comes_in_as_one() -> None:
    world = World()
    await put_backup(world.backup_store, "backup", "fx_go_0_4_3_groups", name="b", legacy=True)
    before = await world.objects()
    async with running(world) as service:
        archive = await service.export()
        assert list(files_of(archive))[-1] == "b/meta/backup_meta.json"
        await service.delete()
        await service.import_(in_chunks(archive))
        assert await world.objects() == before
        assert (await service.catalog.get("b")).state is BackupState.LEGACY


@pytest.mark.parametrize("pack", [lambda data: data, gzipped], ids=["plain", "gzip"])
@pytest.mark.parametrize("size", [1, 511, 10_000, 1 << 22])
async def test_the_chunks_do_not_matter(pack: Callable[[bytes], bytes], size: int) -> None:
    world = World()
    files = go_backup(3, 700)
    archive = pack(tar_of(below("b", files)))
    async with running(world) as service:
        await service.import_(in_chunks(archive, size))
    assert await world.objects() == below("backup/b", files)


async def test_objects_of_many_parts() -> None:
    world = World()
    files = go_backup(2, 3_000_001)
    async with running(world) as service:
        await service.import_(in_chunks(tar_of(below("b", files))))
        assert await world.objects() == below("backup/b", files)
        assert files_of(await service.export()) == below("b", files)
    assert await world.uploads() == []


async def test_a_bucket_is_made_as_a_create_makes_it() -> None:
    world = World(backup_bucket="b-bucket", create_backup_bucket=False)
    async with running(world) as service:
        await service.import_(in_chunks(tar_of(below("b", go_backup(1, 10)))))
    assert sorted(world.server.buckets) == ["a-bucket", "b-bucket"]


# --- the order of writing


async def test_the_archive_has_the_order_of_writing() -> None:
    world = await with_backup()
    async with running(world) as service:
        names = list(files_of(await service.export()))
    first = next(number for number, name in enumerate(names) if name.startswith("b/meta/"))
    assert all(name.startswith("b/binlogs/") for name in names[:first])
    assert [name.removeprefix("b/meta/") for name in names[first + 3 :]] == [
        "manifest.1.collections.jsonl",
        "manifest.1.json",
        "collection_meta.json",
        "partition_meta.json",
        "segment_meta.json",
        "backup_meta.json",
        "full_meta.json",
    ]
    assert all(name.startswith("b/meta/manifest.1/") for name in names[first : first + 3])


@pytest.mark.parametrize("reverse", [False, True])
async def test_whatever_its_order_an_import_writes_in_the_order_of_writing(reverse: bool) -> None:
    source = await with_backup()
    async with running(source) as service:
        files = files_of(await service.export())
    archive = tar_of(dict(reversed(files.items())) if reverse else files)
    world, stores = World(), list[Writes]()

    def noting(inner: ObjectStore) -> Writes:
        stores.append(Writes(inner))
        return stores[-1]

    async with running(world, Decorators(backup_store=noting)) as service:
        await service.import_(in_chunks(archive))
    keys = [key.removeprefix("backup/b/") for key in stores[0].keys]
    assert keys[0] == "meta/claim.json"
    data = [number for number, key in enumerate(keys) if key.startswith("binlogs/")]
    assert data == list(range(1, 1 + len(data)))
    assert [key.removeprefix("meta/") for key in keys[-7:]] == [
        "manifest.1.collections.jsonl",
        "manifest.1.json",
        "collection_meta.json",
        "partition_meta.json",
        "segment_meta.json",
        "backup_meta.json",
        "full_meta.json",
    ]


async def test_the_claim_of_a_backup_of_the_go_tool_goes_when_all_is_written() -> None:
    world, stores = World(), list[Writes]()

    def noting(inner: ObjectStore) -> Writes:
        stores.append(Writes(inner))
        return stores[-1]

    async with running(world, Decorators(backup_store=noting)) as service:
        await service.import_(in_chunks(fixture("fx_go_0_4_30")), "b")
    keys = stores[0].keys
    assert keys[0] == CLAIM
    assert keys[-2:] == ["backup/b/meta/full_meta.json", f"-{CLAIM}"]


# --- how it is seen meanwhile


async def test_an_import_is_an_operation_like_any_other() -> None:
    world = World()
    archive = tar_of(below("b", go_backup(20, 100_000)))
    seen: list[tuple[OperationState, Phase | None, int]] = []
    half = asyncio.Event()
    go_on = asyncio.Event()

    async def slowly() -> object:
        async for chunk in in_chunks(archive, 100_000):
            yield chunk
            if len(seen) == 0 and not half.is_set():
                half.set()
                await go_on.wait()

    async with running(world) as service:
        importing = asyncio.create_task(service.import_(slowly()))  # type: ignore[arg-type]
        await half.wait()
        (running_,) = service.operations.list("", 10).items
        assert (running_.kind, running_.state) == (
            OperationKind.IMPORT_BACKUP,
            OperationState.RUNNING,
        )
        assert (running_.backup_name, running_.caller) == ("b", CALLER)
        assert (await service.catalog.get("b")).state is BackupState.CREATING

        async def watch() -> None:
            async for state in service.operations.watch(running_.name, 0):
                present = state.progress.phases[-1] if state.progress.phases else None
                done = present.done.bytes if present else 0
                seen.append((state.state, state.progress.phase, done))

        watching = asyncio.create_task(watch())
        await asyncio.sleep(0)
        go_on.set()
        operation = await importing
        await watching
    assert operation.state is OperationState.SUCCEEDED
    assert [item.phase for item in operation.progress.phases] == [
        Phase.RECEIVING,
        Phase.CHECKING,
        Phase.WRITING_METADATA,
    ]
    assert operation.progress.phases[0].done.objects == 25
    assert operation.progress.phases[0].done.bytes > 2_000_000
    received = [done for _, phase, done in seen if phase is Phase.RECEIVING]
    assert len(set(received)) > 5


async def test_an_export_is_an_operation_like_any_other() -> None:
    world = await with_backup()
    async with running(world) as service:
        export = await service.use_cases.export.start(ExportRequest("b"), CALLER)
        assert export.operation.kind is OperationKind.EXPORT_BACKUP
        archive = b"".join([chunk async for chunk in export.chunks()])
        operation = await service.operations.end_of(export.operation.name)
    assert operation.state is OperationState.SUCCEEDED
    files = files_of(archive)
    total = sum(map(len, files.values()))
    assert operation.result == ExportResult(len(files), total, len(archive))
    assert [item.phase for item in operation.progress.phases] == [
        Phase.LISTING,
        Phase.CHECKING,
        Phase.SENDING,
    ]
    sending = operation.progress.phases[-1]
    assert (sending.done.bytes, sending.bytes_total) == (total, total)
    assert (sending.done.objects, sending.objects_total) == (len(files), len(files))
