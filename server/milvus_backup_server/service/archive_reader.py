"""Reading an archive as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator

from milvus_backup_server.domain.archive import ArchivePaths
from milvus_backup_server.domain.archive_parser import ArchiveParser
from milvus_backup_server.domain.errors import ArchiveInvalid
from milvus_backup_server.domain.tar import TarEntry

_OPENING_BYTES = 1 << 20


class ArchiveReader:
    """The entries of an archive, one after another.

    Args:
        chunks: The archive in pieces of any size.
    """

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._events = _events(chunks)

    async def entries(self) -> AsyncIterator[TarEntry]:
        """Yield the entries; what was not read of one's content is passed over.

        Raises:
            ArchiveInvalid: It is no archive, is cut off, or holds what is refused.
        """
        async for event in self._events:
            if isinstance(event, TarEntry):
                yield event

    async def content(self, entry: TarEntry) -> AsyncIterator[bytes]:
        """Yield the content of the entry that came last, in pieces."""
        left = entry.size
        while left:
            piece = await anext(self._events)
            assert isinstance(piece, bytes)  # noqa: S101 the parser gives all of a file first
            left -= len(piece)
            yield piece

    async def close(self) -> None:
        """Read no more."""
        await self._events.aclose()


async def _events(chunks: AsyncIterable[bytes]) -> AsyncGenerator[TarEntry | bytes, None]:
    parser = ArchiveParser()
    async for chunk in chunks:
        for event in parser.feed(chunk):
            if event:
                yield event
            else:
                await asyncio.sleep(0)  # little may unpack into much
    parser.close()


class ArchiveOpening:
    """The first chunks of an archive, read to learn the name of its top directory, and not lost.

    Args:
        chunks: The archive.
    """

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._rest = aiter(chunks)
        self._read: list[bytes] = []

    async def top(self) -> str:
        """Return the name of the top directory.

        Raises:
            ArchiveInvalid: There is none in the first MiB, or it is no archive.
        """
        parser, paths, size = ArchiveParser(), ArchivePaths(), 0
        async for chunk in self._rest:
            self._read.append(chunk)
            for event in parser.feed(chunk):
                if isinstance(event, TarEntry):
                    paths.place(event)
                elif not event:
                    await asyncio.sleep(0)
                if paths.top:
                    return paths.top
            size += len(chunk)
            if size > _OPENING_BYTES:
                raise ArchiveInvalid("the archive does not begin with the directory of a backup")
        parser.close()
        raise ArchiveInvalid("the archive is empty")

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the whole archive."""
        while self._read:
            yield self._read.pop(0)
        async for chunk in self._rest:
            yield chunk
