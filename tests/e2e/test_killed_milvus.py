"""Milvus is killed and started again in the middle of a backup: the rows are exact, if need be after a resume.

What becomes of an import, test_resumed_restore shows.
"""

import asyncio
from collections.abc import Iterator

import pytest

from milvus_backup.v1 import operation_pb2 as pb
from tests.support.clients import connected
from tests.support.datasets import make_versioned, versioned_row, versioned_rows
from tests.support.environment import Environment
from tests.support.held_calls import BACKUP_STORE, GATEWAY
from tests.support.meanwhile import Meanwhile
from tests.support.milvus import MilvusStandalone
from tests.support.rows import Rows, assert_same_rows, fetch_rows
from tests.support.running_service import environment_settings, running_service

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.torture,
    pytest.mark.xdist_group("stopping"),
    pytest.mark.timeout(600),
]

MOMENTS = {
    "before the flush": (GATEWAY, "flush", 1),
    "before the flush is written": (GATEWAY, "is_flushed", 1),
    "before the objects are listed": (GATEWAY, "list_partitions", 1),
    "between copies": (BACKUP_STORE, "copy", 3),
}
SECONDS = 240  # until a Milvus that says that it is healthy takes flushes again
CHANGED = range(100, 300)


@pytest.fixture(scope="module")
def milvus(environment: Environment) -> Iterator[MilvusStandalone]:
    with MilvusStandalone(environment.seaweed, "milvus-killed-in-backup") as running:
        yield running


@pytest.mark.parametrize(("port", "method", "number"), MOMENTS.values(), ids=MOMENTS)
async def test_a_backup_whose_milvus_was_killed_ends_exact(
    environment: Environment, milvus: MilvusStandalone, port: str, method: str, number: int
) -> None:
    name = f"killed_{method}"
    dataset = await asyncio.to_thread(make_versioned, milvus.uri, name, range(200))
    with connected(milvus.uri) as client:  # acknowledged, and not flushed when Milvus dies
        client.upsert(name, versioned_rows(CHANGED, "changed"))
    expected: Rows = dict(dataset.rows)
    expected |= {key: versioned_row(key, "changed") for key in CHANGED}

    starting: list[asyncio.Task[MilvusStandalone]] = []

    async def kill() -> None:
        await asyncio.to_thread(milvus.kill)
        starting.append(asyncio.create_task(asyncio.to_thread(milvus.start)))

    killing = Meanwhile(port, method, kill, first=number)
    settings = environment_settings(environment, milvus, backup_root=name)
    async with running_service(settings, killing.decorators) as service:
        ended = await service.done(await service.client.create_backup("b", collections=[name]))
        assert killing.fired == 1
        await asyncio.gather(*starting)
        async with asyncio.timeout(SECONDS):
            while ended.state == pb.OPERATION_STATE_INTERRUPTED:
                ended = await service.done(await service.client.resume_operation(ended.name))
        assert ended.state == pb.OPERATION_STATE_SUCCEEDED, ended.error
        restored = await service.done(await service.client.restore_backup("b", suffix="_r"))
        assert restored.state == pb.OPERATION_STATE_SUCCEEDED, restored.error
    rows = await asyncio.to_thread(fetch_rows, milvus.uri, "default", f"{name}_r")
    assert_same_rows(expected, rows)
