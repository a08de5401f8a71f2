"""An S3 server that answers as a test says, and notes what it was asked."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Respond = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class ScriptedS3:
    """A server that answers every request as a test says."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.requests: list[web.BaseRequest] = []
        self.respond: Respond = self.refuse_all

    async def refuse_all(self, _: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=500)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        await request.read()
        return await self.respond(request)

    def answer(self, status: int, code: str = "", body: str | None = None) -> None:
        """Answer all requests with an error as S3 writes it, or with a body."""
        text = f"<Error><Code>{code}</Code><Message>m</Message></Error>" if code else ""

        async def respond(_: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=status, text=text if body is None else body)

        self.respond = respond


@asynccontextmanager
async def scripted_s3() -> AsyncIterator[ScriptedS3]:
    """Run such a server for the time of a block."""
    scripted = ScriptedS3()
    runner = web.ServerRunner(web.Server(scripted.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    scripted.endpoint = f"http://{host}:{port}"
    yield scripted
    await runner.cleanup()
