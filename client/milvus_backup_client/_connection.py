"""One connection to the service: its channel, its stubs, and how calls are made on it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from typing import Protocol, TypeVar

import grpc

from milvus_backup.v1.backup_service_pb2_grpc import BackupServiceStub
from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup.v1.operation_service_pb2_grpc import OperationServiceStub
from milvus_backup.v1.server_service_pb2_grpc import ServerServiceStub
from milvus_backup_client._calls import NEVER, Metadata, RetryPolicy, call
from milvus_backup_client._watch import Reconnect, Stream

_MESSAGE_BYTES = 4 * 1024 * 1024


class _PageRequest(Protocol):
    page_token: str


class _Page(Protocol):
    next_page_token: str


_Request = TypeVar("_Request")
_Response = TypeVar("_Response")
_Paged = TypeVar("_Paged", bound=_PageRequest)
_PageOf = TypeVar("_PageOf", bound=_Page)


@dataclass(frozen=True, kw_only=True)
class Connection:
    """What BackupClient holds; its arguments are described there."""

    address: str
    credentials: grpc.ChannelCredentials | None
    user_agent: str
    metadata: Metadata
    timeout_seconds: float
    retry: RetryPolicy
    reconnect_seconds: float

    @cached_property
    def channel(self) -> grpc.aio.Channel:
        """The channel, made at first use because it belongs to the event loop that runs then."""
        options = channel_options(self.user_agent)
        if self.credentials is None:
            return grpc.aio.insecure_channel(self.address, options)
        return grpc.aio.secure_channel(self.address, self.credentials, options)

    @cached_property
    def backups(self) -> BackupServiceStub:
        """The stub of BackupService."""
        return BackupServiceStub(self.channel)

    @cached_property
    def operations(self) -> OperationServiceStub:
        """The stub of OperationService."""
        return OperationServiceStub(self.channel)

    @cached_property
    def server(self) -> ServerServiceStub:
        """The stub of ServerService."""
        return ServerServiceStub(self.channel)

    async def close(self) -> None:
        """Close the channel, running streams included."""
        await self.channel.close()

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
        timeout_seconds: float | None,
        *,
        repeat: bool = True,
    ) -> _Response:
        """Call a unary method.

        Args:
            method: The method of a stub.
            request: Its request.
            timeout_seconds: The time for all attempts together; None: the default.
            repeat: Whether the call may be made again when no answer came.
        """
        return await call(
            method,
            request,
            timeout_seconds=self.timeout_seconds if timeout_seconds is None else timeout_seconds,
            metadata=self.metadata,
            retry=self.retry if repeat else NEVER,
        )

    async def pages(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[_Paged, _PageOf],
        request: _Paged,
        timeout_seconds: float | None,
    ) -> AsyncGenerator[_PageOf, None]:
        """Yield the pages of a list; the request's token moves on.

        Args:
            method: The list method of a stub.
            request: Asks for the first page.
            timeout_seconds: The time of each page; None: the default.
        """
        while True:
            page = await self.call(method, request, timeout_seconds)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def stream(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[_Request, Operation],
        request: _Request,
    ) -> Stream:
        """Begin a stream, which has no deadline."""
        return method(request, metadata=self.metadata)

    def reconnect(self) -> Reconnect:
        """Return how one watch deals with breaks."""
        return Reconnect(self.retry, self.reconnect_seconds)


def channel_options(user_agent: str) -> list[tuple[str, str | int]]:
    """Return the gRPC channel options of every connection of this client.

    Args:
        user_agent: The program's name in the service's logs; the version is added.
    """
    return [
        ("grpc.primary_user_agent", f"{user_agent}/{_version()}"),
        ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MESSAGE_BYTES),
        # A watch may be silent for long: find out that the other end is gone. The service must
        # allow pings this often (`grpc.http2.min_recv_ping_interval_without_data_ms`).
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),
        # A service that restarts is found again within seconds; gRPC's own choice is up to 2 min.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]


def _version() -> str:
    try:
        return metadata.version("milvus-backup")
    except metadata.PackageNotFoundError:  # used from a source tree that is not installed
        return "unknown"
