"""Reading large JSON files piece by piece, so that neither memory nor the event loop feels their size."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import ijson

from milvus_backup_server.domain.errors import BackupCorrupt

_SLICE_BYTES = 1 << 16
"""Parsed without giving the event loop a turn: about a millisecond."""


async def json_items(
    chunks: AsyncIterator[bytes], paths: Mapping[str, str], file: str
) -> AsyncIterator[tuple[str, Any]]:
    """Yield values of a JSON file as they are read.

    Args:
        chunks: The file.
        paths: Labels by path; ``a.item`` is each item of the list ``a``.
        file: The file's name, for messages.

    Yields:
        The label of the path and the value. Integers of any size are exact; numbers with a fraction
        are Decimals.

    Raises:
        BackupCorrupt: It is no JSON.
    """
    sinks = [
        (label, found := ijson.sendable_list(), _parser(found, path))
        for path, label in paths.items()
    ]
    try:
        async for piece in _slices(chunks):
            for _, _, parser in sinks:
                parser.send(piece)
            for label, found, _ in sinks:
                for value in found:
                    yield label, value
                del found[:]
            await asyncio.sleep(0)
        for _, _, parser in sinks:
            parser.close()
    except ijson.JSONError as error:
        raise BackupCorrupt(f"{file} is not JSON: {str(error)[:200]}", file=file) from error


def _parser(found: Any, path: str) -> Any:
    # Not with use_float: that cannot read integers of 64 bits without a sign.
    return ijson.items_coro(found, path)


async def _slices(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        for offset in range(0, len(chunk), _SLICE_BYTES):
            yield chunk[offset : offset + _SLICE_BYTES]


class TailHash:
    """Hashes a stream but for an ending that is known only when the stream has ended.

    Args:
        tail_bytes: The ending is not longer than this.
    """

    def __init__(self, tail_bytes: int) -> None:
        self._tail_bytes = tail_bytes
        self._digest = hashlib.sha256()
        self._tail = b""

    async def through(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the chunks unchanged and note them."""
        async for chunk in chunks:
            held = self._tail + chunk
            cut = max(len(held) - self._tail_bytes, 0)
            self._digest.update(held[:cut])
            self._tail = held[cut:]
            yield chunk

    def sha256_with(self, ending: bytes, instead: bytes) -> str | None:
        """Return the hash of the stream with ``instead`` in place of its ending; None if it ends otherwise."""
        if not self._tail.endswith(ending):
            return None
        digest = self._digest.copy()
        digest.update(self._tail.removesuffix(ending) + instead)
        return digest.hexdigest()
