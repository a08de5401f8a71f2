"""The HTTP server, in the event loop of the service and under its orders."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import uvicorn

from milvus_backup_server.http.application import build_app
from milvus_backup_server.http.options import HttpOptions
from milvus_backup_server.service.use_cases import UseCases

_STOP_GRACE_SECONDS: Final = 1


class HttpServer:
    """The HTTP face of the service."""

    def __init__(self, use_cases: UseCases, options: HttpOptions) -> None:
        self._options = options
        config = uvicorn.Config(
            build_app(use_cases, options),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_STOP_GRACE_SECONDS,
        )
        self._server = _Embedded(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> HttpOptions:
        """Listen, serve, and return the options with the port that was chosen for port 0.

        Raises:
            OSError: The address is taken or cannot be listened on.
        """
        listener = _listen(self._options)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]), name="http")
        await self._server.up.wait()
        return replace(self._options, port=listener.getsockname()[1])

    async def stop(self) -> None:
        """Take no more requests, and end those that are open."""
        if self._serving is not None:
            self._server.should_exit = True
            await self._serving


class _Embedded(uvicorn.Server):
    """A server that leaves the signals to whoever runs the loop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets)
        self.up.set()


def _listen(options: HttpOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family)
    except OSError as error:
        text = f"cannot listen on {options.authority}: {error.strerror or error}"
        raise OSError(text) from error
