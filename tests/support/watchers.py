"""Many who watch an operation: half of them read everything, the others one state and no more."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field

import grpc.aio

from milvus_backup.v1 import operation_pb2 as pb
from milvus_backup.v1.operation_service_pb2 import WatchOperationRequest
from milvus_backup.v1.operation_service_pb2_grpc import OperationServiceStub
from milvus_backup_client import errors

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


@dataclass
class Watcher:
    """What a watch yielded until its end, and the error that ended it, if any."""

    states: list[pb.Operation] = field(default_factory=list)
    error: errors.BackupServiceError | None = None

    async def sees_copying(self) -> bool:
        """Tell whether the last state is one of copying."""
        return bool(self.states) and self.states[-1].progress.phase == pb.OPERATION_PHASE_COPYING

    async def follow(self, watch: AsyncGenerator[pb.Operation, None]) -> None:
        """Take every state until the end."""
        async with aclosing(watch):
            try:
                async for state in watch:
                    self.states.append(state)
            except errors.BackupServiceError as error:
                self.error = error
