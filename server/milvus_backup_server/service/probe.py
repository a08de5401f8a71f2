"""Objects of our own by which it is tried what a store lets us do; they are removed again."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.layout import join
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.objects import abort_uploads, to_the_end

_CLEAN_UP_SECONDS = 2.0


class Probe:
    """Probe objects in one directory of a store.

    Args:
        store: The store.
        directory: Their prefix, ending in ``/``. Nothing else lies there.
    """

    def __init__(self, store: ObjectStore, directory: str) -> None:
        self._store = store
        self._directory = directory
        self._keys: set[str] = set()
        self._writing: set[asyncio.Future[ObjectInfo]] = set()

    def key(self, name: str) -> str:
        """Return the key of an object that is removed at the end, whoever writes it."""
        key = self._directory + name
        self._keys.add(key)
        return key

    async def write(self, name: str, data: bytes, *, instead_of: str = "") -> ObjectInfo:
        """Write an object that must not be there yet, or only with this ETag."""
        key = self.key(name)
        writing = asyncio.ensure_future(
            self._store.put(key, data, if_absent=not instead_of, if_match=instead_of)
        )
        self._writing.add(writing)
        return await asyncio.shield(writing)

    async def remove(self) -> None:
        """Remove everything, as soon as nothing writes it any more."""
        await asyncio.gather(*self._writing, return_exceptions=True)
        if self._keys:
            await self._store.delete(sorted(self._keys))
            await abort_uploads(self._store, self._directory)

    async def remove_if_possible(self) -> None:
        """Do the same behind a failure, which matters more."""
        with contextlib.suppress(BackupError):
            await self.remove()


@asynccontextmanager
async def probing(storage: Storage, *directory: str) -> AsyncIterator[Probe]:
    """Give a probe for the time of a block, and remove what it wrote, whatever happens.

    Args:
        storage: Where.
        directory: Below its root; a directory of a random name is made there.
    """
    path = join(storage.root, *directory, f"check_{secrets.token_hex(8)}")
    probe = Probe(storage.store, f"{path}/")
    try:
        yield probe
    except BaseException:
        await to_the_end(probe.remove_if_possible(), _CLEAN_UP_SECONDS)
        raise
    await probe.remove()
