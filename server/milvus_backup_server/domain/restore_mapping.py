"""What of a backup is restored, and to where; what in this mapping stands in the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from milvus_backup_server.domain.errors import (
    BackupError,
    BackupNotRestorable,
    FieldViolation,
    InvalidRequest,
)
from milvus_backup_server.domain.milvus import DEFAULT_DATABASE, CollectionName
from milvus_backup_server.domain.records import CollectionBackupInfo, DatabaseBackupInfo, KeyValue
from milvus_backup_server.domain.renaming import Renaming, Target, target_fault
from milvus_backup_server.domain.selection import Selection

_IN_BACKUP = "the backup has no"
_AFTER_RENAMING = "nothing of the backup becomes"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request wants of a backup: first the sources are chosen, then renamed, then the targets chosen.

    Attributes:
        only: The targets that a retry is left with; empty: all.
    """

    sources: Selection = field(default_factory=Selection)
    targets: Selection = field(default_factory=Selection)
    renaming: Renaming = field(default_factory=Renaming)
    only: frozenset[CollectionName] = frozenset()

    def targets_of(self, source: CollectionName) -> tuple[Target, ...]:
        """Return where a collection is restored to; nothing if it is not wanted."""
        if source not in self.sources:
            return ()
        found = (it for it in self.renaming.targets_of(source) if it.name in self.targets)
        return tuple(it for it in found if not self.only or it.name in self.only)

    def databases_for(self, source: CollectionName) -> Iterator[str]:
        """Yield the databases that a collection is restored into, and those chosen without it."""
        yield from (it.name.database for it in self.targets_of(source))
        if source in self.sources:
            found = (it.name.database for it in self.renaming.targets_of(source))
            yield from (name for name in found if name in self.targets.alone)


@dataclass(slots=True)
class Contents:
    """What a backup holds, as far as a mapping needs it.

    Attributes:
        collections: All of them, by name.
        partitions: The names of the partitions of those from which some are chosen.
        keyed: Those from which some are chosen and which have a partition key.
        databases: As recorded; early Go tools recorded none.
    """

    collections: list[CollectionName] = field(default_factory=list)
    partitions: dict[CollectionName, frozenset[str]] = field(default_factory=dict)
    keyed: list[CollectionName] = field(default_factory=list)
    databases: Sequence[DatabaseBackupInfo] = ()

    def database_names(self) -> list[str]:
        """Return the recorded databases by name; the default one may be recorded without."""
        return [item.db_name or DEFAULT_DATABASE for item in self.databases]


@dataclass(frozen=True, slots=True)
class MappedDatabase:
    """A database that a restore needs, with the properties that its source had."""

    name: str
    properties: tuple[KeyValue, ...] = ()


def mapping_conflicts(wanted: Wanted, contents: Contents) -> Iterator[tuple[str, BackupError]]:
    """Yield everything in a request that does not fit the backup, each with the request's field."""
    present, databases = contents.collections, contents.database_names()
    yield from wanted.sources.faults(present, databases, _IN_BACKUP)
    yield from wanted.sources.partition_faults(contents.partitions)
    yield from wanted.sources.keyed_faults(contents.keyed)
    yield from wanted.renaming.faults(present, databases, _IN_BACKUP)
    renamed = [
        target.name
        for name in present
        if name in wanted.sources
        for target in wanted.renaming.targets_of(name)
    ]
    alone = [name for name, _ in _database_targets(wanted, contents)]
    yield from wanted.targets.faults(renamed, alone, _AFTER_RENAMING)
    faults = list(_target_violations((name, wanted.targets_of(name)) for name in present))
    if faults:
        yield faults[0].field, InvalidRequest(*faults)


def encrypted_sources(wanted: Wanted, contents: Contents) -> Iterator[BackupNotRestorable]:
    """Yield a fault for each encrypted database from which rows are wanted: Milvus would need its key."""
    filled = {name.database for name in contents.collections if wanted.targets_of(name)}
    for name, item in zip(contents.database_names(), contents.databases, strict=True):
        if item.encrypted and name in filled:
            yield BackupNotRestorable(
                f"the rows of database {name!r} are encrypted, and restoring such is not supported; "
                "meta_only restores its collections without them",
                subject=name,
            )


def nothing_wanted(wanted: Wanted, contents: Contents) -> InvalidRequest | None:
    """Return an error if a request leaves nothing of a backup that holds something."""
    if not contents.collections or any(wanted.targets_of(name) for name in contents.collections):
        return None
    if mapped_databases(wanted, contents):
        return None
    text = "together with the other fields nothing of the backup is left to restore"
    return InvalidRequest(FieldViolation("collections", text))


def mapped_databases(wanted: Wanted, contents: Contents) -> tuple[MappedDatabase, ...]:
    """Return the databases that a restore needs, in order.

    These are those of the collections that are restored, and the backup's databases that are
    wanted themselves: empty ones, and those that an item or a rule names alone. A database whose
    collections all go elsewhere is not one of them.
    """
    properties = {
        name: item.properties
        for name, item in zip(contents.database_names(), contents.databases, strict=True)
    }
    needed: dict[str, tuple[KeyValue, ...]] = {}
    for name in sorted(contents.collections):
        for database in wanted.databases_for(name):
            needed.setdefault(database, properties.get(name.database, ()))
    for target_name, source in _database_targets(wanted, contents):
        if wanted.targets.wants_database(target_name):
            needed.setdefault(target_name, properties[source])
    return tuple(MappedDatabase(name, needed[name]) for name in sorted(needed))


def without_data(record: CollectionBackupInfo) -> CollectionBackupInfo:
    """Return a collection with its partitions, but as if it had no rows."""
    empty = (replace(it, segment_backups=(), size=0) for it in record.partition_backups)
    return replace(record, partition_backups=tuple(empty), l0_segments=(), size=0)


def narrowed(
    record: CollectionBackupInfo, chosen: Iterable[str] | None, *, meta_only: bool = False
) -> CollectionBackupInfo:
    """Return a collection with the chosen partitions only, and without rows if asked for.

    Args:
        record: The collection.
        chosen: Names of its partitions; None: all.
        meta_only: Leave out what it holds.
    """
    if meta_only:
        record = without_data(record)
    if chosen is None:
        return record
    names = frozenset(chosen)
    kept = tuple(it for it in record.partition_backups if it.partition_name in names)
    return replace(record, partition_backups=kept, size=sum(it.size for it in kept))


def _database_targets(wanted: Wanted, contents: Contents) -> Iterator[tuple[str, str]]:
    """Yield as what each database that is wanted itself is made, with its name in the backup."""
    filled = {name.database for name in contents.collections}
    for database in contents.database_names():
        named = database in wanted.sources.alone or database in wanted.renaming.alone
        if wanted.sources.wants_database(database) and (named or database not in filled):
            for target in wanted.renaming.databases_of(database):
                yield target, database


def _target_violations(
    targets: Iterable[tuple[CollectionName, Sequence[Target]]],
) -> Iterator[FieldViolation]:
    """Yield targets that Milvus would refuse, and those in which two sources meet."""
    seen: dict[CollectionName, CollectionName] = {}
    for source, found in targets:
        for target in found:
            fault = target_fault(target.name)
            if fault:
                yield FieldViolation(target.field, f"{source} would become {fault}")
            elif target.name in seen:
                both = f"{seen[target.name]} and {source} would both become {target.name}"
                yield FieldViolation(target.field, both)
            seen[target.name] = source
