"""Lines kept on local disk."""

import asyncio
import errno
import hashlib
import tempfile
import threading
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from milvus_backup_server.domain.errors import WorkSpaceUnavailable
from milvus_backup_server.service.spool import Spool, SpoolDirectory


@pytest.fixture
async def spools() -> AsyncIterator[SpoolDirectory]:
    async with SpoolDirectory() as directory:
        yield directory


async def content(spool: Spool) -> bytes:
    return b"".join([chunk async for chunk in spool.chunks()])


async def lines(spool: Spool) -> list[bytes]:
    return [line async for line in spool.read_lines()]


async def test_an_empty_spool(spools: SpoolDirectory) -> None:
    spool = spools.spool()
    assert await content(spool) == b""
    assert await lines(spool) == []
    assert spool.size == 0
    assert spool.sha256 == hashlib.sha256(b"").hexdigest()


async def test_what_was_appended_is_read_any_number_of_times(spools: SpoolDirectory) -> None:
    spool = spools.spool()
    for data in (b"one\n", b"", b"two\nthr", b"ee\n"):
        await spool.append(data)
    for _ in range(2):
        assert await content(spool) == b"one\ntwo\nthree\n"
        assert await lines(spool) == [b"one", b"two", b"three"]
    assert spool.size == 14
    assert spool.sha256 == hashlib.sha256(b"one\ntwo\nthree\n").hexdigest()


async def test_reading_and_appending_in_turns(spools: SpoolDirectory) -> None:
    spool = spools.spool()
    await spool.append(b"a\n")
    assert await lines(spool) == [b"a"]
    await spool.append(b"b\n")
    await spool.flush()
    await spool.flush()
    assert await lines(spool) == [b"a", b"b"]


async def test_the_last_line_needs_no_end(spools: SpoolDirectory) -> None:
    spool = spools.spool()
    await spool.append(b"a\n\nb")
    assert await lines(spool) == [b"a", b"", b"b"]


async def test_lines_over_the_borders_of_pieces(spools: SpoolDirectory) -> None:
    spool = spools.spool()
    written = [b"%d" % number * 100_000 for number in range(60)]  # 6 MB
    for line in written:
        await spool.append(line + b"\n")
    assert await lines(spool) == written
    assert max([len(chunk) async for chunk in spool.chunks()]) == 1 << 20


async def test_spools_of_one_directory_do_not_meet(spools: SpoolDirectory) -> None:
    one, two = spools.spool(), spools.spool()
    await one.append(b"1")
    await two.append(b"2")
    assert (await content(one), await content(two)) == (b"1", b"2")


async def test_a_removed_spool_gives_its_space_back(spools: SpoolDirectory) -> None:
    spool = spools.spool()
    await spool.append(b"x")
    await spool.flush()
    spool.remove()
    spool.remove()
    spools.spool().remove()  # one that was never written


def test_everything_ends_with_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def files() -> list[Path]:
        return list(tmp_path.rglob("*"))

    async def fill() -> None:
        async with SpoolDirectory() as directory:
            spool = directory.spool()
            await spool.append(b"x")
            await spool.flush()
            assert (
                len(await asyncio.to_thread(files)) == 3
            )  # the spool, and what tells that it is in use

    asyncio.run(fill())
    assert files() == []


async def test_the_directory_is_removed_beside_the_event_loop_and_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended, go_on = asyncio.Event(), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    cleanup = tempfile.TemporaryDirectory.cleanup

    def slow(directory: "tempfile.TemporaryDirectory[str]") -> None:
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(10)
        cleanup(directory)
        loop.call_soon_threadsafe(ended.set)

    async def use() -> None:
        async with SpoolDirectory():
            pass

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile.TemporaryDirectory, "cleanup", slow)
    using = asyncio.create_task(use())
    await asyncio.wait_for(begun.wait(), 60)
    using.cancel()
    go_on.set()
    await asyncio.wait_for(ended.wait(), 60)
    await asyncio.wait({using})
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 an empty directory


async def test_a_full_disk_is_named(
    spools: SpoolDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    spool = spools.spool()
    await spool.append(b"x")
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(WorkSpaceUnavailable, match="No space left on device") as caught:
        await spool.flush()
    assert caught.value.metadata["error"] == "No space left on device"


def test_a_missing_temporary_directory_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(WorkSpaceUnavailable, match="No such file or directory") as caught:
        SpoolDirectory()
    assert caught.value.metadata["directory"] == str(tmp_path / "none")


async def test_others_have_their_turn_while_many_lines_are_read(spools: SpoolDirectory) -> None:
    spool = spools.spool()
    await spool.append(b"x\n" * 20_000)  # one piece
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    assert len(await lines(spool)) == 20_000
    counting.cancel()
    assert turns >= 100


async def test_memory_does_not_grow_with_what_is_appended(spools: SpoolDirectory) -> None:
    spool = spools.spool()
    line = b"x" * 999 + b"\n"
    tracemalloc.start()
    try:
        for _ in range(16_000):
            await spool.append(line)
        count = 0
        async for found in spool.read_lines():
            count += found + b"\n" == line
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 16_000  # 16 MB
    assert peak < 8_000_000
