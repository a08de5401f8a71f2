"""Milvus is killed and started again in a backup or an import: the rows are exact, if need be after a resume.

The service lives on. What becomes of an import when both are killed, test_resumed_restore shows.
"""

import asyncio
from collections.abc import Iterator

import pytest

from milvus_backup.v1 import operation_pb2 as pb
from milvus_backup_client.operations import error_of
from tests.support.clients import connected
from tests.support.datasets import make_versioned, versioned_row, versioned_rows
from tests.support.environment import Environment
from tests.support.held_calls import BACKUP_STORE, GATEWAY
from tests.support.meanwhile import Meanwhile
from tests.support.milvus import MilvusStandalone
from tests.support.rows import Rows, assert_same_rows, fetch_rows
from tests.support.running_service import Service, environment_settings, running_service
from tests.support.service_process import importing

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
IMPORTED = range(3000)


@pytest.fixture(scope="module")
def milvus(environment: Environment) -> Iterator[MilvusStandalone]:
    with MilvusStandalone(environment.seaweed, "milvus-killed-in-backup") as running:
        yield running


class Killer:
    """Kills a Milvus, and starts it again beside whatever else happens."""

    def __init__(self, milvus: MilvusStandalone) -> None:
        self._milvus = milvus
        self._starting: list[asyncio.Task[MilvusStandalone]] = []

    async def kill(self) -> None:
        await asyncio.to_thread(self._milvus.kill)
        self._starting.append(asyncio.create_task(asyncio.to_thread(self._milvus.start)))

    async def ended_well(self, service: Service, begun: pb.Operation) -> pb.Operation:
        """Wait for the end of an operation, resuming it where it is interrupted, and return it."""
        ended = await service.done(begun)
        assert len(self._starting) == 1, "it was not killed"
        await asyncio.gather(*self._starting)
        async with asyncio.timeout(SECONDS):
            while ended.state == pb.OPERATION_STATE_INTERRUPTED:
                error = error_of(ended)
                assert error is not None
                assert error.metadata["cause"] == "MILVUS_UNAVAILABLE", error
                ended = await service.done(await service.client.resume_operation(ended.name))
        assert ended.state == pb.OPERATION_STATE_SUCCEEDED, ended.error
        return ended


async def backed_up(environment: Environment, milvus: MilvusStandalone, name: str) -> Rows:
    """Make a collection and a backup `b` of it below a root of that name; return the rows."""
    dataset = await asyncio.to_thread(make_versioned, milvus.uri, name, IMPORTED)
    settings = environment_settings(environment, milvus, backup_root=name)
    async with running_service(settings) as service:
        made = await service.done(await service.client.create_backup("b", collections=[name]))
        assert made.state == pb.OPERATION_STATE_SUCCEEDED, made.error
    return dataset.rows


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

    killer = Killer(milvus)
    killing = Meanwhile(port, method, killer.kill, first=number)
    settings = environment_settings(environment, milvus, backup_root=name)
    async with running_service(settings, killing.decorators) as service:
        begun = await service.client.create_backup("b", collections=[name])
        await killer.ended_well(service, begun)
        assert killing.fired == 1
        restored = await service.done(await service.client.restore_backup("b", suffix="_r"))
        assert restored.state == pb.OPERATION_STATE_SUCCEEDED, restored.error
    rows = await asyncio.to_thread(fetch_rows, milvus.uri, "default", f"{name}_r")
    assert_same_rows(expected, rows)


@pytest.mark.parametrize("after", [False, True], ids=["before it is sent", "before its answer"])
async def test_a_restore_whose_milvus_was_killed_around_a_submission_ends_exact(
    environment: Environment, milvus: MilvusStandalone, after: bool
) -> None:
    killer = Killer(milvus)
    killing = Meanwhile(GATEWAY, "submit_import", killer.kill, after=after)
    name = f"killed_submit_{after}".lower()
    rows = await backed_up(environment, milvus, name)
    settings = environment_settings(environment, milvus, backup_root=name)
    async with running_service(settings, killing.decorators) as service:
        await killer.ended_well(service, await service.client.restore_backup("b", suffix="_r"))
        assert killing.fired == 1
    found = await asyncio.to_thread(fetch_rows, milvus.uri, "default", f"{name}_r")
    assert_same_rows(rows, found)


async def test_a_restore_whose_milvus_was_killed_while_it_imports_ends_exact(
    environment: Environment, milvus: MilvusStandalone
) -> None:
    killer, name = Killer(milvus), "killed_import"
    rows = await backed_up(environment, milvus, name)
    settings = environment_settings(environment, milvus, backup_root=name)
    async with running_service(settings) as service:
        begun = await service.client.restore_backup("b", suffix="_r")
        async with asyncio.timeout(SECONDS):
            await importing(service.client, begun.name, f"{name}_r")
        await killer.kill()
        ended = await killer.ended_well(service, begun)
        assert ended.restore_backup.row_count == len(IMPORTED)
    found = await asyncio.to_thread(fetch_rows, milvus.uri, "default", f"{name}_r")
    assert_same_rows(rows, found)
