"""How long it takes to list 1,000 operations of which a store tells (docs/performance.md).

They are read by a service that has just started, and again by one that has read them before.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from milvus_backup_client import BackupClient
from milvus_backup_server.adapters.operation_log import StoreOperationLog
from milvus_backup_server.settings.models import Settings
from milvus_backup_server.wiring import open_adapters
from tests.bench.machine import described
from tests.support.environment import BACKUP_BUCKET, BACKUP_ROOT, service_settings
from tests.support.milvus import MilvusStandalone
from tests.support.operation_records import record
from tests.support.running_service import FAST, running_service, settings_of
from tests.support.seaweedfs import SeaweedFS

OPERATIONS, PACKED, RUNS = 1000, 64, 3


async def fill(settings: Settings) -> None:
    """Write the records as services do that run one operation after another."""
    async with AsyncExitStack() as stack:
        adapters = await open_adapters(stack, settings)
        log = StoreOperationLog(adapters.backup_store, BACKUP_ROOT)
        for begun in range(0, OPERATIONS, PACKED):
            numbers = range(begun, min(begun + PACKED, OPERATIONS))
            await asyncio.gather(*(log.create(record(number)) for number in numbers))
            await log.tidy()


class Cost(NamedTuple):
    """Seconds, and those of the processor for service and client together."""

    wall: float
    cpu: float


async def listed(client: BackupClient) -> Cost:
    """Return what a list of all takes."""
    begun, busy = time.perf_counter(), time.process_time()
    count = len([operation async for operation in client.list_operations()])
    assert count == OPERATIONS
    return Cost(time.perf_counter() - begun, time.process_time() - busy)


async def measured(settings: Settings) -> tuple[Cost, Cost]:
    """Return what the first list of a new service takes, and the next one."""
    async with running_service(settings) as service:
        return await listed(service.client), await listed(service.client)


@asynccontextmanager
async def filled_store() -> AsyncIterator[Settings]:
    """Start a store with the records; yield the settings of a service for it, whose Milvus is down."""
    with SeaweedFS() as seaweed:
        seaweed.make_bucket(BACKUP_BUCKET)
        values = service_settings(seaweed, MilvusStandalone(seaweed, "no-milvus"))
        settings = settings_of({**values, "service": FAST})
        await fill(settings)
        yield settings


async def bench() -> None:
    """Measure and print."""
    async with filled_store() as settings:
        runs = [await measured(settings) for _ in range(RUNS)]
    print(f"\n{OPERATIONS} operations listed (best of {RUNS})")
    print(f"  {'':14}{'seconds':>9}{'CPU seconds':>13}")
    for what, costs in zip(("new service", "again"), zip(*runs, strict=True), strict=True):
        best = min(costs)
        print(f"  {what:14}{best.wall:9.2f}{best.cpu:13.2f}")


if __name__ == "__main__":
    print("\n".join(described()))
    asyncio.run(bench())
