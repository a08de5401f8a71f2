"""Reading and writing the files of a bucket directory. Blocking; ``store`` calls it in threads."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from milvus_backup_server.adapters.local.paths import HIDDEN, entries_below, path_of
from milvus_backup_server.adapters.paging import take_page
from milvus_backup_server.domain.errors import ObjectAlreadyExists, ObjectChanged, ObjectNotFound
from milvus_backup_server.domain.objects import ListPage, ObjectInfo

_COPY_BYTES = 1 << 20
# How often a directory may be removed between its making and its first file.
_PUBLISH_TRIES = 20
# Directories whose changes a deletion waits for: one takes milliseconds, and a backup has very many.
_SYNCED_AT_MOST = 8
_LOCK = "exchange.lock"
_LOCK_SECONDS = 5.0
_LOCK_PAUSE_SECONDS = 0.005
# A file that nobody has written to for so long is of a process that was killed.
_ABANDONED_SECONDS = 24 * 3600


class Files:
    """The files below a directory, by key. Raises OSError beside the errors of the port.

    What a write returns is told of the file before it gets its name: afterwards the name may be that of
    another writer's file, and its ETag would let this one overwrite it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._tidied = False

    def describe(self, key: str) -> ObjectInfo:
        """Describe a file."""
        return _described(key, path_of(self.root, key).stat())

    def read(self, key: str, offset: int, length: int | None, if_match: str) -> bytes:
        """Read a range."""
        with self.opened(key, if_match) as file:
            file.seek(offset)
            return file.read(-1 if length is None else length)

    @contextmanager
    def opened(self, key: str, if_match: str) -> Iterator[BinaryIO]:
        """Open a file of which the condition holds, whatever gets its name meanwhile."""
        with path_of(self.root, key).open("rb") as file:
            found = _described(key, os.fstat(file.fileno()))
            if if_match and found.etag != if_match:
                raise ObjectChanged(f"{key} is not {if_match} any more", key=key)
            yield file

    def write(self, key: str, pieces: Iterable[bytes], *, if_absent: bool = False) -> ObjectInfo:
        """Write a file whole: under a hidden name first, then, on the disk, under its own."""
        path = path_of(self.root, key)
        with self._temporary() as temporary:
            with temporary.open("xb") as file:
                file.writelines(pieces)
                _flush(file)
                written = os.fstat(file.fileno())
            for tries_left in reversed(range(_PUBLISH_TRIES)):
                try:
                    _make_directory(path.parent)
                    _publish(temporary, path, key, if_absent=if_absent)
                    break
                except (FileNotFoundError, FileExistsError):
                    # A deletion found the new directory empty and removed it.
                    if not tries_left:
                        raise
        return _described(key, written)

    def exchange(self, key: str, data: bytes, if_match: str) -> ObjectInfo:
        """Write a file in place of the one with that ETag; one at a time, in all processes."""
        path = path_of(self.root, key)
        with self._temporary() as temporary:
            with temporary.open("xb") as file:
                file.write(data)
                _flush(file)
                written = os.fstat(file.fileno())
            # A process that is stopped while it has the lock holds up all others: so it is held for
            # the comparison and the renaming alone.
            with self._alone():
                self._require(key, if_match)
                temporary.replace(path)
        _sync_directory(path.parent)
        return _described(key, written)

    def _require(self, key: str, etag: str) -> None:
        try:
            found = self.describe(key).etag
        except FileNotFoundError:
            found = ""
        if found != etag:
            raise ObjectChanged(f"{key} is not {etag} any more", key=key)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # The kernel gives a lock back when its process ends, in whatever way.
        with (self.hidden() / _LOCK).open("wb") as file:
            give_up = time.monotonic() + _LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:  # also what is raised in the end: the next try may succeed
                    if time.monotonic() > give_up:
                        raise
                    time.sleep(_LOCK_PAUSE_SECONDS)
            yield

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        if not self._tidied:
            self._remove_abandoned()
            self._tidied = True
        path = self.hidden() / secrets.token_hex(16)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _remove_abandoned(self) -> None:
        """Remove what killed processes were writing. One that only slept fails to publish its file."""
        oldest = time.time() - _ABANDONED_SECONDS
        with os.scandir(self.hidden()) as found:
            for entry in found:
                with suppress(OSError):  # ended meanwhile, or of another user
                    if _is_temporary(entry) and entry.stat().st_mtime < oldest:
                        Path(entry).unlink()

    def hidden(self) -> Path:
        """Return the hidden directory, made if need be; never makes the bucket by the way."""
        path = self.root / HIDDEN
        path.mkdir(exist_ok=True)
        return path

    def delete(self, keys: Iterable[str]) -> None:
        """Remove files, and the directories that are empty then.

        Few files are gone from the disk, too, before this returns: what makes a backup complete is
        removed by itself before its data, and must not be back after the machine died.
        """
        changed = set[Path]()
        for path in [path_of(self.root, key) for key in keys]:
            with suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
                path.unlink()
            changed.add(self._prune(path.parent))
        if len(changed) <= _SYNCED_AT_MOST:
            for directory in changed:
                _sync_directory(directory)

    def _prune(self, directory: Path) -> Path:
        """Remove a directory and those above it that are empty; return the first one that stays."""
        root = Path(os.path.realpath(self.root))
        with suppress(OSError):  # not empty, or somebody else was faster
            while directory != root:
                directory.rmdir()
                directory = directory.parent
        return directory

    def page(self, prefix: str, token: str, *, delimiter: bool, limit: int) -> ListPage:
        """List one page."""
        entries = entries_below(self.root, prefix, token, delimiter=delimiter)
        page, next_token = take_page(entries, limit)
        objects = self._described([row.name for row in page if not row.is_prefix])
        return ListPage(
            tuple(objects), tuple(row.name for row in page if row.is_prefix), next_token
        )

    def _described(self, keys: Iterable[str]) -> Iterator[ObjectInfo]:
        for key in keys:
            with suppress(FileNotFoundError):  # deleted since its name was read
                yield _described(key, (self.root / key).stat(follow_symlinks=False))


def pieces_of(file: BinaryIO, length: int | None = None) -> Iterator[bytes]:
    """Yield what is left of a file, at most ``length`` bytes, in pieces."""
    left = length
    while left is None or left > 0:
        piece = file.read(_COPY_BYTES if left is None else min(left, _COPY_BYTES))
        if not piece:
            return
        left = None if left is None else left - len(piece)
        yield piece


def _is_temporary(entry: os.DirEntry[str]) -> bool:
    return entry.name != _LOCK and entry.is_file(follow_symlinks=False)


def _publish(temporary: Path, path: Path, key: str, *, if_absent: bool) -> None:
    if if_absent:
        try:
            path.hardlink_to(temporary)  # unlike a rename it never replaces
        except FileExistsError as error:
            raise ObjectAlreadyExists(f"{key} is taken", key=key) from error
    else:
        temporary.replace(path)
    _sync_directory(path.parent)


def _flush(file: BinaryIO) -> None:
    file.flush()
    # The kernel's own time stands still for milliseconds, in which a file can be replaced twice.
    now = time.time_ns()
    os.utime(file.fileno(), ns=(now, now))
    os.fsync(file.fileno())


def _make_directory(path: Path) -> None:
    """Make a directory and those above it, on the disk."""
    missing = [it for it in (path, *path.parents) if not it.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for made in missing:
        _sync_directory(made.parent)


def _sync_directory(path: Path) -> None:
    with suppress(FileNotFoundError):  # deleted again already
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _described(key: str, found: os.stat_result) -> ObjectInfo:
    if not stat.S_ISREG(found.st_mode):
        raise ObjectNotFound(f"{key} is not a file", key=key)
    etag = f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"
    return ObjectInfo(key, found.st_size, etag, datetime.fromtimestamp(found.st_mtime, UTC))
