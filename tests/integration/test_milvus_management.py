"""The management API over HTTP: its answers as recorded, and everything that is none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from milvus_backup_server.adapters.milvus import GrpcMilvusGateway, MilvusSettings
from milvus_backup_server.domain.errors import MilvusRefused, MilvusUnavailable
from milvus_backup_server.domain.failures import leaves_open

TICKET = (
    "eyJjb2xsZWN0aW9uX2lkIjoiLTEiLCJ0b2tlbiI6ImE2ODk2ZGE2LTM0NWQtNGJhZi1hMTE5LWNhNDk2MjFlYmNlMiJ9"
)


@asynccontextmanager
async def managed(
    text: str, status: int = 200
) -> AsyncIterator[tuple[GrpcMilvusGateway, list[str]]]:
    """Serve one answer to everything; yield a gateway and the requests that came."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.path_qs}")
        return web.Response(text=text, status=status, headers={"Location": "http://127.0.0.1:1/"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    gateway = GrpcMilvusGateway(MilvusSettings(management_endpoint=endpoint))
    try:
        yield gateway, asked
    finally:
        await gateway.close()
        await runner.cleanup()


async def test_a_pause_with_a_ticket_and_its_end() -> None:
    async with managed(f'{{"msg": "OK", "ticket": "{TICKET}"}}') as (gateway, asked):
        assert await gateway.pause_gc(60, 470639877490628994) == TICKET
        await gateway.resume_gc(TICKET)
    path = "/management/datacoord/garbage_collection"
    assert asked == [
        f"GET {path}/pause?pause_seconds=60&collection_id=470639877490628994",
        f"GET {path}/resume?ticket={TICKET}",
    ]


async def test_a_pause_without_a_ticket_and_its_end() -> None:
    async with managed('{"msg": "OK"}') as (gateway, asked):
        assert await gateway.pause_gc(900) == ""
        await gateway.resume_gc("")
    path = "/management/datacoord/garbage_collection"
    assert asked == [f"GET {path}/pause?pause_seconds=900", f"GET {path}/resume"]


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("404 page not found\n", 404, "HTTP status 404: 404 page not found"),
        (
            '{"msg": "failed to pause garbage collection, strconv.ParseInt: parsing "": invalid syntax"}',
            500,
            (
                'HTTP status 500: failed to pause garbage collection, strconv.ParseInt: parsing "": '
                "invalid syntax"
            ),
        ),
        ("", 302, "HTTP status 302: "),
        ("<html>a page</html>", 200, "this is no Milvus"),
        ("[]", 200, "this is no Milvus"),
    ],
)
async def test_what_is_refused_names_the_reason(text: str, status: int, said: str) -> None:
    async with managed(text, status) as (gateway, asked):
        with pytest.raises(MilvusRefused) as caught:
            await gateway.pause_gc(60)
    assert len(asked) == 1
    assert caught.value.message.endswith(f" refuses garbage_collection/pause: {said}")


async def test_silence_ends() -> None:
    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(be_silent, "127.0.0.1", 0) as server:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = MilvusSettings(management_endpoint=endpoint, call_seconds=0.2)
        gateway = GrpcMilvusGateway(settings)
        with pytest.raises(MilvusUnavailable, match="no answer in time") as caught:
            await gateway.pause_gc(60)
        await gateway.close()
    assert leaves_open(caught.value)


@pytest.mark.parametrize(("status", "code"), [(502, "LOST"), (504, "LOST"), (500, "500")])
async def test_a_proxy_that_got_no_answer_leaves_open_what_became_of_it(
    status: int, code: str
) -> None:
    async with managed("", status) as (gateway, _):
        with pytest.raises(MilvusRefused) as caught:
            await gateway.pause_gc(60)
    assert caught.value.metadata["code"] == code


async def test_a_connection_that_breaks_leaves_open_what_became_of_it() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        gateway = GrpcMilvusGateway(MilvusSettings(management_endpoint=endpoint))
        with pytest.raises(MilvusUnavailable, match="the connection broke") as caught:
            await gateway.pause_gc(60)
        await gateway.close()
    assert leaves_open(caught.value)


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:1", "nothing"])
async def test_an_address_of_nothing(endpoint: str) -> None:
    gateway = GrpcMilvusGateway(MilvusSettings(management_endpoint=endpoint))
    with pytest.raises(MilvusUnavailable, match="no connection") as caught:
        await gateway.pause_gc(60)
    await gateway.close()
    assert not leaves_open(caught.value)
