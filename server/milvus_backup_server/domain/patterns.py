"""What an item of a filter, or one side of a rename, names: the Go tool's grammar.

``db.*`` is every collection of a database, ``db.coll`` and ``coll`` (of database ``default``) one
collection, ``db.`` the database itself without any collections. Source: the Go tool's
``internal/filter`` and its rename rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from milvus_backup_server.domain.milvus import DEFAULT_DATABASE, CollectionName
from milvus_backup_server.domain.names import COLLECTION_NAME_RULE, is_milvus_name

MAX_SHOWN = 300
"""Characters of a faulty text that a message repeats."""

_ALL = "*"
_EVERYTHING = frozenset({"*", "*.*", ".*"})


class Scope(Enum):
    """How much of a database a pattern names."""

    COLLECTION = "collection"
    ALL_COLLECTIONS = "all collections"
    DATABASE = "database"
    """The database alone, without its collections."""


@dataclass(frozen=True, slots=True, order=True)
class Pattern:
    """A parsed item; ``collection`` is a name, ``*`` for all of them, or empty for none."""

    database: str
    collection: str

    @classmethod
    def parse(cls, text: str) -> Pattern | None:
        """Read an item, spaces around it left out; None if it is not understood."""
        database, dot, collection = text.strip().rpartition(".")
        if not dot:
            database = DEFAULT_DATABASE
        special = bool(dot) and collection in (_ALL, "")
        if is_milvus_name(database) and (special or is_milvus_name(collection)):
            return cls(database, collection)
        return None

    def __str__(self) -> str:
        """Return the item with its database written out; parsed again it is the same."""
        return f"{self.database}.{self.collection}"

    @property
    def scope(self) -> Scope:
        """How much it names."""
        if not self.collection:
            return Scope.DATABASE
        return Scope.ALL_COLLECTIONS if self.collection == _ALL else Scope.COLLECTION

    @property
    def name(self) -> CollectionName:
        """The collection that it names; of no use in other scopes."""
        return CollectionName(self.database, self.collection)


def pattern_fault(text: str) -> str:
    """Return what is wrong with an item, empty if nothing is."""
    if Pattern.parse(text):
        return ""
    fault = f"{text[:MAX_SHOWN]!r} is not understood: {COLLECTION_NAME_RULE}"
    if text.strip() in _EVERYTHING:
        return f"{fault}; leave the list empty for everything"
    return fault
