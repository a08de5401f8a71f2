"""``make bench``: backups and restores beside copies of the same objects by s5cmd and aiobotocore.

Many small objects, and few large ones. Each figure is the best of some runs, in turns; a warm-up
goes before. ``BENCH_RUNS`` and ``BENCH_MIB`` (of the large collection) change how long it takes.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pymilvus import DataType, MilvusClient

from milvus_backup_server.adapters.milvus import GrpcMilvusGateway
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.wiring import gateway_settings
from tests.bench.baselines import Cost, by_aiobotocore, by_s5cmd, measured
from tests.bench.machine import described
from tests.support.environment import BACKUP_BUCKET, MILVUS_BUCKET, Environment
from tests.support.running_service import Service, environment_settings, running_service

RUNS = int(os.environ.get("BENCH_RUNS", "3"))
LARGE_MIB = int(os.environ.get("BENCH_MIB", "128"))
SMALL_COLLECTIONS, PARTITIONS, SMALL_ROWS = 10, 6, 20
SMALL_DIM, LARGE_DIM, ROWS_AT_ONCE = 8, 1024, 4096


class Workload(NamedTuple):
    """Collections, and the objects that they consist of."""

    name: str
    collections: list[str]
    keys: list[str]


def make_collection(client: MilvusClient, name: str, dim: int, partitions: int, rows: int) -> None:
    schema = client.create_schema(auto_id=False)
    schema.add_field("pk", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=dim)
    schema.add_field("n", DataType.INT32)
    client.create_collection(name, schema=schema)
    random = np.random.default_rng(1)
    for partition in [f"p{number}" for number in range(partitions)]:
        client.create_partition(name, partition)
        for start in range(0, rows, ROWS_AT_ONCE):
            vectors = random.random((min(ROWS_AT_ONCE, rows - start), dim), dtype=np.float32)
            client.insert(
                name,
                [{"pk": start + at, "v": row, "n": at} for at, row in enumerate(vectors)],
                partition_name=partition,
            )
    client.flush(name)


def make_workloads(environment: Environment) -> list[Workload]:
    """Fill Milvus, one workload after the other, and note which objects came with each."""
    client = MilvusClient(environment.milvus.uri)
    small = [f"small_{number}" for number in range(SMALL_COLLECTIONS)]
    made, seen = [], set[str]()
    for name, collections in (("many small", small), ("few large", ["large"])):
        for collection in collections:
            if name == "many small":
                make_collection(client, collection, SMALL_DIM, PARTITIONS, SMALL_ROWS)
            else:
                rows = (LARGE_MIB << 20) // (4 * LARGE_DIM)
                make_collection(client, collection, LARGE_DIM, 1, rows)
        objects = environment.seaweed.objects
        keys = [
            key
            for directory in ("insert_log", "delta_log")
            for key in objects.keys(MILVUS_BUCKET, f"files/{directory}/")
            if key not in seen
        ]
        seen.update(keys)
        made.append(Workload(name, collections, keys))
    client.close()
    return made


async def flush(gateway: GrpcMilvusGateway, collections: Sequence[str]) -> None:
    """Flush collections, and wait until all of it is written."""
    flushes = await gateway.flush("default", list(collections))
    for name in flushes:
        while not await gateway.is_flushed(_named(name), flushes[name]):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def _named(name: str) -> CollectionName:
    return CollectionName("default", name)


async def back_up(service: Service, workload: Workload, name: str) -> None:
    operation = await service.client.create_backup(name, collections=workload.collections)
    await service.client.wait(operation)


def best(costs: Sequence[Cost]) -> Cost:
    return min(costs)


async def bench_backup(
    service: Service,
    gateway: GrpcMilvusGateway,
    environment: Environment,
    workload: Workload,
    directory: Path,
) -> None:
    seaweed, keys = environment.seaweed, workload.keys
    costs: dict[str, list[Cost]] = {}
    for run in range(RUNS + 1):
        name = f"run_{len(keys)}_{run}"
        one = {
            "s5cmd": await asyncio.to_thread(
                by_s5cmd, seaweed, MILVUS_BUCKET, BACKUP_BUCKET, keys, directory
            ),
            "aiobotocore": await by_aiobotocore(seaweed, MILVUS_BUCKET, BACKUP_BUCKET, keys),
            "flush": await measured(partial(flush, gateway, workload.collections)),
            "backup": await measured(partial(back_up, service, workload, name)),
        }
        for what, cost in one.items() if run else ():
            costs.setdefault(what, []).append(cost)
        if run < RUNS:
            await service.client.wait(await service.client.delete_backup(name))
    least = {what: best(several) for what, several in costs.items()}
    base = least["s5cmd"].wall + least["flush"].wall
    print(f"\n{workload.name}: {len(keys)} objects, {len(workload.collections)} collections")
    print(f"  {'':14}{'seconds':>9}{'CPU ms/object':>15}{'of s5cmd + flush':>18}")
    for what, cost in least.items():
        ratio = cost.wall / base
        print(f"  {what:14}{cost.wall:9.2f}{cost.cpu / len(keys) * 1000:15.2f}{ratio:18.2f}")


async def bench_restore(service: Service, workload: Workload) -> None:
    begun = time.perf_counter()
    name = f"run_{len(workload.keys)}_{RUNS}"
    operation = await service.client.restore_backup(name, suffix=f"_{RUNS}")
    ended = await service.client.wait(operation)
    seconds, result = time.perf_counter() - begun, ended.restore_backup
    jobs = result.import_job_count
    print(
        f"  restore       {seconds:9.2f}  {jobs} import jobs, {seconds / jobs:.2f} s each; ", end=""
    )
    print(f"{result.row_count} rows, {result.staged_object_count} objects staged")


async def main(environment: Environment, directory: Path) -> None:
    workloads = await asyncio.to_thread(make_workloads, environment)
    settings = environment_settings(environment)
    gateway = GrpcMilvusGateway(gateway_settings(settings))
    async with running_service(settings) as service:
        for workload in workloads:
            await bench_backup(service, gateway, environment, workload, directory)
            await bench_restore(service, workload)
    await gateway.close()


if __name__ == "__main__":
    print("\n".join(described()))
    with Environment() as running, tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(running, Path(folder)))
