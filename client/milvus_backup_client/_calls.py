"""How calls are made: their errors translated, and repeated where that is safe and may help."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import grpc

from milvus_backup_client._status import make_status
from milvus_backup_client.errors import (
    BackupServiceError,
    ServerStopping,
    ServiceUnreachable,
    from_rpc_error,
    from_status,
)

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")
Metadata: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how fast a call that may be repeated is made again.

    Attributes:
        attempts: Calls in all, the first included; 1 turns repeating off.
        first_delay_seconds: The pause after the first attempt; each further one is twice as long.
        max_delay_seconds: The longest pause.
    """

    attempts: int = 4
    first_delay_seconds: float = 0.2
    max_delay_seconds: float = 2.0

    def delay_seconds(self, failures: int) -> float:
        """Return the pause after so many failures in a row, a random part of it taken off.

        Args:
            failures: At least 1.
        """
        whole = min(self.first_delay_seconds * 2.0 ** min(failures - 1, 30), self.max_delay_seconds)
        return whole * random.uniform(0.5, 1.0)  # noqa: S311 - spreads callers, keeps no secret


NEVER = RetryPolicy(attempts=1)


def worth_repeating(error: BackupServiceError) -> bool:
    """Tell whether the service itself was not there.

    When it answers that Milvus or a store is unavailable it has retried already, and the caller
    is better served by the reason than by the wait.
    """
    return isinstance(error, ServiceUnreachable | ServerStopping)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what gRPC raises inside into BackupServiceError."""
    try:
        yield
    except grpc.aio.AioRpcError as exc:
        raise from_rpc_error(exc) from exc
    except grpc.aio.UsageError as exc:
        raise _closed() from exc
    except asyncio.CancelledError as exc:
        # Closing a channel raises it in the tasks that wait for calls, which nobody cancelled.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise _closed() from exc


def _closed() -> BackupServiceError:
    return from_status(make_status(grpc.StatusCode.CANCELLED, "", "the client was closed"))


async def call(
    method: grpc.aio.UnaryUnaryMultiCallable[_Request, _Response],
    request: _Request,
    *,
    timeout_seconds: float,
    metadata: Metadata = (),
    retry: RetryPolicy = NEVER,
) -> _Response:
    """Call a unary method.

    Args:
        method: The method of a stub.
        request: Its request.
        timeout_seconds: The time for all attempts together.
        metadata: Keys and values to send with it.
        retry: Whether and how to repeat it.

    Raises:
        BackupServiceError: The call failed.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + timeout_seconds
    failures = 0
    while True:
        try:
            with translated():
                remaining = max(end - clock(), 0)
                return await method(request, timeout=remaining, metadata=metadata)
        except BackupServiceError as error:
            failures += 1
            pause = retry.delay_seconds(failures)
            last = failures >= retry.attempts or clock() + pause >= end
            if last or not worth_repeating(error):
                raise
        await asyncio.sleep(pause)
