"""Large JSON files in small pieces."""

import asyncio
import hashlib
import itertools
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup_server.domain.errors import BackupCorrupt
from milvus_backup_server.service.json_stream import TailHash, json_items
from tests.support.fixtures import EVERY, backup_file, metadata

PATHS = {"list.item": "item", "link": "link"}


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for offset in range(0, len(data), size):
        yield data[offset : offset + size]


async def cut_at(data: bytes, borders: Iterable[int]) -> AsyncIterator[bytes]:
    places = [0, *sorted(borders), len(data)]
    for begin, end in itertools.pairwise(places):
        yield data[begin:end]


async def read(
    chunks: AsyncIterator[bytes], paths: Mapping[str, str] | None = None
) -> list[tuple[str, Any]]:
    return [found async for found in json_items(chunks, paths or PATHS, "x.json")]


async def test_items_come_one_by_one_with_their_labels() -> None:
    data = b'{"a":1,"list":[{"x":1},2,"three"],"link":{"to":"y"},"list2":[9]}'
    assert await read(pieces(data, 7)) == [
        ("item", {"x": 1}),
        ("item", 2),
        ("item", "three"),
        ("link", {"to": "y"}),
    ]


async def test_what_is_not_there_yields_nothing() -> None:
    assert await read(pieces(b'{"a":{"list":[1]}}', 3)) == []


@given(st.data())
def test_the_borders_of_pieces_make_no_difference(data: st.DataObject) -> None:
    values = data.draw(st.lists(st.dictionaries(st.text(max_size=3), st.integers())))
    text = json.dumps({"list": values, "link": "ä€😀"}, ensure_ascii=False).encode()
    borders = data.draw(st.lists(st.integers(0, len(text)), max_size=12))
    found = asyncio.run(read(cut_at(text, borders)))
    assert found == [("item", value) for value in values] + [("link", "ä€😀")]


@pytest.mark.parametrize("archive", EVERY)
@pytest.mark.parametrize("size", [1000, 1 << 20])
async def test_the_collections_of_real_files(archive: str, size: int) -> None:
    data = backup_file(archive, "meta/full_meta.json")
    found = await read(pieces(data, size), {"collection_backups.item": "collection"})
    assert [value for _, value in found] == metadata(archive)["collection_backups"]


async def test_integers_of_64_bits_stay_exact() -> None:
    numbers = [2**64 - 1, 2**63 - 1, -(2**63), 470638909122936841, 0]
    assert await read(pieces(json.dumps({"list": numbers}).encode(), 5)) == [
        ("item", number) for number in numbers
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"   ",
        b"{",
        b'{"list":[1,2',
        b'{"list":[1,2]',
        b'{"list":[1,2]}}',
        b'{"list":[1,]}',
        b'{"list":[1]} trailing',
        b'{"list":["\xff\xfe"]}',
        b"not json at all",
    ],
)
@pytest.mark.parametrize("size", [1, 1 << 20])
async def test_what_is_no_json_is_corrupt_and_named(data: bytes, size: int) -> None:
    with pytest.raises(BackupCorrupt) as caught:
        await read(pieces(data, size))
    assert caught.value.metadata["file"] == "x.json"
    assert caught.value.message.startswith("x.json is not JSON")
    assert len(caught.value.message) < 300


async def generated(items: int) -> AsyncIterator[bytes]:
    yield b'{"list":['
    padding = b"x" * 1000
    for number in range(items):
        yield (b"," if number else b"") + b'{"n":%d,"p":"%b"}' % (number, padding)
    yield b"]}"


async def test_memory_does_not_grow_with_the_file() -> None:
    tracemalloc.start()
    try:
        seen = 0
        async for _, value in json_items(generated(5_000), {"list.item": "item"}, "x.json"):
            assert value["n"] == seen
            seen += 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seen == 5_000  # 5 MB
    assert peak < 1_000_000


async def test_others_have_their_turn_while_a_large_file_is_read() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    data = json.dumps({"list": ["x" * 100] * 10_000}).encode()
    await read(pieces(data, len(data)))
    counting.cancel()
    assert turns >= len(data) // (1 << 16)


# --- hashing all but an ending that is known at the end


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=6), st.integers(0, 12))
def test_a_hash_with_another_ending(data: bytes, borders: list[int], tail: int) -> None:
    ending = data[len(data) - min(tail, len(data)) :]

    async def through() -> str | None:
        hashed = TailHash(12)
        chunks = cut_at(data, [min(border, len(data)) for border in borders])
        passed = [chunk async for chunk in hashed.through(chunks)]
        assert b"".join(passed) == data
        return hashed.sha256_with(ending, b"}")

    body = data.removesuffix(ending) if ending else data
    assert asyncio.run(through()) == hashlib.sha256(body + b"}").hexdigest()


async def test_a_hash_is_refused_where_the_ending_is_another() -> None:
    hashed = TailHash(8)
    async for _ in hashed.through(pieces(b"abcdef", 2)):
        pass
    assert hashed.sha256_with(b"cdef", b"") == hashlib.sha256(b"ab").hexdigest()
    assert hashed.sha256_with(b"cde", b"") is None
    assert hashed.sha256_with(b"xabcdef", b"") is None
