"""Which collections: the Go tool's filter grammar as a pure function."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.names import (
    COLLECTION_NAME_RULE,
    is_milvus_name,
    parse_collection,
)

MAX_ENTRIES = 10_000
_EVERYTHING = ".*"


def entry_fault(entry: str) -> str:
    """Return what is wrong with an entry of a selection, empty if nothing is."""
    if database_of(entry) or parse_collection(entry):
        return ""
    return f"{entry[:300]!r} is not understood: {COLLECTION_NAME_RULE}"


def database_of(entry: str) -> str:
    """Return the database of a ``database.*`` entry, empty if it is none."""
    database = entry.removesuffix(_EVERYTHING)
    return database if database != entry and is_milvus_name(database) else ""


@dataclass(frozen=True, slots=True)
class Selection:
    """A set of collections, given by names and whole databases.

    Attributes:
        collections: Named ones.
        databases: Databases of which all are wanted.
        everything: No entry was given: all collections of all databases.
    """

    collections: frozenset[CollectionName] = frozenset()
    databases: frozenset[str] = frozenset()
    everything: bool = True

    @classmethod
    def parse(cls, entries: Sequence[str]) -> Selection:
        """Build it from entries that ``entry_fault`` found nothing wrong with."""
        named = (parse_collection(entry) for entry in entries if not database_of(entry))
        return cls(
            collections=frozenset(name for name in named if name),
            databases=frozenset(database_of(entry) for entry in entries) - {""},
            everything=not entries,
        )

    def __contains__(self, collection: CollectionName) -> bool:
        """Tell whether a collection is wanted."""
        return (
            self.everything
            or collection.database in self.databases
            or collection in self.collections
        )

    def missing_collections(self, present: Iterable[CollectionName]) -> list[CollectionName]:
        """Return the named collections that are not among those present, in order."""
        return sorted(self.collections - frozenset(present))

    def named_databases(self) -> frozenset[str]:
        """Return every database that an entry names."""
        return self.databases | {name.database for name in self.collections}

    def missing_databases(self, present: Iterable[str]) -> list[str]:
        """Return the named databases that are not among those present, in order."""
        return sorted(self.named_databases() - frozenset(present))
