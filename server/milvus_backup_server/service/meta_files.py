"""Where a reader of metadata finds the files: in the store, or on local disk before they get there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from milvus_backup_server.domain.errors import BackupCorrupt, ObjectChanged, ObjectNotFound
from milvus_backup_server.domain.layout import BackupLayout
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.objects import list_objects, read_chunks
from milvus_backup_server.service.spool import Spool


class MetaFiles(Protocol):
    """The files in ``meta/`` of one backup, by their names there.

    What is read raises BackupCorrupt if it is missing or changes meanwhile.
    """

    async def listed(self, *, deep: bool = False) -> dict[str, ObjectInfo]:
        """Return the files right below ``meta/``; with ``deep`` those in directories too."""
        ...

    def chunks(self, file: str) -> AsyncIterator[bytes]:
        """Yield a file in pieces."""
        ...

    async def read(self, file: str) -> bytes:
        """Return a small file."""
        ...


class StoredMeta:
    """The metadata of a backup in the store.

    Args:
        store: The repository's store.
        layout: Keys of the backup.
        part_bytes: Bytes read by one request.
    """

    def __init__(self, store: ObjectStore, layout: BackupLayout, part_bytes: int) -> None:
        self._store = store
        self._layout = layout
        self._part_bytes = part_bytes

    async def listed(self, *, deep: bool = False) -> dict[str, ObjectInfo]:
        """List them."""
        prefix = self._layout.meta_directory
        found = list_objects(self._store, prefix, delimiter=not deep)
        return {item.key.removeprefix(prefix): item async for item in found}

    async def chunks(self, file: str) -> AsyncIterator[bytes]:
        """Read one in parts; one that fits in a part whole, as the store compares only whole objects."""
        key = self._layout.meta(file)
        try:
            info = await self._store.head(key)
            if info is not None and info.size <= self._part_bytes:
                yield await self._store.get(key, if_match=info.etag)
                return
            async for chunk in read_chunks(self._store, key, self._part_bytes, info=info):
                yield chunk
        except ObjectNotFound:
            raise _missing(file) from None
        except ObjectChanged:
            raise damaged_file(file) from None

    async def read(self, file: str) -> bytes:
        """Read one by one request."""
        try:
            return await self._store.get(self._layout.meta(file))
        except ObjectNotFound:
            raise _missing(file) from None
        except ObjectChanged:
            raise damaged_file(file) from None


class SpooledMeta:
    """Metadata that came with an archive and lies on local disk."""

    def __init__(self, files: Mapping[str, Spool]) -> None:
        self._files = files

    async def listed(self, *, deep: bool = False) -> dict[str, ObjectInfo]:
        """List them."""
        return {
            name: ObjectInfo(name, spool.size, "")
            for name, spool in self._files.items()
            if deep or "/" not in name
        }

    async def chunks(self, file: str) -> AsyncIterator[bytes]:
        """Read one in parts."""
        if file not in self._files:
            raise _missing(file)
        async for chunk in self._files[file].chunks():
            yield chunk

    async def read(self, file: str) -> bytes:
        """Read one whole."""
        return b"".join([chunk async for chunk in self.chunks(file)])


def damaged_file(file: str) -> BackupCorrupt:
    """Return the error for a metadata file that is not as it was written."""
    return BackupCorrupt(f"{file} was changed after it was written", file=file)


def _missing(file: str) -> BackupCorrupt:
    return BackupCorrupt(f"{file} is missing", file=file)
