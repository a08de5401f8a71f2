"""What 200 watchers, half of whom read nothing, cost those who ask something else (docs/performance.md).

The service, the watchers and the one who asks are processes of their own.
"""

import asyncio
import contextlib
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
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


async def asked(target: str, name: str) -> list[float]:
    """Ask again and again, and return how many milliseconds each answer took."""
    taken = []
    async with grpc.aio.insecure_channel(target) as channel:
        stub, request = OperationServiceStub(channel), GetOperationRequest(name=name)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            start = time.perf_counter()
            await stub.GetOperation(request)
            taken.append((time.perf_counter() - start) * 1000)
            await asyncio.sleep(0.02)
    return sorted(taken[10:])


def line_of(what: str, taken: Sequence[float], mib: float) -> str:
    middle, most = taken[len(taken) // 2], taken[len(taken) * 99 // 100]
    return f"  {what:16}{middle:8.1f}{most:8.1f}{taken[-1]:8.1f}{mib:12.1f}"


async def bench() -> None:
    """Measure and print."""
    async with child("serve") as server:
        target, name = await told(server)
        alone = await asked(target, name)
        before = float((await told(server, "memory"))[0])
        async with child("watch", target, name) as crowd_:
            await told(crowd_)
            first = await asked(target, name)
            settled = float((await told(server, "memory"))[0])
            second = await asked(target, name)
            after = float((await told(server, "memory"))[0])
            assert server.stdin is not None
            server.stdin.write(b"\n")
            (count,) = await told(crowd_)
    print(
        f"\n{WATCHERS} watchers, half of whom read nothing; {CHANGES_PER_SECOND} changes a second"
    )
    print(f"  {'GetOperation, ms':16}{'median':>8}{'p99':>8}{'most':>8}{'service MiB':>12}")
    print(line_of("nobody watches", alone, before))
    print(line_of(f"first {SECONDS} s", first, settled))
    print(line_of(f"next {SECONDS} s", second, after))
    print(f"  {count} of {WATCHERS // 2} who read got the last state")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            asyncio.run(serve())
        case ["watch", where, what]:
            asyncio.run(watch(where, what))
        case _:
            asyncio.run(bench())
