"""What docs/selection.md shows on the command line and in Python is run."""

import ast
import asyncio
import re
import shlex
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from milvus_backup_client import BackupClient
from milvus_backup_server.adapters.memory_store import MemoryServer, MemoryStore
from milvus_backup_server.app import running_app
from milvus_backup_server.wiring import Adapters
from tests.support.fake_milvus import FakeMilvus
from tests.support.running_service import settings_of
from tests.support.service import add_collection, named

PAGE = (Path(__file__).parents[2] / "docs" / "selection.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def without_sizes(text: str) -> str:
    """Make alike what depends on how the Milvus in memory writes its objects."""
    return re.sub(r"[\d.]+ (bytes|kB)", "size", text)


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
    steps = re.split(r"^\$ ", block("console"), flags=re.MULTILINE)[1:]
    assert len(steps) == 2
    for step in steps:
        command, _, output = step.partition("\n")
        program, *arguments = shlex.split(command)
        assert program == "milvus-backup"
        script = Path(sysconfig.get_path("scripts")) / program
        process = await asyncio.create_subprocess_exec(
            script, "--address", address, *arguments, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await process.communicate()
        assert (process.returncode, without_sizes(told.decode())) == (0, without_sizes(output))


async def test_the_program(address: str, milvus: FakeMilvus) -> None:
    program = compile(
        block("python").replace("await client.create_backup", "await create"),
        "selection.md",
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
    )
    async with BackupClient(address) as client:

        async def create(*arguments: object, **fields: object) -> None:
            operation = await client.create_backup(*arguments, **fields)  # type: ignore[arg-type]
            await client.wait(operation)

        await eval(program, {"client": client, "create": create})  # noqa: S307 our own page
        await client.wait((await client.list_operations().__anext__()).name)
    for name in ("hello_north", "archive.hello"):
        assert milvus.keys(named(name)) == list(range(100, 105))
