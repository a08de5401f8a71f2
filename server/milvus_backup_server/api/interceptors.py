"""What is done round every call: the caller is set, a failure is logged and becomes a status."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from milvus_backup_server.api.callers import Context, acting_as, read_caller
from milvus_backup_server.api.permissions import permission_for
from milvus_backup_server.api.status import callers_error, code_of, error_status
from milvus_backup_server.domain.errors import FieldViolation, InvalidRequest

Q = TypeVar("Q")
A = TypeVar("A")

_log = structlog.get_logger(__name__)

STOP_SENDING_KEY: Final = "x-milvus-backup-stop-sending"
"""Key of the initial metadata by which a sender learns that no more messages are needed."""

_LET_STOP_SECONDS = 5.0

_CALLERS_FAULT = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.ABORTED,
    }
)


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the handlers of all calls, those of health and reflection among them."""

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Q, A] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Q, A] | None:
        """Return the handler of a call, wrapped; None for a call that nobody serves."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        call: Any = _Call(handler_call_details.method, handler)
        serializer = handler.response_serializer
        # Without a deserializer the handler gets bytes: what cannot be decoded is ours to report.
        if handler.request_streaming and not handler.response_streaming:
            return grpc.stream_unary_rpc_method_handler(call.gather, None, serializer)
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(call.converse, None, serializer)
        if handler.response_streaming:
            once = _serialized_once(serializer)
            return grpc.unary_stream_rpc_method_handler(call.stream, None, once)
        return grpc.unary_unary_rpc_method_handler(call.answer, None, serializer)


@dataclass(frozen=True, slots=True)
class _Call:
    """A method and its handler."""

    method: str
    handler: Any

    async def answer(self, data: bytes, context: Context) -> object:
        async with _guarded(self.method, context):
            return await self.handler.unary_unary(self._read(data), context)

    async def stream(self, data: bytes, context: Context) -> None:
        async with _guarded(self.method, context):
            await _send(self.handler.unary_stream(self._read(data), context), context)

    async def gather(self, stream: AsyncIterator[bytes], context: Context) -> object:
        requests = _Requests(stream)
        async with _guarded(self.method, context), aclosing(requests):
            try:
                messages = (self._read(data) async for data in requests)
                return await self.handler.stream_unary(messages, context)
            except Exception:
                await _let_sender_stop(requests, context)
                raise

    async def converse(self, stream: AsyncIterator[bytes], context: Context) -> None:
        async with _guarded(self.method, context):
            requests = (self._read(data) async for data in stream)
            await _send(self.handler.stream_stream(requests, context), context)

    def _read(self, data: bytes) -> object:
        try:
            return self.handler.request_deserializer(data)
        except DecodeError:
            fault = FieldViolation("request", "the bytes are not a message of this method")
            raise InvalidRequest(fault) from None


class _Requests:
    """The messages of a call. A read that was given up is taken up by the next: gRPC cannot take it back."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream = aiter(stream)
        self._reading: asyncio.Future[bytes] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        self._reading = self._reading or asyncio.ensure_future(anext(self._stream))
        data = await asyncio.shield(self._reading)
        self._reading = None
        return data

    async def aclose(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})


async def _let_sender_stop(requests: _Requests, context: Context) -> None:
    """Tell a sender that it may stop, and read on for a while until it does.

    A client of Python's gRPC whose write meets the end of the call reports an internal error instead of
    the status that ended it (grpc issue 36066).
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LET_STOP_SECONDS):
            await context.send_initial_metadata(((STOP_SENDING_KEY, "1"),))
            async for _ in requests:
                pass


async def _send(answers: AsyncGenerator[object, None] | Awaitable[None], context: Context) -> None:
    if inspect.isawaitable(answers):  # the health service writes by itself
        await answers
        return
    async with aclosing(answers):
        async for answer in answers:
            await context.write(answer)


@asynccontextmanager
async def _guarded(method: str, context: Context) -> AsyncIterator[None]:
    caller = read_caller(context.invocation_metadata() or ())
    bound = structlog.contextvars.bound_contextvars(rpc=method, peer=context.peer())
    with acting_as(caller), bound:
        try:
            permission_for(method)
            yield
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 (the edge: everything becomes a status)
            _log_failure(error)
            await context.abort_with_status(rpc_status.to_status(error_status(error)))


def _log_failure(error: Exception) -> None:
    shown = callers_error(error)
    code = code_of(shown)
    facts = {"code": code.name, "reason": shown.reason}
    if code is grpc.StatusCode.INTERNAL:
        _log.error("call failed by a fault of the service", **facts, exc_info=error)
    elif code in _CALLERS_FAULT:
        _log.info("call refused", **facts, error=shown.message)
    else:
        _log.warning("call failed", **facts, error=shown.message)


def _serialized_once(serializer: Any) -> Any:
    """Return a serializer of answers that lets those through that are bytes already."""

    def serialize(answer: Any) -> bytes:
        data: bytes = answer if isinstance(answer, bytes) else serializer(answer)
        return data

    return serialize
