"""What a ``restorePlan`` maps: each source to any number of targets, with their overrides.

A database without ``colls`` goes with all of its collections; the Go tool leaves them where they were.
``withProp`` makes no difference: databases keep their properties where Milvus has such.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from milvus_backup_server.domain.errors import FieldViolation
from milvus_backup_server.domain.milvus import DEFAULT_DATABASE
from milvus_backup_server.domain.renaming import CollectionMapping
from milvus_backup_server.http.asked import ALL, NO_NAME, Entries
from milvus_backup_server.http.bodies import PlannedCollection, PlannedDatabase, RestoreBody

_PLAN = "restorePlan"


@dataclass(slots=True)
class PlannedNames:
    """The names of a plan.

    Attributes:
        paths: Where in the body each mapping stands.
        filter: What is restored, by the new names; None for exactly what is mapped.
        faults: What is wrong.
    """

    mappings: list[CollectionMapping] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    filter: Entries | None = None
    faults: list[FieldViolation] = field(default_factory=list)

    @property
    def names(self) -> dict[str, str]:
        """Fields of the body by the names that a request gives its mappings."""
        names = {"mappings": f"{_PLAN}.mapping"}
        for number, path in enumerate(self.paths):
            names[f"mappings[{number}]"] = path
            names[f"mappings[{number}].shard_count"] = f"{path}.override.shardNum"
        return names


def read_plan(body: RestoreBody) -> PlannedNames:
    """Read the plan of a body that has one."""
    names = PlannedNames()
    plan = body.restore_plan
    if plan is None:
        return names
    for number, database in enumerate(plan.mapping):
        for path, mapping in _mappings(database, f"{_PLAN}.mapping[{number}]"):
            names.mappings.append(mapping)
            names.paths.append(path)
        names.faults += _unnamed(database, f"{_PLAN}.mapping[{number}]")
    if plan.filter is not None:
        names.filter = Entries.of_filter(f"{_PLAN}.filter", plan.filter)
    elif not names.mappings and not names.faults:
        names.faults.append(FieldViolation(_PLAN, "maps nothing, so nothing would be restored"))
    return names


def _mappings(database: PlannedDatabase, path: str) -> Iterator[tuple[str, CollectionMapping]]:
    source = database.source.strip() or DEFAULT_DATABASE
    target = database.target.strip() or DEFAULT_DATABASE
    if not database.colls:
        yield path, CollectionMapping(f"{source}.{ALL}", f"{target}.{ALL}")
    for number, item in enumerate(database.colls):
        if item.source.strip() and item.target.strip():
            yield f"{path}.colls[{number}]", _mapping(source, target, item)


def _unnamed(database: PlannedDatabase, path: str) -> Iterator[FieldViolation]:
    """Yield a fault for each name that is empty: it would stand for the database alone."""
    for number, item in enumerate(database.colls):
        for name, value in (("source", item.source), ("target", item.target)):
            if not value.strip():
                yield FieldViolation(f"{path}.colls[{number}].{name}", NO_NAME)


def _mapping(source: str, target: str, item: PlannedCollection) -> CollectionMapping:
    return CollectionMapping(
        source=f"{source}.{item.source.strip()}",
        target=f"{target}.{item.target.strip()}",
        shard_count=item.override.shard_num,
        description=item.override.description or None,
    )
