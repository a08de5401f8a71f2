"""Archives that are no backups are refused, and nothing of them is left."""

import json
import tarfile
from dataclasses import replace

import pytest

from milvus_backup_server.domain.backups import BackupState
from milvus_backup_server.domain.errors import (
    ArchiveInvalid,
    BackupAlreadyExists,
    BackupCorrupt,
    BackupError,
    BackupNotRestorable,
    BucketNotFound,
    InvalidRequest,
    StorageDenied,
    StorageUnavailable,
)
from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.fixtures import FIXTURES, METADATA_ONLY
from tests.support.held_calls import BACKUP_STORE
from tests.support.meanwhile import Meanwhile, failing
from tests.support.running_service import Decorators
from tests.support.service import LIMITS, World, add_collection, running
from tests.support.stores import FailingStore
from tests.support.tars import (
    below,
    entry,
    files_of,
    go_backup,
    gzipped,
    in_chunks,
    packed,
    tar_of,
)

GO = go_backup(3, 700)
LOG = "binlogs/insert_log/1/2/3/3/100/1"


async def ours() -> dict[str, bytes]:
    """Return the files of an archive of a backup of this service."""
    world = World()
    await add_collection(world.milvus, "c", range(50))
    async with running(world) as service:
        await service.create("b")
        return files_of(await service.export())


async def refused(archive: bytes, name: str = "", world: World | None = None) -> BackupError:
    """Import an archive that must be refused, and return why; nothing may be left of it."""
    world = world or World()
    before = await world.traces()
    async with running(world) as service:
        with pytest.raises(BackupError) as caught:
            await service.import_(in_chunks(archive), name)
        operations = service.operations.list("", 10).items
    assert await world.traces() == before
    for operation in operations:
        assert operation.state is OperationState.FAILED
        assert operation.error is caught.value
        assert operation.warning_count == 0
    return caught.value


def hostile(path: str, type_: bytes, link: str = "") -> bytes:
    """Return a whole backup with one more entry before its end."""
    files = below("b", GO)
    entries = [(entry(key, len(data)), data) for key, data in files.items()]
    entries.insert(-1, (entry(path, 0, type_, link), b""))
    return packed(entries)


HOSTILE = {
    "symbolic link": hostile("b/meta/x.json", tarfile.SYMTYPE, "/etc/passwd"),
    "hard link": hostile("b/meta/x.json", tarfile.LNKTYPE, "b/meta/full_meta.json"),
    "character device": hostile("b/meta/x.json", tarfile.CHRTYPE),
    "block device": hostile("b/meta/x.json", tarfile.BLKTYPE),
    "fifo": hostile("b/meta/x.json", tarfile.FIFOTYPE),
    "absolute path": hostile("/b/meta/x.json", tarfile.REGTYPE),
    "path that leads out": hostile("b/../../x.json", tarfile.REGTYPE),
    "path that leads out and in": hostile("b/meta/../../b/meta/x.json", tarfile.REGTYPE),
    "another top directory": hostile("c/meta/x.json", tarfile.REGTYPE),
    "another backup's file": hostile("b/../other/meta/full_meta.json", tarfile.REGTYPE),
    "no layout of a backup": hostile("b/readme.txt", tarfile.REGTYPE),
    "directory of operations": hostile("b/.milvus-backup/x.json", tarfile.REGTYPE),
    "foreign directory": hostile("b/other", tarfile.DIRTYPE),
    "same data twice": hostile(f"b/{LOG}", tarfile.REGTYPE),
    "same metadata twice": hostile("b/meta/segment_meta.json", tarfile.REGTYPE),
    "same metadata in two places": hostile("b/segment_meta.json", tarfile.REGTYPE),
    "cut off in the data": tar_of(below("b", GO))[:2000],
    "cut off in the metadata": tar_of(below("b", GO))[:-10_500],
    "cut off at an entry's end": tar_of(below("b", GO))[: 3 * (512 + 1024)],
    "cut off gzip": gzipped(tar_of(below("b", GO)))[:-20],
    "longer than it says": tar_of(below("b", GO)) + b"more",
    "nothing": b"",
    "only an end": bytes(10_240),
    "no archive": b"not an archive at all" * 100,
}


@pytest.mark.parametrize("archive", HOSTILE.values(), ids=HOSTILE)
async def test_an_archive_that_is_damaged_or_hostile(archive: bytes) -> None:
    error = await refused(archive)
    assert isinstance(error, ArchiveInvalid)
    assert len(error.message) < 200


@pytest.mark.parametrize("archive", ["symbolic link", "path that leads out", "same data twice"])
async def test_the_entry_is_named(archive: str) -> None:
    error = await refused(HOSTILE[archive])
    assert error.metadata["entry"] in {"b/meta/x.json", "b/../../x.json", f"b/{LOG}"}
    assert error.metadata["entry"] in error.message


async def test_what_comes_before_is_not_seen_as_a_backup() -> None:
    """Everything but the last file is written, and the last one is the hostile one."""
    files = below("b", GO)
    archive = tar_of(files | {"b/readme.txt": b"x"})
    error = await refused(archive)
    assert "readme.txt" in error.message


# --- backups that are not whole


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (LOG, f"{LOG} is missing"),
        ("meta/full_meta.json", ""),  # then it is a legacy one: not refused, see below
        ("meta/backup_meta.json", "backup_meta.json is missing"),
    ],
)
async def test_what_the_metadata_names_must_be_there(key: str, why: str) -> None:
    files = {name: data for name, data in GO.items() if name != key}
    if not why:
        world = World()
        async with running(world) as service:
            await service.import_(in_chunks(tar_of(below("b", files))))
            assert (await service.catalog.get("b")).state is BackupState.LEGACY
        return
    error = await refused(tar_of(below("b", files)))
    assert isinstance(error, BackupCorrupt)
    assert error.message == why


async def test_without_the_full_file_all_four_others_are_needed() -> None:
    gone = ("meta/full_meta.json", "meta/segment_meta.json")
    files = {name: data for name, data in GO.items() if name not in gone}
    error = await refused(tar_of(below("b", files)))
    assert isinstance(error, BackupCorrupt)
    assert error.message == (
        "the archive holds no whole backup: full_meta.json and segment_meta.json are not there"
    )


async def test_data_alone_is_no_backup() -> None:
    error = await refused(tar_of({f"b/{LOG}": b"x"}))
    assert isinstance(error, BackupCorrupt)


@pytest.mark.parametrize("archive", METADATA_ONLY)
async def test_metadata_alone_is_no_backup(archive: str) -> None:
    error = await refused((FIXTURES / f"{archive}.tar.gz").read_bytes())
    assert isinstance(error, BackupCorrupt)
    assert error.message.endswith("is missing")


async def test_an_object_of_another_size() -> None:
    error = await refused(tar_of(below("b", {**GO, LOG: b"short"})))
    assert isinstance(error, BackupCorrupt)
    assert error.message == f"{LOG} has 5 bytes instead of 700"


@pytest.mark.parametrize(
    "part", ["/insert_log/", "/manifest.1/", "manifest.1.collections", "_meta"]
)
async def test_a_flipped_bit_in_a_backup_of_ours(part: str) -> None:
    files = await ours()
    for path in [path for path in files if part in path]:
        data = bytearray(files[path])
        data[len(data) // 2] ^= 1
        error = await refused(tar_of({**files, path: bytes(data)}))
        assert isinstance(error, BackupCorrupt), path


@pytest.mark.parametrize("part", ["/insert_log/", "/manifest.1/", "manifest.1.json", "partition_"])
async def test_a_file_less_of_a_backup_of_ours(part: str) -> None:
    files = await ours()
    del files[next(path for path in files if part in path)]
    assert isinstance(await refused(tar_of(files)), BackupCorrupt)


async def test_a_stray_among_the_data_of_a_backup_of_ours() -> None:
    files = await ours()
    stray = "binlogs/insert_log/9/9/9/9/9/9"
    error = await refused(tar_of({f"b/{stray}": b"x", **files}))
    assert isinstance(error, BackupCorrupt)
    assert error.message == f"{stray} is not in the manifest"


async def test_what_the_go_tool_copied_beside_is_kept() -> None:
    world = World()
    files = {"binlogs/insert_log/9/9/9/9/9/9": b"x", **GO}
    async with running(world) as service:
        await service.import_(in_chunks(tar_of(below("b", files))))
    assert await world.objects() == below("backup/b", files)


async def test_a_backup_of_a_newer_service() -> None:
    files = await ours()
    path = "b/meta/manifest.1.json"
    files[path] = files[path].replace(b'"format_version":1', b'"format_version":2')
    error = await refused(tar_of(files))
    assert isinstance(error, BackupNotRestorable)
    assert "use a newer one" in error.message


async def test_a_backup_of_another_format() -> None:
    head = json.loads(GO["meta/backup_meta.json"]) | {"format": "snapshot"}
    archive = tar_of(below("b", {**GO, "meta/backup_meta.json": json.dumps(head).encode()}))
    error = await refused(archive)
    assert isinstance(error, BackupNotRestorable)
    assert "format 'snapshot'" in error.message


async def test_metadata_that_is_no_json() -> None:
    error = await refused(tar_of(below("b", {**GO, "meta/full_meta.json": b"{"})))
    assert isinstance(error, BackupCorrupt)


# --- names


@pytest.mark.parametrize("top", ["my backup", "1st", "a-b", "x" * 129])
async def test_a_top_directory_that_is_no_name_needs_one(top: str) -> None:
    archive = tar_of(below(top, GO))
    error = await refused(archive)
    assert isinstance(error, InvalidRequest)
    assert error.violations[0].field == "backup_name"
    world = World()
    async with running(world) as service:
        await service.import_(in_chunks(archive), "good")
    assert await world.objects() == below("backup/good", GO)


@pytest.mark.parametrize("name", ["a b", "../x", "1", "x" * 129])
async def test_a_name_that_is_not_allowed(name: str) -> None:
    assert isinstance(await refused(tar_of(below("b", GO)), name), InvalidRequest)


@pytest.mark.parametrize("key", ["meta/claim.json", "stray"])
async def test_a_name_that_is_taken(key: str) -> None:
    world = World()
    await world.backup_store.put(f"backup/b/{key}", b"{}")
    assert isinstance(await refused(tar_of(below("b", GO)), world=world), BackupAlreadyExists)


async def test_a_name_that_is_taken_meanwhile() -> None:
    world = World()

    async def claim() -> None:
        await world.backup_store.put("backup/b/meta/claim.json", b"another's")

    meanwhile = Meanwhile(BACKUP_STORE, "put", claim, part="claim.json")
    async with running(world, meanwhile.decorators) as service:
        with pytest.raises(BackupAlreadyExists):
            await service.import_(in_chunks(tar_of(below("b", GO))))
    assert await world.objects() == {"backup/b/meta/claim.json": b"another's"}


async def test_a_bucket_that_is_not_there_and_must_not_be_made() -> None:
    world = World(backup_bucket="b-bucket", create_backup_bucket=False)
    async with running(world, limits=replace(LIMITS, create_bucket=False)) as service:
        with pytest.raises(BucketNotFound):
            await service.import_(in_chunks(tar_of(below("b", GO))))
    assert list(world.server.buckets) == ["a-bucket"]


# --- stores that fail


@pytest.mark.parametrize(
    ("part", "times"),
    [("/insert_log/", 1), ("segment_meta", 1), ("full_meta", 1), ("claim.json", 1)],
)
async def test_a_store_that_fails(part: str, times: int) -> None:
    world = World()
    broken = Meanwhile(BACKUP_STORE, "put", failing(StorageDenied("no")), part=part, times=times)
    async with running(world, broken.decorators) as service:
        with pytest.raises(StorageDenied):
            await service.import_(in_chunks(tar_of(below("b", GO))))
        (operation,) = service.operations.list("", 10).items
    assert broken.fired == 1
    assert operation.state is OperationState.FAILED
    assert await world.objects() == {}


@pytest.mark.parametrize("looks", [1, 2, 3])
async def test_a_store_that_does_not_list(looks: int) -> None:
    """The name is looked at by the call, before it is taken, and behind that."""
    world = World()
    silent = failing(StorageUnavailable("it does not answer"))
    broken = Meanwhile(BACKUP_STORE, "list_page", silent, part="backup/b/", first=looks)
    async with running(world, broken.decorators) as service:
        with pytest.raises(StorageUnavailable):
            await service.import_(in_chunks(tar_of(below("b", GO))))
    assert broken.fired == 1
    assert await world.objects() == {}


async def test_what_cannot_be_removed_is_told_and_can_be_removed_later() -> None:
    world = World()
    stores: list[FailingStore] = []

    def failing_once(inner: ObjectStore) -> FailingStore:
        stores.append(FailingStore(inner))
        stores[-1].fail("delete", StorageDenied("no"), at=[1])
        return stores[-1]

    async with running(world, Decorators(backup_store=failing_once)) as service:
        with pytest.raises(ArchiveInvalid):
            await service.import_(in_chunks(tar_of(below("b", GO) | {"b/x": b""})))
        (operation,) = service.operations.list("", 10).items
        assert stores[0].injected["delete"] == 1
        assert [warning.reason for warning in operation.warnings] == ["LEFT_BEHIND"]
        assert (await service.catalog.get("b")).state is BackupState.INCOMPLETE
        await service.delete("b")
        await service.import_(in_chunks(tar_of(below("b", GO))))
    assert await world.objects() == below("backup/b", GO)


async def test_what_another_writer_put_there_meanwhile_is_left_alone() -> None:
    world = World()

    async def lose() -> None:
        await world.backup_store.put("backup/b/meta/claim.json", b"another's")

    losing = Meanwhile(BACKUP_STORE, "put", lose, part="collection_meta")
    async with running(world, losing.decorators) as service:
        with pytest.raises(BackupError) as caught:
            await service.import_(in_chunks(tar_of(below("b", GO))))
    assert caught.value.reason == "BACKUP_NAME_LOST"
    left = await world.objects()
    assert left["backup/b/meta/claim.json"] == b"another's"
    assert "backup/b/meta/full_meta.json" not in left
