"""A proxy in front of a Milvus that does to its calls what networks and Milvus do to them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias

import grpc
import grpc.aio

from milvus_backup_server.adapters.milvus.stubs import common_pb2, milvus_pb2
from tests.support.faults import Fault, KillSwitch, Rule, Rules, ServiceDead
from tests.support.processes import free_ports

_RATE_LIMIT = 8
_NEVER = 3600.0
_SIZE = 256 << 20
_OPTIONS = [("grpc.max_receive_message_length", _SIZE), ("grpc.max_send_message_length", _SIZE)]
_PLAIN_STATUS = frozenset(
    {
        "CreateCollection",
        "CreateDatabase",
        "CreateIndex",
        "CreatePartition",
        "DropCollection",
        "DropDatabase",
        "RenameCollection",
    }
)
_CHANGES = _PLAIN_STATUS | {"Flush", "Import"}

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"


@dataclass
class MilvusCall:
    """A call that came, and what was done to it."""

    method: str
    request: bytes
    fault: Fault | None = None


class MilvusProxy(grpc.GenericRpcHandler):
    """Passes calls on as bytes; an async context manager.

    A rule's `part` must be part of the request's bytes, where names stand as they are.

    Attributes:
        port: where it listens, on 127.0.0.1.
        rules: what is done to calls.
        log: every call, in the order in which they came.
        switch: kills the service at a mutation.
    """

    def __init__(self, address: str, *, seed: int = 0) -> None:
        """Choose a port; nothing listens there yet.

        Args:
            address: of the Milvus.
            seed: decides all that is left to chance.
        """
        (self.port,) = free_ports(1)
        self.rules = Rules(seed)
        self.log: list[MilvusCall] = []
        self.switch = KillSwitch(at=0)
        self._address = address
        self._channel: grpc.aio.Channel | None = None
        self._server: grpc.aio.Server | None = None

    async def __aenter__(self) -> Self:
        self._channel = grpc.aio.insecure_channel(self._address, _OPTIONS)
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers((self,))
        self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            await self._server.stop(None)
        if self._channel is not None:
            await self._channel.close()

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Handle every method as one of a request and an answer."""
        path = handler_call_details.method

        async def handle(request: bytes, context: Context) -> bytes:
            return await self._handle(path, request, context)

        return grpc.unary_unary_rpc_method_handler(handle)

    def calls(self, method: str) -> list[MilvusCall]:
        """Return the calls of a method."""
        return [call for call in self.log if call.method == method]

    async def _handle(self, path: str, request: bytes, context: Context) -> bytes:
        method = path.rpartition("/")[2]
        call = MilvusCall(method, request)
        self.log.append(call)
        rule = self.rules.choose(method, request.decode("latin-1"))
        call.fault = rule.fault if rule else None
        try:
            return await self._treat(path, call, rule, context)
        except ServiceDead:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the service is dead")
            raise

    async def _treat(
        self, path: str, call: MilvusCall, rule: Rule | None, context: Context
    ) -> bytes:
        fault = call.fault
        if fault is Fault.DROP:
            await asyncio.sleep(_NEVER)
        if fault in {Fault.ERROR, Fault.RESET}:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "injected")
        if fault is Fault.SLOW_DOWN:
            return _rate_limited(call.method)
        if rule is not None and fault is Fault.DELAY:
            await asyncio.sleep(self.rules.chance.uniform(0, rule.seconds))
        answer = await self._pass_on(path, call, context)
        if fault is Fault.LOST_ANSWER:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "injected: the answer is lost")
        return answer

    async def _pass_on(self, path: str, call: MilvusCall, context: Context) -> bytes:
        if call.method not in _CHANGES:
            return await self._ask(path, call, context)
        return await self.switch.around(call.method, lambda: self._ask(path, call, context))

    async def _ask(self, path: str, call: MilvusCall, context: Context) -> bytes:
        assert self._channel is not None
        pairs: Any = context.invocation_metadata() or ()
        metadata = [(k, v) for k, v in pairs if not k.startswith(("user-agent", "grpc-"))]
        method: Any = self._channel.unary_unary(path)
        try:
            answer: bytes = await method(
                call.request, metadata=metadata, timeout=context.time_remaining()
            )
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "")
            raise
        return answer


def _rate_limited(method: str) -> bytes:
    status = common_pb2.Status(
        error_code=common_pb2.RateLimit, code=_RATE_LIMIT, reason="rate limit exceeded (injected)"
    )
    if method in _PLAIN_STATUS:
        return bytes(status.SerializeToString())
    # In every other answer it is the first field.
    return bytes(milvus_pb2.BoolResponse(status=status).SerializeToString())
