"""Places of backups through every face: gRPC, HTTP and the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from milvus_backup.v1.backup_pb2 import BackupPlace
from milvus_backup.v1.operation_pb2 import OPERATION_STATE_SUCCEEDED
from milvus_backup.v1.verification_pb2 import VERIFY_LEVEL_CONTENT
from milvus_backup_client import BackupClient, InvalidRequest
from milvus_backup_server.adapters.memory_store import MemoryServer, MemoryStore
from milvus_backup_server.app import RunningApp, running_app
from milvus_backup_server.domain.places import Place
from milvus_backup_server.wiring import Adapters, open_adapters
from tests.support.command_line import run
from tests.support.fake_milvus import FakeMilvus
from tests.support.running_service import settings_of
from tests.support.service import add_collection, keys_below, named

TEAM = BackupPlace(bucket_name="archive", path="team/a")
FLAGS = ("--bucket-name", "archive", "--path", "team/a")
QUERY = {"bucket_name": "archive", "path": "team/a"}


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def archive(server: MemoryServer) -> MemoryStore:
    return server.store("archive", create=False)


@pytest.fixture
def milvus(server: MemoryServer) -> FakeMilvus:
    return FakeMilvus(server.store("a-bucket"))


@pytest.fixture
async def app(
    server: MemoryServer, milvus: FakeMilvus, archive: MemoryStore
) -> AsyncIterator[RunningApp]:
    await add_collection(milvus, "hello", range(10))
    service = {
        "grpc": {"port": 0},
        "http": {"port": 0},
        "milvus": {"pollSeconds": 0.01},
        "storage": {"allowedPlaces": ["archive/team"]},
    }
    settings = settings_of({"configVersion": "v2", "service": service})
    store = server.store("a-bucket")
    places = {Place("archive", "team"): archive}
    async with running_app(settings, Adapters(milvus, store, store, place_stores=places)) as app:
        yield app


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def test_by_grpc(app: RunningApp, milvus: FakeMilvus, archive: MemoryStore) -> None:
    async with BackupClient(app.address) as client:
        made = await client.wait(await client.create_backup("b", place=TEAM))
        assert made.place == TEAM
        assert await keys_below(archive, "team/a/b/meta/full_meta.json")
        assert (await client.get_backup("b", place=TEAM)).place == TEAM
        assert [it.name async for it in client.list_backups(place=TEAM)] == ["b"]
        assert [it async for it in client.list_backups()] == []
        (collection,) = [it async for it in client.list_backup_collections("b", place=TEAM)]
        assert collection.name == "hello"
        await client.wait(await client.restore_backup("b", place=TEAM, suffix="_r"))
        assert milvus.keys(named("hello_r")) == list(range(10))
        await client.wait(await client.verify_backup("b", level=VERIFY_LEVEL_CONTENT, place=TEAM))
        data = b"".join([it async for it in client.export_backup("b", place=TEAM)])
        imported = await client.import_backup(chunks(data), "c", place=TEAM)
        assert (imported.state, imported.place) == (OPERATION_STATE_SUCCEEDED, TEAM)
        for name in "bc":
            await client.wait(await client.delete_backup(name, place=TEAM))
        assert await keys_below(archive, "team/") == []
        home = BackupPlace(bucket_name="a-bucket", path="backup")
        assert not (await client.wait(await client.create_backup("b", place=home))).HasField(
            "place"
        )


async def test_what_is_not_allowed_is_named_in_each_face(app: RunningApp) -> None:
    async with BackupClient(app.address) as client:
        with pytest.raises(InvalidRequest) as caught:
            await client.create_backup("b", place=BackupPlace(path="other"))
    (fault,) = caught.value.violations
    assert fault.field == "place.path"
    assert fault.description == (
        "'other' is not what the operator allows (service.storage.allowedPlaces): expected one in or "
        "below archive/team"
    )
    async with httpx.AsyncClient(base_url=f"{app.url}/api/v1", timeout=60) as http:
        for method, path in (("GET", "get_backup"), ("GET", "list"), ("DELETE", "delete")):
            answer = await http.request(
                method, path, params={"backup_name": "b", "bucket_name": "other"}
            )
            assert answer.json()["msg"].startswith("bucket_name: 'other' is not what")
        answer = await http.get("backups/b/archive", params={"path": "other"})
        assert (answer.status_code, answer.json()["msg"][:14]) == (400, "path: 'other' ")
    result = await run(app.address, "delete", "-n", "b", "--path", "../x")
    assert (result.exit_code, "place.path" in result.output) == (2, True)


async def test_by_http(app: RunningApp, milvus: FakeMilvus, archive: MemoryStore) -> None:
    async with httpx.AsyncClient(base_url=f"{app.url}/api/v1", timeout=60) as http:
        body = {"backup_name": "b", "bucket_name": "archive", "backup_root_path": "team/a"}
        made = (await http.post("create", json=body)).json()
        assert made["data"]["collection_backups"][0]["collection_name"] == "hello"
        assert await keys_below(archive, "team/a/b/meta/full_meta.json")
        found = (await http.get("get_backup", params={"backup_name": "b", **QUERY})).json()
        assert found["data"]["state_code"] == 2
        by_id = (await http.get("get_backup", params={"backup_id": made["requestId"]})).json()
        assert by_id["data"]["state_code"] == 2
        assert [it["name"] for it in (await http.get("list", params=QUERY)).json()["data"]] == ["b"]
        assert (await http.get("list")).json()["data"] == []
        body = {"backup_name": "b", "collection_suffix": "_r", **QUERY}
        assert (await http.post("restore", json=body)).json()["msg"] == "success"
        assert milvus.keys(named("hello_r")) == list(range(10))
        async with BackupClient(app.address) as client:
            await client.wait(await client.verify_backup("b", place=TEAM))
        shown = (await http.get("operations")).json()["data"]["operations"]
        assert [it["kind"] for it in shown] == ["VERIFY_BACKUP", "RESTORE_BACKUP", "CREATE_BACKUP"]
        assert {(it["bucket_name"], it["path"]) for it in shown} == {("archive", "team/a")}
        data = (await http.get("backups/b/archive", params=QUERY)).content
        params = {"backup_name": "c", **QUERY}
        assert (await http.post("backups", params=params, content=data)).status_code == 200
        for name in "bc":
            answer = await http.request("DELETE", "delete", params={"backup_name": name, **QUERY})
            assert answer.json()["msg"] == "success"
        assert await keys_below(archive, "team/") == []


async def test_on_the_command_line(
    app: RunningApp, milvus: FakeMilvus, archive: MemoryStore, tmp_path: Path
) -> None:
    file = str(tmp_path / "b.tar")
    for arguments, said in (
        (("create", "-n", "b"), "b"),
        (("get", "-n", "b"), '"collection_name": "hello"'),
        (("list",), ">> Backups:\nb\n"),
        (("verify", "-n", "b"), ""),
        (("restore", "-n", "b", "-s", "_r"), ""),
        (("export", "-n", "b", "-o", file), "exported b"),
        (("import", file, "-n", "c"), "imported c"),
        (("delete", "-n", "b"), ""),
        (("delete", "-n", "c"), ""),
    ):
        result = await run(app.address, *arguments, *FLAGS)
        assert (result.exit_code, said in result.output) == (0, True), (arguments, result.output)
    assert milvus.keys(named("hello_r")) == list(range(10))
    assert await keys_below(archive, "team/") == []
    await archive.put("team/a/torso/meta/backup_meta.json", b"{}")
    result = await run(app.address, "list", *FLAGS)
    assert "1 not complete; see: milvus-backup" in result.output
    assert "list --output wide --bucket-name archive --path team/a" in result.output
    result = await run(app.address, "get", "-n", "torso", "--output", "text", *FLAGS)
    assert "archive/team/a" in result.output


async def test_directories(server: MemoryServer, milvus: FakeMilvus, tmp_path: Path) -> None:
    await add_collection(milvus, "hello", range(10))
    more = tmp_path / "more"
    values = {
        "configVersion": "v2",
        "backup": {"storage": {"provider": "local", "rootPath": f"{tmp_path}/backups"}},
        "service": {
            "grpc": {"port": 0},
            "http": {"enabled": False},
            "milvus": {"pollSeconds": 0.01},
            "storage": {"allowedPlaces": [str(more)]},
        },
    }
    settings = settings_of(values)
    async with AsyncExitStack() as stack:
        opened = await open_adapters(stack, settings)
        adapters = replace(opened, gateway=milvus, milvus_store=server.store("a-bucket"))
        app = await stack.enter_async_context(running_app(settings, adapters))
        client = await stack.enter_async_context(BackupClient(app.address))
        team = BackupPlace(path=f"{more}/team")
        made = await client.wait(await client.create_backup("b", place=team))
        assert made.place == BackupPlace(path=f"{more}/team".strip("/"))
        assert (more / "team" / "b" / "meta" / "full_meta.json").is_file()
        await client.wait(await client.restore_backup("b", place=team, suffix="_r"))
        assert milvus.keys(named("hello_r")) == list(range(10))
        for path in (f"{more}/../backups", f"{tmp_path}/elsewhere", f"{tmp_path}/backups/x"):
            with pytest.raises(InvalidRequest):
                await client.create_backup("b", place=BackupPlace(path=path))
        await client.wait(await client.delete_backup("b", place=made.place))
        assert not (more / "team" / "b").exists()
