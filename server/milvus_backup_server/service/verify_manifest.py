"""Verifying the metadata of a backup of ours: every file against the manifest.

The hashes make a chain: ``full_meta.json`` has that of the manifest's head, the head those of the other
files and of ``full_meta.json`` without that key, the collections file those of the objects files. Where
two files contradict each other and nothing tells which one was changed, both are reported.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import replace
from functools import partial

from milvus_backup_server.domain.errors import BackupCorrupt
from milvus_backup_server.domain.layout import (
    CLAIM,
    FULL_META,
    LEVEL_FILES,
    BackupLayout,
    manifest_generation,
)
from milvus_backup_server.domain.manifest import (
    FULL_META_KEY,
    ManifestCollection,
    ManifestHead,
    ManifestObject,
    dump_line,
    full_meta_suffix,
)
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.domain.verification import BackupIdentity, ProblemKind, VerifyBasis
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.backup_reader import BackupReader
from milvus_backup_server.service.collection_plan import read_objects
from milvus_backup_server.service.objects import read_until_agreed
from milvus_backup_server.service.spool import Spool, SpoolDirectory
from milvus_backup_server.service.verify_metadata import (
    TAIL_BYTES,
    CollectionObjects,
    FilesCheck,
    KnownCollection,
    again_if_damaged,
)
from milvus_backup_server.service.verify_report import VerifyReport

_LINK = re.compile(
    rb',"' + FULL_META_KEY.encode() + rb'":'
    rb'\{"manifest":"(manifest\.\d+\.json)","sha256":"([0-9a-f]{64})"\}\}$'
)


class ManifestMetadata:
    """The metadata of a backup of ours; attributes as in BackupMetadata.

    Args:
        reader: Reads the backup's metadata.
        files: What lies right below ``meta/``.
        check: Reads files and notes which are wrong.
        report: Gets counts and notes.
        spools: Where lists of objects are put before anything is judged by them.
    """

    basis = VerifyBasis.MANIFEST

    def __init__(
        self,
        reader: BackupReader,
        files: Mapping[str, ObjectInfo],
        check: FilesCheck,
        report: VerifyReport,
        spools: SpoolDirectory,
    ) -> None:
        self.identity: BackupIdentity | None = None
        self.collections: tuple[KnownCollection, ...] | None = None
        self.files: frozenset[str] = frozenset()
        self._reader = reader
        self._standing = files
        self._check = check
        self._report = report
        self._spools = spools
        self._lines: tuple[ManifestCollection, ...] = ()

    async def verify(self, store: ObjectStore, layout: BackupLayout) -> None:
        """Compare every file but the objects files, and read what the backup has."""
        link = await _link(store, layout.meta(FULL_META), self._standing[FULL_META])
        head, name = await self._head(link)
        if head is None:
            self._report.notes.append(
                "without a manifest that can be read no data object could be judged"
            )
            return
        self.identity = BackupIdentity(head.operation, head.generation)
        for file in LEVEL_FILES:
            await self._check.require(file, head.files.get(file, ""))
        await self._require_full_meta(head, link)
        self.files = frozenset(
            {CLAIM, FULL_META, *LEVEL_FILES, name, head.collections_file}
            | {f"manifest.{head.generation}/"}
        )
        await self._read_collections(head)

    async def objects(self) -> AsyncIterator[CollectionObjects]:
        """Yield the collections, each with its objects."""
        for line in self._lines:
            yield CollectionObjects(
                name_of_line(line), line.collection_id, partial(self._objects, line)
            )

    def object_lists(self) -> Mapping[str, Collection[str]]:
        """Return the directory of the lists of objects, and the names in it."""
        lists: dict[str, set[str]] = {}
        for line in self._lines:
            directory, _, name = line.objects_file.rpartition("/")
            lists.setdefault(f"{directory}/", set()).add(name)
        return lists

    async def _head(self, link: tuple[str, str] | None) -> tuple[ManifestHead | None, str]:
        standing = [name for name in self._standing if manifest_generation(name) is not None]
        name = self._manifest_name(link, standing)
        if name is None:
            return None, ""
        try:
            head = await again_if_damaged(lambda: self._reader.head({name: self._standing[name]}))
        except BackupCorrupt as error:
            self._report.count(metadata_files=1)
            await self._check.note_damaged(name, error)
            return None, name
        sha256 = link[1] if link and link[0] == name else ""
        found = await self._check.digest(name, lambda it: it.sha256 == sha256)
        if sha256 and found is not None and found.sha256 != sha256:
            for file, other in ((name, FULL_META), (FULL_META, name)):
                self._check.note(
                    file, ProblemKind.CONTENT, f"does not fit {other}: one of them was changed"
                )
        return head, name

    def _manifest_name(self, link: tuple[str, str] | None, standing: list[str]) -> str | None:
        """Return the manifest to judge by, and note those that are missing or too many."""
        named = link[0] if link else ""
        if named in standing:
            for other in standing:
                if other != named:
                    self._check.note(other, ProblemKind.EXTRA, "is a second manifest")
            return named
        if named or not standing:
            self._check.note(named or "manifest", ProblemKind.MISSING, "is missing")
        if len(standing) != 1:
            for other in standing:
                self._check.note(other, ProblemKind.EXTRA, "is one of several manifests")
            return None
        self._check.note(FULL_META, ProblemKind.CONTENT, f"does not name {standing[0]}")
        return standing[0]

    async def _require_full_meta(self, head: ManifestHead, link: tuple[str, str] | None) -> None:
        wanted = head.files.get(FULL_META)
        suffix = full_meta_suffix(*link) if link else b"}"
        found = await self._check.digest(
            FULL_META, lambda it: it.tail.sha256_with(suffix, b"}") == wanted
        )
        if found is not None and found.tail.sha256_with(suffix, b"}") != wanted:
            self._check.note(FULL_META, ProblemKind.CONTENT, "was changed after it was written")

    async def _read_collections(self, head: ManifestHead) -> None:
        async def read() -> tuple[ManifestCollection, ...]:
            lines = self._reader.manifest_collections(head)
            return tuple([replace(line, record={}) async for line in lines])  # it may be large

        self._report.count(metadata_files=1)
        try:
            self._lines = await again_if_damaged(read)
        except BackupCorrupt as error:
            await self._check.note_damaged(head.collections_file, error)
            self._report.count(unjudged_collections=head.collection_count)
            return
        self.collections = tuple(
            KnownCollection(
                name_of_line(line),
                line.collection_id,
                objects=line.object_count,
                bytes=line.size,
                rows=line.row_count,
                moment=line.moment,
            )
            for line in self._lines
        )

    async def _objects(self, line: ManifestCollection) -> AsyncIterator[ManifestObject] | None:
        async def read() -> Spool:
            spool = self._spools.spool()
            async for item in self._reader.manifest_objects(line):
                await spool.append(dump_line(item))
            await spool.flush()
            return spool

        self._report.count(metadata_files=1)
        try:
            return _once(await again_if_damaged(read))
        except BackupCorrupt as error:
            await self._check.note_damaged(line.objects_file, error, name_of_line(line))
            self._report.count(unjudged_collections=1)
            return None


def name_of_line(line: ManifestCollection) -> CollectionName:
    """Return the name of a collection of our manifest."""
    return CollectionName(line.db_name, line.collection_name)


async def _once(spool: Spool) -> AsyncIterator[ManifestObject]:
    """Yield the objects of a spool and give its space back."""
    async for item in read_objects(spool):
        yield item
    spool.remove()


async def _link(store: ObjectStore, key: str, info: ObjectInfo) -> tuple[str, str] | None:
    """Return name and hash of the manifest from the end of ``full_meta.json``; None if it has none.

    Nothing tells whether a reading is right, but another one.
    """

    async def read() -> bytes:
        offset = max(info.size - TAIL_BYTES, 0)
        return await store.get(key, offset=offset, length=TAIL_BYTES) if info.size else b""

    found = _LINK.search(await read_until_agreed(read, lambda _: False, lambda tail: tail))
    return (found[1].decode(), found[2].decode()) if found else None
