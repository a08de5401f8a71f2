"""How a restore ends: collections get their final names, or what was made is taken away."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Protocol

from milvus_backup_server.domain.errors import BackupError
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import CollectionState, Phase, RestoreResult
from milvus_backup_server.domain.rbac import RbacCounts
from milvus_backup_server.domain.records import CollectionBackupInfo
from milvus_backup_server.domain.target_collection import TargetCollection
from milvus_backup_server.service.building import Built, CollectionBuilder
from milvus_backup_server.service.fence import require_ours
from milvus_backup_server.service.replacing import Replacements
from milvus_backup_server.service.restore_finished import FinishedRestores
from milvus_backup_server.service.restore_journal import RestoreJournal
from milvus_backup_server.service.restore_work import RestoreMarks
from milvus_backup_server.service.serving import Served, TargetServing
from milvus_backup_server.service.staging import StagedCopies
from milvus_backup_server.service.tracker import Tracker


@dataclass(frozen=True, slots=True)
class EndParts:
    """What the end of a restore works with.

    Attributes:
        builder: Gives names, and takes away.
        replacements: Puts collections into the places of others.
        serving: Gives aliases and loads.
        finished: Remembers that it has finished.
        operation: Its name.
        tracker: Where progress goes.
        marks: Notes how single collections fare.
        journal: Knows the collections that are whole.
    """

    builder: CollectionBuilder
    replacements: Replacements
    serving: TargetServing
    finished: FinishedRestores
    operation: str
    tracker: Tracker
    marks: RestoreMarks
    journal: RestoreJournal


class Ending(Protocol):
    """What becomes of the collections that a restore builds."""

    @property
    def looks(self) -> Phase:
        """The phase in which the backup's objects are looked at before anything is made."""
        ...

    def shaped(self, record: CollectionBackupInfo, wanted: TargetCollection) -> TargetCollection:
        """Return how a collection is made."""
        ...

    def remember(self, target: CollectionName, served: Served) -> None:
        """Take down how a collection is to be served when it has its final name."""
        ...

    async def whole(self, built: Built, record: CollectionBackupInfo, moment: int | None) -> None:
        """Take a collection that has everything, cut at a moment if there is one, but its final name."""
        ...

    async def finish(self, *, resumed: bool, staged: int, rbac: RbacCounts | None) -> RestoreResult:
        """Make an end when all collections are whole or failed.

        Args:
            resumed: Some may have their names already.
            staged: Objects that were copied for the imports.
            rbac: The users, roles and grants that were added; None if they were not asked for.

        Raises:
            BackupError: No collection was restored; it is what the first one failed with.
        """
        ...


class RestoreEnd:
    """The end of a restore: whole collections take their final names and are served."""

    looks = Phase.VERIFYING

    def __init__(self, parts: EndParts) -> None:
        self._parts = parts
        self._builder = parts.builder
        self._replacements = parts.replacements
        self._serving = parts.serving
        self._served: dict[CollectionName, Served] = {}
        self._tracker = parts.tracker
        self._marks = parts.marks
        self._journal = parts.journal

    def shaped(self, record: CollectionBackupInfo, wanted: TargetCollection) -> TargetCollection:  # noqa: ARG002
        """Return it as the request wants it."""
        return wanted

    def remember(self, target: CollectionName, served: Served) -> None:
        """Take down how a collection is to be served when it has its final name."""
        self._served[target] = served

    async def whole(self, built: Built, record: CollectionBackupInfo, moment: int | None) -> None:
        """Leave it until all are."""

    async def finish(self, *, resumed: bool, staged: int, rbac: RbacCounts | None) -> RestoreResult:
        """Give whole collections their final names, and serve them.

        What is left where a name could not be given is settled by the journal, which stays then.
        """
        served = await self._finish(resumed=resumed)
        result = self._journal.result((it.target for it in served), staged=staged)
        result = replace(result, rbac=rbac)
        if self._journal.lasting and not self._replacements.unsettled:
            await require_ours(self._tracker)
            await self._parts.finished.note(self._parts.operation, result)
            with contextlib.suppress(BackupError):  # it is removed when the result is forgotten
                await self._journal.remove()
        return result

    async def _finish(self, *, resumed: bool) -> list[Built]:
        self._tracker.enter(Phase.FINISHING)
        await self._journal.begin_renaming(self._replacements.replaced)
        named = [
            built
            for built in map(Built.of, self._journal.whole())
            if await self._marks.trying([built.target], self._name(built, resumed=resumed))
        ]
        self._marks.require_some(named)
        await self._builder.drop_others(named)
        served = [it for it in named if await self._marks.trying([it.target], self._serve(it))]
        self._marks.require_some(served)
        return served

    async def _name(self, built: Built, *, resumed: bool) -> None:
        if built.temporary == built.target:
            return  # it was filled where it is
        if resumed and await self._builder.is_renamed(built):
            return
        if built.target in self._replacements.replaced:
            await self._replacements.take_place(built)
        else:
            await self._builder.require_free(built)
            await self._builder.rename(built)

    async def _serve(self, built: Built) -> None:
        await self._serving.serve(built.target, self._served[built.target])
        self._tracker.collection(built.target, state=CollectionState.SUCCEEDED)


class CleanUp:
    """What becomes of everything that a restore made when it does not succeed.

    Args:
        builder: Knows what was made.
        replacements: Knows what took the place of other collections, or began to.
        copies: What was staged.
        tracker: Where progress and warnings go.
        journal: Goes last, and stays where a sweep needs it to remove the rest.
    """

    def __init__(
        self,
        builder: CollectionBuilder,
        replacements: Replacements,
        copies: StagedCopies,
        *,
        tracker: Tracker,
        journal: RestoreJournal,
    ) -> None:
        self._builder = builder
        self._replacements = replacements
        self._copies = copies
        self._tracker = tracker
        self._journal = journal

    async def run(self, *, renamed: bool) -> None:
        """Take away what was made; what cannot be removed becomes a warning that names it.

        Args:
            renamed: Also collections that have their final names.
        """
        self._tracker.enter(Phase.CLEANING_UP)
        await self._replacements.settle()
        await self._builder.roll_back(renamed=renamed)
        cleared = await self._cleared()
        if cleared and not (self._builder.remains or self._replacements.unsettled):
            await require_ours(self._tracker)
            with contextlib.suppress(BackupError):  # it tells of nothing that is left
                await self._journal.remove()

    async def _cleared(self) -> bool:
        try:
            await self._copies.clear()
        except BackupError as error:
            self._copies.warn(error)
            return False
        return True
