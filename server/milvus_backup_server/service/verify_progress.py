"""What a verification has read so far, so that a resume does not read it again.

Small files beside the plans of creates, each with what was read since the one before; a sweep knows what
to do with them. They count for the same metadata of the backup alone, and whatever they say, everything is
listed again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from milvus_backup_server.domain.errors import BackupError, Unavailable
from milvus_backup_server.domain.layout import plan_directory
from milvus_backup_server.domain.manifest import canonical_json, load_json
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.domain.restore_journal import fingerprint
from milvus_backup_server.domain.value_codec import NotDecodable, decode, encode
from milvus_backup_server.service.concurrency import for_each
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.objects import delete_prefix, list_objects

_WRITE_SECONDS: Final = 5.0
_FILE_COLLECTIONS: Final = 1000
"""So many are written at one time at most: it holds the event loop for about 10 ms."""

_READS_AT_ONCE = 16
_FILE: Final = "verified."


@dataclass(frozen=True, slots=True)
class _Read:
    backup: str = ""
    sample_seed: int = 0
    collections: tuple[CollectionName, ...] = ()


class VerifyProgress:
    """The notes of one verification. ``load`` them where it was interrupted.

    Args:
        storage: Of the repository of the settings.
        operation: The verification.

    Attributes:
        skipped: Collections that an earlier attempt had read, and that were not read again.
        sample_seed: That of the attempt before; 0 if there was none.
    """

    def __init__(self, storage: Storage, operation: str) -> None:
        self.skipped = 0
        self.sample_seed = 0
        self._store = storage.store
        self._directory = plan_directory(storage.root, operation)
        self._backup = ""
        self._read: dict[CollectionName, None] = {}
        self._unwritten: list[CollectionName] = []
        self._files = 0
        self._written_at = time.monotonic()
        self._written = False

    async def load(self) -> None:
        """Read what earlier attempts noted; what cannot be read counts as nothing.

        Raises:
            StorageUnavailable: The store does not answer.
        """
        self._written = True
        found: dict[str, _Read] = {}

        async def read(key: str) -> None:
            try:
                found[key] = decode(_Read, load_json(await self._store.get(key), key))
            except Unavailable:
                raise
            except (BackupError, NotDecodable):
                return

        keys = [item.key async for item in list_objects(self._store, self._directory)]
        self._files = 1 + max(map(_number_of, keys), default=-1)
        await for_each(keys, read, concurrent=_READS_AT_ONCE)
        for key in sorted(found):
            self._take(found[key])

    def _take(self, found: _Read) -> None:
        self._begin(found.backup, found.sample_seed)
        self._read |= dict.fromkeys(found.collections)

    def begin(self, files: Mapping[str, ObjectInfo], sample_seed: int) -> None:
        """Begin to note for the backup with these metadata files, with a sample."""
        self._begin(fingerprint(files.values()), sample_seed)

    def _begin(self, backup: str, sample_seed: int) -> None:
        if (backup, sample_seed) != (self._backup, self.sample_seed):
            self._read.clear()
        self._backup, self.sample_seed = backup, sample_seed

    def skips(self, name: CollectionName) -> bool:
        """Tell whether a collection was read whole, and nothing was wrong with it; count it then."""
        self.skipped += name in self._read
        return name in self._read

    async def note(self, name: CollectionName) -> None:
        """Note that a collection was read, and nothing is wrong with it; written from time to time."""
        if name in self._read:
            return
        self._read[name] = None
        self._unwritten.append(name)
        due = time.monotonic() - self._written_at >= _WRITE_SECONDS
        if due or len(self._unwritten) % _FILE_COLLECTIONS == 0:
            await self.write()

    async def write(self) -> None:
        """Write what was noted since the last time; a store that does not take it does without."""
        self._written_at = time.monotonic()
        with contextlib.suppress(BackupError):
            while self._unwritten:
                await self._write_some()

    async def _write_some(self) -> None:
        self._written = True
        key = f"{self._directory}{_FILE}{self._files:08d}.json"
        self._files += 1
        names = self._unwritten[:_FILE_COLLECTIONS]
        del self._unwritten[:_FILE_COLLECTIONS]  # another collection may be noted meanwhile
        try:
            notes = _Read(self._backup, self.sample_seed, tuple(names))
            await self._store.put(key, canonical_json(encode(_Read, notes)))
        except BaseException:  # also when the service stops in the midst of it
            self._unwritten += names
            raise

    async def remove(self) -> None:
        """Remove the notes; what a store does not remove, a sweep does."""
        if self._written:
            with contextlib.suppress(BackupError):
                await delete_prefix(self._store, self._directory)


def _number_of(key: str) -> int:
    """Return the number of a file of notes. They may have gaps, where one was not written."""
    number = key.rpartition(_FILE)[2].removesuffix(".json")
    return int(number) if number.isdecimal() else -1
