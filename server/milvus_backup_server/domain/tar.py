"""The tar format, piece by piece: archives of any size pass through a parser that holds a header at most.

Source: POSIX.1-2017 (pax and ustar) and GNU tar's long names. A header's fields are read and written
by the standard library's ``TarInfo``; what is done here is what ``tarfile`` cannot do without
blocking: finding the way from header to header in a stream that comes in pieces of any size.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from milvus_backup_server.domain.errors import ArchiveInvalid

BLOCK = tarfile.BLOCKSIZE
END = bytes(tarfile.RECORDSIZE)
"""Ends an archive: at least two blocks of zeros; readers of tapes want a whole record."""

MAX_EXTENDED_BYTES = 1 << 20
"""Long names and pax records of one entry; they are the only thing that has to be held."""

MAX_RECORDS = 1000
"""Of one pax header. Writers need a dozen; small ones by the hundred thousand cost time."""

MAX_END_BYTES = 16 << 20
"""Zeros behind the last entry: writers fill up the last record, however large they make it."""

_MAX_BYTES = (1 << 63) - 1
_MODE = 0o644
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_NAMES = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a character device",
    tarfile.BLKTYPE: "a block device",
    tarfile.FIFOTYPE: "a FIFO",
    tarfile.CONTTYPE: "a contiguous file",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
_RECORD = re.compile(rb"([0-9]{1,10}) ([^=]+)=")
_SPARSE = "GNU.sparse."
_KEPT = ("path", "size")


@dataclass(frozen=True, slots=True)
class TarEntry:
    """A file or directory. The bytes of a file follow as pieces, ``size`` bytes together."""

    path: str
    size: int
    is_directory: bool = False


class TarParser:
    """Turns the bytes of an archive into entries and the bytes of files.

    Anything but files and directories is refused by name, and so is whatever is no tar.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = 0  # bytes of the present file
        self._padding = 0
        self._extended: bytearray | None = None
        self._extended_left = 0
        self._extended_type = b""
        self._extended_seen: set[bytes] = set()  # before the entry to come
        self._long_name: bytes | None = None
        self._pax: dict[str, bytes] = {}
        self._zero_blocks = 0

    def feed(self, data: bytes) -> Iterator[TarEntry | bytes]:
        """Take the next bytes, and yield what they hold in order.

        Raises:
            ArchiveInvalid: They are no tar, or hold what is refused.
        """
        view = memoryview(data)
        while view:
            if self._left:
                piece, view = view[: self._left], view[self._left :]
                self._left -= len(piece)
                yield bytes(piece)
            elif self._extended_left:
                view = self._take_extended(view)
            elif self._padding:
                skipped = min(self._padding, len(view))
                self._padding -= skipped
                view = view[skipped:]
            else:
                view, entry = self._take_header(view)
                if entry is not None:
                    yield entry

    def close(self) -> None:
        """Tell that there is no more.

        Raises:
            ArchiveInvalid: The archive had not ended.
        """
        inside = self._left or self._extended_left or self._padding or self._buffer
        if inside or not self._zero_blocks:
            raise ArchiveInvalid("the archive ends before its end: it was cut off")

    def _take_extended(self, view: memoryview) -> memoryview:
        assert self._extended is not None  # noqa: S101 set together with what is left of it
        piece, view = view[: self._extended_left], view[self._extended_left :]
        self._extended += piece
        self._extended_left -= len(piece)
        if not self._extended_left:
            self._note_extended(bytes(self._extended))
            self._extended = None
        return view

    def _note_extended(self, data: bytes) -> None:
        if self._extended_type == tarfile.GNUTYPE_LONGNAME:
            self._long_name = data.rstrip(b"\0")
        elif self._extended_type in _PAX:
            self._pax = _pax_records(data)
        elif self._extended_type == tarfile.XGLTYPE and not _pax_records(data).keys().isdisjoint(
            _KEPT
        ):
            raise ArchiveInvalid("the archive gives all its entries one path or size")

    def _take_header(self, view: memoryview) -> tuple[memoryview, TarEntry | None]:
        wanted = BLOCK - len(self._buffer)
        self._buffer += view[:wanted]
        if len(self._buffer) < BLOCK:
            return view[wanted:], None
        block = bytes(self._buffer)
        self._buffer.clear()
        if not any(block):
            self._zero_blocks += 1
            if self._zero_blocks * BLOCK > MAX_END_BYTES:
                raise ArchiveInvalid("the archive goes on behind its end")
            return view[wanted:], None
        if self._zero_blocks:
            raise ArchiveInvalid("the archive goes on behind its end")
        return view[wanted:], self._header(_decoded(block))

    def _header(self, header: tarfile.TarInfo) -> TarEntry | None:
        kind = header.type
        if kind in (*_PAX, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
            self._begin_extended(header)
            return None
        path, size = self._path(header), self._size(header)
        self._pax, self._long_name = {}, None
        self._extended_seen.clear()
        if kind == tarfile.DIRTYPE:
            if size:
                raise _refused(path, "is a directory with content")
            return TarEntry(path, 0, is_directory=True)
        if kind not in _FILES:
            raise _refused(
                path, f"is {_NAMES.get(kind, 'of an unknown type')}; only files are taken"
            )
        self._left, self._padding = size, padding(size)
        return TarEntry(path, size)

    def _begin_extended(self, header: tarfile.TarInfo) -> None:
        if not 0 < header.size <= MAX_EXTENDED_BYTES:
            raise _refused(
                header.name,
                f"has {header.size} bytes of extended header; at most {MAX_EXTENDED_BYTES} are taken",
            )
        kind = tarfile.XHDTYPE if header.type in _PAX else header.type
        if kind in self._extended_seen:  # without an entry between them they never end
            raise _refused(header.name, "is a second extended header of one entry")
        self._extended_seen.add(kind)
        self._extended = bytearray()
        self._extended_type = header.type
        self._extended_left, self._padding = header.size, padding(header.size)

    def _path(self, header: tarfile.TarInfo) -> str:
        if _SPARSE in self._pax:
            raise _refused(header.name, "is a sparse file; only files are taken")
        raw = self._pax.get("path", self._long_name)
        return header.name if raw is None else raw.decode("utf-8", "surrogateescape")

    def _size(self, header: tarfile.TarInfo) -> int:
        raw = self._pax.get("size")
        if raw is None:
            size = header.size
        elif re.fullmatch(rb"[0-9]{1,18}", raw):
            size = int(raw)
        else:
            raise _refused(header.name, "has a size that is no number")
        if not 0 <= size <= _MAX_BYTES:
            raise _refused(header.name, f"has {size} bytes, which no object can have")
        return size


def encode_header(path: str, size: int, mtime: int) -> bytes:
    """Return what stands before a file's bytes.

    Args:
        path: With ``/`` between its parts.
        size: Bytes.
        mtime: Unix seconds.
    """
    info = tarfile.TarInfo(path)
    info.size, info.mtime, info.mode = size, mtime, _MODE
    try:
        return info.tobuf(tarfile.USTAR_FORMAT)
    except ValueError:  # too long or too large for the old fields
        return info.tobuf(tarfile.PAX_FORMAT)


def padding(size: int) -> int:
    """Return how many zeros follow so many bytes of a file."""
    return -size % BLOCK


def _decoded(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise ArchiveInvalid(
            "this is no tar archive, or it is damaged: a header's checksum is wrong"
        ) from error


def _pax_records(data: bytes) -> dict[str, bytes]:
    """Read lines of ``length key=value``, the length counting all of the line.

    Only what counts is kept: path, size, and ``_SPARSE`` for any record of a sparse file.
    """
    records: dict[str, bytes] = {}
    position = count = 0
    while position < len(data):
        count += 1
        if count > MAX_RECORDS:
            raise ArchiveInvalid(
                f"the archive has an extended header of more than {MAX_RECORDS} records"
            )
        found = _RECORD.match(data, position)
        end = position + int(found[1]) if found else 0
        if found is None or end <= found.end() or data[end - 1 : end] != b"\n":
            raise ArchiveInvalid("the archive is damaged: an extended header cannot be read")
        key = found[2].decode("utf-8", "surrogateescape")
        if key in _KEPT:
            records[key] = data[found.end() : end - 1]
        elif key.startswith(_SPARSE):
            records[_SPARSE] = b""
        position = end
    return records


def _refused(path: str, why: str) -> ArchiveInvalid:
    shown = path.encode("utf-8", "replace").decode()[:200]
    return ArchiveInvalid(f"the archive's entry {shown!r} {why}", entry=shown)
