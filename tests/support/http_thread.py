"""The HTTP face in a thread of its own: for clients that block, such as those of hypothesis."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue

from tests.support.http_service import http_port
from tests.support.service import World, add_collection, running


@contextmanager
def http_in_a_thread() -> Iterator[str]:
    """Yield the URL of a service over a small world in memory."""
    urls: Queue[str] = Queue()
    end = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        world = World()
        await add_collection(world.milvus, "hello_milvus", range(3))
        async with running(world) as service:
            await service.create("my_backup")
            async with http_port(service.use_cases) as url:
                urls.put(url)
                await end.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield urls.get(timeout=60)
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
