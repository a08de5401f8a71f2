"""What a ``restorePlan`` says, as far as renames can express it."""

from __future__ import annotations

from dataclasses import dataclass, field

from milvus_backup_server.domain.errors import FieldViolation
from milvus_backup_server.domain.names import parse_collection
from milvus_backup_server.domain.selection import Selection, entry_fault
from milvus_backup_server.http.asked import NOT_YET, Entries, not_yet
from milvus_backup_server.http.bodies import PlannedCollection, PlannedDatabase, RestoreBody

_PLAN = "restorePlan"
_SHOWN = 128  # as much of a rule as a request's own faults show


@dataclass(slots=True)
class PlannedNames:
    """The names of a plan.

    Attributes:
        renames: New names by old ones.
        paths: Where in the body the old ones stand.
        filter: What is restored, by the new names; None for exactly what is mapped.
        faults: What is wrong, or not supported yet.
    """

    renames: dict[str, str] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    filter: Entries | None = None
    faults: list[FieldViolation] = field(default_factory=list)

    @property
    def names(self) -> dict[str, str]:
        """Fields of the body by the names that a request gives its renames."""
        return {f"renames[{old[:_SHOWN]!r}]": path for old, path in self.paths.items()}


def read_plan(body: RestoreBody) -> PlannedNames:
    """Read the plan of a body that has one."""
    names = PlannedNames()
    plan = body.restore_plan
    if plan is None:
        return names
    for number, database in enumerate(plan.mapping):
        _read_database(database, f"{_PLAN}.mapping[{number}]", names)
    if plan.filter is not None:
        names.filter = Entries.of_filter(f"{_PLAN}.filter", plan.filter)
    return names


def mapped(sources: Entries, plan: PlannedNames) -> Entries:
    """Return the collections that a plan maps, as far as they are among the sources asked for."""
    if any(entry_fault(text) for text in sources.texts):
        return sources
    asked = Selection.parse(sources.texts)
    found = Entries()
    for text, path in plan.paths.items():
        name = parse_collection(text)
        if name is None or name in asked:
            found.paths[text] = path
    if not found.paths and not plan.faults:
        found.faults.append(FieldViolation(_PLAN, "maps nothing that is to be restored"))
    return found


def _read_database(database: PlannedDatabase, path: str, names: PlannedNames) -> None:
    names.faults += not_yet({f"{path}.withProp": database.with_prop})
    if not database.colls:
        fault = f"is empty: to map a whole database {NOT_YET}"
        names.faults.append(FieldViolation(f"{path}.colls", fault))
    for number, item in enumerate(database.colls):
        _read_collection(database, item, f"{path}.colls[{number}]", names)


def _read_collection(
    database: PlannedDatabase, item: PlannedCollection, path: str, names: PlannedNames
) -> None:
    source = f"{database.source}.{item.source}"
    if source in names.renames:
        fault = f"{source[:_SHOWN]!r} has another target already: that {NOT_YET}"
        names.faults.append(FieldViolation(path, fault))
    names.renames[source] = f"{database.target}.{item.target}"
    names.paths[source] = path
    override = item.override
    names.faults += not_yet(
        {
            f"{path}.override.shardNum": override.shard_num,
            f"{path}.override.description": override.description,
        }
    )
