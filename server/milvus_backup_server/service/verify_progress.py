"""What a verification has read so far, so that a resume does not read it again.

One small file beside the plans of creates; a sweep knows what to do with it. It counts for the same
metadata of the backup alone, and whatever it says, everything is listed again.
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
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.objects import delete_prefix

_WRITE_SECONDS: Final = 5.0


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
        self._key = f"{self._directory}verified.json"
        self._backup = ""
        self._read: dict[CollectionName, None] = {}
        self._written_at = time.monotonic()
        self._written = False

    async def load(self) -> None:
        """Read what an earlier attempt noted; what cannot be read counts as nothing.

        Raises:
            StorageUnavailable: The store does not answer.
        """
        self._written = True
        try:
            found: _Read = decode(_Read, load_json(await self._store.get(self._key), self._key))
        except Unavailable:
            raise
        except (BackupError, NotDecodable):
            return
        self.sample_seed, self._backup = found.sample_seed, found.backup
        self._read = dict.fromkeys(found.collections)

    def begin(self, files: Mapping[str, ObjectInfo], sample_seed: int) -> None:
        """Begin to note for the backup with these metadata files, with a sample."""
        backup = fingerprint(files.values())
        if (backup, sample_seed) != (self._backup, self.sample_seed):
            self._read.clear()
        self._backup, self.sample_seed = backup, sample_seed

    def skips(self, name: CollectionName) -> bool:
        """Tell whether a collection was read whole, and nothing was wrong with it; count it then."""
        self.skipped += name in self._read
        return name in self._read

    async def note(self, name: CollectionName) -> None:
        """Note that a collection was read, and nothing is wrong with it; written from time to time."""
        self._read[name] = None
        if time.monotonic() - self._written_at >= _WRITE_SECONDS:
            await self.write()

    async def write(self) -> None:
        """Write the notes; a store that does not take them does without."""
        self._written_at = time.monotonic()
        if self._read:
            self._written = True
            notes = _Read(self._backup, self.sample_seed, tuple(self._read))
            with contextlib.suppress(BackupError):
                await self._store.put(self._key, canonical_json(encode(_Read, notes)))

    async def remove(self) -> None:
        """Remove the notes; what a store does not remove, a sweep does."""
        if self._written:
            with contextlib.suppress(BackupError):
                await delete_prefix(self._store, self._directory)
