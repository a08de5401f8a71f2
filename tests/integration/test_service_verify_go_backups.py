"""Verifying backups of the Go tool: by the paths and sizes of its metadata, as it recorded no hashes."""

import pytest

from milvus_backup_server.domain.operations import OperationState
from milvus_backup_server.domain.verification import (
    ProblemKind,
    VerifyBasis,
)
from tests.support.fixtures import GROUPS, OF_MILVUS_2_3, WITH_DATA, put_backup
from tests.support.recorded_requests import Requests
from tests.support.service import World, running, succeeded
from tests.support.verifications import CONTENT, result_of


@pytest.mark.parametrize(
    ("archive", "legacy"),
    [
        *((archive, False) for archive in WITH_DATA),
        *((archive, True) for archive in (*OF_MILVUS_2_3, *GROUPS)),
    ],
)
async def test_every_released_version_made_sound_backups(archive: str, *, legacy: bool) -> None:
    world = World()
    objects = await put_backup(world.backup_store, "backup", archive, name="b", legacy=legacy)
    data = {key: content for key, content in objects.items() if "/binlogs/" in key}
    async with running(world) as service:
        operation = succeeded(await service.verify(level=CONTENT))
        shown = (await service.catalog.get("b")).verifications
    result = result_of(operation)
    assert result.basis is VerifyBasis.METADATA
    assert "no hashes" in result.notes[0]
    assert result.counts.metadata_files == (4 if legacy else 5)
    assert result.counts.etag_checked == len(data)
    assert result.counts.hash_checked == 0
    assert result.counts.size_bytes == result.counts.read_bytes == sum(map(len, data.values()))
    assert operation.warnings == ()
    assert [(it.level, it.problem_count) for it in shown] == [(CONTENT, 0)]


@pytest.mark.parametrize("archive", [OF_MILVUS_2_3[0], GROUPS[0], GROUPS[1]])
async def test_removals_and_other_sizes_are_found(archive: str) -> None:
    world = World()
    objects = await put_backup(world.backup_store, "backup", archive, name="b")
    async with running(world) as service:
        for key, content in objects.items():
            if "full_meta" in key or ("/meta/" not in key and hash_of(key) % 5):
                continue  # a fifth of the data will do
            await world.backup_store.delete([key])
            problems = result_of(await service.verify()).problems
            assert [it.key for it in problems] == [key.removeprefix("backup/b/")]
            assert problems[0].kind is ProblemKind.MISSING
            if "/binlogs/" in key:
                await world.backup_store.put(key, content[:-1])
                problems = result_of(await service.verify()).problems
                assert [(it.key, it.kind) for it in problems] == [
                    (key.removeprefix("backup/b/"), ProblemKind.SIZE)
                ]
                assert problems[0].collection is not None
            await world.backup_store.put(key, content)
        assert result_of(await service.verify()).sound


def hash_of(key: str) -> int:
    return sum(key.encode())


async def test_without_full_meta_deletes_of_all_partitions_belong_to_nothing() -> None:
    world = World()
    objects = await put_backup(world.backup_store, "backup", "fx_mv_2_5_27", name="b", legacy=True)
    unnamed = {key.removeprefix("backup/b/") for key in objects if "/-1/" in key}
    async with running(world) as service:
        problems = result_of(await service.verify()).problems
    assert {it.key: it.kind for it in problems} == dict.fromkeys(unnamed, ProblemKind.EXTRA)
    assert len(unnamed) == 2


@pytest.mark.parametrize("kept", ["fx_go_0_5_16", "fx_mv_2_6_18"])
async def test_data_that_is_not_there_is_missing(kept: str) -> None:
    world = World()
    objects = await put_backup(world.backup_store, "backup", kept, name="b")
    data = [key for key in objects if "/binlogs/" in key]
    await world.backup_store.delete(data)
    async with running(world) as service:
        operation = await service.verify(level=CONTENT)
    assert result_of(operation).by_kind == {ProblemKind.MISSING: len(data)}
    hit = {key.split("/")[4] for key in data}
    assert operation.failed_count == result_of(operation).hit_collections == len(hit)


async def test_without_full_meta_the_level_files_tell() -> None:
    world = World()
    objects = await put_backup(world.backup_store, "backup", "fx_go_0_4_3", name="b", legacy=True)
    gone = next(key for key in objects if "/insert_log/" in key)
    await world.backup_store.delete([gone])
    async with running(world) as service:
        operation = await service.verify()
        assert operation.state is OperationState.FAILED
        assert [it.key for it in result_of(operation).problems] == [gone.removeprefix("backup/b/")]


@pytest.mark.parametrize("file", ["full_meta.json", "backup_meta.json"])
async def test_metadata_that_cannot_be_read_is_a_problem(file: str) -> None:
    world = World()
    await put_backup(world.backup_store, "backup", "fx_go_0_4_3", name="b")
    await world.backup_store.put(f"backup/b/meta/{file}", b"{")
    async with running(world) as service:
        operation = await service.verify()
    assert operation.state is OperationState.FAILED
    (problem,) = result_of(operation).problems
    assert (problem.key, problem.kind) == (f"meta/{file}", ProblemKind.CONTENT)
    assert f"{file} is not JSON" in problem.message


async def test_bits_that_rot_in_the_store_are_found_by_its_own_etags() -> None:
    world = World()
    objects = await put_backup(world.backup_store, "backup", "fx_go_0_4_3_groups", name="b")
    for key in objects:
        requests = Requests()
        async with running(world, requests.decorators) as service:
            operation = await service.start_verify(level=CONTENT)
            requests.damage(key, 1000)
            problems = result_of(await service.end(operation)).problems
        assert [(it.key, it.kind) for it in problems] == [
            (key.removeprefix("backup/b/"), ProblemKind.CONTENT)
        ]
        if "/binlogs/" in key:
            assert problems[0].message.endswith("than the store's own ETag says")


async def test_an_extra_object_is_found() -> None:
    world = World()
    objects = await put_backup(world.backup_store, "backup", "fx_go_0_5_16_groups", name="b")
    stray = next(key for key in objects if "/insert_log/" in key) + "9"
    await world.backup_store.put(stray, b"?")
    async with running(world) as service:
        problems = result_of(await service.verify()).problems
    assert [(it.key, it.kind) for it in problems] == [
        (stray.removeprefix("backup/b/"), ProblemKind.EXTRA)
    ]
