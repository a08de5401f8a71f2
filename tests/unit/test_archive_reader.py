"""While an archive is read, others work, whatever the archive unpacks into."""

from __future__ import annotations

import asyncio
import gzip
import tarfile
from collections.abc import Awaitable

import pytest

from milvus_backup_server.domain.errors import ArchiveInvalid
from milvus_backup_server.domain.tar import END, TarEntry, encode_header
from milvus_backup_server.service.archive_reader import ArchiveOpening, ArchiveReader
from tests.support.tars import entry, in_chunks

PIECE = 256 * 1024


async def steps_beside(work: Awaitable[None]) -> int:
    """Return how often another task had its turn while the work was done."""
    steps = 0

    async def other() -> None:
        nonlocal steps
        while True:
            steps += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    try:
        await work
    finally:
        beside.cancel()
    return steps


async def test_one_chunk_of_zeros_leaves_others_their_turn() -> None:
    size = 4 << 20
    data = gzip.compress(encode_header("f", 0, 0) + bytes(size), compresslevel=9)

    async def read() -> None:
        reader = ArchiveReader(in_chunks(data))
        assert [found async for found in reader.entries()] == [TarEntry("f", 0)]

    assert len(data) < 1 << 13
    assert await steps_beside(read()) >= size // PIECE


async def test_one_chunk_of_directories_without_a_name_leaves_others_their_turn() -> None:
    header = entry("./", type_=tarfile.DIRTYPE).tobuf(tarfile.USTAR_FORMAT)
    unpacked = header * 5000 + END
    data = gzip.compress(unpacked, compresslevel=9)

    async def read() -> None:
        with pytest.raises(ArchiveInvalid, match="the archive is empty"):
            await ArchiveOpening(in_chunks(data)).top()

    assert len(data) < 1 << 15
    assert await steps_beside(read()) >= len(unpacked) // PIECE


async def test_the_content_of_an_entry_holds_no_empty_piece() -> None:
    data = gzip.compress(encode_header("f", 2 * PIECE, 0) + bytes(2 * PIECE) + END)
    reader = ArchiveReader(in_chunks(data))
    found = await anext(reader.entries())
    pieces = [len(piece) async for piece in reader.content(found)]
    assert sum(pieces) == 2 * PIECE
    assert all(pieces)
