"""Keys as paths, and directories in the order of keys. Blocking."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from milvus_backup_server.adapters.paging import DELIMITER, Entry, end_of_directory
from milvus_backup_server.domain.errors import StorageRefused

HIDDEN = ".object-store-tmp"
"""The directory of files that are being written and of uploads; no key reaches it."""


def path_of(root: Path, key: str) -> Path:
    """Return the path of a key.

    Raises:
        StorageRefused: It would be outside of the root, hidden, behind a symbolic link, or one of
            several spellings of the same path.
    """
    base = os.path.realpath(root)
    path = os.path.join(base, key)  # noqa: PTH118 - pathlib tidies up what must be refused
    segments = key.split(DELIMITER)
    plain = all(_is_plain(segment) for segment in segments) and segments[0] != HIDDEN
    if not plain or os.path.realpath(path) != path:
        raise StorageRefused(
            f"{key!r} cannot be a path below {root}", subject=str(root), key=key, code="InvalidKey"
        )
    return Path(path)


def _is_plain(segment: str) -> bool:
    return segment not in ("", ".", "..") and "\0" not in segment


def entries_below(root: Path, prefix: str, start: str, *, delimiter: bool) -> Iterator[Entry]:
    """Yield the keys below a prefix from ``start`` on, in byte order of the whole key.

    With a delimiter directories are yielded as prefixes, if there is a file in them.
    """
    base = prefix[: prefix.rfind(DELIMITER) + 1]
    segments = base.split(DELIMITER)[:-1]
    if all(_is_plain(segment) for segment in segments) and HIDDEN not in segments[:1]:
        yield from _walk(root, base, prefix, start, descend=not delimiter)


def _walk(root: Path, base: str, prefix: str, start: str, *, descend: bool) -> Iterator[Entry]:
    for name in _names(root / base, top=not base):
        key = base + name
        if not key.startswith(prefix):
            continue
        if not name.endswith(DELIMITER):
            if key >= start:
                yield Entry(key)
        elif end_of_directory(key) > start:
            inside = _walk(root, key, prefix, start, descend=True)
            if descend:
                yield from inside
            elif any(True for _ in inside):
                yield Entry(key, is_prefix=True)


def _names(directory: Path, *, top: bool) -> list[str]:
    # A directory sorts as its keys do, with the delimiter: "a-b" comes before "a/b".
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(directory) as found:
        return sorted(
            name + DELIMITER if is_directory else name
            for name, is_directory in _kinds(found)
            if not (top and name == HIDDEN)
        )
    return []


def _kinds(found: Iterator[os.DirEntry[str]]) -> Iterator[tuple[str, bool]]:
    for entry in found:
        is_directory = entry.is_dir(follow_symlinks=False)
        if is_directory or entry.is_file(follow_symlinks=False):
            yield entry.name, is_directory
