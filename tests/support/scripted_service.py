"""A backup service on a real gRPC server that answers what its test wrote down.

It has no behaviour of its own: answers and streams are scripts, requests are kept. Its methods are
those of the contract's descriptors.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from milvus_backup.v1 import backup_service_pb2, operation_service_pb2, server_service_pb2


@dataclass(frozen=True)
class Pause:
    """Stay silent for so long."""

    seconds: float


FOREVER = Pause(3600)
Step: TypeAlias = Message | Status | Pause
Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    service
    for module in (backup_service_pb2, operation_service_pb2, server_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
)


def status(code: grpc.StatusCode, reason: str = "", text: str = "", **metadata: str) -> Status:
    """Make a status as the service sends it; without a reason as a proxy or gRPC itself does."""
    made = Status(code=code.value[0], message=text)
    if reason:
        made.details.add().Pack(ErrorInfo(reason=reason, domain="milvus-backup", metadata=metadata))
    return made


def invalid(**faults: str) -> Status:
    """Make the status of a request with these faults, by field."""
    text = "; ".join(f"{field}: {fault}" for field, fault in faults.items())
    made = status(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", text)
    violations = [
        BadRequest.FieldViolation(field=field, description=fault) for field, fault in faults.items()
    ]
    made.details.add().Pack(BadRequest(field_violations=violations))
    return made


UNREACHABLE = status(grpc.StatusCode.UNAVAILABLE, text="connection reset by a test")


class ScriptedService:
    """All services of the contract.

    Attributes:
        requests: What was asked, by method, in order.
        metadata: The metadata of the calls, in order.
        time_remaining: The deadlines of the calls, in seconds, in order; infinite without one.
    """

    def __init__(self) -> None:
        self.requests: defaultdict[str, list[Any]] = defaultdict(list)
        self.metadata: list[dict[str, str | bytes]] = []
        self.time_remaining: list[float] = []
        self._scripts: defaultdict[str, list[Sequence[Step]]] = defaultdict(list)
        self._asked: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._left = asyncio.Event()

    async def asked(self, method: str) -> None:
        """Wait until a method was called."""
        await self._asked[method].wait()

    async def left(self) -> None:
        """Wait until a caller left before the end of a script."""
        await self._left.wait()

    def on(self, method: str, *steps: Step) -> None:
        """Write the script of the next call of a method; the last script serves all later ones.

        A unary call ends with the first message or status, a stream sends all messages.
        """
        self._scripts[method].append(steps)

    def _next_script(self, method: str, request: Message, context: Context) -> Sequence[Step]:
        self.requests[method].append(request)
        self._asked[method].set()
        self.metadata.append(dict(context.invocation_metadata() or ()))
        self.time_remaining.append(context.time_remaining() or math.inf)
        scripts = self._scripts[method]
        if not scripts:
            raise AssertionError(f"the test has no script for {method}")
        return scripts.pop(0) if len(scripts) > 1 else scripts[0]

    async def _play(self, method: str, request: Message, context: Context) -> AsyncIterator[Any]:
        try:
            for step in self._next_script(method, request, context):
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                elif isinstance(step, Status):
                    await context.abort_with_status(rpc_status.to_status(step))
                else:
                    yield step
        except asyncio.CancelledError:
            self._left.set()
            raise

    def handler(self, method: MethodDescriptor) -> grpc.RpcMethodHandler[Any, Any]:
        """Make the handler of one method."""

        async def unary(request: Message, context: Context) -> Message:
            async for message in self._play(method.name, request, context):
                assert isinstance(message, Message)
                return message
            raise AssertionError(f"the script of {method.name} gives no answer")

        async def stream(request: Message, context: Context) -> AsyncIterator[Message]:
            async for message in self._play(method.name, request, context):
                yield message

        async def gathered(requests: AsyncIterator[Message], context: Context) -> Message:
            *earlier, last = [request async for request in requests]
            self.requests[method.name] += earlier
            return await unary(last, context)

        decode = GetMessageClass(method.input_type).FromString
        if method.client_streaming:
            return grpc.stream_unary_rpc_method_handler(gathered, decode, _encode)
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, decode, _encode)
        return grpc.unary_unary_rpc_method_handler(unary, decode, _encode)


def _encode(message: Message) -> bytes:
    return message.SerializeToString()


@asynccontextmanager
async def serving(service: ScriptedService, address: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Serve it and yield the address to call: the given one, with a real port."""
    server = grpc.aio.server()
    for descriptor in SERVICES:
        handlers = {method.name: service.handler(method) for method in descriptor.methods}
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(descriptor.full_name, handlers)]
        )
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield address if address.startswith("unix:") else f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
