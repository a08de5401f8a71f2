"""`make demo`: the main job before your eyes, on servers of its own.

A real Milvus and a real S3 server are started, two collections filled (inserts, deletes, upserts,
several segments), backed up and restored under new names by a service in a process of its own, with
live progress; then every row is compared. Ends with 0 only if all rows are the same.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pymilvus import DataType

from milvus_backup.v1.operation_pb2 import Operation, OperationPhase, PhaseProgress
from milvus_backup_client import BackupClient, ServiceUnreachable
from tests.support.clients import connected
from tests.support.collection_builder import CollectionBuilder, Dataset, Index
from tests.support.datasets import versioned_rows
from tests.support.environment import Environment, service_settings
from tests.support.processes import ChildProcess, free_ports, plain_environment
from tests.support.rows import assert_same_rows, fetch_rows

SHARES = {"demo_products": 7, "demo_users": 4}
"""The collections, and how the rows are shared between them."""
ROWS = 110_000
BACKUP = "demo"
SUFFIX = "_restored"

_PARTS = 4
_MIB = 1 << 20
_START_SECONDS = 90


async def main(argv: Sequence[str]) -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--alter-a-row",
        action="store_true",
        help="change one restored row before the comparison, to see it fail",
    )
    parser.add_argument(
        "--rows", type=int, default=ROWS, help="rows over both collections (default %(default)s)"
    )
    options = parser.parse_args(argv)
    begun = time.monotonic()
    with Environment() as environment:
        code = await _run(environment, options.rows, alter=options.alter_a_row)
    print(f"\n{'Done' if code == 0 else 'FAILED'} in {time.monotonic() - begun:.0f} s; stopped.")
    return code


async def _run(environment: Environment, rows: int, *, alter: bool) -> int:
    milvus = environment.milvus
    print(f"Milvus 2.3.5 at {milvus.address}, S3 (SeaweedFS) at {environment.seaweed.endpoint}")
    sizes = {name: rows * share // sum(SHARES.values()) for name, share in SHARES.items()}
    fillings = (asyncio.to_thread(_fill, milvus.uri, *item) for item in sizes.items())
    datasets = await asyncio.gather(*fillings)
    async with _service(environment) as client:
        print(f"\nBacking up {', '.join(sizes)} as {BACKUP!r}:")
        shown = await _follow(client, await client.create_backup(BACKUP, collections=list(sizes)))
        print(f"\nRestoring them under new names (suffix {SUFFIX}):")
        shown += await _follow(client, await client.restore_backup(BACKUP, suffix=SUFFIX))
    print(f"\n{shown} progress updates were streamed. Comparing every row:")
    if alter:
        await asyncio.to_thread(_alter, milvus.uri)
    same = [await asyncio.to_thread(_compare, milvus.uri, data) for data in datasets]
    return 0 if all(same) else 1


def _fill(uri: str, name: str, count: int) -> Dataset:
    """Make a collection of several segments, with deletes and upserts before and after a flush."""
    keys = range(count)
    with connected(uri) as client:
        schema = client.create_schema()
        schema.add_field("pk", DataType.INT64, is_primary=True)
        schema.add_field("version", DataType.VARCHAR, max_length=64)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=8)
        collection = CollectionBuilder(client, name, schema)
        for part in range(_PARTS):
            collection.insert(versioned_rows(keys[part::_PARTS], "v0"))
            collection.flush()
        collection.delete(keys[::100])
        collection.upsert(versioned_rows(keys[1::100], "v1"))
        collection.flush()
        collection.delete(keys[2::1000])
        collection.upsert(versioned_rows(keys[3::1000], "v2"))
        collection.index(Index("v", "FLAT", "L2"))
        collection.load()
    print(
        f"  {name}: {count} rows inserted in {_PARTS} flushes, then deletes and upserts; "
        f"{len(collection.rows)} rows must come back"
    )
    return Dataset("default", name, collection.rows)


@asynccontextmanager
async def _service(environment: Environment) -> AsyncIterator[BackupClient]:
    """Start the service as a process, as `milvus-backup server` does, and connect to it."""
    (port,) = free_ports(1)
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="milvus-backup-demo-")))
        settings = directory / "backup.yaml"
        values = service_settings(environment.seaweed, environment.milvus)
        service = {"grpc": {"port": port}, "http": {"port": 0}}
        settings.write_text(json.dumps({**values, "service": service}))
        server = ChildProcess(
            [sys.executable, "-m", "milvus_backup_server", "--config", settings],
            directory=directory,
            log=directory / "server.log",
            environment=plain_environment(),
        )
        stack.callback(server.terminate, 30)
        client = await stack.enter_async_context(BackupClient(f"127.0.0.1:{port}"))
        await _wait_for(client, server)
        print(f"The service listens on 127.0.0.1:{port}")
        yield client


async def _wait_for(client: BackupClient, server: ChildProcess) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while True:
            try:
                await client.server_info(timeout_seconds=2)
            except ServiceUnreachable:
                if not server.running:
                    raise
                await asyncio.sleep(0.1)
            else:
                return


async def _follow(client: BackupClient, operation: Operation) -> int:
    """Print an operation's states as they come, and return how many different ones were shown."""
    shown: list[str] = []
    async for state in client.watch(operation, min_interval_seconds=0.05):
        line = _line(state)
        if not shown or shown[-1] != line:
            shown.append(line)
            print(f"  {line}")
    await client.wait(operation)
    return len(set(shown))


def _line(state: Operation) -> str:
    progress = state.progress
    if not progress.phases:
        return "accepted"
    phase = next(it for it in progress.phases if it.phase == progress.phase)
    words = [OperationPhase.Name(phase.phase).removeprefix("OPERATION_PHASE_").lower()]
    words += _amounts(phase)
    if progress.waiting_for:
        words.append(f"({progress.waiting_for})")
    return " ".join(words)


def _amounts(phase: PhaseProgress) -> list[str]:
    words = []
    if phase.HasField("bytes_total") and phase.bytes_total:
        percent = 100 * phase.bytes_done / phase.bytes_total
        done, total = phase.bytes_done / _MIB, phase.bytes_total / _MIB
        words.append(f"{percent:5.1f} %  {done:.1f} of {total:.1f} MiB")
    if phase.objects_done:
        words.append(f"{phase.objects_done} objects")
    if phase.rows_done:
        words.append(f"{phase.rows_done} rows")
    return words


def _alter(uri: str) -> None:
    """Change one row of a restored collection."""
    name = f"{next(iter(SHARES))}{SUFFIX}"
    with connected(uri) as client:
        client.upsert(name, versioned_rows([5], "altered"))
    print(f"  altered row 5 of {name}")


def _compare(uri: str, data: Dataset) -> bool:
    name = f"{data.collection}{SUFFIX}"
    rows = fetch_rows(uri, data.database, name)
    try:
        assert_same_rows(data.rows, rows)
    except AssertionError as difference:
        print(f"  {name}: DIFFERENT\n{difference}")
        return False
    print(f"  {name}: all {len(rows)} rows are the same")
    return True


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
