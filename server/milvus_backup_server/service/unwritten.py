"""What a restore left of which nothing is written down: the store refused its journal, and its service died.

Where it replaced collections, what has a temporary name may be all that is left of one: the old one is
dropped, and the new one has not got the name. Which of them it is nobody knows then, so whatever may be it
is left to the people who do.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Self

from milvus_backup_server.domain.errors import NotFound
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.names import is_temporary_name, temporary_owner
from milvus_backup_server.domain.operation_record import OperationRecord
from milvus_backup_server.domain.requests import RestoreRequest
from milvus_backup_server.ports.milvus import MilvusGateway

_NAMED = 3


@dataclass(frozen=True, slots=True)
class UnwrittenRestore:
    """A restore without a journal.

    Attributes:
        operation: Its name.
        targets: The collections that it makes.
        replaces: Whether it takes the place of those that have their names.
        fills: Whether it makes none, and fills those that are there: then it never has a journal.
    """

    operation: str
    targets: tuple[CollectionName, ...]
    replaces: bool = False
    fills: bool = False

    @classmethod
    def of(cls, record: OperationRecord) -> Self:
        """Return it by its record; operations of other kinds give no final names."""
        targets = tuple(sorted(record.footprint.targets))
        if not isinstance(record.request, RestoreRequest):
            return cls(record.name, targets)
        options = record.request.options
        return cls(
            record.name,
            targets,
            replaces=options.drop_existing_collections,
            fills=options.skip_create_collections,
        )

    @property
    def filled(self) -> tuple[CollectionName, ...]:
        """The collections that existed before, and may have got rows."""
        return self.targets if self.fills else ()

    async def collections(self, gateway: MilvusGateway) -> AsyncIterator[CollectionName]:
        """Yield its collections under temporary names."""
        for database in sorted({target.database for target in self.targets}):
            with contextlib.suppress(NotFound):
                for name in await gateway.list_collections(database):
                    ours = temporary_owner(name.name) == self.operation
                    if ours and is_temporary_name(name.name):
                        yield name

    async def doubt(self, gateway: MilvusGateway, temporary: CollectionName) -> str:
        """Return why one of them must not be removed; empty if it may be."""
        if not self.replaces:
            return ""
        missing = [it for it in self._beside(temporary) if not await gateway.has_collection(it)]
        if missing:
            return f"it may be all that is left of {_some(missing)}, which was replaced: rename it, or drop it"
        aliases = (await gateway.describe_collection(temporary)).aliases
        if aliases:
            led = f"{_some(aliases)}, of a collection that was to be replaced, leads to it"
            return f"{led}: point that elsewhere, and drop it"
        return ""

    def _beside(self, temporary: CollectionName) -> Iterable[CollectionName]:
        return (target for target in self.targets if target.database == temporary.database)


def _some(names: Iterable[object]) -> str:
    found = [str(name) for name in names]
    more = f" or {len(found) - _NAMED} others" if len(found) > _NAMED else ""
    return " or ".join(found[:_NAMED]) + more
