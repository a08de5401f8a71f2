"""Exports and imports that begin at one time do not get past their bound together."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from milvus_backup_server.domain.errors import TooManyOperations
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
