"""The client: every method of the service's contract, typed, with deadlines and safe retries."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import grpc

from milvus_backup.v1.server_service_pb2 import (
    CheckRequest,
    CheckResponse,
    GetServerInfoRequest,
    GetServerInfoResponse,
)
from milvus_backup_client._archive_methods import ArchiveMethods
from milvus_backup_client._backup_methods import BackupMethods
from milvus_backup_client._calls import RetryPolicy
from milvus_backup_client._connection import Connection
from milvus_backup_client._operation_methods import OperationMethods


class BackupClient(BackupMethods, ArchiveMethods, OperationMethods):
    """A client of one backup service.

    Use it as an async context manager, or call ``close``. It connects at the first call, and may
    be made before the event loop runs; it then belongs to the loop of its first call.

        async with BackupClient("127.0.0.1:50051") as client:
            operation = await client.create_backup("nightly", collections=["shop.*"])
            async for state in client.watch(operation):
                print(state.progress.bytes_per_second)
            await client.wait(operation)

    Every method raises BackupServiceError, in the subclass that tells what is wrong. Where a method
    takes ``timeout_seconds``, it is the time for all its attempts together, and ``None`` is the
    client's default. A call that times out or is cancelled does not stop an operation:
    ``cancel_operation`` does. Only exports and imports live as long as their streams.

    Args:
        address: ``host:port``, ``unix:/path`` or another gRPC target.
        credentials: For TLS; without them the connection is plain text.
        timeout_seconds: The default time of a call.
        retry: How to repeat calls that the service did not answer. Repeated are only those
            that read, and creates and restores with a ``request_id``.
        reconnect_seconds: How long a broken watch tries to come back without hearing anything.
        user_agent: The name of this program in the service's logs.
        metadata: Keys and values to send with every call.
    """

    def __init__(
        self,
        address: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        timeout_seconds: float = 30.0,
        retry: RetryPolicy | None = None,
        reconnect_seconds: float = 60.0,
        user_agent: str = "milvus-backup-client",
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._connection = Connection(
            address=address,
            credentials=credentials,
            user_agent=user_agent,
            metadata=tuple(metadata),
            timeout_seconds=timeout_seconds,
            retry=retry or RetryPolicy(),
            reconnect_seconds=reconnect_seconds,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; running watches end. The client cannot be used again."""
        await self._connection.close()

    async def check(self, *, timeout_seconds: float | None = None) -> CheckResponse:
        """Let the service try Milvus and both stores; ``ok`` and the items tell what was found."""
        return await self._connection.call(
            self._connection.server.Check, CheckRequest(), timeout_seconds
        )

    async def server_info(self, *, timeout_seconds: float | None = None) -> GetServerInfoResponse:
        """Return what the service is, its Milvus and its stores; also while Milvus is down."""
        return await self._connection.call(
            self._connection.server.GetServerInfo, GetServerInfoRequest(), timeout_seconds
        )
