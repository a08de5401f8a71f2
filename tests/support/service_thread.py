"""A face of the service in a thread of its own: for clients that block, such as those of hypothesis."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from queue import Queue

from milvus_backup_server.api.server import ApiServer, Endpoint
from milvus_backup_server.service.use_cases import UseCases
from tests.support.service import World, add_collection, running

Face = Callable[[UseCases], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def grpc_port(use_cases: UseCases) -> AsyncIterator[str]:
    """Yield the address of a gRPC server of these use cases on a free port."""
    server = ApiServer(use_cases)
    endpoint = await server.start(Endpoint(port=0))
    try:
        yield endpoint.target
    finally:
        await server.stop()


@contextmanager
def in_a_thread(face: Face) -> Iterator[str]:
    """Yield where a service listens that has a small world in memory: a collection and its backup."""
    places: Queue[str] = Queue()
    end = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        world = World()
        await add_collection(world.milvus, "hello_milvus", range(3))
        async with running(world) as service:
            await service.create("my_backup")
            async with face(service.use_cases) as place:
                places.put(place)
                await end.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield places.get(timeout=60)
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
