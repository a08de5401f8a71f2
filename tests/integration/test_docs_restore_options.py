"""What docs/restore-options.md shows is run."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf import json_format

from milvus_backup.v1.backup_service_pb2 import RestoreBackupRequest
from milvus_backup_client import BackupClient
from milvus_backup_server.adapters.memory_store import MemoryServer, MemoryStore
from milvus_backup_server.app import RunningApp, running_app
from milvus_backup_server.http.bodies import RestoreBody
from milvus_backup_server.wiring import Adapters
from tests.support.curl import curl
from tests.support.docs_page import DocsPage
from tests.support.fake_milvus import FakeMilvus
from tests.support.running_service import settings_of
from tests.support.service import INDEX, add_collection, named

PAGE = DocsPage("restore-options.md")
HELLO = named("hello")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryServer().store("a-bucket")


@pytest.fixture
def milvus(store: MemoryStore) -> FakeMilvus:
    return FakeMilvus(store)


@pytest.fixture
async def app(milvus: FakeMilvus, store: MemoryStore) -> AsyncIterator[RunningApp]:
    """The service, with a backup of `hello`, which has an index and an alias and is loaded."""
    await add_collection(milvus, "hello", range(10))
    await milvus.create_index(HELLO, INDEX)
    milvus.point_alias(HELLO, "greeting")
    milvus.load(HELLO)
    service = {"grpc": {"port": 0}, "http": {"port": 0}, "milvus": {"pollSeconds": 0.01}}
    settings = settings_of({"configVersion": "v2", "service": service})
    async with running_app(settings, Adapters(milvus, store, store)) as app:
        async with BackupClient(app.address) as client:
            await client.wait(await client.create_backup("nightly"))
        yield app


async def test_the_session(app: RunningApp) -> None:
    assert await PAGE.run_session(app.address) == [0, 0]


async def test_the_program(app: RunningApp, milvus: FakeMilvus) -> None:
    async with BackupClient(app.address) as client:
        await PAGE.run_program({"client": client})
        await client.wait((await anext(client.list_operations())).name)
    made = milvus.collection(named("hello_auto"))
    assert milvus.keys(named("hello_auto")) == list(range(10))
    assert (made.indexes[0].index_type, made.load_state) == ("AUTOINDEX", "Loaded")


async def test_the_call(app: RunningApp, milvus: FakeMilvus, tmp_path: Path) -> None:
    await add_collection(milvus, "twin", [100])
    command = PAGE.block("sh").replace("http://127.0.0.1:8080", app.url)
    answer = json.loads(await asyncio.to_thread(curl, command, tmp_path))
    assert (answer["msg"], answer["data"]["state_code"]) == ("success", 2)
    assert milvus.keys(named("twin")) == [*range(10), 100]
    assert milvus.collection(named("twin")).load_state == "Loaded"


def test_the_message() -> None:
    request = json_format.Parse(PAGE.grpcurl(), RestoreBackupRequest())
    assert request.drop_existing_collections


def test_the_table_names_what_there_is() -> None:
    fields = {field.name for field in RestoreBackupRequest.DESCRIPTOR.fields}
    keys = {field.alias or name for name, field in RestoreBody.model_fields.items()}
    rows = re.findall(
        r"^\| `(\w+)`(?:, `(\w+)`)? \| .*? \| `(\w+)`(?:, `(\w+)`)? \|", PAGE.text, re.MULTILINE
    )
    assert len(rows) == 13
    for first, second, key, more in rows:
        assert {first, *filter(None, [second])} <= fields
        assert {key, *filter(None, [more])} <= keys
