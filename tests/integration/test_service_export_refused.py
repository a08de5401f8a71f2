"""Exports of what is not there, not whole, damaged or changes meanwhile."""

import json
from collections.abc import Callable

import pytest

from milvus_backup_server.domain.errors import (
    BackupCorrupt,
    BackupNotFound,
    BackupNotRestorable,
    InvalidRequest,
    NotABackup,
)
from milvus_backup_server.domain.operations import (
    OperationState,
)
from milvus_backup_server.domain.requests import ExportRequest
from tests.support.archived import with_backup
from tests.support.service import (
    CALLER,
    Service,
    World,
    running,
)
from tests.support.tars import (
    below,
    go_backup,
    joined,
)


async def refused_export(service: Service, name: str = "b") -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 the tests look at it
        await service.export(name)
    return caught.value


async def test_what_is_not_there_or_not_whole_is_not_exported() -> None:
    world = await with_backup()
    await world.backup_store.put("backup/half/meta/claim.json", b"{}")
    async with running(world) as service:
        assert isinstance(await refused_export(service, "x"), BackupNotFound)
        assert isinstance(await refused_export(service, "../b"), InvalidRequest)
        half = await refused_export(service, "half")
        assert isinstance(half, BackupNotRestorable)
        assert "is incomplete" in half.message
    assert [it.kind for it in service.operations.list("", 9).items] == []


async def test_a_snapshot_is_not_exported() -> None:
    world = World()
    values = json.dumps({"id": "x", "name": "b", "format": "snapshot"}).encode()
    for file in ("full_meta", "backup_meta"):
        await world.backup_store.put(f"backup/b/meta/{file}.json", values)
    async with running(world) as service:
        error = await refused_export(service)
    assert isinstance(error, BackupNotRestorable)
    assert "has the format snapshot" in error.message


async def changed(world: World, part: str, change: Callable[[bytes], bytes | None]) -> str:
    """Change the first object with that part in its key, and return its key in the backup."""
    key = next(key for key in await world.backups() if part in key)
    data = change(await world.backup_store.get(key))
    await world.backup_store.delete([key])
    if data is not None:
        await world.backup_store.put(key, data)
    return key.removeprefix("backup/b/")


@pytest.mark.parametrize(
    ("part", "change", "why"),
    [
        ("/insert_log/", lambda _: None, "is missing"),
        ("/insert_log/", lambda data: data[:-1], "bytes instead of"),
        ("/manifest.1/", lambda _: None, "is missing"),
        ("/manifest.1/", lambda data: data + b"{}\n", "was changed after it was written"),
        ("collection_meta", lambda data: data + b" ", "was changed after it was written"),
        ("full_meta", lambda data: data.replace(b"one", b"eno"), "was changed"),
    ],
)
async def test_a_damaged_backup_is_not_exported(
    part: str, change: Callable[[bytes], bytes | None], why: str
) -> None:
    world = await with_backup()
    await changed(world, part, change)
    async with running(world) as service:
        chunks = (await service.use_cases.export.start(ExportRequest("b"), CALLER)).chunks()
        with pytest.raises(BackupCorrupt, match=why):
            await anext(chunks)
        (operation,) = service.operations.list("", 10).items
    assert operation.state is OperationState.FAILED


async def test_what_is_no_part_of_a_backup_is_not_exported() -> None:
    world = await with_backup()
    await world.backup_store.put("backup/b/binlogs/stray", b"x")
    async with running(world) as service:
        assert isinstance(await refused_export(service), NotABackup)


async def test_a_stray_among_the_data_is_not_exported() -> None:
    world = await with_backup()
    await world.backup_store.put("backup/b/binlogs/insert_log/9/9/9/9/9/9", b"x")
    async with running(world) as service:
        error = await refused_export(service)
    assert isinstance(error, BackupCorrupt)
    assert "is not in the manifest" in error.message


async def test_an_object_that_changes_meanwhile_ends_the_archive_before_its_end() -> None:
    world = World()
    for key, data in below("backup/b", go_backup(30, 400_000)).items():
        await world.backup_store.put(key, data)
    async with running(world) as service:
        chunks = (await service.use_cases.export.start(ExportRequest("b"), CALLER)).chunks()
        first = await anext(chunks)
        last = "backup/b/binlogs/insert_log/1/2/3/3/100/9"
        await world.backup_store.put(last, bytes(400_000))
        with pytest.raises(BackupCorrupt, match="100/9 changed while it was exported"):
            await joined(chunks)
    assert first
