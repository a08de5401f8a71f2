"""What an archive of a backup may hold, and where each entry belongs.

An archive is the backup's directory as tar packs it: ``{top}/binlogs/...`` and ``{top}/meta/...``. The
name of the top directory is not part of the backup.
"""

from __future__ import annotations

import re

from milvus_backup_server.domain.errors import ArchiveInvalid
from milvus_backup_server.domain.layout import (
    CLAIM,
    FULL_META,
    LEVEL_FILES,
    manifest_generation,
    parse_backup_key,
)
from milvus_backup_server.domain.tar import TarEntry

META = "meta/"

_DIRECTORIES = ("meta", "binlogs")
_META_FILE = re.compile(
    r"meta/(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}\.jsonl?|manifest\.\d+/\d+\.jsonl)"
)
_BARE = (*LEVEL_FILES, FULL_META)


class ArchivePaths:
    """Places the entries of one archive; all must lie in one top directory.

    Attributes:
        top: The top directory; empty until the first entry that names it.
    """

    def __init__(self) -> None:
        self.top = ""

    def place(self, entry: TarEntry) -> str:
        """Return the key of an entry relative to the backup's directory; empty for what is not kept.

        Directories are not kept, nor is the claim: it belongs to who wrote the backup where it was.

        Raises:
            ArchiveInvalid: No backup holds such an entry.
        """
        parts = _parts(entry)
        if not parts:
            return ""
        if self.top not in ("", parts[0]):
            raise self._foreign(entry, f"lies outside of {self.top!r}, where the others are")
        self.top = parts[0]
        relative = "/".join(parts[1:])
        if entry.is_directory:
            if relative and parts[1] not in _DIRECTORIES:
                raise self._foreign(entry, "is no part of a backup")
            return ""
        if relative in _BARE:
            relative = META + relative
        if not is_part(relative):
            raise self._foreign(entry, "is no part of a backup")
        return "" if relative == META + CLAIM else relative

    def _foreign(self, entry: TarEntry, why: str) -> ArchiveInvalid:
        if self.top in _DIRECTORIES:  # packed from inside of the backup's directory
            why += ": the archive must hold one directory named as the backup"
        return _refused(entry, why)


def is_part(relative: str) -> bool:
    """Tell whether a backup may hold an object of that key, given relative to its directory."""
    log = relative.isascii() and parse_backup_key(relative) is not None
    return log or _META_FILE.fullmatch(relative) is not None


def writing_order(file: str) -> tuple[int, int, str]:
    """Return by what the metadata files of a backup are sorted so that they stand in the order of writing.

    First what others may have added, then the manifest with its head last, the level files, and
    ``full_meta.json``, by which the backup is complete.
    """
    if file == FULL_META:
        return (4, 0, file)
    if file in LEVEL_FILES:
        return (3, LEVEL_FILES.index(file), file)
    if manifest_generation(file) is not None:
        return (2, 1, file)
    if file.endswith(".collections.jsonl"):
        return (2, 0, file)
    return (1 if file.endswith(".jsonl") else 0, 0, file)


def _parts(entry: TarEntry) -> list[str]:
    """Split a path, leading ``./`` left out; nothing is left of the directory that was packed.

    Raises:
        ArchiveInvalid: It could lead out of where it belongs.
    """
    if entry.path.startswith("/"):
        raise _refused(entry, "has an absolute path")
    path = entry.path.removesuffix("/") if entry.is_directory else entry.path
    parts = path.split("/")
    while parts and parts[0] == ".":
        parts.pop(0)
    if any(part in ("", ".", "..") for part in parts) or not (parts or entry.is_directory):
        raise _refused(entry, "has an empty part, '.' or '..' in its path")
    return parts


def _refused(entry: TarEntry, why: str) -> ArchiveInvalid:
    shown = _shown(entry.path)
    return ArchiveInvalid(f"the archive's entry {shown!r} {why}", entry=shown)


def _shown(path: str) -> str:
    return path.encode("utf-8", "replace").decode()[:200]
