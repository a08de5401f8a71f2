"""What docs/selection.md shows on the command line and in Python is run."""

from collections.abc import AsyncIterator

import pytest

from milvus_backup_client import BackupClient
from milvus_backup_server.adapters.memory_store import MemoryServer, MemoryStore
from milvus_backup_server.app import running_app
from milvus_backup_server.wiring import Adapters
from tests.support.docs_page import DocsPage
from tests.support.fake_milvus import FakeMilvus
from tests.support.running_service import settings_of
from tests.support.service import add_collection, named

PAGE = DocsPage("selection.md")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryServer().store("a-bucket")


@pytest.fixture
def milvus(store: MemoryStore) -> FakeMilvus:
    return FakeMilvus(store)


@pytest.fixture
async def address(milvus: FakeMilvus, store: MemoryStore) -> AsyncIterator[str]:
    hello = await add_collection(milvus, "hello", range(10), partitions=["north"])
    milvus.insert(hello, range(100, 105), "north")
    await add_collection(milvus, "shop.orders", range(3))
    service = {"grpc": {"port": 0}, "http": {"enabled": False}, "milvus": {"pollSeconds": 0.01}}
    settings = settings_of({"configVersion": "v2", "service": service})
    async with running_app(settings, Adapters(milvus, store, store)) as app:
        yield app.address


async def test_the_session(address: str) -> None:
    async with BackupClient(address) as client:
        await client.wait(await client.create_backup("nightly"))
    assert await PAGE.run_session(address) == [0, 0, 0]


async def test_the_program(address: str, milvus: FakeMilvus) -> None:
    async with BackupClient(address) as client:
        await PAGE.run_program({"client": client})
        await client.wait((await anext(client.list_operations())).name)
    for name in ("hello_north", "archive.hello"):
        assert milvus.keys(named(name)) == list(range(100, 105))
