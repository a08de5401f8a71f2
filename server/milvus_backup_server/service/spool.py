"""Lines kept on local disk while an operation works, so that memory does not grow with the data."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import itertools
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from milvus_backup_server.domain.errors import WorkSpaceUnavailable
from milvus_backup_server.service.concurrency import in_thread

_BUFFER_BYTES = 1 << 20
_LINES_AT_ONCE = 200
_PREFIX = "milvus-backup-"
_LOCK = "in-use"


class SpoolDirectory:
    """The temporary directory of one operation. Use as a context manager; its spools end with it.

    Whatever is written below raises WorkSpaceUnavailable when the disk does not take it.
    """

    def __init__(self) -> None:
        with _writing():
            self._directory = tempfile.TemporaryDirectory(prefix=_PREFIX)
            # Held as long as this process lives: how a sweep tells what a crash left behind.
            self._lock = (Path(self._directory.name) / _LOCK).open("wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._numbers = itertools.count()

    async def __aenter__(self) -> Self:
        """Begin to use it."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove it with everything in it."""
        # In a thread, as it may hold a file for each of many collections; which a cancel leaves
        # to its end.
        await asyncio.shield(asyncio.to_thread(self._remove))

    def _remove(self) -> None:
        self._directory.cleanup()
        self._lock.close()

    def spool(self) -> Spool:
        """Return a new, empty spool."""
        return Spool(self.path())

    def path(self) -> Path:
        """Return where a new file may lie."""
        return Path(self._directory.name) / str(next(self._numbers))


class Spool:
    """A file of bytes: appended to by one task, then read back any number of times.

    The file is open only while it is read or written, so that there may be one for each of many
    collections.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._buffer = bytearray()
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The hash of everything appended so far, in hex."""
        return self._digest.hexdigest()

    async def append(self, data: bytes) -> None:
        """Add bytes at the end."""
        self._buffer += data
        self._digest.update(data)
        self.size += len(data)
        if len(self._buffer) >= _BUFFER_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write what is still in memory to disk."""
        if self._buffer:
            data, self._buffer = bytes(self._buffer), bytearray()
            await in_thread(self._write, data)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield everything appended, in pieces of at most 1 MiB."""
        await self.flush()
        position = 0
        while position < self.size:
            data = await asyncio.to_thread(self._read, position)
            position += len(data)
            yield data

    async def read_lines(self) -> AsyncIterator[bytes]:
        """Yield everything appended line by line, without line ends."""
        rest = b""
        async for chunk in self.chunks():
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            for number, line in enumerate(lines):
                if number % _LINES_AT_ONCE == 0:  # a reader may work on them without ever waiting
                    await asyncio.sleep(0)
                yield line
        if rest:
            yield rest

    def remove(self) -> None:
        """Give the disk space back."""
        self._path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Begin anew."""
        self.remove()
        self._buffer.clear()
        self._digest = hashlib.sha256()
        self.size = 0

    def _write(self, data: bytes) -> None:
        with _writing(), self._path.open("ab") as file:
            file.write(data)

    def _read(self, position: int) -> bytes:
        with self._path.open("rb") as file:
            file.seek(position)
            return file.read(_BUFFER_BYTES)


async def abandoned_spools(min_age_seconds: int) -> list[Path]:
    """Return the spool directories on this machine whose processes have ended."""
    return await asyncio.to_thread(_abandoned, min_age_seconds)


async def remove_spool(path: Path) -> None:
    """Remove the spool directory of a process that has ended."""
    await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)


def _abandoned(min_age_seconds: int) -> list[Path]:
    found: list[Path] = []
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError), lock.open("rb") as file:  # another user's, or gone meanwhile
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - lock.stat().st_mtime >= min_age_seconds:
                found.append(lock.parent)
    return sorted(found)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        directory, why = tempfile.gettempdir(), error.strerror or type(error).__name__
        raise WorkSpaceUnavailable(
            f"the service cannot write to its temporary directory {directory}: {why}",
            directory=directory,
            error=why,
        ) from error
