"""What is remembered of the verifications of backups: a small file for each, beside the backups.

It is no part of the backup, so that a copy of a backup does not claim to be verified, and tied to the
backup's identity, so that another backup of the same name does not either.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from milvus_backup_server.domain.errors import (
    BackupError,
    Unavailable,
)
from milvus_backup_server.domain.layout import verifications_key
from milvus_backup_server.domain.manifest import canonical_json, load_json
from milvus_backup_server.domain.places import HOME
from milvus_backup_server.domain.record_codec import Record, json_key
from milvus_backup_server.domain.verification import (
    BackupIdentity,
    Verification,
    VerifyLevel,
    remembered,
)
from milvus_backup_server.service.context import Repository

_FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry(Record):
    level: str = json_key("level", "")
    sample_percent: int = json_key("sample_percent", 100)
    end_time: str = json_key("end_time", "")
    problem_count: int = json_key("problem_count", 0, always=True)
    operation: str = json_key("operation", "")
    restored_collections: int = json_key("restored_collections", 0)
    some: bool = json_key("some", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _File(Record):
    format_version: int = json_key("format_version", _FORMAT_VERSION)
    backup_id: str = json_key("backup_id", "")
    generation: int = json_key("generation", 0)
    verifications: tuple[_Entry, ...] = json_key("verifications", ())

    @property
    def identity(self) -> BackupIdentity:
        return BackupIdentity(self.backup_id, self.generation)


class VerificationRecords:
    """The files of one repository.

    Args:
        repository: Where the backups are.
    """

    def __init__(self, repository: Repository) -> None:
        self._storage = repository.records
        self._place = "" if repository.place == HOME else str(repository.place)

    async def read(self, name: str) -> tuple[BackupIdentity, tuple[Verification, ...]] | None:
        """Return what is remembered under a name, and of which backup; None if nothing is.

        A file that is denied, damaged or of a newer service counts as none: it is a remark only.

        Raises:
            StorageUnavailable: The store does not answer.
        """
        try:
            data = await self._storage.store.get(self._key(name))
            file = _File.from_json(load_json(data, "verifications"))
            if file.format_version > _FORMAT_VERSION:
                return None
            return file.identity, tuple(_verification(entry) for entry in file.verifications)
        except Unavailable:
            raise
        except (BackupError, ValueError):
            return None

    async def add(self, name: str, identity: BackupIdentity, new: Verification) -> None:
        """Remember a verification; what was remembered of another backup of that name is forgotten.

        Raises:
            BackupError: The store does not take it.
        """
        known = await self.read(name)
        same = known[1] if known is not None and known[0] == identity else ()
        file = _File(
            backup_id=identity.id,
            generation=identity.generation,
            verifications=tuple(_entry(item) for item in remembered(same, new)),
        )
        await self._storage.store.put(self._key(name), canonical_json(file.to_json()))

    async def forget(self, name: str) -> None:
        """Remove what is remembered under a name.

        Raises:
            BackupError: The store does not let us.
        """
        if await self._storage.store.head(self._key(name)) is not None:
            await self._storage.store.delete([self._key(name)])

    def _key(self, name: str) -> str:
        return verifications_key(self._storage.root, name, self._place)


def _entry(item: Verification) -> _Entry:
    return _Entry(
        level=item.level.value,
        sample_percent=item.sample_percent,
        end_time=item.end_time.isoformat(),
        problem_count=item.problem_count,
        operation=item.operation,
        restored_collections=item.restored_collections,
        some=item.some,
    )


def _verification(entry: _Entry) -> Verification:
    """Read an entry; ValueError for what it cannot hold."""
    return Verification(
        VerifyLevel(entry.level),
        entry.sample_percent,
        datetime.fromisoformat(entry.end_time),
        entry.problem_count,
        entry.operation,
        entry.restored_collections,
        entry.some,
    )
