"""What the service finds out at its start and warns of in its log."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.app import serve
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.settings import Loaded
from milvus_backup_server.wiring import Adapters
from tests.support.fake_milvus import FakeMilvus
from tests.support.running_service import FAST, settings_of
from tests.support.stores import CountingStore, NoCondition

Logged = Sequence[MutableMapping[str, Any]]


def loaded() -> Loaded:
    return Loaded(settings_of({"configVersion": "v2", "service": FAST}))


@asynccontextmanager
async def started(store: ObjectStore) -> AsyncIterator[Logged]:
    """Run the service as its command does, over a store, and yield what it logs."""
    milvus = FakeMilvus(store, "files")
    with capture_logs() as logged:
        work = serve(loaded(), loaded, adapters=Adapters(milvus, store, store))
        running = asyncio.create_task(work)
        try:
            yield logged
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(60):
                await running
        finally:
            running.cancel()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - others change it
            await asyncio.sleep(0.01)


def warned(logged: Logged) -> list[object]:
    text = "the backups' store must not be shared"
    return [
        entry["reason"]
        for entry in logged
        if (entry["event"], entry["log_level"]) == (text, "warning")
    ]


@pytest.mark.parametrize("conditions", [False, True], ids=["without", "with"])
async def test_a_store_without_conditional_writes_is_told_at_the_start(conditions: bool) -> None:
    tried = CountingStore(MemoryServer().store("a-bucket"))
    async with started(tried if conditions else NoCondition(tried)) as logged:
        await until(lambda: any(entry["event"] == "serving" for entry in logged))
        # The probe objects are removed when it is known who won; then it is told.
        await until(lambda: tried.calls["delete"])
        if conditions:
            for _ in range(1000):
                await asyncio.sleep(0)
        else:
            await until(lambda: warned(logged))
    assert tried.calls["put"] > 1
    reasons = warned(logged)
    assert len(reasons) == (0 if conditions else 1)
    assert all("two services that share it" in str(reason) for reason in reasons)
