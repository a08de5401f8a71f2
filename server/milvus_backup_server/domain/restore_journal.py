"""What is written down of a restore while it works, so that another service can continue it.

A file is written before anything is done that it tells of, and again behind it. So a collection is
never there without its temporary name being written down, and an import never runs that is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from milvus_backup_server.domain.errors import BackupNotRestorable
from milvus_backup_server.domain.milvus import CollectionName, ImportSource
from milvus_backup_server.domain.objects import ObjectInfo
from milvus_backup_server.domain.rbac import RbacCounts
from milvus_backup_server.domain.record_codec import Record, json_key

FORMAT_VERSION = 2
"""Version 1 had the imports into a collection in the collection's own file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreHead(Record):
    """What holds for all collections of a restore.

    Attributes:
        backup: What the backup's metadata was; see ``fingerprint``.
        place: Bucket and prefix from which Milvus imports.
        databases: Those that it makes.
        renaming: Every collection is whole, and they get their final names.
        rbac: The users, roles and grants that were added, noted before Milvus is asked; None if it was
            not asked yet.
    """

    format_version: int = json_key("format_version", FORMAT_VERSION)
    backup: str = json_key("backup", "")
    place: str = json_key("place", "")
    databases: tuple[str, ...] = json_key("databases", ())
    renaming: bool = json_key("renaming", default=False)
    rbac: RbacCounts | None = json_key("rbac")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportEntry(Record):
    """An import job. It is in the journal before Milvus is asked.

    Attributes:
        partition: The partition that it fills.
        work: Hash of what it reads; see ``import_entry``.
        paths: What it reads, as long as Milvus's id of it is not known: by these it is looked for.
        job: Milvus's id of it, empty until Milvus has told it.
        rows: Rows that it left, once it is done.
        done: Milvus has completed it.
    """

    partition: str = json_key("partition", "")
    work: str = json_key("work", "")
    paths: tuple[str, ...] = json_key("paths", ())
    job: str = json_key("job", "")
    rows: int = json_key("rows", 0)
    done: bool = json_key("done", default=False)

    @property
    def identity(self) -> tuple[str, str]:
        """What is the same of two imports that read the same into the same partition."""
        return self.partition, self.work

    def issued(self, job: str) -> ImportEntry:
        """Return it with Milvus's id of it."""
        return replace(self, job=job, paths=())

    def ended(self, job: str, rows: int) -> ImportEntry:
        """Return it as it is when it is done."""
        return replace(self.issued(job), rows=rows, done=True)


def import_entry(partition: str, sources: Iterable[ImportSource]) -> ImportEntry:
    """Return the entry of an import that was not issued yet."""
    pairs = [(item.insert, item.delta) for item in sources]
    text = "".join(f"{insert}\n{delta}\n" for insert, delta in pairs)
    paths = tuple(path for pair in pairs for path in pair if path)
    work = hashlib.sha256(text.encode()).hexdigest()
    return ImportEntry(partition=partition, work=work, paths=paths)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetEntry(Record):
    """A collection that a restore builds.

    Attributes:
        number: Of the file that it stands in.
        temporary: Its name while it is built; another one each time that it is built anew.
        built: How many temporary names the restore had given when it gave this one.
        collection_id: Milvus's id of it, 0 until it is known to be there.
        imports: In the order in which they were issued. They are written into files of their own, since
            a collection may have thousands, and each is noted three times.
        imported: All imports are done.
        whole: It has its indexes too, and only its final name is missing.
        replaces: Id of the collection whose place it takes, 0 if none; known when names are given.
    """

    number: int = json_key("number", 0, always=True)
    database: str = json_key("database", "")
    name: str = json_key("name", "")
    source_database: str = json_key("source_database", "")
    source_name: str = json_key("source_name", "")
    temporary: str = json_key("temporary", "")
    built: int = json_key("built", 0)
    collection_id: int = json_key("collection_id", 0)
    imports: tuple[ImportEntry, ...] = json_key("imports", ())
    imported: bool = json_key("imported", default=False)
    whole: bool = json_key("whole", default=False)
    replaces: int = json_key("replaces", 0)

    @property
    def target(self) -> CollectionName:
        """Its final name."""
        return CollectionName(self.database, self.name)

    @property
    def source(self) -> CollectionName:
        """The collection of the backup that it is made of."""
        return CollectionName(self.source_database, self.source_name)

    @property
    def place(self) -> CollectionName:
        """Where it is while it is built."""
        return CollectionName(self.database, self.temporary)

    @property
    def rows(self) -> int:
        """Rows that its imports left."""
        return sum(item.rows for item in self.imports)

    @property
    def open(self) -> tuple[ImportEntry, ...]:
        """The imports of which it is not known whether they are done."""
        return tuple(item for item in self.imports if not item.done)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportsFile(Record):
    """Some of the imports into one collection."""

    imports: tuple[ImportEntry, ...] = json_key("imports", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedEntry(Record):
    """A collection of the backup whose objects were read and found right.

    Attributes:
        sha256: Hash of what was verified: key, size and ETag of each object. While it is the same the
            objects need not be read again.
        content: Objects whose content was compared.
        size: Objects of which only the size is known.
    """

    database: str = json_key("database", "")
    name: str = json_key("name", "")
    sha256: str = json_key("sha256", "")
    content: int = json_key("content", 0)
    size: int = json_key("size", 0)

    @property
    def source(self) -> CollectionName:
        """The collection."""
        return CollectionName(self.database, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedFile(Record):
    """Some of the collections that were verified."""

    collections: tuple[VerifiedEntry, ...] = json_key("collections", ())


def fingerprint(files: Iterable[ObjectInfo]) -> str:
    """Return a hash of a backup's metadata files: of their keys, sizes and ETags."""
    digest = hashlib.sha256()
    for item in sorted(files, key=lambda it: it.key):
        digest.update(f"{item.key}\n{item.size}\n{item.etag}\n".encode())
    return digest.hexdigest()


def require_same(head: RestoreHead, *, backup: str, place: str) -> None:
    """Check that a restore would go on with what it began with.

    Raises:
        BackupNotRestorable: The backup, or where Milvus imports from, is another one now.
    """
    if head.backup != backup:
        what = "the backup was changed"
    elif head.place != place:
        what = (
            f"Milvus would import from {place} instead of {head.place}: the settings were changed"
        )
    else:
        return
    raise BackupNotRestorable(
        f"the restore cannot be continued: {what} since it was interrupted; cancel it and restore "
        "again",
        subject="restore",
    )
