"""What a body asks of a use case, and how its faults get the names that the caller wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, Protocol, TypeVar

from milvus_backup_server.domain.errors import (
    BackupError,
    FieldViolation,
    InvalidRequest,
    Obstacle,
)
from milvus_backup_server.domain.faults import tell_of
from milvus_backup_server.domain.milvus import DEFAULT_DATABASE
from milvus_backup_server.domain.selection import CollectionPartitions
from milvus_backup_server.http.bodies import CollFilter

ALL: Final = "*"
ALONE: Final = ""
NO_NAME: Final = "a collection's name is empty"
NOT_YET: Final = "is not supported yet"

# A text may say which other field would help. What a caller named stands in quotes or behind a dot.
_FIELD_WORD: Final = re.compile(r"(?<![\w'.])[a-z]+(?:_[a-z]+)+(?![\w'.])")


class Checked(Protocol):
    """A request that can find its own faults."""

    def check(self) -> None:
        """Raise InvalidRequest with every fault of the fields."""


R = TypeVar("R", bound=Checked)


@dataclass(frozen=True, slots=True)
class Asked(Generic[R]):
    """A request of a use case, made from a body.

    Attributes:
        request: The request.
        names: What the caller wrote, by the request's own names of fields.
    """

    request: R
    names: Mapping[str, str]

    def refuse(self, faults: Iterable[FieldViolation]) -> None:
        """Raise InvalidRequest with the faults given and those of the request, if there are any."""
        found = list(faults)
        try:
            self.request.check()
        except InvalidRequest as error:
            found += (_as_sent(fault, self.names) for fault in error.violations)
        if found:
            raise InvalidRequest(*found)

    def naming(self) -> AbstractContextManager[None]:
        """Give the faults that a use case finds in the request the caller's names."""
        return naming(self.names)


@contextmanager
def naming(names: Mapping[str, str]) -> Iterator[None]:
    """Give the faults that a use case finds the names that a caller wrote.

    Args:
        names: By the request's own names of fields.
    """
    try:
        yield
    except BackupError as error:
        if error.obstacles:
            tell_of(error, tuple(_obstacle_as_sent(item, names) for item in error.obstacles))
        elif isinstance(error, InvalidRequest):
            faults = (_as_sent(fault, names) for fault in error.violations)
            raise InvalidRequest(*faults) from error
        raise


def _obstacle_as_sent(obstacle: Obstacle, names: Mapping[str, str]) -> Obstacle:
    fault = _as_sent(FieldViolation(obstacle.field, obstacle.description), names)
    return replace(obstacle, field=fault.field, description=fault.description)


def _as_sent(fault: FieldViolation, names: Mapping[str, str]) -> FieldViolation:
    base, bracket, rest = fault.field.partition("[")
    name = names.get(fault.field) or names.get(base, base) + bracket + rest
    text = _FIELD_WORD.sub(lambda found: names.get(found[0], found[0]), fault.description)
    return FieldViolation(name, text)


def not_yet(values: Mapping[str, Any]) -> Iterator[FieldViolation]:
    """Yield a fault for each value that asks for something."""
    for name, value in values.items():
        if value:
            yield FieldViolation(name, NOT_YET)


@dataclass(slots=True)
class Entries:
    """Entries of a selection, each with the field that it stands in."""

    paths: dict[str, str] = field(default_factory=dict)
    faults: list[FieldViolation] = field(default_factory=list)

    @property
    def texts(self) -> tuple[str, ...]:
        """The entries."""
        return tuple(self.paths)

    def names(self, selection: str) -> dict[str, str]:
        """Return the fields that the entries stand in, by the names that a request gives them."""
        return {f"{selection}[{n}]": path for n, path in enumerate(self.paths.values())}

    @classmethod
    def of_names(cls, name: str, given: Sequence[str]) -> Entries:
        """Read a list of ``collection`` and ``database.collection``."""
        entries = cls()
        for number, text in enumerate(given):
            entries._add(text, f"{name}[{number}]")
        return entries

    @classmethod
    def of_databases(cls, name: str, given: Mapping[str, Sequence[str]]) -> Entries:
        """Read lists of collections by database; an empty list stands for all of the database."""
        entries = cls()
        for database, collections in given.items():
            path = f"{name}.{database}"
            if not collections:
                entries._add(_entry(database, ALL), path)
            for number, collection in enumerate(collections):
                entries._add_collection(database, collection, f"{path}[{number}]")
        return entries

    @classmethod
    def of_filter(cls, name: str, given: Mapping[str, CollFilter]) -> Entries:
        """Read a filter: lists of collections by database, where an empty list is the database alone."""
        entries = cls()
        for database, filtered in given.items():
            path = f"{name}.{database}.colls"
            if not filtered.colls:
                entries._add(_entry(database, ALONE), path)
            for number, collection in enumerate(filtered.colls):
                entries._add_collection(database, collection, f"{path}[{number}]")
        if not given:
            fault = "is empty and selects nothing; leave it out to select everything"
            entries.faults.append(FieldViolation(name, fault))
        return entries

    def _add_collection(self, database: str, collection: str, path: str) -> None:
        if collection.strip():
            self._add(_entry(database, collection.strip()), path)
        else:
            self.faults.append(FieldViolation(path, NO_NAME))

    def _add(self, text: str, path: str) -> None:
        self.paths.setdefault(text, path)


def read_partitions(
    given: Mapping[str, Sequence[str]],
) -> tuple[tuple[CollectionPartitions, ...], dict[str, str]]:
    """Read lists of partitions by collection.

    Returns:
        They as a request has them, and the fields of the body by the names that it gives them.
    """
    names: dict[str, str] = {}
    for place, (collection, partitions) in enumerate(given.items()):
        path, ours = f"partitions.{collection}", f"partitions[{place}]"
        names |= {f"{ours}.collection": path, f"{ours}.partitions": path}
        names |= {f"{ours}.partitions[{n}]": f"{path}[{n}]" for n in range(len(partitions))}
    return tuple(CollectionPartitions(key, tuple(it)) for key, it in given.items()), names


def _entry(database: str, collection: str) -> str:
    return f"{database.strip() or DEFAULT_DATABASE}.{collection}"
