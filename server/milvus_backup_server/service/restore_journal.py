"""The journal of one restore in the repository's store.

A small file for what holds for the whole restore, one for each collection that it builds, files of the imports
into each, and files of those of the backup that were verified, each written whole. Their names end in the number of the
attempt: a service that was taken for dead and wakes up writes files of its own attempt, which those of
the next one hide.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from milvus_backup_server.domain.errors import (
    BackupError,
    BackupNotRestorable,
    BucketNotFound,
    ObjectNotFound,
    StorageDenied,
    StorageRefused,
    Unavailable,
)
from milvus_backup_server.domain.layout import restore_journal_directory
from milvus_backup_server.domain.manifest import canonical_json, load_json
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import RestoreResult
from milvus_backup_server.domain.rbac import RbacCounts
from milvus_backup_server.domain.record_codec import Record
from milvus_backup_server.domain.restore_journal import (
    FORMAT_VERSION,
    ImportEntry,
    ImportsFile,
    RestoreHead,
    TargetEntry,
    VerifiedEntry,
    VerifiedFile,
)
from milvus_backup_server.domain.targets import PresentTarget
from milvus_backup_server.service.concurrency import for_each
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.import_notes import ImportNotes
from milvus_backup_server.service.objects import delete_prefix, list_objects
from milvus_backup_server.service.running import WorkInterrupted

_HEAD = "head"
_TARGETS = "targets/"
_IMPORTS = "imports/"
_VERIFIED = "verified/"
_READS_AT_ONCE = 16
_VERIFIED_SECONDS = 5.0
_NEVER_WRITABLE = (BucketNotFound, StorageDenied, StorageRefused)


class RestoreJournal:
    """What is written down of one restore. ``load`` it before anything else is asked.

    Where the store refuses to take it, the restore goes on without, and cannot be resumed.

    Args:
        storage: Of the repository.
        operation: The restore.
        attempt: Of the operation, 1 for the first.
        kept: Whether it is written at all.

    Attributes:
        head: What holds for the whole restore; None before it has begun.
        refusal: Why the store did not take it; None if it did.
        names_given: How many temporary names were given.
        first_run: Nothing was made before; else there may be more than is written here, where the store
            took no journal.
    """

    def __init__(
        self, storage: Storage, operation: str, attempt: int = 1, *, kept: bool = True
    ) -> None:
        self.head: RestoreHead | None = None
        self.refusal: BackupError | None = None
        self.first_run = attempt == 1
        self._attempt = attempt
        self._kept = kept
        self._writing = asyncio.Lock()
        self._store = storage.store
        self._directory = restore_journal_directory(storage.root, operation)
        self._targets: dict[CollectionName, TargetEntry] = {}
        self._imports: dict[CollectionName, ImportNotes] = {}
        self._verified: dict[CollectionName, VerifiedEntry] = {}
        self._unwritten: list[VerifiedEntry] = []
        self._written_at = time.monotonic()
        self._verified_files = 0
        self.names_given = 0

    # --- read

    async def load(self) -> None:
        """Read what an earlier run wrote; nothing if this is the first one.

        Raises:
            BackupNotRestorable: A newer service wrote it.
            BackupCorrupt: It is damaged.
            BackupError: The store does not give it.
        """
        await self._load("")
        if self.head is None:  # half removed, as everything that it tells of is
            self._targets.clear()
            self._imports.clear()
            self._verified.clear()

    async def read_head(self) -> RestoreHead | None:
        """Read what holds for the whole restore alone; errors as in ``load``."""
        await self._load(_HEAD)
        return self.head

    async def _load(self, prefix: str) -> None:
        keys = [item.key async for item in list_objects(self._store, self._directory + prefix)]
        found: dict[str, Any] = {}

        async def read(key: str) -> None:
            with contextlib.suppress(ObjectNotFound):  # a store may list for a while what is gone
                found[key] = load_json(await self._store.get(key), key)

        await for_each(keys, read, concurrent=_READS_AT_ONCE)
        files: dict[int, dict[int, tuple[ImportEntry, ...]]] = {}
        for key in sorted(found, key=_attempt_of):
            if key.startswith(self._directory + _IMPORTS):
                built, number = _numbers_of(key)
                file = ImportsFile.from_json(found[key], key)
                files.setdefault(built, {})[number] = file.imports
            else:
                self._take(key, found[key])
        for name, entry in self._targets.items():
            self._imports[name] = ImportNotes.read(entry, files.get(entry.built))
            self._targets[name] = replace(entry, imports=())

    def _take(self, key: str, values: Any) -> None:
        name = key.removeprefix(self._directory)
        if name.startswith(_HEAD):
            self.head = _readable(RestoreHead.from_json(values, key))
        elif name.startswith(_TARGETS):
            entry = TargetEntry.from_json(values, key)
            self._targets[entry.target] = entry
            self.names_given = max(self.names_given, entry.built)
        elif name.startswith(_VERIFIED):
            for item in VerifiedFile.from_json(values, key).collections:
                self._verified[item.source] = item

    @property
    def begun(self) -> bool:
        """True if there is something to go on with."""
        return self.head is not None

    @property
    def lasting(self) -> bool:
        """True if what was begun can be resumed by reading this."""
        return self.begun and self._kept and self.refusal is None

    @property
    def renaming(self) -> bool:
        """True if every collection is whole, and some may have their final names."""
        return self.head is not None and self.head.renaming

    def targets(self) -> Iterator[TargetEntry]:
        """Yield the collections that were begun, in the order in which they were."""
        for entry in sorted(self._targets.values(), key=lambda entry: entry.number):
            yield self.require_target(entry.target)

    def target(self, name: CollectionName) -> TargetEntry | None:
        """Return what is known of a collection by its final name; None if it was not begun."""
        return self.require_target(name) if name in self._targets else None

    def require_target(self, name: CollectionName) -> TargetEntry:
        """Return what is known of a collection that was begun."""
        return replace(self._targets[name], imports=self._imports[name].entries())

    def is_imported(self, name: CollectionName) -> bool:
        """Tell whether a collection needs nothing of the backup's objects any more."""
        entry = self._targets.get(name)
        return entry is not None and entry.imported

    def verified(self, source: CollectionName) -> VerifiedEntry | None:
        """Return how a collection of the backup was verified; None if it was not."""
        return self._verified.get(source)

    def whole(self) -> list[TargetEntry]:
        """Return the collections that lack their final names only, or have them."""
        return [entry for entry in self.targets() if entry.whole]

    def replaced(self) -> dict[CollectionName, PresentTarget]:
        """Return the collections that are replaced, or were, by name."""
        return {it.target: PresentTarget(it.replaces, ()) for it in self.targets() if it.replaces}

    def result(self, named: Iterable[CollectionName], *, staged: int) -> RestoreResult:
        """Return what was made.

        Args:
            named: The collections that have their final names.
            staged: Objects that were copied into Milvus's bucket.
        """
        targets = [self.require_target(name) for name in named]
        return RestoreResult(
            collection_count=len(targets),
            import_job_count=sum(item.done for it in self.targets() for item in it.imports),
            row_count=sum(entry.rows for entry in targets),
            content_checked_count=sum(item.content for item in self._verified.values()),
            size_checked_count=sum(item.size for item in self._verified.values()),
            staged_object_count=staged,
        )

    # --- write

    async def begin(self, head: RestoreHead) -> None:
        """Write what holds for the whole restore; without a journal if the store refuses it now."""
        self.head = head
        try:
            await self._write(_HEAD, head)
        except _NEVER_WRITABLE as error:
            text = f"if this restore is interrupted it cannot be resumed: {error.message}"
            self.refusal = type(error)(text, **error.metadata)

    async def begin_renaming(self, replaced: Mapping[CollectionName, PresentTarget]) -> None:
        """Write that the collections get their final names from now on.

        Args:
            replaced: Which collections have these names, by name, and fall.
        """
        assert self.head is not None  # noqa: S101 begun before anything is made
        if self.head.renaming:
            return
        for entry in self.whole():
            if entry.target in replaced:
                await self._put(replace(entry, replaces=replaced[entry.target].collection_id))
        self.head = replace(self.head, renaming=True)
        await self._write_further(_HEAD, self.head)

    async def note_rbac(self, added: RbacCounts) -> None:
        """Write how many users, roles and grants are added, by this run and earlier ones."""
        assert self.head is not None  # noqa: S101 begun before anything is made
        self.head = replace(self.head, rbac=added)
        await self._write_further(_HEAD, self.head)

    async def begin_target(self, entry: TargetEntry) -> None:
        """Write that a collection is to be built, from nothing."""
        known = self._targets.get(entry.target)
        number = len(self._targets) if known is None else known.number
        self.names_given = max(self.names_given, entry.built)
        self._imports[entry.target] = ImportNotes()
        await self._put(replace(entry, number=number))

    def forget_made(self, name: CollectionName) -> None:
        """Take a collection as not begun: what was built of it is gone."""
        known = self._targets[name]
        self._targets[name] = replace(known, collection_id=0, imported=False, whole=False)
        self._imports[name] = ImportNotes()

    async def note_made(self, name: CollectionName, collection_id: int) -> None:
        """Write that a collection is there, empty."""
        await self._put(replace(self._targets[name], collection_id=collection_id))

    async def note_import(self, name: CollectionName, entry: ImportEntry) -> None:
        """Write what is known now of an import into a collection."""
        self._imports[name].note(entry)
        await self._put_imports(name)

    async def forget_import(self, name: CollectionName, entry: ImportEntry) -> None:
        """Write that an import was not issued after all."""
        self._imports[name].forget(entry)
        await self._put_imports(name)

    async def note_imported(self, name: CollectionName) -> None:
        """Write that all imports into a collection are done, and right."""
        await self._put(replace(self._targets[name], imported=True))

    async def note_whole(self, name: CollectionName) -> None:
        """Write that only its final name is missing to a collection."""
        await self._put(replace(self._targets[name], whole=True))

    async def note_verified(self, entry: VerifiedEntry) -> None:
        """Remember that a collection of the backup is verified; written from time to time."""
        self._verified[entry.source] = entry
        self._unwritten.append(entry)
        if time.monotonic() - self._written_at > _VERIFIED_SECONDS:
            await self.flush_verified()

    async def flush_verified(self) -> None:
        """Write what was verified since the last time."""
        if self._unwritten:
            file = VerifiedFile(collections=tuple(self._unwritten))
            await self._write_further(f"{_VERIFIED}{self._verified_files:08d}", file)
            self._verified_files += 1
            self._unwritten.clear()
        self._written_at = time.monotonic()

    async def _put(self, entry: TargetEntry) -> None:
        self._targets[entry.target] = replace(entry, imports=())
        async with self._writing:  # so that the last one stands where several imports go on
            await self._write_imports(entry.target)
            await self._write_target(entry.target)

    async def _put_imports(self, name: CollectionName) -> None:
        async with self._writing:
            await self._write_imports(name)
            if self._imports[name].in_target:  # only when all of them have files of their own
                await self._write_target(name)

    async def _write_target(self, name: CollectionName) -> None:
        entry = self._targets[name]
        await self._write_further(f"{_TARGETS}{entry.number:08d}", entry)
        self._imports[name].in_target = False

    async def _write_imports(self, name: CollectionName) -> None:
        notes, built = self._imports[name], self._targets[name].built
        while notes.unwritten:
            number = min(notes.unwritten)
            notes.unwritten.discard(number)
            try:
                file = notes.file(number)
                await self._write_further(f"{_IMPORTS}{built:08d}/{number:06d}", file)
            except BaseException:
                notes.unwritten.add(number)
                raise

    async def _write(self, name: str, record: Record) -> None:
        if self._kept and self.refusal is None:
            key = f"{self._directory}{name}.{self._attempt:06d}.json"
            await self._store.put(key, canonical_json(record.to_json()))

    async def _write_further(self, name: str, record: Record) -> None:
        """Write what comes behind the beginning.

        Raises:
            WorkInterrupted: The store refuses it: what was begun can be resumed, and not what would be
                done from here on.
            StorageUnavailable: It does not answer.
        """
        try:
            await self._write(name, record)
        except Unavailable:
            raise
        except BackupError as error:
            text = f"the journal of the restore cannot be written: {error.message}"
            raise WorkInterrupted(type(error)(text, **error.metadata)) from error

    async def remove(self) -> None:
        """Remove it; no error if there is none.

        Raises:
            BackupError: The store does not let us.
        """
        # What is left without its head counts as removed, the head without the rest would not.
        await delete_prefix(self._store, self._directory + _HEAD)
        await delete_prefix(self._store, self._directory)


def _attempt_of(key: str) -> str:
    return key.rsplit(".", 2)[-2]


def _numbers_of(key: str) -> tuple[int, int]:
    """Return of which built collection a file of imports is, and its number."""
    *_, built, file = key.split("/")
    return int(built), int(file.partition(".")[0])


def _readable(head: RestoreHead) -> RestoreHead:
    if head.format_version > FORMAT_VERSION:
        raise BackupNotRestorable(
            f"the restore was begun by a newer service: its journal has format version "
            f"{head.format_version}, this service reads up to {FORMAT_VERSION}",
            subject="restore",
            format_version=head.format_version,
        )
    return head
