"""Adding a backup's users, roles, grants and privilege groups to a Milvus.

It is done when all collections are whole under their temporary names: what fails before leaves no
users behind, and whoever logs in finds the collections. Doing it again adds nothing.
"""

from __future__ import annotations

from milvus_backup_server.domain.errors import (
    BackupNotRestorable,
    LeftBehind,
    MilvusDenied,
    MilvusRefused,
    MilvusUnavailable,
)
from milvus_backup_server.domain.rbac import RbacCounts, is_nothing, missing
from milvus_backup_server.domain.records import RbacMeta
from milvus_backup_server.service.restore_journal import RestoreJournal
from milvus_backup_server.service.restore_planner import NO_USERS
from milvus_backup_server.service.restore_work import CheckedRestore
from milvus_backup_server.service.tracker import Tracker


class RbacRestore:
    """The users and so on of one restore.

    Args:
        checked: The restore.
        tracker: Where warnings go.
        journal: Remembers what was added.

    Attributes:
        added: What was added, by earlier runs too; None if that was not asked for. What Milvus was asked
            to add and gave no answer to is in it.
    """

    def __init__(self, checked: CheckedRestore, tracker: Tracker, journal: RestoreJournal) -> None:
        self._gateway = checked.cluster.gateway
        self._backup_name = checked.request.backup_name
        self._wanted = checked.rbac
        self._tracker = tracker
        self._journal = journal
        self.added = added_before(journal) if checked.request.options.rbac else None

    async def run(self) -> None:
        """Add what the target lacks.

        Raises:
            MilvusRefused, MilvusDenied, MilvusUnavailable: As they say.
        """
        if self.added is None:
            return
        if self._wanted is None:
            self._tracker.warn(BackupNotRestorable(NO_USERS, subject=self._backup_name))
            return
        new = missing(self._wanted, await self._gateway.rbac())
        if not is_nothing(new):
            await self._tracker.require_owner()
            await self._add_noted(self._wanted, new, self.added)

    async def _add_noted(self, wanted: RbacMeta, new: RbacMeta, noted: RbacCounts) -> None:
        """Add what lacks; it is noted before, as whoever goes on after a crash could not tell whose it is.

        Args:
            wanted: All of the backup.
            new: What of it the target lacks; also what an earlier run noted and did not add.
            noted: What earlier runs noted.
        """
        counts = RbacCounts.of(new)
        before = noted.minus(counts)
        await self._note(before.plus(counts))
        try:
            await self._add(wanted, new)
        except (MilvusDenied, MilvusRefused):
            await self._note(before)
            raise

    async def _note(self, added: RbacCounts) -> None:
        self.added = added
        await self._journal.note_rbac(added)

    async def _add(self, wanted: RbacMeta, new: RbacMeta) -> None:
        try:
            await self._gateway.restore_rbac(new)
        except (MilvusRefused, MilvusUnavailable):
            # A call whose answer was lost is repeated, and finds its own work done.
            if not is_nothing(missing(wanted, await self._gateway.rbac())):
                raise

    def tell(self) -> None:
        """Warn of what stays when the restore as a whole does not succeed."""
        if self.added is not None:
            tell_of_added(self.added, self._tracker)


def added_before(journal: RestoreJournal) -> RbacCounts:
    """Return what earlier runs of a restore added."""
    head = journal.head
    return RbacCounts() if head is None or head.rbac is None else head.rbac


def tell_of_added(added: RbacCounts, tracker: Tracker) -> None:
    """Warn of users and so on that a restore added and does not take away."""
    if added != RbacCounts():
        text = "the users, roles and grants that were added to Milvus stay"
        tracker.warn(LeftBehind(text, subject="rbac"))
