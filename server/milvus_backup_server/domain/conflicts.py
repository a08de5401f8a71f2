"""What may run beside what, within one service."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import OperationKind
from milvus_backup_server.domain.places import HOME, Place


class Verdict(Enum):
    """Whether a new operation may begin beside one that has not ended."""

    ALLOWED = "allowed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Footprint:
    """What an operation touches: the backup it works on, where that lies, and the collections it makes."""

    kind: OperationKind
    backup_name: str
    targets: frozenset[CollectionName] = frozenset()
    place: Place = HOME

    def changes(self, place: Place) -> bool:
        """Tell whether it changes a backup that lies there."""
        return self.place == place and self.kind not in READERS


_CREATE = OperationKind.CREATE_BACKUP
_RESTORE = OperationKind.RESTORE_BACKUP
_DELETE = OperationKind.DELETE_BACKUP
_EXPORT = OperationKind.EXPORT_BACKUP
_IMPORT = OperationKind.IMPORT_BACKUP
_VERIFY = OperationKind.VERIFY_BACKUP
_SWEEP = OperationKind.SWEEP

READERS = frozenset({_RESTORE, _EXPORT, _VERIFY})
"""Kinds that leave the backup as it is."""

SAME_BACKUP: dict[tuple[OperationKind, OperationKind], Verdict] = {
    (_CREATE, _CREATE): Verdict.ABORTED,  # one name, one writer
    (_CREATE, _RESTORE): Verdict.ABORTED,  # not whole yet
    (_CREATE, _DELETE): Verdict.ABORTED,  # cancel the create instead
    (_RESTORE, _CREATE): Verdict.ABORTED,  # the name is taken
    (_RESTORE, _RESTORE): Verdict.ALLOWED,  # both only read
    (_RESTORE, _DELETE): Verdict.ABORTED,  # it would take away what is read
    (_DELETE, _CREATE): Verdict.ABORTED,  # the name is not free yet
    (_DELETE, _RESTORE): Verdict.ABORTED,  # it is going
    (_DELETE, _DELETE): Verdict.ABORTED,  # one is enough
    (_EXPORT, _CREATE): Verdict.ABORTED,  # an export reads, as a restore does
    (_EXPORT, _RESTORE): Verdict.ALLOWED,
    (_EXPORT, _DELETE): Verdict.ABORTED,
    (_EXPORT, _EXPORT): Verdict.ALLOWED,
    (_EXPORT, _IMPORT): Verdict.ABORTED,
    (_CREATE, _EXPORT): Verdict.ABORTED,
    (_RESTORE, _EXPORT): Verdict.ALLOWED,
    (_DELETE, _EXPORT): Verdict.ABORTED,
    (_IMPORT, _CREATE): Verdict.ABORTED,  # an import writes, as a create does
    (_IMPORT, _RESTORE): Verdict.ABORTED,
    (_IMPORT, _DELETE): Verdict.ABORTED,
    (_IMPORT, _EXPORT): Verdict.ABORTED,
    (_IMPORT, _IMPORT): Verdict.ABORTED,
    (_CREATE, _IMPORT): Verdict.ABORTED,
    (_RESTORE, _IMPORT): Verdict.ABORTED,
    (_DELETE, _IMPORT): Verdict.ABORTED,
    (_CREATE, _VERIFY): Verdict.ABORTED,  # not whole yet
    (_RESTORE, _VERIFY): Verdict.ALLOWED,  # both only read
    (_DELETE, _VERIFY): Verdict.ABORTED,  # it is going
    (_VERIFY, _CREATE): Verdict.ABORTED,  # the name is taken
    (_VERIFY, _RESTORE): Verdict.ALLOWED,  # both only read
    (_VERIFY, _DELETE): Verdict.ABORTED,  # it would find missing what is being removed
    (_VERIFY, _VERIFY): Verdict.ALLOWED,  # a quick look beside a long one
    (_EXPORT, _VERIFY): Verdict.ALLOWED,  # both only read
    (_VERIFY, _EXPORT): Verdict.ALLOWED,
    (_IMPORT, _VERIFY): Verdict.ABORTED,  # not whole yet
    (_VERIFY, _IMPORT): Verdict.ABORTED,  # the name is taken
}
SAME_BACKUP.update(
    {pair: Verdict.ALLOWED for kind in OperationKind for pair in ((kind, _SWEEP), (_SWEEP, kind))}
)  # a sweep is of no backup, and leaves alone what others work on
SAME_BACKUP[_SWEEP, _SWEEP] = Verdict.ABORTED  # one is enough
"""(running, new) on one backup. On different ones everything is allowed, but for restores into one target.

Backups of one name in different places are different ones.
"""


def verdict(running: Footprint, new: Footprint) -> Verdict:
    """Decide whether ``new`` may begin while ``running`` has not ended."""
    if running.targets & new.targets:
        return Verdict.ABORTED
    if (running.place, running.backup_name) != (new.place, new.backup_name):
        return Verdict.ALLOWED
    return SAME_BACKUP[running.kind, new.kind]


def first_conflict(running: Iterable[tuple[str, Footprint]], new: Footprint) -> str:
    """Return the name of the first operation that is in the way, empty if none is."""
    return next((name for name, it in running if verdict(it, new) is Verdict.ABORTED), "")
