"""What 200 watchers, half of whom read nothing, cost those who ask something else (docs/performance.md).

The service, the watchers and the one who asks are processes of their own. ``json`` as the argument
gives the figures to a program.
"""

import asyncio
import contextlib
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc.aio

from milvus_backup.v1.operation_pb2 import OPERATION_STATE_SUCCEEDED
from milvus_backup.v1.operation_service_pb2 import GetOperationRequest
from milvus_backup.v1.operation_service_pb2_grpc import OperationServiceStub
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import (
    Amount,
    CollectionProgress,
    CollectionState,
    Phase,
)
from tests.support.fake_use_cases import serving_fakes
from tests.support.watchers import crowd

WATCHERS, COLLECTIONS, CHANGES_PER_SECOND, SECONDS = 200, 50, 100, 15
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Answers:
    """How long answers took, in milliseconds, and what the service held then, in MiB."""

    median: float
    p99: float
    most: float
    mib: float


@dataclass(frozen=True)
class Figures:
    """What came of it.

    Attributes:
        alone: while nobody watched.
        first: while many began to watch.
        second: while they went on.
        told: how many of those that read got the last state.
    """

    alone: Answers
    first: Answers
    second: Answers
    told: int


def resident_mib() -> float:
    """Return the memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 / (1 << 20)


async def line_in() -> str:
    line: str = await asyncio.to_thread(sys.stdin.readline)
    return line.strip()


async def serve() -> None:
    """Serve an operation that changes until told to end it; tell the memory at each line that comes."""
    async with serving_fakes() as api:
        job = api.create.jobs[(await api.create.begin("watched")).name]
        tracker = await job.tracker()
        names = [CollectionName("default", f"collection_{n}") for n in range(COLLECTIONS)]
        tracker.add_collections(
            CollectionProgress(name, state=CollectionState.RUNNING) for name in names
        )
        tracker.enter(Phase.COPYING)

        async def change() -> None:
            while True:
                for name in names:
                    tracker.advance(Amount(bytes=4096, objects=1), name)
                    await asyncio.sleep(1 / CHANGES_PER_SECOND)

        changing = asyncio.create_task(change())
        print(api.target, job.name, flush=True)
        while await line_in():
            print(resident_mib(), flush=True)
        changing.cancel()
        job.go_on.set()
        await line_in()


async def watch(target: str, name: str) -> None:
    """Watch until the operation has ended; tell how many of those that read saw how it ended."""
    async with crowd(target, name, WATCHERS) as watching:
        print("ready", flush=True)
        states = await watching.last_states()
        print(states.count(OPERATION_STATE_SUCCEEDED), flush=True)


@asynccontextmanager
async def child(*arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.watchers", *arguments, cwd=ROOT, stdin=PIPE, stdout=PIPE
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def told(process: Process, line: str | None = None) -> list[str]:
    """Send a line, if any, and return the words of the next one that comes."""
    assert process.stdin is not None
    assert process.stdout is not None
    if line is not None:
        process.stdin.write(f"{line}\n".encode())
    return (await process.stdout.readline()).decode().split()


async def asked(server: Process, target: str, name: str) -> Answers:
    """Ask again and again."""
    taken = []
    async with grpc.aio.insecure_channel(target) as channel:
        stub, request = OperationServiceStub(channel), GetOperationRequest(name=name)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            start = time.perf_counter()
            await stub.GetOperation(request)
            taken.append((time.perf_counter() - start) * 1000)
            await asyncio.sleep(0.02)
    taken = sorted(taken[10:])
    mib = float((await told(server, "memory"))[0])
    return Answers(taken[len(taken) // 2], taken[len(taken) * 99 // 100], taken[-1], mib)


async def measured() -> Figures:
    """Measure."""
    async with child("serve") as server:
        target, name = await told(server)
        alone = await asked(server, target, name)
        async with child("watch", target, name) as watching:
            await told(watching)
            first = await asked(server, target, name)
            second = await asked(server, target, name)
            assert server.stdin is not None
            server.stdin.write(b"\n")
            (count,) = await told(watching)
    return Figures(alone, first, second, int(count))


def line_of(what: str, answers: Answers) -> str:
    times = "".join(f"{value:8.1f}" for value in (answers.median, answers.p99, answers.most))
    return f"  {what:16}{times}{answers.mib:12.1f}"


def show(figures: Figures) -> None:
    print(
        f"\n{WATCHERS} watchers, half of whom read nothing; {CHANGES_PER_SECOND} changes a second"
    )
    print(f"  {'GetOperation, ms':16}{'median':>8}{'p99':>8}{'most':>8}{'service MiB':>12}")
    print(line_of("nobody watches", figures.alone))
    print(line_of(f"first {SECONDS} s", figures.first))
    print(line_of(f"next {SECONDS} s", figures.second))
    print(f"  {figures.told} of {WATCHERS // 2} who read got the last state")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            asyncio.run(serve())
        case ["watch", where, what]:
            asyncio.run(watch(where, what))
        case ["json"]:
            print(json.dumps(asdict(asyncio.run(measured()))))
        case _:
            show(asyncio.run(measured()))
