"""New names on restore: the Go tool's rename rules as a pure function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.names import is_milvus_name, parse_collection
from milvus_backup_server.domain.selection import database_of

RENAME_RULE = "expected old to new, db.old to db2.new, or db.* to db2.*"


def rename_rule_faults(rules: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each rule that is not understood, with what is wrong with it."""
    seen: dict[CollectionName | str, str] = {}
    for old, new in rules.items():
        source = database_of(old) or parse_collection(old)
        target = database_of(new) or parse_collection(new)
        if source is None or target is None or type(source) is not type(target):
            pair = f"{old[:300]!r} to {new[:300]!r}"
            yield old, f"{pair} is not understood: {RENAME_RULE}"
        elif source in seen:
            yield old, f"means the same as {seen[source]!r}"
        else:
            seen[source] = old


@dataclass(frozen=True, slots=True)
class Renaming:
    """Gives each collection of a backup its name in the target.

    Attributes:
        suffix: Appended to the names that no exact rule names.
        collections: Exact rules; they win over those for databases.
        databases: Rules for whole databases.
    """

    suffix: str = ""
    collections: Mapping[CollectionName, CollectionName] = field(default_factory=dict)
    databases: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, suffix: str, rules: Mapping[str, str]) -> Renaming:
        """Build it from rules that ``rename_rule_faults`` found nothing wrong with."""
        parsed = ((parse_collection(old), parse_collection(new)) for old, new in rules.items())
        exact = {old: new for old, new in parsed if old and new}
        databases = {database_of(old): database_of(new) for old, new in rules.items()}
        databases.pop("", None)
        return cls(suffix=suffix, collections=exact, databases=databases)

    def target_of(self, source: CollectionName) -> CollectionName:
        """Return where a collection is restored to."""
        exact = self.collections.get(source)
        if exact is not None:
            return exact
        database = self.databases.get(source.database, source.database)
        return CollectionName(database, source.name + self.suffix)


def target_fault(target: CollectionName) -> str:
    """Return why Milvus would not take a target's name, empty if it would."""
    if is_milvus_name(target.name) and is_milvus_name(target.database):
        return ""
    return f"{str(target)[:300]!r} is not a name that Milvus accepts"
