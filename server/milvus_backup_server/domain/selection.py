"""Which collections, and which of their partitions: pure functions over what a request names."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from milvus_backup_server.domain.errors import (
    BackupError,
    CollectionNotFound,
    DatabaseNotFound,
    FieldViolation,
    InvalidRequest,
    PartitionNotFound,
)
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.patterns import MAX_SHOWN, Pattern, Scope, pattern_fault

MAX_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class CollectionPartitions:
    """Of one collection only these partitions, as a request writes them."""

    collection: str
    partitions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """A pattern of a request, and the path of the field that it stands in."""

    field: str
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class Selection:
    """A set of collections and databases: the union of what its items name.

    Attributes:
        items: What was asked for, in the order of the request.
        collections: Named ones, those with chosen partitions included.
        databases: Databases of which all collections are wanted.
        alone: Databases that are wanted themselves, whatever is wanted of their collections.
        partitions: Of these collections only the named partitions are wanted.
        everything: Nothing was named: all collections of all databases.
    """

    items: tuple[Item, ...] = ()
    collections: frozenset[CollectionName] = frozenset()
    databases: frozenset[str] = frozenset()
    alone: frozenset[str] = frozenset()
    partitions: Mapping[CollectionName, tuple[str, ...]] = field(default_factory=dict)
    everything: bool = True

    @classmethod
    def parse(
        cls,
        entries: Sequence[str],
        partitions: Sequence[CollectionPartitions] = (),
        *,
        name: str = "collections",
    ) -> Selection:
        """Build it from what ``entry_faults`` and ``partition_faults`` found nothing wrong with.

        Args:
            entries: Patterns.
            partitions: Collections of which only some partitions are wanted.
            name: The request's field that holds the entries.
        """
        items = [
            *_items(name, entries),
            *_items("partitions", [it.collection for it in partitions], ".collection"),
        ]
        chosen = ((_collection(it.collection), it.partitions) for it in partitions)
        return cls(
            items=tuple(items),
            collections=frozenset(it.pattern.name for it in items if _has(it, Scope.COLLECTION)),
            databases=_databases(items, Scope.ALL_COLLECTIONS),
            alone=_databases(items, Scope.DATABASE),
            partitions={name: names for name, names in chosen if name},
            everything=not entries and not partitions,
        )

    def __contains__(self, collection: CollectionName) -> bool:
        """Tell whether a collection is wanted, whole or in part."""
        return (
            self.everything
            or collection.database in self.databases
            or collection in self.collections
        )

    def wants_database(self, database: str) -> bool:
        """Tell whether a database is wanted even if it holds nothing."""
        return self.everything or database in self.databases or database in self.alone

    def named_databases(self) -> frozenset[str]:
        """Return every database that an item names."""
        return frozenset(item.pattern.database for item in self.items)

    def faults(
        self, present: Iterable[CollectionName], databases: Iterable[str], where: str = ""
    ) -> Iterator[tuple[str, BackupError]]:
        """Yield an error for each item that names nothing, with its field.

        Args:
            present: The collections that there are.
            databases: The databases that there are.
            where: What misses it, for the message: ``the backup has no``.
        """
        there, existing = frozenset(present), frozenset(databases)
        existing |= {name.database for name in there}
        for item in self.items:
            fault = missing(item.pattern, there, existing, where)
            if fault is not None:
                yield item.field, fault

    def partition_faults(
        self, present: Mapping[CollectionName, Container[str]]
    ) -> Iterator[tuple[str, BackupError]]:
        """Yield an error for each chosen partition that its collection does not have, with its field.

        Args:
            present: The partitions of the collections that are there.
        """
        for place, (collection, chosen) in enumerate(self.partitions.items()):
            for number, partition in enumerate(chosen):
                if collection in present and partition not in present[collection]:
                    path = f"partitions[{place}].partitions[{number}]"
                    yield path, PartitionNotFound(f"{collection}/{partition}")

    def keyed_faults(self, keyed: Container[CollectionName]) -> Iterator[tuple[str, BackupError]]:
        """Yield an error for each collection whose partitions are chosen and cannot be, with its field.

        Args:
            keyed: Collections with a partition key: Milvus spreads their rows over partitions.
        """
        for place, collection in enumerate(self.partitions):
            if collection in keyed:
                path = f"partitions[{place}].collection"
                text = f"{collection} has a partition key, so its partitions cannot be chosen"
                yield path, InvalidRequest(FieldViolation(path, text))


def missing(
    pattern: Pattern,
    collections: Container[CollectionName],
    databases: Container[str],
    where: str = "",
) -> CollectionNotFound | DatabaseNotFound | None:
    """Return an error if a pattern names nothing of what there is; arguments as of ``Selection.faults``."""
    if pattern.database not in databases:
        text = f"{where} database {pattern.database!r}" if where else ""
        return DatabaseNotFound(pattern.database, text)
    if pattern.scope is Scope.COLLECTION and pattern.name not in collections:
        text = f"{where} collection {pattern.name}" if where else ""
        return CollectionNotFound(str(pattern.name), text)
    return None


def entry_faults(name: str, entries: Sequence[str]) -> Iterator[FieldViolation]:
    """Yield what is wrong with the items of a field."""
    if len(entries) > MAX_ENTRIES:
        yield too_many(name, len(entries))
        return
    for number, entry in enumerate(entries):
        fault = pattern_fault(entry)
        if fault:
            yield FieldViolation(f"{name}[{number}]", fault)


def partition_faults(entries: Sequence[CollectionPartitions]) -> Iterator[FieldViolation]:
    """Yield what is wrong with the field ``partitions``."""
    if sum(max(len(entry.partitions), 1) for entry in entries) > MAX_ENTRIES:
        yield too_many("partitions", sum(len(entry.partitions) for entry in entries))
        return
    seen: set[CollectionName] = set()
    for number, entry in enumerate(entries):
        path, collection = f"partitions[{number}]", _collection(entry.collection)
        if collection is None:
            shown = repr(entry.collection[:MAX_SHOWN])
            text = f"{shown} is not understood: expected collection or database.collection"
            yield FieldViolation(f"{path}.collection", text)
        elif collection in seen:
            yield FieldViolation(f"{path}.collection", f"{collection} is named twice")
        else:
            seen.add(collection)
        if not entry.partitions:
            text = "is empty: name at least one partition, or leave the collection out of this list"
            yield FieldViolation(f"{path}.partitions", text)
        yield from _partition_name_faults(f"{path}.partitions", entry.partitions)


def too_many(name: str, count: int) -> FieldViolation:
    """Return the violation of a field that has more entries than any request may have."""
    return FieldViolation(name, f"has {count} entries; at most {MAX_ENTRIES} are allowed")


def _partition_name_faults(path: str, names: Sequence[str]) -> Iterator[FieldViolation]:
    seen: set[str] = set()
    for number, name in enumerate(names):
        if not name.strip():
            yield FieldViolation(f"{path}[{number}]", "a partition's name is empty")
        elif name in seen:
            yield FieldViolation(f"{path}[{number}]", f"{name[:MAX_SHOWN]!r} is named twice")
        seen.add(name)


def _items(name: str, entries: Sequence[str], suffix: str = "") -> Iterator[Item]:
    for number, entry in enumerate(entries):
        pattern = Pattern.parse(entry)
        if pattern is not None:
            yield Item(f"{name}[{number}]{suffix}", pattern)


def _has(item: Item, scope: Scope) -> bool:
    return item.pattern.scope is scope


def _databases(items: Sequence[Item], scope: Scope) -> frozenset[str]:
    return frozenset(item.pattern.database for item in items if _has(item, scope))


def _collection(text: str) -> CollectionName | None:
    pattern = Pattern.parse(text)
    return pattern.name if pattern and pattern.scope is Scope.COLLECTION else None
