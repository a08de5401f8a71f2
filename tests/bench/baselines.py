"""The same copies by others: s5cmd, and aiobotocore as it comes."""

import asyncio
import os
import resource
import subprocess
import sysconfig
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from aiobotocore.session import get_session

from tests.support.seaweedfs import SeaweedFS

CONCURRENT = 64
"""Requests in flight: what the service has by default."""


class Cost(NamedTuple):
    """Seconds by the clock, and of this process's or its children's CPUs."""

    wall: float
    cpu: float


def cpu_seconds(who: int = resource.RUSAGE_SELF) -> float:
    """Return the CPU time used so far."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


async def measured(work: Callable[[], Awaitable[object]]) -> Cost:
    """Do something in this process and tell what it cost."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    await work()
    return Cost(time.perf_counter() - wall, cpu_seconds() - cpu)


def by_s5cmd(
    server: SeaweedFS, source: str, target: str, keys: Sequence[str], directory: Path
) -> Cost:
    """Have s5cmd copy objects from bucket to bucket, as many at a time as we."""
    commands = directory / "commands"
    commands.write_text(
        "".join(f'cp "s3://{source}/{it}" "s3://{target}/s5/{it}"\n' for it in keys)
    )
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_REGION": server.region,
    }
    binary = Path(sysconfig.get_path("scripts")) / "s5cmd"
    cpu, wall = cpu_seconds(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [
            binary,
            "--log=error",
            "--endpoint-url",
            server.endpoint,
            "--numworkers",
            str(CONCURRENT),
            "run",
            commands,
        ],
        env=environment,
        check=True,
    )
    return Cost(time.perf_counter() - wall, cpu_seconds(resource.RUSAGE_CHILDREN) - cpu)


async def by_aiobotocore(server: SeaweedFS, source: str, target: str, keys: Sequence[str]) -> Cost:
    """Copy objects with aiobotocore and nothing around it."""
    left = iter(keys)
    async with get_session().create_client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=server.region,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    ) as client:

        async def worker() -> None:
            for key in left:
                await client.copy_object(
                    Bucket=target, Key=f"plain/{key}", CopySource={"Bucket": source, "Key": key}
                )

        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(CONCURRENT):
                    group.create_task(worker())

        await client.head_bucket(Bucket=source)  # what a first request loads is not measured
        return await measured(work)
