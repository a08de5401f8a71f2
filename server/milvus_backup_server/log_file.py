"""A log file that is put aside when it is large, of which the older ones are removed."""

from __future__ import annotations

import glob
import logging.handlers
import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Final

_DAY: Final = 24 * 3600
_PRIVATE: Final = 0o600


class RotatingLogFile(logging.handlers.BaseRotatingHandler):
    """Writes to ``NAME.EXT``; full files become ``NAME-TIME.EXT`` beside it, as with the Go tool.

    Missing directories are made. Only the owner may read the files.

    Args:
        path: Where to write.
        max_bytes: A file is put aside before it gets larger; 0 for never.
        max_days: Files put aside are removed after this time; 0 for never.
        max_backups: So many of those put aside are kept; 0 for all.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(
        self, path: Path, *, max_bytes: int = 0, max_days: int = 0, max_backups: int = 0
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._max_bytes = max_bytes
        self._max_seconds = max_days * _DAY
        self._max_backups = max_backups
        self._failed = False
        super().__init__(path, mode="a", encoding="utf-8", errors="backslashreplace")

    def _open(self) -> TextIOWrapper:
        return open(self._path, "a", encoding="utf-8", errors="backslashreplace", opener=_private)

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - the library's name
        """Tell whether a record would make the file too large."""
        if not self._max_bytes:
            return False
        if self.stream is None:
            self.stream = self._open()
        size = self.stream.seek(0, os.SEEK_END)
        return size > 0 and size + len(self.format(record).encode()) + 1 > self._max_bytes

    def doRollover(self) -> None:  # noqa: N802 - the library's name
        """Put the file aside, begin another, and remove those that are too old or too many."""
        if self.stream:
            self.stream.close()
            self.stream = None  # opened by the next record, should what follows fail
        self.rotate(str(self._path), str(self._aside()))
        self._remove_old()
        self.stream = self._open()

    def _aside(self) -> Path:
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%f")
        return self._path.with_name(f"{self._path.stem}-{moment}{self._path.suffix}")

    def _remove_old(self) -> None:
        stem, suffix = glob.escape(self._path.stem), glob.escape(self._path.suffix)
        aside = self._path.parent.glob(f"{stem}-????-??-??T??-??-??.??????{suffix}")
        oldest = time.time() - self._max_seconds
        for number, path in enumerate(sorted(aside, reverse=True), start=1):
            too_many = self._max_backups and number > self._max_backups
            with suppress(FileNotFoundError):  # another process with the same file
                if too_many or (self._max_seconds and path.stat().st_mtime < oldest):
                    path.unlink()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - the library's
        """Say once on stderr that the file cannot be written; the service goes on without it."""
        if not self._failed:
            self._failed = True
            reason = sys.exc_info()[1]
            print(f"cannot write the log file {self._path}: {reason}", file=sys.stderr)  # noqa: T201


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, _PRIVATE)
