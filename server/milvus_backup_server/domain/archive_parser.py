"""An archive from its first byte: plain tar or tar in gzip, told by how it begins."""

from __future__ import annotations

from collections.abc import Iterator

from milvus_backup_server.domain.gunzip import MAGIC, Gunzip
from milvus_backup_server.domain.tar import TarEntry, TarParser

_STEP = 64 * 1024


class ArchiveParser:
    """Turns the bytes of an archive into entries and the bytes of files, as ``TarParser`` does."""

    def __init__(self) -> None:
        self._tar = TarParser()
        self._gunzip: Gunzip | None = None
        self._opening: bytes | None = b""

    def feed(self, data: bytes) -> Iterator[TarEntry | bytes]:
        """Take the next bytes, and yield what they hold in order.

        Also yields empty bytes, at least for each 64 KiB taken and each 256 KiB unpacked: there the
        reader may let others work, however little of an archive is entries.

        Raises:
            ArchiveInvalid: They are no archive, or hold what is refused.
        """
        data = self._told(data)
        for start in range(0, len(data), _STEP):
            for piece in self._unpacked(data[start : start + _STEP]):
                yield from self._tar.feed(piece)
                yield b""
            yield b""

    def close(self) -> None:
        """Tell that there is no more.

        Raises:
            ArchiveInvalid: The archive had not ended.
        """
        if self._gunzip is not None:
            self._gunzip.close()
        self._tar.close()

    def _told(self, data: bytes) -> bytes:
        """Return what can be read on, which is nothing until it is known what this is."""
        if self._opening is None:
            return data
        opening = self._opening + data
        if len(opening) < len(MAGIC):
            self._opening = opening
            return b""
        self._opening = None
        if opening.startswith(MAGIC):
            self._gunzip = Gunzip()
        return opening

    def _unpacked(self, data: bytes) -> Iterator[bytes]:
        if self._gunzip is None:
            yield data
        else:
            yield from self._gunzip.feed(data)
