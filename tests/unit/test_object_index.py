"""The index of objects on local disk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from milvus_backup_server.domain.errors import WorkSpaceUnavailable
from milvus_backup_server.service.object_index import IndexedObject, ObjectIndex

A, B, C = (IndexedObject(key, size) for key, size in (("a", 1), ("b", 20), ("c", 300)))


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[ObjectIndex]:
    async with ObjectIndex(tmp_path / "index") as made:
        yield made


async def keys(index: ObjectIndex) -> list[str]:
    return [item.key async for item in index.objects()]


async def test_objects_come_back_in_the_order_in_which_they_were_added(index: ObjectIndex) -> None:
    assert await index.add([C, A]) is None
    assert await index.add([B]) is None
    assert await keys(index) == ["c", "a", "b"]
    assert await index.totals() == (3, 321)


async def test_more_than_are_read_at_once(index: ObjectIndex) -> None:
    wanted = [f"{number:05}" for number in range(1234)]
    await index.add([IndexedObject(key, 1) for key in wanted])
    assert await keys(index) == wanted


async def test_an_empty_one(index: ObjectIndex) -> None:
    assert await index.add([]) is None
    assert await keys(index) == []
    assert await index.totals() == (0, 0)
    assert await index.unwanted() == ""


async def test_a_key_that_is_taken_is_told(index: ObjectIndex) -> None:
    assert await index.add([A, IndexedObject("a", 9), B]) == IndexedObject("a", 9)
    assert await keys(index) == ["a"]


async def test_what_is_wanted_is_told_as_it_is(index: ObjectIndex) -> None:
    await index.add([IndexedObject("a", 1, "etag"), B, C])
    await index.note_md5("b", "hash")
    assert await index.want(["a", "x", "b"]) == [
        IndexedObject("a", 1, "etag"),
        None,
        IndexedObject("b", 20, "", "hash"),
    ]
    assert await index.unwanted() == "c"
    await index.want(["c"])
    assert await index.unwanted() == ""


async def test_many_may_use_it_at_once(index: ObjectIndex) -> None:
    await asyncio.gather(*(index.add([IndexedObject(str(n), n)]) for n in range(50)))
    assert await index.totals() == (50, 49 * 25)


async def test_a_cancel_leaves_it_usable(index: ObjectIndex) -> None:
    adding = asyncio.create_task(index.add([A]))
    await asyncio.sleep(0)
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    await index.add([B])
    assert "b" in await keys(index)


async def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorkSpaceUnavailable):
        await ObjectIndex(tmp_path / "missing" / "index").__aenter__()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")  # noqa: PTH110
async def test_a_full_disk_is_told() -> None:
    with pytest.raises(WorkSpaceUnavailable) as caught:
        await ObjectIndex(Path("/dev/full")).__aenter__()
    assert "cannot keep an index of objects" in caught.value.message
