"""A network that can be cut, or that keeps some requests back, between a client and a server."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from tests.support.processes import free_ports

_CHUNK = 1 << 16
_LAST_REQUEST_SECONDS = 1.0


class Relay:
    """Passes TCP connections on to a server; until it is started, nobody listens at its port.

    An async context manager that ends all connections; `start` within its body.

    Attributes:
        port: where clients connect to, on 127.0.0.1.
        held: how many requests were kept back so far.
    """

    def __init__(self, target_port: int) -> None:
        """Choose a port; nothing listens there yet."""
        (self.port,) = free_ports(1)
        self.held = 0
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._marker: bytes | None = None
        self._released = asyncio.Event()
        self._changed = asyncio.Condition()

    async def start(self) -> Self:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        return self

    def hold(self, marker: bytes) -> None:
        """Keep back, until `release`, what clients send on a connection from now on.

        It begins with the first piece that has `marker` in it, in any case. What was kept back is
        delivered even if the client has gone meanwhile.
        """
        self._marker = marker.lower()
        self._released = asyncio.Event()

    def release(self) -> None:
        """Deliver what was kept back, and keep nothing back any more."""
        self._marker = None
        self._released.set()

    async def wait_held(self, requests: int = 1) -> None:
        """Wait until so many requests were kept back."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.held >= requests)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        # asyncio's callback asks every task of a connection for its exception, cancelled or not.
        ends = contextlib.suppress(OSError, asyncio.CancelledError)
        with ends, contextlib.closing(writer):
            back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            with contextlib.closing(back_writer):
                await self._both_ways(reader, writer, back_reader, back_writer)

    async def _both_ways(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back_reader: asyncio.StreamReader,
        back_writer: asyncio.StreamWriter,
    ) -> None:
        answers = asyncio.create_task(_pass_on(back_reader, writer))
        try:
            while data := await reader.read(_CHUNK):
                if self._marker is not None and self._marker in data.lower():
                    await self._keep_back()
                back_writer.write(data)
                await back_writer.drain()
            # A server gives up a request whose connection is closed: let it do the last one.
            await asyncio.wait({answers}, timeout=_LAST_REQUEST_SECONDS)
        finally:
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)

    async def _keep_back(self) -> None:
        self.held += 1
        async with self._changed:
            self._changed.notify_all()
        await self._released.wait()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
