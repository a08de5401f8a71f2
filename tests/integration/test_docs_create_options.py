"""What docs/create-options.md shows is run."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google.protobuf import json_format

from milvus_backup.v1.backup_pb2 import (
    BACKUP_STATE_COMPLETE,
    BACKUP_STRATEGY_SERIAL_FLUSH,
    BackupPlace,
)
from milvus_backup.v1.backup_service_pb2 import CreateBackupRequest
from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup_client import BackupClient
from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.app import RunningApp, running_app
from milvus_backup_server.domain.errors import MilvusRefused
from milvus_backup_server.domain.places import Place
from milvus_backup_server.domain.strategies import BackupStrategy
from milvus_backup_server.http.bodies import CreateBody
from milvus_backup_server.wiring import Adapters
from tests.support.curl import curl
from tests.support.docs_page import DocsPage
from tests.support.fake_milvus import FakeMilvus
from tests.support.held_calls import GATEWAY
from tests.support.meanwhile import Meanwhile, failing
from tests.support.running_service import Decorators, settings_of
from tests.support.service import add_collection

PAGE = DocsPage("create-options.md")


@asynccontextmanager
async def serving(around: Decorators | None = None) -> AsyncIterator[RunningApp]:
    """Serve `hello` and `shop.orders` for the time of a block."""
    server = MemoryServer()
    store, archive = server.store("a-bucket"), server.store("archive", create=False)
    milvus = FakeMilvus(store)
    hello = await add_collection(milvus, "hello", range(10), partitions=["north"])
    milvus.insert(hello, range(100, 105), "north")
    await add_collection(milvus, "shop.orders", range(3))
    service = {
        "grpc": {"port": 0},
        "http": {"port": 0},
        "milvus": {"pollSeconds": 0.01},
        "storage": {"allowedPlaces": ["archive/team"]},
    }
    settings = settings_of({"configVersion": "v2", "service": service})
    gateway = (around or Decorators()).gateway(milvus)
    places = {Place("archive", "team"): archive}
    async with running_app(settings, Adapters(gateway, store, store, place_stores=places)) as app:
        yield app


@pytest.fixture
async def app() -> AsyncIterator[RunningApp]:
    async with serving() as app:
        yield app


async def test_the_session(app: RunningApp) -> None:
    assert await PAGE.run_session(app.address, "On the command line") == [0, 0, 0, 0, 2]
    async with BackupClient(app.address) as client:
        made = [it.request_id async for it in client.list_operations()]
    assert made == ["monday"]  # the plan is not stored, and the same id began nothing twice


async def test_what_fails_and_its_retry() -> None:
    refused = Meanwhile(GATEWAY, "load_state", failing(MilvusRefused("no")), part="shop.orders")
    async with serving(refused.decorators) as app:
        assert await PAGE.run_session(app.address, "When a collection fails") == [6, 0]
        async with BackupClient(app.address) as client:
            backup = await client.get_backup("nightly")
    assert (refused.fired, backup.state, backup.collection_count) == (1, BACKUP_STATE_COMPLETE, 2)


async def test_the_program(app: RunningApp) -> None:
    async with BackupClient(app.address) as client:
        names = await PAGE.run_program({"client": client})
        operation = names["operation"]
        assert isinstance(operation, Operation)
        await client.wait(operation)
        place = BackupPlace(bucket_name="archive", path="team/b")
        backup = await client.get_backup("flushed", place=place)
    assert (backup.labels["made-by"], backup.exact) == ("nightly-job", False)


async def test_the_call(app: RunningApp, tmp_path: Path) -> None:
    command = PAGE.block("sh").replace("http://127.0.0.1:8080", app.url)
    answer = json.loads(await asyncio.to_thread(curl, command, tmp_path))
    assert (answer["msg"], answer["data"]["state_code"]) == ("success", 2)
    async with BackupClient(app.address) as client:
        place = BackupPlace(bucket_name="archive", path="team/c")
        (collection,) = (await client.get_backup("orders", place=place)).collections
    assert (collection.database, collection.name) == ("shop", "orders")


def test_the_message() -> None:
    request = json_format.Parse(PAGE.grpcurl(), CreateBackupRequest())
    assert (request.strategy, request.place.path) == (BACKUP_STRATEGY_SERIAL_FLUSH, "team/a")


def test_the_tables_name_what_there_is() -> None:
    fields = {field.name for field in CreateBackupRequest.DESCRIPTOR.fields}
    keys = {field.alias or name for name, field in CreateBody.model_fields.items()}
    rows = re.findall(
        r"^\| `(\w+)` \| `--[^|]*\| (?:`(\w+)`(?:, `(\w+)`)?)? ?\|", PAGE.text, re.MULTILINE
    )
    told = {name for name, *_ in rows}
    assert told == fields - {"backup_name", "collections"}
    assert {key for _, *found in rows for key in found if key} <= keys
    strategies = re.findall(r"^\| `(\w+)` \| [^`-]", PAGE.text, re.MULTILINE)
    assert strategies == [strategy.value for strategy in BackupStrategy]
