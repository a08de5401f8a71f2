"""A backup together with the operation that made it: what is true of a name or an id.

The store has the last word on what is there; operations tell of what is under way and why there is
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from milvus_backup_server.domain.backups import Backup, BackupState
from milvus_backup_server.domain.errors import BackupNotFound, OperationNotFound
from milvus_backup_server.domain.operations import Operation, OperationKind, OperationState
from milvus_backup_server.domain.places import HOME, Place
from milvus_backup_server.domain.requests import check_backup_name
from milvus_backup_server.service.catalog import Catalog
from milvus_backup_server.service.operation_directory import OperationDirectory
from milvus_backup_server.service.operation_entries import Filter

WHOLE: Final = frozenset({BackupState.COMPLETE, BackupState.LEGACY})
"""States of a backup that can be restored."""

_CREATE: Final = frozenset({OperationKind.CREATE_BACKUP})
_CHANGING: Final = frozenset(
    {
        OperationKind.CREATE_BACKUP,
        OperationKind.DELETE_BACKUP,
        OperationKind.IMPORT_BACKUP,
    }
)


@dataclass(frozen=True, slots=True)
class BackupTask:
    """A backup and its making. One of the two is there.

    Attributes:
        name: The backup's name.
        backup: What the store has of it.
        operation: What made it or makes it; None if that is not on record here.
    """

    name: str
    backup: Backup | None = None
    operation: Operation | None = None

    @property
    def id(self) -> str:
        """The backup's id."""
        if self.operation is not None:
            return self.operation.task_id or self.operation.name
        return self.backup.id if self.backup is not None else ""

    @property
    def place(self) -> Place:
        """Where the backup lies."""
        if self.backup is not None:
            return self.backup.place
        return self.operation.place if self.operation is not None else HOME

    @property
    def whole(self) -> bool:
        """True if it can be restored."""
        return self.backup is not None and self.backup.state in WHOLE


class BackupTasks:
    """Finds backups by name and by id, those included that are not there yet or never will be.

    Args:
        catalog: Of the place where names and ids of backups are looked for.
        operations: What is on record.
    """

    def __init__(self, catalog: Catalog, operations: OperationDirectory) -> None:
        self._catalog = catalog
        self._operations = operations

    async def by_name(self, name: str) -> BackupTask:
        """Return what is true of a name now.

        Raises:
            InvalidRequest: No backup can have that name.
            BackupNotFound: Nothing of that name is there or was tried.
        """
        check_backup_name(name)
        wanted = Filter(name, _CHANGING, place=self._catalog.place)
        newest = next(iter((await self._operations.list("", 1, wanted)).items), None)
        operation = newest if newest is not None and newest.kind in _CREATE else None
        return _joined(name, await _stored(self._catalog, name), operation)

    async def by_id(self, id_: str) -> BackupTask:
        """Return what is true of the backup, or of the try to make one, that has an id.

        Raises:
            OperationNotFound: Neither a backup nor an operation has it.
            BackupNotFound: It was made, and is not there any more.
        """
        try:
            operation = await self._operations.find(id_, _CREATE)
        except OperationNotFound:
            return await self._only_stored(id_)
        return await self.of(operation)

    async def of(self, operation: Operation) -> BackupTask:
        """Return what is true of the backup that a create makes, made or failed to make.

        Raises:
            BackupNotFound: It was made, and is not there any more.
        """
        backup = await _stored(self._catalog.at(operation.place), operation.backup_name)
        if backup is not None and _is_anothers(backup, operation):
            backup = None
        return _joined(operation.backup_name, backup, operation)

    async def _only_stored(self, id_: str) -> BackupTask:
        found = await self._catalog.find(id_)
        if found is None:
            text = f"task not found: no backup and no operation has the id {id_[:100]!r}"
            raise OperationNotFound(id_, text)
        return BackupTask(found.name, await self._catalog.get(found.name))


async def _stored(catalog: Catalog, name: str) -> Backup | None:
    try:
        return await catalog.get(name)
    except BackupNotFound:
        return None


def _joined(name: str, backup: Backup | None, operation: Operation | None) -> BackupTask:
    nothing_wrong = operation is None or operation.state is OperationState.SUCCEEDED
    if backup is None and nothing_wrong:
        raise BackupNotFound(name)
    if backup is not None and operation is not None and _is_anothers(backup, operation):
        operation = None
    return BackupTask(name, backup, operation)


def _is_anothers(backup: Backup, operation: Operation) -> bool:
    """Tell whether a backup was made by something else than the operation of its name."""
    return backup.state in WHOLE and backup.id not in {operation.name, operation.task_id}
