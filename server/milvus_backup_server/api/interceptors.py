"""What is done round every call: the caller is set, a failure is logged and becomes a status."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

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
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(call.converse, None, serializer)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(call.stream, None, serializer)
        return grpc.unary_unary_rpc_method_handler(call.answer, None, serializer)


@dataclass(frozen=True, slots=True)
class _Call:
    """A method and its handler. There is no method with many requests and one answer."""

    method: str
    handler: Any

    async def answer(self, data: bytes, context: Context) -> object:
        async with _guarded(self.method, context):
            return await self.handler.unary_unary(self._read(data), context)

    async def stream(self, data: bytes, context: Context) -> None:
        async with _guarded(self.method, context):
            await _send(self.handler.unary_stream(self._read(data), context), context)

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
