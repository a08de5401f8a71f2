"""A process that imports a backup into a directory and falls asleep in the middle of it.

    python -m tests.support.sleeping_writer DIRECTORY WRITE

It stops itself with SIGSTOP before the given write of the backup. Woken up, it goes on as a process does
that knows nothing of the time between, and prints how its operation ended in its own eyes.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from milvus_backup_server.adapters.local import LocalStore
from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.running_service import Decorators
from tests.support.service import World, running
from tests.support.tars import below, go_backup, in_chunks, tar_of

T = TypeVar("T")

NAME = "contested"
_WRITES = frozenset({"put", "complete_upload"})


class Records(StoreDecorator):
    """Takes one request after another. Asleep in one it would hold the lock of a file for ever."""

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self.busy = asyncio.Lock()

    async def _request(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        async with self.busy:
            return await call()


class Sleepy(StoreDecorator):
    """Sleeps before the n-th write."""

    def __init__(self, inner: ObjectStore, write: int, records: Records) -> None:
        super().__init__(inner)
        self._left = write
        self._records = records

    async def _request(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        if method in _WRITES:
            self._left -= 1
            if self._left == 0:
                async with self._records.busy:
                    os.kill(os.getpid(), signal.SIGSTOP)
        return await call()


def shared_world(directory: Path) -> World:
    """Return a world whose backups lie in a directory."""
    world = World()
    world.backup_store = LocalStore(directory)
    return world


def archive(seed: int) -> bytes:
    """Return an archive of a backup; with another seed of another one with as many files."""
    return tar_of(below(NAME, go_backup(3, 700, seed=seed)))


async def main(directory: str, write: str) -> None:
    """Import, sleep, and tell."""
    world = shared_world(Path(directory))
    records = Records(world.backup_store)
    around = Decorators(backup_store=lambda inner: Sleepy(inner, int(write), records))
    async with running(world, around, records=records, generation=1) as service:
        try:
            await service.import_(in_chunks(archive(1)))
        except BackupError as error:
            sys.stdout.write(f"ended: {error.reason}\n")
        else:
            sys.stdout.write("ended: whole\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
