"""Exports and imports that begin at one time do not get past their bound together."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from milvus_backup_server.domain.errors import ArchiveInvalid, TooManyOperations
from milvus_backup_server.domain.operations import Operation, OperationState
from milvus_backup_server.domain.requests import ExportRequest
from tests.support.bodies import until
from tests.support.service import CALLER, LIMITS, World, running
from tests.support.tars import below, go_backup, in_chunks, tar_of

STREAMS = 2
CALLERS = 6
FILES = go_backup(3, 700)


async def held(archive: bytes, gate: asyncio.Event) -> AsyncIterator[bytes]:
    """Yield an archive but for its end, and that when the gate opens."""
    yield archive[:-1]
    await gate.wait()
    yield archive[-1:]


async def test_imports_that_begin_together_stay_within_the_bound() -> None:
    gate, names = asyncio.Event(), [f"b{number}" for number in range(CALLERS)]
    async with running(World(), limits=replace(LIMITS, streams=STREAMS)) as service:
        imports = [
            asyncio.create_task(service.import_(held(tar_of(below(name, FILES)), gate)))
            for name in names
        ]

        def all_have_begun_or_were_refused() -> bool:
            begun = len(service.operations.list("", CALLERS).items)
            return begun + sum(task.done() for task in imports) == CALLERS

        await until(all_have_begun_or_were_refused)
        at_work = service.operations.list("", CALLERS).items
        gate.set()
        ends = await asyncio.gather(*imports, return_exceptions=True)
    assert len(at_work) == STREAMS
    assert sum(isinstance(end, TooManyOperations) for end in ends) == CALLERS - STREAMS
    succeeded = [end for end in ends if isinstance(end, Operation)]
    assert [end.state for end in succeeded] == [OperationState.SUCCEEDED] * STREAMS


async def test_exports_that_begin_together_stay_within_the_bound() -> None:
    async with running(World(), limits=replace(LIMITS, streams=STREAMS)) as service:
        await service.import_(in_chunks(tar_of(below("b", FILES))))
        starts = [
            service.use_cases.export.start(ExportRequest("b"), CALLER) for _ in range(CALLERS)
        ]
        ends = await asyncio.gather(*starts, return_exceptions=True)
        for end in ends:
            if not isinstance(end, BaseException):
                await end.chunks().aclose()
    assert sum(isinstance(end, TooManyOperations) for end in ends) == CALLERS - STREAMS


async def test_imports_whose_archives_have_not_told_their_names_count() -> None:
    gate = asyncio.Event()

    async def silent() -> AsyncIterator[bytes]:
        await gate.wait()
        yield tar_of(below("b", FILES))

    async with running(World(), limits=replace(LIMITS, streams=STREAMS)) as service:
        imports = [asyncio.create_task(service.import_(silent())) for _ in range(CALLERS)]
        await until(lambda: sum(task.done() for task in imports) == CALLERS - STREAMS)
        # One that has a name is refused beside them, too, and all is free again behind them.
        with pytest.raises(TooManyOperations):
            await service.import_(in_chunks(tar_of(below("c", FILES))), "c")
        for task in imports:
            task.cancel()
        await asyncio.gather(*imports, return_exceptions=True)
        assert (await service.import_(in_chunks(tar_of(below("c", FILES))))).backup_name == "c"


async def test_metadata_is_refused_before_it_fills_the_disk() -> None:
    size = sum(len(data) for key, data in FILES.items() if key.startswith("meta/"))
    archive = tar_of(below("b", FILES))
    for most, fits in ((size, True), (size - 1, False)):
        world = World()
        limits = replace(LIMITS, archive_metadata_bytes=most)
        async with running(world, limits=limits) as service:
            if fits:
                await service.import_(in_chunks(archive))
                continue
            with pytest.raises(ArchiveInvalid, match=r"service\.limits\.archiveMetadataMiB"):
                await service.import_(in_chunks(archive))
            assert await world.backups() == []
