"""New names on restore: the Go tool's rename rules and restore plans as pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from milvus_backup_server.domain.errors import BackupError, FieldViolation
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.names import MILVUS_NAME_RULE, is_milvus_name, is_temporary_name
from milvus_backup_server.domain.patterns import MAX_SHOWN, Pattern, Scope
from milvus_backup_server.domain.selection import MAX_ENTRIES, missing, too_many

RENAME_RULE = (
    "expected old to new, db.old to db2.new, db.* to db2.*, or db. to db2., each name of letters, digits "
    "and _, no digit first"
)
MAX_SHARDS = 1024
_UNNAMED = "renames"


@dataclass(frozen=True, slots=True)
class CollectionMapping:
    """One source and one target of it, as a request writes them.

    Attributes:
        source: A pattern of the backup.
        target: A pattern of the same scope.
        shard_count: Of the target; 0 as in the backup.
        description: Of the target; None as in the backup.
    """

    source: str
    target: str
    shard_count: int = 0
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A parsed mapping, and the path of the request's field that it stands in."""

    field: str
    source: Pattern
    target: Pattern
    shard_count: int = 0
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where a collection goes.

    Attributes:
        name: Its new name.
        field: The path of the request's field that gives it.
        shard_count: 0 as in the backup.
        description: None as in the backup.
    """

    name: CollectionName
    field: str = _UNNAMED
    shard_count: int = 0
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Renaming:
    """Gives each collection of a backup its names in the target.

    Attributes:
        suffix: Appended to the names that no rule for a single collection names.
        rules: All rules, in the order of the request.
        collections: Those for single collections; they win over those for databases.
        databases: Those for all collections of a database.
        alone: Those for a database itself.
        only_mapped: What no rule names has no target; otherwise it keeps its name.
    """

    suffix: str = ""
    rules: tuple[Rule, ...] = ()
    collections: Mapping[CollectionName, Sequence[Rule]] = field(default_factory=dict)
    databases: Mapping[str, Sequence[Rule]] = field(default_factory=dict)
    alone: Mapping[str, Sequence[Rule]] = field(default_factory=dict)
    only_mapped: bool = False

    @classmethod
    def parse(
        cls,
        suffix: str = "",
        renames: Mapping[str, str] | None = None,
        mappings: Sequence[CollectionMapping] = (),
        *,
        only_mapped: bool = False,
    ) -> Renaming:
        """Build it from rules that ``rename_faults`` and ``mapping_faults`` found nothing wrong with."""
        rules = tuple(rule for rule in _rules(renames or {}, mappings) if rule is not None)
        collections: dict[CollectionName, list[Rule]] = {}
        databases: dict[str, list[Rule]] = {}
        alone: dict[str, list[Rule]] = {}
        for rule in rules:
            if rule.source.scope is Scope.COLLECTION:
                collections.setdefault(rule.source.name, []).append(rule)
            else:
                whole = rule.source.scope is Scope.ALL_COLLECTIONS
                by_database = databases if whole else alone
                by_database.setdefault(rule.source.database, []).append(rule)
        return cls(suffix, rules, collections, databases, alone, only_mapped)

    def targets_of(self, source: CollectionName) -> tuple[Target, ...]:
        """Return where a collection is restored to; one target for each rule that decides."""
        exact = self.collections.get(source)
        if exact is not None:
            return tuple(_target(rule, rule.target.name) for rule in exact)
        name = source.name + self.suffix
        whole = self.databases.get(source.database)
        if whole is not None:
            return tuple(
                _target(rule, CollectionName(rule.target.database, name)) for rule in whole
            )
        if self.only_mapped:
            return ()
        path = "suffix" if self.suffix else _UNNAMED
        return (Target(CollectionName(source.database, name), path),)

    def databases_of(self, database: str) -> tuple[str, ...]:
        """Return as what a database itself, whatever it holds, is made in the target."""
        rules = self.alone.get(database) or self.databases.get(database)
        if rules is not None:
            return tuple(rule.target.database for rule in rules)
        return () if self.only_mapped else (database,)

    def faults(
        self, present: Iterable[CollectionName], databases: Iterable[str], where: str = ""
    ) -> Iterator[tuple[str, BackupError]]:
        """Yield an error for each rule whose source is not there, with its field.

        Arguments as of ``Selection.faults``.
        """
        there, existing = frozenset(present), frozenset(databases)
        existing |= {name.database for name in there}
        for rule in self.rules:
            fault = missing(rule.source, there, existing, where)
            if fault is not None:
                yield rule.field, fault


def rename_faults(renames: Mapping[str, str]) -> Iterator[FieldViolation]:
    """Yield what is wrong with the field ``renames``."""
    if len(renames) > MAX_ENTRIES:
        yield too_many("renames", len(renames))
        return
    seen: dict[Pattern, str] = {}
    for old, new in renames.items():
        rule, path = _rule("", old, new), _rename_field(old)
        if rule is None:
            yield FieldViolation(path, _not_understood(old, new))
        elif rule.source in seen:
            yield FieldViolation(path, f"means the same as {seen[rule.source]!r}")
        else:
            seen[rule.source] = old


def mapping_faults(mappings: Sequence[CollectionMapping]) -> Iterator[FieldViolation]:
    """Yield what is wrong with the field ``mappings``."""
    if len(mappings) > MAX_ENTRIES:
        yield too_many("mappings", len(mappings))
        return
    seen: set[tuple[Pattern, Pattern]] = set()
    for number, mapping in enumerate(mappings):
        rule, path = _rule("", mapping.source, mapping.target), f"mappings[{number}]"
        if rule is None:
            yield FieldViolation(path, _not_understood(mapping.source, mapping.target))
        elif (rule.source, rule.target) in seen:
            yield FieldViolation(path, f"{rule.source} to {rule.target} is mapped twice")
        else:
            seen.add((rule.source, rule.target))
        if not 0 <= mapping.shard_count <= MAX_SHARDS:
            text = (
                f"{mapping.shard_count} is not between 1 and {MAX_SHARDS}; 0 for as in the backup"
            )
            yield FieldViolation(f"{path}.shard_count", text)


def target_fault(target: CollectionName) -> str:
    """Return why a target cannot have its name, empty if it can."""
    shown = repr(str(target)[:MAX_SHOWN])
    if not is_milvus_name(target.name) or not is_milvus_name(target.database):
        return f"{shown} is not a name that Milvus accepts: {MILVUS_NAME_RULE}"
    if is_temporary_name(target.name):
        # No backup would hold it, and a sweep would take it for what an operation left behind.
        return f"{shown}, a name that this service gives to collections while it builds them: rename it"
    return ""


def _rules(
    renames: Mapping[str, str], mappings: Sequence[CollectionMapping]
) -> Iterator[Rule | None]:
    for old, new in renames.items():
        yield _rule(_rename_field(old), old, new)
    for number, it in enumerate(mappings):
        path = f"mappings[{number}]"
        yield _rule(path, it.source, it.target, it.shard_count, it.description)


def _rule(
    path: str, source: str, target: str, shard_count: int = 0, description: str | None = None
) -> Rule | None:
    old, new = Pattern.parse(source), Pattern.parse(target)
    if old is None or new is None or old.scope is not new.scope:
        return None
    return Rule(path, old, new, shard_count, description)


def _target(rule: Rule, name: CollectionName) -> Target:
    return Target(name, rule.field, rule.shard_count, rule.description)


def _rename_field(old: str) -> str:
    return f"renames[{old[:128]!r}]"


def _not_understood(old: str, new: str) -> str:
    return f"{old[:MAX_SHOWN]!r} to {new[:MAX_SHOWN]!r} is not understood: {RENAME_RULE}"
