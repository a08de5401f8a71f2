"""Milvus stays in full use while a backup is made: nothing that clients do fails, or spoils it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from pymilvus import MilvusClient

from milvus_backup.v1.operation_pb2 import OPERATION_PHASE_COPYING, Operation
from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.clients import connected
from tests.support.compactions import compact
from tests.support.datasets import make_versioned, versioned_row, versioned_rows
from tests.support.environment import Environment
from tests.support.rows import Rows, assert_same_rows, fetch_rows
from tests.support.running_service import (
    Decorators,
    Service,
    environment_settings,
    running_service,
)

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-two")]

T = TypeVar("T")

COLLECTION = "in_use"
KEYS = range(3_000)
COPYING_SECONDS = 20
ROUNDS = 20


class HeldCopies(StoreDecorator):
    """Holds every copy back until enough was done meanwhile."""

    def __init__(self, inner: ObjectStore, enough: asyncio.Event) -> None:
        super().__init__(inner)
        self._enough = enough

    async def _request(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        if method == "copy":
            await self._enough.wait()
        return await call()


@dataclass
class Client:
    """Somebody who uses a collection, and counts what was done."""

    milvus: MilvusClient
    done: dict[str, int] = field(default_factory=dict)

    def work(self, number: int) -> None:
        """Do one of everything; raises what Milvus refuses."""
        name = COLLECTION
        self.milvus.insert(name, versioned_rows([100_000 + number], "later"))
        self._count("inserts")
        self.milvus.upsert(name, versioned_rows([KEYS[number]], "changed"))
        self._count("upserts")
        self.milvus.delete(name, ids=[KEYS[-1 - number]])
        self._count("deletes")
        vector = versioned_row(number, "v0")["v"]
        (hits,) = self.milvus.search(name, data=[vector], anns_field="v", limit=3)
        assert len(hits) == 3
        self._count("searches")
        rows = self.milvus.query(name, ids=[KEYS[number]], consistency_level="Strong")
        assert len(rows) == 1
        self._count("queries")

    def compact(self) -> None:
        """Flush, and have the segments compacted."""
        self.milvus.flush(COLLECTION)
        assert compact(self.milvus, COLLECTION)
        self._count("compactions")

    def _count(self, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1


@pytest.fixture
def enough() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def service(environment: Environment, enough: asyncio.Event) -> AsyncIterator[Service]:
    settings = environment_settings(environment, backup_root="operational")
    decorators = Decorators(backup_store=lambda inner: HeldCopies(inner, enough))
    async with running_service(settings, decorators) as running:
        yield running


async def test_milvus_stays_in_full_use_while_its_objects_are_copied(
    environment: Environment, service: Service, enough: asyncio.Event
) -> None:
    uri = environment.milvus.uri
    with connected(uri) as milvus:
        made = make_versioned(uri, COLLECTION, KEYS[:1_000])
        for start in (1_000, 2_000):
            milvus.insert(COLLECTION, versioned_rows(KEYS[start : start + 1_000], "v0"))
            milvus.flush(COLLECTION)
        before: Rows = dict(made.rows)
        before |= {key: versioned_row(key, "v0") for key in KEYS[1_000:]}
        milvus.delete(COLLECTION, ids=[7])
        del before[7]
        milvus.upsert(COLLECTION, versioned_rows([8], "v1"))
        before[8] = versioned_row(8, "v1")

        operation = await service.client.create_backup("in_use", collections=[COLLECTION])
        await _copying(service, operation)
        begun = time.monotonic()
        client = Client(milvus)
        ended = asyncio.create_task(service.client.wait(operation))
        number = 0
        compaction = asyncio.create_task(asyncio.to_thread(client.compact))
        while time.monotonic() - begun < COPYING_SECONDS or number < ROUNDS:
            number += 1
            await asyncio.to_thread(client.work, number)
        await compaction
        assert not ended.done()
        enough.set()
        await ended

    assert client.done.pop("compactions") == 1
    assert set(client.done) == {"inserts", "upserts", "deletes", "searches", "queries"}
    assert min(client.done.values()) >= ROUNDS
    await service.client.wait(await service.client.restore_backup("in_use", suffix="_then"))
    assert_same_rows(before, fetch_rows(uri, "default", f"{COLLECTION}_then"))


async def _copying(service: Service, operation: Operation) -> None:
    """Wait until the backup copies: from here on all that clients do is later than its moment."""
    async for state in service.client.watch(operation, min_interval_seconds=0.05):
        if state.progress.phase == OPERATION_PHASE_COPYING:
            return
    pytest.fail("the backup ended before it copied")
