"""The Go tool's older and HTTP ways to choose and map collections, turned into our items and mappings.

Their precedence is the Go tool's: what stands first in the arguments below wins, the others do not
count. A map that is given and names nothing selects nothing, and is refused: a backup or restore
of nothing is not what its caller meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from milvus_backup_server.domain.errors import FieldViolation, InvalidRequest
from milvus_backup_server.domain.milvus import DEFAULT_DATABASE
from milvus_backup_server.domain.names import is_milvus_name
from milvus_backup_server.domain.patterns import MAX_SHOWN
from milvus_backup_server.domain.renaming import CollectionMapping

CollectionsByDatabase: TypeAlias = Mapping[str, Sequence[str]]
"""Names of collections by database; the database ``""`` is the default one."""

_ALL = "*"
_NAME_RULE = "expected a name of letters, digits and _, not beginning with a digit"


@dataclass(frozen=True, slots=True)
class DatabaseMapping:
    """An entry of ``restorePlan.mapping``.

    Attributes:
        source: A database of the backup; ``""`` is the default one.
        target: The database that it goes to.
        collections: Names of collections in these databases; without any, all of them go.
    """

    source: str
    target: str
    collections: Sequence[CollectionMapping] = ()


def chosen_items(
    *,
    filter_: CollectionsByDatabase | None = None,
    db_collections: CollectionsByDatabase | None = None,
    collection_names: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return the items that a create's or restore's fields name; nothing: everything is wanted.

    Raises:
        InvalidRequest: A map names nothing, or something that is no name.
    """
    if filter_ is not None:
        return filter_items("filter", filter_)
    if db_collections is not None:
        return db_collections_items("db_collections", db_collections)
    return tuple(collection_names)


def filter_items(path: str, filter_: CollectionsByDatabase) -> tuple[str, ...]:
    """Return the items of a filter map: ``["*"]`` is all of a database, ``[]`` the database alone.

    Args:
        path: The field, for violations.
        filter_: What it holds.

    Raises:
        InvalidRequest: It names nothing, or something that is no name.
    """
    return _items(path, filter_, ("",), lambda database, at: f"{path}.{database}.colls{at}")


def db_collections_items(path: str, names: CollectionsByDatabase) -> tuple[str, ...]:
    """Return the items of a ``db_collections`` map, in which ``[]`` is all of a database.

    Arguments and errors as of ``filter_items``.
    """
    return _items(path, names, (_ALL,), lambda database, at: f"{path}.{database}{at}")


def plan_mappings(path: str, mapping: Sequence[DatabaseMapping]) -> tuple[CollectionMapping, ...]:
    """Return the mappings of a ``restorePlan.mapping``.

    Raises:
        InvalidRequest: It maps nothing, or something is no name.
    """
    if not mapping:
        raise InvalidRequest(FieldViolation(path, "is empty, so nothing would be restored"))
    faults = [
        fault
        for number, entry in enumerate(mapping)
        for fault in _mapping_faults(f"{path}[{number}]", entry)
    ]
    if faults:
        raise InvalidRequest(*faults)
    return tuple(item for entry in mapping for item in _mappings(entry))


def _items(
    path: str,
    names: CollectionsByDatabase,
    without: Sequence[str],
    place: Callable[[str, str], str],
) -> tuple[str, ...]:
    if not names:
        text = "is empty, so it selects nothing; leave it out to select everything"
        raise InvalidRequest(FieldViolation(path, text))
    faults = [
        fault
        for database, collections in names.items()
        for fault in _name_faults(path, database, collections, place)
    ]
    if faults:
        raise InvalidRequest(*faults)
    return tuple(
        f"{_database(database)}.{name.strip()}"
        for database, collections in names.items()
        for name in collections or without
    )


def _name_faults(
    path: str, database: str, collections: Sequence[str], place: Callable[[str, str], str]
) -> Iterator[FieldViolation]:
    shown = database[:MAX_SHOWN]
    if not is_milvus_name(_database(database)):
        yield FieldViolation(path, f"{shown!r} is no database: {_NAME_RULE}")
    for number, name in enumerate(collections):
        if name.strip() != _ALL and not is_milvus_name(name.strip()):
            text = f"{name[:MAX_SHOWN]!r} is no collection: {_NAME_RULE}, or * for all"
            yield FieldViolation(place(shown, f"[{number}]"), text)


def _mapping_faults(path: str, entry: DatabaseMapping) -> Iterator[FieldViolation]:
    for side, database in (("source", entry.source), ("target", entry.target)):
        if not is_milvus_name(_database(database)):
            text = f"{database[:MAX_SHOWN]!r} is no database: {_NAME_RULE}"
            yield FieldViolation(f"{path}.{side}", text)
    for number, item in enumerate(entry.collections):
        for side, name in (("source", item.source), ("target", item.target)):
            if not is_milvus_name(name.strip()):
                text = f"{name[:MAX_SHOWN]!r} is no collection: {_NAME_RULE}"
                yield FieldViolation(f"{path}.colls[{number}].{side}", text)


def _mappings(entry: DatabaseMapping) -> Iterator[CollectionMapping]:
    source, target = _database(entry.source), _database(entry.target)
    if not entry.collections:
        yield CollectionMapping(f"{source}.{_ALL}", f"{target}.{_ALL}")
    for item in entry.collections:
        yield CollectionMapping(
            f"{source}.{item.source.strip()}",
            f"{target}.{item.target.strip()}",
            item.shard_count,
            item.description,
        )


def _database(name: str) -> str:
    return name.strip() or DEFAULT_DATABASE
