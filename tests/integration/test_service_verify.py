"""Verifications: what each level reads, and what is found."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from milvus_backup_server.domain.operations import (
    CollectionState,
    OperationState,
    Phase,
)
from milvus_backup_server.domain.verification import (
    Problem,
    ProblemKind,
    VerifyBasis,
    VerifyLevel,
)
from tests.support.held_calls import BACKUP_STORE, AroundStore
from tests.support.recorded_requests import Requests
from tests.support.running_service import Decorators
from tests.support.service import running, succeeded
from tests.support.verifications import (
    CONTENT,
    LISTING,
    RECORD,
    C,
    D,
    collection_id,
    data_keys,
    result_of,
    with_backup,
)

T = TypeVar("T")


# --- what is read


async def test_listing_reads_no_data_and_every_metadata_file() -> None:
    world = await with_backup()
    requests = Requests()
    async with running(world, requests.decorators) as service:
        operation = succeeded(await service.verify(level=LISTING))
    result = result_of(operation)
    assert requests.of("get", "head", "copy", part="/binlogs/") == []
    assert {key for key in requests.of("get") if "/meta/" in key} == {
        key for key in await world.backups() if "/b/meta/" in key and "claim" not in key
    }
    assert (result.level, result.basis, result.sound) == (LISTING, VerifyBasis.MANIFEST, True)
    data = await data_keys(world)
    counts = result.counts
    assert counts.listed == len(data)
    assert (counts.hash_checked, counts.etag_checked, counts.read, counts.read_bytes) == (0,) * 4
    assert counts.metadata_files == 9
    assert counts.size_bytes == sum([len(await world.backup_store.get(key)) for key in data])
    phase = operation.progress.phases[-1]
    assert (phase.phase, phase.done.objects, phase.objects_total) == (
        Phase.VERIFYING,
        len(data),
        len(data),
    )


async def test_content_reads_every_object_once_and_writes_only_its_record() -> None:
    world = await with_backup()
    before = await world.traces()
    requests = Requests()
    async with running(world, requests.decorators) as service:
        operation = succeeded(await service.verify(level=CONTENT))
    data = await data_keys(world)
    assert sorted(requests.of("get", part="/binlogs/")) == data
    result = result_of(operation)
    assert result.counts.hash_checked == len(data)
    assert result.counts.read_bytes == result.counts.size_bytes > 0
    assert [item.state for item in operation.collections] == [CollectionState.SUCCEEDED] * 2
    assert operation.progress.phases[-1].done.bytes == result.counts.size_bytes
    written = requests.of("put", "delete", "copy", "start_upload", "upload_part", "abort_upload")
    assert written == [RECORD]
    await world.backup_store.delete([RECORD])
    assert await world.traces() == before


async def test_a_sample_is_chosen_by_its_seed() -> None:
    world = await with_backup()
    data = await data_keys(world)
    read: dict[int, set[str]] = {}
    for seed in (7, 8):
        for _ in range(2):
            requests = Requests()
            async with running(world, requests.decorators) as service:
                operation = succeeded(
                    await service.verify(level=CONTENT, sample_percent=40, sample_seed=seed)
                )
            result = result_of(operation)
            assert (result.sample.percent, result.sample.seed) == (40, seed)
            keys = set(requests.of("get", part="/binlogs/"))
            assert read.setdefault(seed, keys) == keys
            assert 0 < len(keys) < len(data)
            assert (result.counts.hash_checked, result.counts.listed) == (
                len(keys),
                len(data) - len(keys),
            )
            assert operation.progress.phases[-1].bytes_total is None
    assert read[7] != read[8]


async def test_the_service_takes_and_names_a_seed_of_its_own() -> None:
    world = await with_backup()
    async with running(world) as service:
        seeds = {
            result_of(await service.verify(level=CONTENT, sample_percent=50)).sample.seed
            for _ in range(2)
        }
    assert len(seeds) == 2
    assert 0 not in seeds


async def test_no_more_objects_are_read_at_one_time_than_allowed() -> None:
    world = await with_backup()
    peaks: list[int] = []
    held = Holding(peaks)
    decorators = Decorators(backup_store=lambda inner: AroundStore(inner, BACKUP_STORE, held))
    async with running(world, decorators) as service:
        both = [await service.start_verify(level=CONTENT) for _ in range(2)]
        for operation in both:
            succeeded(await service.end(operation))
    assert max(peaks) == 4  # of the limits of these tests, for both together


class Holding:
    """Notes how many reads of data are under way at once."""

    def __init__(self, peaks: list[int]) -> None:
        self._peaks = peaks
        self._now = 0

    async def __call__(
        self, port: str, method: str, subject: str, call: Callable[[], Awaitable[T]]
    ) -> T:
        if method != "get" or "/binlogs/" not in subject:
            return await call()
        self._now += 1
        self._peaks.append(self._now)
        for _ in range(20):  # let everyone else begin
            await asyncio.sleep(0)
        try:
            return await call()
        finally:
            self._now -= 1


# --- what is found


async def test_damage_is_told_by_state_error_report_and_collection() -> None:
    world = await with_backup()
    c, d = await collection_id(world, C), await collection_id(world, D)
    gone, _, other, *_ = await data_keys(world, f"/insert_log/{c}/")
    longer = (await data_keys(world, f"/insert_log/{d}/"))[0]
    await world.backup_store.delete([gone])
    data = await world.backup_store.get(other)
    await world.backup_store.put(other, bytes([data[0] ^ 1]) + data[1:])
    whole = await world.backup_store.get(longer)
    await world.backup_store.put(longer, whole + b"x")
    async with running(world) as service:
        operation = await service.verify(level=CONTENT)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert operation.error.message == (
        "backup 'b' is damaged (objects: 1 missing, 1 of another size, 1 with other bytes)"
    )
    assert operation.error.metadata == {
        "backup": "b",
        "problems": "3",
        "missing": "1",
        "size": "1",
        "content": "1",
    }
    result = result_of(operation)
    keys = [key.removeprefix("backup/b/") for key in (gone, other, longer)]
    assert sorted(result.problems, key=lambda it: it.key) == sorted(
        [
            Problem(keys[0], ProblemKind.MISSING, f"{keys[0]} is missing", C),
            Problem(
                keys[1],
                ProblemKind.CONTENT,
                f"{keys[1]} has other content than was recorded",
                C,
            ),
            Problem(
                keys[2],
                ProblemKind.SIZE,
                f"{keys[2]} has {len(whole) + 1} bytes instead of {len(whole)}",
                D,
            ),
        ],
        key=lambda it: it.key,
    )
    assert result.hit_collections == 2
    states = {
        item.source: (item.state, item.error and item.error.message)
        for item in operation.collections
    }
    assert states[C] == (
        CollectionState.FAILED,
        "damaged objects: 1 missing, 1 with other bytes",
    )
    assert states[D][0] is CollectionState.FAILED


async def test_listing_tells_an_object_that_was_written_again() -> None:
    world = await with_backup()
    key = (await data_keys(world))[0]
    data = await world.backup_store.get(key)
    await world.backup_store.put(key, data[:-1] + bytes([data[-1] ^ 1]))
    async with running(world) as service:
        problems = result_of(await service.verify(level=LISTING)).problems
    assert [(it.kind, "has the ETag" in it.message) for it in problems] == [
        (ProblemKind.ETAG, True)
    ]


async def test_a_copy_in_parts_has_another_etag_and_is_right_by_its_content() -> None:
    world = await with_backup()
    key = (await data_keys(world))[0]
    data = await world.backup_store.get(key)
    upload = await world.backup_store.start_upload(key)
    part = await world.backup_store.upload_part(upload, 1, data)
    await world.backup_store.complete_upload(upload, [part])
    async with running(world) as service:
        listed = result_of(await service.verify(level=LISTING))
        assert [it.kind for it in listed.problems] == [ProblemKind.ETAG]
        assert result_of(await service.verify(level=CONTENT)).sound


@pytest.mark.parametrize(
    "key",
    [
        "binlogs/insert_log/{}/1/77/77/100/9",
        "binlogs/insert_log/{}/notes.txt",
        "binlogs/insert_log/{}/100-x",
        "binlogs/delta_log/{}/1/77/77/9",
        "binlogs/insert_log/999/1/77/77/100/9",
        "binlogs/stats_log/1/2/3",
        "binlogs/notes.txt",
    ],
)
@pytest.mark.parametrize("level", VerifyLevel)
async def test_an_extra_object_among_the_data_is_damage(key: str, level: VerifyLevel) -> None:
    world = await with_backup()
    c = await collection_id(world, C)
    extra = key.format(c)
    await world.backup_store.put(f"backup/b/{extra}", b"?")
    async with running(world) as service:
        operation = await service.verify(level=level)
    assert operation.state is OperationState.FAILED
    (problem,) = result_of(operation).problems
    assert (problem.key, problem.kind) == (extra, ProblemKind.EXTRA)
    assert problem.message == f"{extra} does not belong to the backup"
    assert problem.collection == (C if str(c) in extra else None)


@pytest.mark.parametrize(
    "key", ["notes.txt", "meta/notes.txt", "meta/manifest.1/9999.jsonl", "meta/old/", "other/"]
)
async def test_an_extra_object_elsewhere_is_a_warning(key: str) -> None:
    world = await with_backup()
    await world.backup_store.put(f"backup/b/{key}{'x' if key.endswith('/') else ''}", b"?")
    async with running(world) as service:
        operation = succeeded(await service.verify())
    assert [it.message for it in operation.warnings] == [
        f"{key} does not belong to the backup; no restore reads it"
    ]


async def test_nothing_is_judged_by_a_damaged_list_of_objects() -> None:
    world = await with_backup()
    c = await collection_id(world, C)
    file = f"backup/b/meta/manifest.1/{c}.jsonl"
    lines = await world.backup_store.get(file)
    await world.backup_store.put(file, lines.replace(b'"size":', b'"size":1', 1))
    async with running(world) as service:
        operation = await service.verify(level=CONTENT)
    result = result_of(operation)
    (problem,) = result.problems
    assert (problem.key, problem.kind, problem.collection) == (
        f"meta/manifest.1/{c}.jsonl",
        ProblemKind.CONTENT,
        C,
    )
    assert result.counts.unjudged_collections == 1
    assert result.counts.hash_checked == len(
        await data_keys(world, f"/{await collection_id(world, D)}/")
    )


async def test_all_problems_are_counted_and_a_thousand_kept() -> None:
    world = await with_backup()
    c = await collection_id(world, C)
    for number in range(1100):
        await world.backup_store.put(f"backup/b/binlogs/insert_log/{c}/1/7/7/100/{number}", b"")
    async with running(world) as service:
        result = result_of(await service.verify())
    assert (result.problem_count, len(result.problems)) == (1100, 1000)
    assert result.by_kind == {ProblemKind.EXTRA: 1100}
