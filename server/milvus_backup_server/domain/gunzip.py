"""Gzip in pieces, so that a small archive that unpacks into much is never held unpacked."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from milvus_backup_server.domain.errors import ArchiveInvalid
from milvus_backup_server.domain.tar import MAX_END_BYTES

MAGIC = b"\x1f\x8b"
_PIECE = 256 * 1024
_GZIP = zlib.MAX_WBITS | 16


class Gunzip:
    """Unpacks a stream of one or several gzip members. Zeros behind the last one are padding."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False
        self._padding = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes and yield what they unpack to, in pieces of at most 256 KiB.

        Raises:
            ArchiveInvalid: They are no gzip.
        """
        while True:
            if self._member.eof:
                data = self._behind_padding(data)
                if not data:
                    return
                self._member = zlib.decompressobj(_GZIP)
            piece = self._unpacked(data)
            if piece:
                yield piece
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if not data and len(piece) < _PIECE:  # a full piece may have more behind it
                return

    def _behind_padding(self, data: bytes) -> bytes:
        rest = data.lstrip(b"\0")
        self._padding += len(data) - len(rest)
        if self._padding > MAX_END_BYTES:
            raise ArchiveInvalid("the archive goes on behind its end")
        return rest

    def _unpacked(self, data: bytes) -> bytes:
        self._begun = True
        try:
            return self._member.decompress(data, _PIECE)
        except zlib.error as error:
            raise ArchiveInvalid("the archive is damaged: it cannot be unpacked") from error

    def close(self) -> None:
        """Tell that there is no more.

        Raises:
            ArchiveInvalid: The last member had not ended.
        """
        if self._begun and not self._member.eof:
            raise ArchiveInvalid("the archive ends before its end: it was cut off")
