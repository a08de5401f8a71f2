"""Chunks between two tasks: one at a time, and nobody waits for who is gone."""

from __future__ import annotations

import asyncio

import pytest

from milvus_backup_server.domain.errors import OperationCancelled, OperationStalled
from milvus_backup_server.service.pipe import Pipe
from tests.support.bodies import in_time

GONE = OperationCancelled("gone")


async def test_chunks_arrive_in_order_and_end() -> None:
    pipe = Pipe()

    async def write() -> None:
        for number in range(100):
            await pipe.put(b"%d" % number)
        pipe.close()

    writing = asyncio.create_task(write())
    assert [chunk async for chunk in pipe] == [b"%d" % number for number in range(100)]
    await in_time(writing)


async def test_one_chunk_is_held_and_no_more() -> None:
    pipe = Pipe()
    written = 0

    async def write() -> None:
        nonlocal written
        while True:
            await pipe.put(b"x")
            written += 1

    writing = asyncio.create_task(write())
    chunks = aiter(pipe)
    for read in range(5):
        for _ in range(20):
            await asyncio.sleep(0)
        assert written <= read + 1
        assert await anext(chunks) == b"x"
    writing.cancel()


async def test_drain_waits_until_the_last_chunk_was_taken() -> None:
    pipe = Pipe()
    await pipe.put(b"x")
    draining = asyncio.create_task(pipe.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    assert await anext(aiter(pipe)) == b"x"
    await in_time(draining)


async def test_a_reader_that_fails_ends_the_writer() -> None:
    pipe = Pipe()
    await pipe.put(b"x")
    writing = asyncio.create_task(pipe.put(b"y"))
    await asyncio.sleep(0)
    pipe.fail(GONE)
    pipe.fail(OperationCancelled("later"))
    with pytest.raises(OperationCancelled) as caught:
        await in_time(writing)
    assert caught.value is GONE


async def test_a_writer_that_fails_ends_the_reader() -> None:
    pipe = Pipe()
    reading = asyncio.ensure_future(anext(aiter(pipe)))
    await asyncio.sleep(0)
    pipe.fail(GONE)
    with pytest.raises(OperationCancelled):
        await in_time(reading)


async def test_a_writer_does_not_wait_for_ever() -> None:
    pipe = Pipe(reader_seconds=0.02)
    await pipe.put(b"x")
    for waiting in (pipe.put(b"y"), pipe.drain()):
        with pytest.raises(OperationStalled) as caught:
            await waiting
        assert caught.value.message == "the caller took nothing for 0.02 s"


async def test_a_reader_does_not_wait_for_ever() -> None:
    with pytest.raises(OperationStalled) as caught:
        await anext(aiter(Pipe(writer_seconds=0.02)))
    assert caught.value.message == "the caller sent nothing for 0.02 s"
