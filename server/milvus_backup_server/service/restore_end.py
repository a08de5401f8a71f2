"""How a restore ends: collections get their final names, or what was made is taken away."""

from __future__ import annotations

from collections.abc import Sequence

from milvus_backup_server.domain.errors import BackupError, LeftBehind
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.operations import CollectionState, Phase
from milvus_backup_server.service.building import Built, CollectionBuilder
from milvus_backup_server.service.context import WorkLimits
from milvus_backup_server.service.replacing import Replacements
from milvus_backup_server.service.restore_work import CheckedRestore, RestoreMarks
from milvus_backup_server.service.serving import Served, TargetServing
from milvus_backup_server.service.staging import Staging
from milvus_backup_server.service.tracker import Tracker


class RestoreEnd:
    """The last step of a restore, be it good or not."""

    def __init__(
        self,
        checked: CheckedRestore,
        builder: CollectionBuilder,
        staging: Staging,
        tracker: Tracker,
        marks: RestoreMarks,
        *,
        limits: WorkLimits,
    ) -> None:
        self._checked = checked
        self._builder = builder
        self._staging = staging
        self._replacements = Replacements(checked, builder, tracker, limits)
        self._serving = TargetServing(checked.cluster.gateway, tracker, limits)
        self._served: dict[CollectionName, Served] = {}
        self._tracker = tracker
        self._marks = marks

    def remember(self, target: CollectionName, served: Served) -> None:
        """Take down how a collection is to be served when it has its final name."""
        self._served[target] = served

    async def finish(self, every: Sequence[Built]) -> list[Built]:
        """Give whole collections their final names, and return those that have them and are served.

        Raises:
            BackupError: No collection was restored; it is what the first one failed with.
        """
        self._tracker.enter(Phase.FINISHING)
        named = [it for it in every if await self._marks.trying([it.target], self._name(it))]
        self._marks.require_some(named)
        await self._builder.drop_others(named)
        served = [it for it in named if await self._marks.trying([it.target], self._serve(it))]
        self._marks.require_some(served)
        return served

    async def _name(self, built: Built) -> None:
        if built.temporary == built.target:
            return  # it was filled where it is
        if built.target in self._checked.present:
            await self._replacements.take_place(built)
        else:
            await self._builder.require_free(built)
            await self._builder.rename(built)

    async def _serve(self, built: Built) -> None:
        await self._serving.serve(built.target, self._served[built.target])
        self._tracker.collection(built.target, state=CollectionState.SUCCEEDED)

    async def clean_up(self) -> None:
        """Take away what was made; what cannot be removed becomes a warning that names it."""
        self._tracker.enter(Phase.CLEANING_UP)
        await self._replacements.settle()
        await self._builder.roll_back(renamed=self._tracker.cancel_requested)
        try:
            await self._staging.clear()
        except BackupError as error:
            where = f"{self._checked.milvus.store.location.bucket}/{self._checked.place.prefix}"
            text = f"copies below {where} could not be removed and remain: {error.message}"
            self._tracker.warn(LeftBehind(text, subject=where))
