"""Whole backups over HTTP as one archive: streamed both ways, refused in words, never half a success."""

import io
import tarfile
from collections.abc import AsyncIterator

import httpx
import pytest

from milvus_backup_server.domain.errors import BackupCorrupt, OperationInterrupted, StorageDenied
from milvus_backup_server.domain.operations import OperationState
from tests.support.fake_use_cases import FakeApi, serving_fakes
from tests.support.fixtures import FIXTURES
from tests.support.http_service import HttpService, http_port, listening
from tests.support.service import World, add_collection

ROWS = 2_000


@pytest.fixture
async def http() -> AsyncIterator[HttpService]:
    world = World()
    await add_collection(world.milvus, "c", range(ROWS))
    async with listening(world) as service:
        yield service


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with serving_fakes() as served:
        yield served


@pytest.fixture
async def streaming(api: FakeApi) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        http_port(api.use_cases) as url,
        httpx.AsyncClient(base_url=url, timeout=60) as client,
    ):
        yield client


async def test_a_backup_goes_out_and_comes_in_again(http: HttpService) -> None:
    made = (await http.create("b", requestId="id-1"))["data"]
    archive = await http.client.get("/backups/b/archive")
    assert archive.status_code == 200
    assert archive.headers["content-type"] == "application/x-tar"
    assert archive.headers["content-disposition"] == 'attachment; filename="b.tar"'
    with tarfile.open(fileobj=io.BytesIO(archive.content)) as packed:
        assert packed.getnames()[-1] == "b/meta/full_meta.json"

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(archive.content), 10_000):
            yield archive.content[start : start + 10_000]

    answer = await http.client.post("/backups", params={"backup_name": "d"}, content=pieces())
    assert answer.status_code == 200
    operation = answer.json()["data"]
    assert (operation["kind"], operation["state"]) == ("IMPORT_BACKUP", "SUCCEEDED")
    assert (operation["backup_name"], operation["caller"]["origin"]) == ("d", "HTTP")
    shown = (await http.json("GET", "/get_backup", params={"backup_name": "d"}))["data"]
    assert shown["collection_backups"] == made["collection_backups"]
    restored = await http.json(
        "POST", "/restore", json={"backup_name": "d", "collection_suffix": "_r"}
    )
    assert restored["data"]["state_code"] == 2


async def test_an_archive_of_the_go_tool_comes_in_as_it_is(http: HttpService) -> None:
    content = (FIXTURES / "fx_go_0_5_16.tar.gz").read_bytes()
    answer = await http.client.post("/backups", content=content)
    name = answer.json()["data"]["backup_name"]
    listed = (await http.json("GET", "/list"))["data"]
    assert [item["name"] for item in listed] == [name]


async def test_what_cannot_be_sent_or_made(http: HttpService) -> None:
    await http.create("b")
    archive = (await http.client.get("/backups/b/archive")).content
    client = http.client
    for answer, status, code, said in [
        (await client.get("/backups/nothing/archive"), 404, 3, "backup 'nothing' does not exist"),
        (await client.get("/backups/..%2fb/archive"), 404, None, "Not Found"),
        (await client.get("/backups/-/archive"), 400, 400, "backup_name: '-' is not allowed"),
        (await client.post("/backups", content=archive), 409, 3, "already exists"),
        (await client.post("/backups?backup_name=../x", content=archive), 400, 400, "backup_name"),
        (await client.post("/backups?backup_name=d", content=archive[:9000]), 400, 400, "cut off"),
        (await client.post("/backups?backup_name=d", content=b"x" * 9000), 400, 400, "no tar"),
        (await client.post("/backups?backup_name=d"), 400, 400, "archive"),
    ]:
        assert answer.status_code == status, answer.text
        found = answer.json()
        assert found.get("code") == code
        assert said in found.get("msg", found.get("error")), answer.text
    assert [item["name"] for item in (await http.json("GET", "/list"))["data"]] == ["b"]
    assert not [key for key in await http.world.backups() if key.startswith("backup/d/")]


async def test_an_archive_that_breaks_off_is_no_success(
    api: FakeApi, streaming: httpx.AsyncClient
) -> None:
    api.export.chunks_of = (b"first", b"second")
    api.export.error = StorageDenied("gone")
    with pytest.raises(httpx.RemoteProtocolError):
        await streaming.get("/backups/b/archive")


async def test_an_export_that_fails_before_its_first_byte_says_why(
    api: FakeApi, streaming: httpx.AsyncClient
) -> None:
    api.export.error = BackupCorrupt("damaged")
    answer = await streaming.get("/backups/b/archive")
    assert answer.status_code == 409
    assert answer.json() == {"code": 3, "msg": "damaged", "data": None}


async def test_an_archive_may_be_larger_than_a_json_body(
    api: FakeApi, streaming: httpx.AsyncClient
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(24):
            yield b"x" * (1 << 18)

    api.import_.error = OperationInterrupted("as asked")
    answer = await streaming.post("/backups", content=pieces(), timeout=60)
    assert (answer.status_code, answer.json()["msg"]) == (503, "as asked")
    assert sum(map(len, api.import_.chunks)) == 6 << 20


async def test_a_caller_that_leaves_an_import_leaves_nothing(http: HttpService) -> None:
    await http.create("b")
    archive = (await http.client.get("/backups/b/archive")).content

    async def pieces() -> AsyncIterator[bytes]:
        yield archive[: len(archive) // 2]
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        await http.client.post("/backups", params={"backup_name": "d"}, content=pieces())
    begun = await _import(http)
    last = await http.service.operations.end_of(begun)
    assert last.state is not OperationState.SUCCEEDED
    assert not [key for key in await http.world.backups() if key.startswith("backup/d/")]


async def _import(http: HttpService) -> str:
    """Wait until an import has begun and return the operation's name."""
    while True:
        answer = await http.json("GET", "/operations", params={"kind": "IMPORT_BACKUP"})
        for operation in answer["data"]["operations"]:
            return str(operation["name"])
