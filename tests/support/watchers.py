"""Many who watch an operation: half of them read everything, the others one state and no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import grpc.aio

from milvus_backup.v1.operation_service_pb2 import WatchOperationRequest
from milvus_backup.v1.operation_service_pb2_grpc import OperationServiceStub

_CONNECTIONS = 10


@dataclass
class Crowd:
    """Watchers of one operation: those that read, and those that never do."""

    reading: list[asyncio.Task[int]] = field(default_factory=list)
    stalled: list[object] = field(default_factory=list)

    async def last_states(self) -> list[int]:
        """Wait for the ends of those that read, and return the last states that they saw."""
        return await asyncio.gather(*self.reading)


async def last_state(stub: OperationServiceStub, request: WatchOperationRequest) -> int:
    """Watch to the end."""
    state = 0
    async for operation in stub.WatchOperation(request):
        state = operation.state
    return state


async def connected(target: str, stack: AsyncExitStack) -> OperationServiceStub:
    """Open a connection of its own."""
    channel = grpc.aio.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)])
    return OperationServiceStub(await stack.enter_async_context(channel))


@asynccontextmanager
async def crowd(target: str, name: str, watchers: int) -> AsyncIterator[Crowd]:
    """Let so many watch, as often as the service has it; each connection has some of both."""
    request = WatchOperationRequest(name=name)
    made = Crowd()
    async with AsyncExitStack() as stack:
        stubs = [await connected(target, stack) for _ in range(_CONNECTIONS)]
        for number in range(watchers):
            stub = stubs[number // 2 % _CONNECTIONS]
            if number % 2:
                made.reading.append(asyncio.create_task(last_state(stub, request)))
                continue
            call = stub.WatchOperation(request)
            await call.read()
            made.stalled.append(call)
        try:
            yield made
        finally:
            for task in made.reading:
                task.cancel()
