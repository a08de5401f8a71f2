"""The gateway against a REST API that answers as it is told, also as no Milvus would."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from milvus_backup_server.adapters.milvus import GrpcMilvusGateway, MilvusSettings
from milvus_backup_server.domain.errors import (
    ImportOutcomeUnknown,
    MilvusRefused,
    MilvusUnavailable,
)
from milvus_backup_server.domain.milvus import (
    CollectionName,
    ImportJob,
    ImportOptions,
    ImportSource,
    ImportState,
)

C1 = CollectionName("shop", "c1")
SOURCES = [ImportSource("a/insert_log/1/2/")]
OPTIONS = ImportOptions(rest=True, hybrid_end_ts=True)
CREATED = json.dumps({"code": 0, "data": {"jobId": "7"}}).encode()
LATIN_1 = "Passerelle erronée".encode("latin-1")

NO_ANSWERS = {
    "no JSON": b"<html>Welcome</html>",
    "no object": b"[1]",
    "no code": b'{"data": {}}',
    "no data": b'{"code": 0}',
    "null data": b'{"code": 0, "data": null}',
    "other data": b'{"code": 0, "data": ["7"]}',
}


@dataclass
class Answers:
    """What the API answers to each request, and what it was asked."""

    body: bytes = CREATED
    status: int = 200
    content_type: str = "application/json"
    elsewhere: str = ""
    paths: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.paths.append(request.path.removeprefix("/v2/vectordb/"))
        headers = {"Content-Type": self.content_type}
        if self.elsewhere:
            headers["Location"] = self.elsewhere
        return web.Response(body=self.body, status=self.status, headers=headers)


@asynccontextmanager
async def serving(answers: Answers) -> AsyncIterator[GrpcMilvusGateway]:
    app = web.Application()
    app.router.add_post("/{path:.*}", answers.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    settings = MilvusSettings(
        host=host,
        port=port,
        rest_endpoint=f"http://{host}:{port}",
        call_seconds=2,
        retry_seconds=0,
    )
    gateway = GrpcMilvusGateway(settings)
    try:
        yield gateway
    finally:
        await gateway.close()
        await runner.cleanup()


@pytest.mark.parametrize("body", NO_ANSWERS.values(), ids=NO_ANSWERS)
async def test_an_import_that_no_milvus_answered_may_have_been_taken(body: bytes) -> None:
    answers = Answers(body)
    async with serving(answers) as gateway:
        with pytest.raises(ImportOutcomeUnknown, match="this is no Milvus"):
            await gateway.submit_import(C1, "p", SOURCES, OPTIONS)
    assert answers.paths == ["jobs/import/create"]


async def test_an_error_page_that_is_no_utf_8_leaves_open_what_became_of_an_import() -> None:
    async with serving(Answers(LATIN_1, 502, "text/html")) as gateway:
        with pytest.raises(ImportOutcomeUnknown, match="HTTP status 502"):
            await gateway.submit_import(C1, "p", SOURCES, OPTIONS)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_nothing_is_asked_of_another_place_than_that_of_the_settings(status: int) -> None:
    other = Answers()
    async with serving(other) as elsewhere:
        answers = Answers(b"", status, elsewhere=f"http://{elsewhere.address}/v2/other")
        async with serving(answers) as gateway:
            with pytest.raises(MilvusRefused, match=f"HTTP status {status}"):
                await gateway.submit_import(C1, "p", SOURCES, OPTIONS)
            fault = await gateway.rest_fault()
    assert other.paths == []
    assert len(answers.paths) == 2
    assert isinstance(fault, MilvusRefused)


@pytest.mark.parametrize("body", NO_ANSWERS.values(), ids=NO_ANSWERS)
async def test_segments_that_no_milvus_described_are_an_error_for_which_there_is_a_way_out(
    body: bytes,
) -> None:
    async with serving(Answers(body)) as gateway:
        if body == NO_ANSWERS["no data"]:
            assert await gateway.segment_logs(C1, 1, [2]) == {}
            return
        with pytest.raises(MilvusRefused, match="segments/describe: this is no Milvus"):
            await gateway.segment_logs(C1, 1, [2])


async def test_jobs_are_asked_for_where_they_were_made_as_long_as_the_collection_is_there() -> None:
    answers = Answers()
    async with serving(answers) as gateway:
        assert await gateway.submit_import(C1, "p", SOURCES, OPTIONS) == "7"
        answers.body = b'{"code": 0, "data": {"records": [{"jobId": "7", "state": "Completed"}]}}'
        assert await gateway.list_imports(C1) == [ImportJob("7", ImportState.COMPLETED)]
        gateway.forget_target(C1)
        with pytest.raises(MilvusUnavailable):  # asked by gRPC, which this does not speak
            await gateway.list_imports(C1)
    assert answers.paths == ["jobs/import/create", "jobs/import/list"]
