"""What a verification does with metadata files, whoever wrote them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from milvus_backup_server.domain.errors import BackupCorrupt, ObjectChanged, ObjectNotFound
from milvus_backup_server.domain.layout import BackupLayout
from milvus_backup_server.domain.manifest import ManifestObject
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.objects import md5_of_etag
from milvus_backup_server.domain.verification import (
    BackupIdentity,
    Problem,
    ProblemKind,
    VerifyBasis,
)
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.json_stream import TailHash
from milvus_backup_server.service.objects import (
    MOST_READS,
    feed,
    present_object,
    read_chunks,
    read_until_agreed,
)
from milvus_backup_server.service.verify_report import VerifyReport

T = TypeVar("T")

TAIL_BYTES = 1024
"""How much of the end of ``full_meta.json`` may be our key."""


@dataclass(frozen=True, slots=True)
class KnownCollection:
    """A collection that the metadata names.

    Attributes:
        moment: Hybrid timestamp to which it is exact; 0 if there is none.
    """

    name: CollectionName
    collection_id: int
    objects: int
    bytes: int
    rows: int
    moment: int = 0


@dataclass(frozen=True, slots=True)
class CollectionObjects:
    """A collection whose objects are to be verified.

    Attributes:
        open: Gives what was recorded, in the order of keys; None if the file that tells is damaged.
    """

    name: CollectionName
    collection_id: int
    open: Callable[[], Awaitable[AsyncIterator[ManifestObject] | None]]


class BackupMetadata(Protocol):
    """The metadata of a backup after it was verified.

    Attributes:
        basis: Whose it is.
        identity: Of the backup; None if the files that tell are damaged.
        collections: What the backup has; None if the file that tells is damaged.
        files: Names in ``meta/`` that belong to the backup; directories end in ``/``.
    """

    basis: VerifyBasis
    identity: BackupIdentity | None
    collections: tuple[KnownCollection, ...] | None
    files: frozenset[str]

    def objects(self) -> AsyncIterator[CollectionObjects]:
        """Yield the collections, each with its objects."""
        ...

    def object_lists(self) -> Mapping[str, Collection[str]]:
        """Return directories below ``meta/``, each ending in ``/``, and the names that belong into them."""
        ...


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A metadata file that was read whole.

    Attributes:
        etag_md5: Its ETag if that has the shape of an MD5, else empty.
        tail: Its hash but for its end.
    """

    sha256: str
    md5: str
    etag_md5: str
    tail: TailHash


class FilesCheck:
    """Reads metadata files and notes which are not as they should be, each once.

    Args:
        store: The repository's store.
        layout: Keys of the backup.
        report: Gets what is wrong.
        part_bytes: Bytes read by one request.

    Attributes:
        etags_are_md5: A file was seen whose ETag is its MD5, so that those of the other objects are too.
    """

    def __init__(
        self, store: ObjectStore, layout: BackupLayout, report: VerifyReport, part_bytes: int
    ) -> None:
        self.etags_are_md5 = False
        self._store = store
        self._layout = layout
        self._report = report
        self._part_bytes = part_bytes
        self._bad: set[str] = set()

    def note(
        self, file: str, kind: ProblemKind, how: str, collection: CollectionName | None = None
    ) -> None:
        """Note what is wrong with a file."""
        if file not in self._bad:
            self._bad.add(file)
            self._report.add(Problem(f"meta/{file}", kind, f"{file} {how}", collection))

    async def note_damaged(
        self, file: str, error: BackupCorrupt, collection: CollectionName | None = None
    ) -> None:
        """Note a file that could not be read as what it should be."""
        if await self._store.head(self._layout.meta(file)) is None:
            self.note(file, ProblemKind.MISSING, "is missing", collection)
        else:
            self.note(file, ProblemKind.CONTENT, f"is damaged: {error.message}", collection)

    async def require(self, file: str, sha256: str) -> None:
        """Note a file unless it is there with this hash."""
        found = await self.digest(file, lambda it: it.sha256 == sha256)
        if found is not None and found.sha256 != sha256:
            self.note(file, ProblemKind.CONTENT, "was changed after it was written")

    async def digest(
        self, file: str, is_right: Callable[[FileDigest], bool] = lambda _: True
    ) -> FileDigest | None:
        """Read a file whole, and again if it is not right: bytes may be damaged on their way.

        Two readings that agree count.

        Returns:
            What was read last; None if it is not there, which is noted.
        """
        self._report.count(metadata_files=1)
        try:
            return await read_until_agreed(
                lambda: self._digest(file), is_right, lambda found: found.sha256
            )
        except ObjectNotFound:
            self.note(file, ProblemKind.MISSING, "is missing")
        except ObjectChanged:
            self.note(file, ProblemKind.CONTENT, "changed while it was verified")
        return None

    async def _digest(self, file: str) -> FileDigest:
        key = self._layout.meta(file)
        info = await present_object(self._store, key)
        tail = TailHash(TAIL_BYTES)
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        async for chunk in tail.through(read_chunks(self._store, key, self._part_bytes, info=info)):
            await feed(sha256, chunk)
            await feed(md5, chunk)
        found = FileDigest(sha256.hexdigest(), md5.hexdigest(), md5_of_etag(info.etag), tail)
        self.etags_are_md5 |= found.md5 == found.etag_md5
        return found


async def again_if_damaged(read: Callable[[], Awaitable[T]]) -> T:
    """Read metadata, and again if it is damaged: bytes may be damaged on their way.

    How it is damaged is not compared: two readings with other damage may be refused in the same words.

    Raises:
        BackupCorrupt: It is damaged every time.
    """
    for _ in range(MOST_READS - 1):
        with contextlib.suppress(BackupCorrupt):
            return await read()
    return await read()
