"""Archives as files: written whole or not at all, read from files and pipes, with what a terminal shows."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TypeAlias

import click

from milvus_backup_client.cli.exits import UsageFailure

STANDARD = "-"
"""Names standard input and output."""

Meter: TypeAlias = Callable[[int], None]
"""Is told of bytes as they go through."""

_CHUNK_BYTES = 1 << 20
_NO_DIRECTORY_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)


def refuse_target(target: str, *, force: bool) -> None:
    """Raise UsageFailure unless an archive can be written there."""
    if target == STANDARD:
        if not sys.stdout:
            raise UsageFailure("standard output is closed")
        if sys.stdout.isatty():
            raise UsageFailure("an archive is not written to a terminal; redirect it or give -o")
        return
    if Path(target).is_dir():
        raise UsageFailure(f"{target} is a directory")
    if Path(target).exists() and not force:
        raise UsageFailure(f"{target} exists; --force overwrites it")


async def write_file(target: str, chunks: AsyncGenerator[bytes, None], meter: Meter) -> int:
    """Write an archive and return its size; a file appears under its name when it is whole and on the disk.

    Raises:
        ClickException: It cannot be written.
    """
    if target == STANDARD:
        with _telling_failures("standard output"):
            return await _write_chunks(sys.stdout.buffer, chunks, meter)
    with _replacing(Path(target)) as file:
        size = await _write_chunks(file, chunks, meter)
        await asyncio.to_thread(_sync, file)
    with _telling_failures(target):
        await asyncio.to_thread(_sync_directory, Path(target).parent)
    return size


async def _write_chunks(file: IO[bytes], chunks: AsyncGenerator[bytes, None], meter: Meter) -> int:
    size = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            await asyncio.to_thread(file.write, chunk)
            meter(len(chunk))
            size += len(chunk)
    await asyncio.to_thread(file.flush)
    return size


@contextmanager
def _replacing(target: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets its name when it is whole, and goes when that fails."""
    try:
        file = NamedTemporaryFile(  # noqa: SIM115 it is closed below, whatever happens
            dir=target.parent, prefix=f".{target.name}.", suffix=".part", delete=False
        )
    except OSError as error:
        raise UsageFailure(f"{target.parent} cannot be written to: {error.strerror}") from error
    written = Path(file.name)
    try:
        with _telling_failures(str(target)):
            with file:
                yield file
            written.chmod(0o666 & ~_umask())
            written.replace(target)
    finally:
        written.unlink(missing_ok=True)


@contextmanager
def _telling_failures(target: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE:  # a reader that has seen enough is no error
            raise
        raise click.ClickException(f"{target} cannot be written: {error.strerror}") from error


def _sync(file: IO[bytes]) -> None:
    os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    """Have the name of a new file on the disk, where the file system has this for directories."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


async def read_file(name: str, meter: Meter) -> AsyncIterator[bytes]:
    """Yield a file, or standard input, in chunks."""
    if name == STANDARD and not sys.stdin:
        raise UsageFailure("standard input is closed")
    if name == STANDARD and not stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode):
        chunks = _read_pipe(sys.stdin.buffer)
    else:
        chunks = _read_whole(name)
    async for chunk in chunks:
        yield chunk
        meter(len(chunk))


async def _read_whole(name: str) -> AsyncIterator[bytes]:
    with click.open_file(name, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk


async def _read_pipe(file: IO[bytes]) -> AsyncIterator[bytes]:
    """Read what another program writes, without a thread that would wait for it for ever."""
    reader = asyncio.StreamReader(limit=_CHUNK_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), file
    )
    try:
        while chunk := await reader.read(_CHUNK_BYTES):
            yield chunk
    finally:
        transport.close()


def file_size(name: str) -> int | None:
    """Return the bytes of a file; None for standard input."""
    return None if name == STANDARD else Path(name).stat().st_size


@contextmanager
def metered(title: str, total: int | None = None) -> Iterator[Meter]:
    """Show on a terminal how many bytes went through; elsewhere nothing."""
    # It takes a while to load, and scripts do not need it.
    from rich.console import Console  # noqa: PLC0415

    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda _: None
        return
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda size: progress.advance(task, size)
