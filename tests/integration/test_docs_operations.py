"""What docs/operations.md shows is run, over a simulated Milvus that sometimes does not answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google.protobuf import json_format

from milvus_backup.v1.backup_service_pb2 import VerifyBackupRequest
from milvus_backup.v1.operation_pb2 import (
    OPERATION_STATE_INTERRUPTED,
    OPERATION_STATE_SUCCEEDED,
    Operation,
    OperationState,
)
from milvus_backup.v1.verification_pb2 import VERIFY_LEVEL_RESTORED
from milvus_backup_client import BackupClient
from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.milvus import GrpcMilvusGateway, MilvusSettings
from milvus_backup_server.app import RunningApp, running_app
from milvus_backup_server.domain.errors import MilvusUnavailable
from milvus_backup_server.domain.operations import OperationState as State
from milvus_backup_server.domain.verification import VerifyLevel
from milvus_backup_server.wiring import Adapters
from tests.support.curl import curl
from tests.support.docs_page import DocsPage
from tests.support.held_calls import GATEWAY
from tests.support.meanwhile import Meanwhile, failing
from tests.support.running_service import settings_of
from tests.support.simulator import SimulatedMilvus, adopt, simulator

pytestmark = pytest.mark.usefixtures("own_disk")

PAGE = DocsPage("operations.md")
SILENT = failing(MilvusUnavailable("Milvus does not answer"))


@asynccontextmanager
async def serving(silences: int = 0) -> AsyncIterator[RunningApp]:
    """Serve `groups` with 1,391 rows; Milvus does not answer so many times when a collection is made."""
    store = MemoryServer().store("a-bucket")
    milvus = SimulatedMilvus(store, "2.5.27", "files")
    await adopt(milvus, "fx_go_0_5_16_groups")
    service = {
        "grpc": {"port": 0},
        "http": {"port": 0},
        "milvus": {"pollSeconds": 0.01},
        "operations": {"progressSeconds": 0.1},
    }
    settings = settings_of({"configVersion": "v2", "service": service})
    async with simulator(milvus) as served:
        silence = Silences(silences)
        gateway = GrpcMilvusGateway(MilvusSettings(host="127.0.0.1", port=served.port))
        around = Meanwhile(GATEWAY, "create_collection", silence, times=1000).decorators
        adapters = Adapters(around.gateway(gateway), store, store)
        try:
            async with running_app(settings, adapters) as app:
                yield app
        finally:
            await gateway.close()
        assert silence.left == 0


class Silences:
    """Every second call is not answered, so many times: after an interrupt comes a resume."""

    def __init__(self, number: int) -> None:
        self.left = number
        self._next = True

    async def __call__(self) -> None:
        if self.left and self._next:
            self.left -= 1
            self._next = False
            await SILENT()
        self._next = True


async def test_the_sessions() -> None:
    async with serving(silences=2) as app:
        assert await PAGE.run_session(app.address, "Resume") == [0, 5, 0]
        assert await PAGE.run_session(app.address, "Sweep") == [5, 0, 0]
        assert await PAGE.run_session(app.address, "Verify") == [0]


async def interrupted(app: RunningApp) -> str:
    async with BackupClient(app.address) as client:
        await client.wait(await client.create_backup("nightly"))
        begun = await client.restore_backup("nightly", suffix="_copy")
        ended = await client.wait(begun, raise_on_failure=False)
    assert ended.state == OPERATION_STATE_INTERRUPTED
    return begun.name


async def test_the_program() -> None:
    async with serving(silences=1) as app:
        name = await interrupted(app)
        async with BackupClient(app.address) as client:
            names = await PAGE.run_program({"client": client})
            assert (await client.get_operation(name)).state == OPERATION_STATE_SUCCEEDED
        verified = names["verified"]
        assert isinstance(verified, Operation)
        assert verified.verify_backup.compared_row_count == 1391


async def test_the_calls(tmp_path: Path) -> None:
    async with serving(silences=1) as app:
        name = await interrupted(app)
        block = PAGE.block("sh", "With HTTP").replace("http://127.0.0.1:8080", app.url)
        commands = [f"curl {it}" for it in block.replace("OPERATION", name).split("curl ")[1:]]
        answers = []
        for command in commands:
            answer = json.loads(await asyncio.to_thread(curl, command, tmp_path))["data"]
            if "name" in answer:
                ended = await app.use_cases.operations.end_of(answer["name"])
                assert ended.state is State.SUCCEEDED, ended.error
            answers.append(answer)
    assert [it["kind"] for it in answers if "kind" in it] == [
        "RESTORE_BACKUP",
        "VERIFY_BACKUP",
        "SWEEP",
    ]
    ((shown,),) = (it for it in answers if isinstance(it, list))
    assert (shown["level"], shown["restored_collections"]) == ("RESTORED", 1)


def test_the_message() -> None:
    request = json_format.Parse(PAGE.grpcurl(), VerifyBackupRequest())
    assert request.level == VERIFY_LEVEL_RESTORED
    assert list(request.collections) == ["groups"]


def test_the_tables_name_what_there_is() -> None:
    for state in OperationState.keys():  # noqa: SIM118 an enum's names
        short = state.removeprefix("OPERATION_STATE_")
        assert short == "UNSPECIFIED" or f"`{short}`" in PAGE.text
    for level in VerifyLevel:
        assert f"| `{level.value}` |" in PAGE.text
