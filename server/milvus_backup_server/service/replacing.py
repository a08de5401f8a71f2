"""Collections that take the place of others: the old one falls only when the new one is whole.

The aliases of the old one are pointed at the new one first, in one step each: Milvus 2.3 forgets
to remove those of a dropped collection. Then the old one is dropped, and the new one renamed. Until
the drop everything can be taken back; from the drop on the new one is the only one, and is never
removed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import partial

from milvus_backup_server.domain.errors import (
    BackupError,
    CollectionNotFound,
    LeftBehind,
    NotFound,
    TargetAlreadyExists,
)
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.targets import PresentTarget
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.building import Built, CollectionBuilder
from milvus_backup_server.service.context import WorkLimits
from milvus_backup_server.service.fence import require_ours
from milvus_backup_server.service.patience import patiently
from milvus_backup_server.service.restore_journal import RestoreJournal
from milvus_backup_server.service.tracker import Tracker


class _Outcome(Enum):
    """Who has the final name."""

    OLD = "old"
    NEW = "new"
    ANOTHER = "another"


class Replacements:
    """The replacements of one restore.

    Args:
        gateway: Where.
        replaced: What is replaced, by the target's name.
        builder: Is told which collections must not be removed any more.
        tracker: Where warnings go.
        limits: How long Milvus is waited for when something has to be set right.

    Attributes:
        unsettled: One has the only copy under its temporary name; the journal alone tells whose it is.
    """

    def __init__(
        self,
        gateway: MilvusGateway,
        replaced: Mapping[CollectionName, PresentTarget],
        builder: CollectionBuilder,
        tracker: Tracker,
        limits: WorkLimits,
    ) -> None:
        self._gateway = gateway
        self.replaced = replaced
        self._builder = builder
        self._tracker = tracker
        self._limits = limits
        self.unsettled = False
        self._begun: list[Built] = []

    def adopt(self, begun: Iterable[Built]) -> None:
        """Take replacements that an earlier run may have begun as begun by this one."""
        self._begun += begun

    async def take_place(self, built: Built) -> None:
        """Put a whole collection into the place of the old one.

        Raises:
            TargetAlreadyExists: What has the name is not what the plan told of.
            BackupError: It failed, and the old one is as it was.
        """
        await require_ours(self._tracker)
        if built not in self._begun:
            await self._is_there(built.target)
            self._begun.append(built)
        try:
            await self._swap(built)
        except BackupError:
            # What became of the drop may not be known: its answer may be what failed.
            if await self._outcome(built) is not _Outcome.NEW:
                raise

    async def _swap(self, built: Built) -> None:
        if await self._is_there(built.target):
            for alias in await self._aliases(built.target):
                await require_ours(self._tracker)
                await self._gateway.alter_alias(built.temporary, alias)
            await self._drop(built.target)
        await self._rename(built)
        self._builder.release(built)

    async def _rename(self, built: Built) -> None:
        """Give it the name; whoever took the restore over may be about to drop what has that name."""
        await require_ours(self._tracker)
        await self._gateway.rename_collection(built.temporary, built.target.name)

    async def _drop(self, old: CollectionName) -> None:
        """Drop what is replaced; it goes by its name, which whoever took the restore over may have given anew."""
        await require_ours(self._tracker)
        if await self._is_there(old):
            await self._gateway.drop_collection(old)

    async def _is_there(self, old: CollectionName) -> bool:
        """Tell whether what is replaced is still there.

        Raises:
            TargetAlreadyExists: What has the name is not what the plan told of.
        """
        found = await self._id_of(old)
        if found not in (None, self.replaced[old].collection_id):
            text = f"collection {old} is another one than when the restore began"
            raise TargetAlreadyExists(str(old), text)
        return found is not None

    async def settle(self) -> None:
        """Set right what was begun, when the restore as a whole does not succeed."""
        for built in list(self._begun):
            if await self._outcome(built) is _Outcome.NEW:
                text = f"{built.target} was restored whole and stays: what it replaces is gone"
                self._tracker.warn(LeftBehind(text, subject=str(built.target)))

    async def _outcome(self, built: Built) -> _Outcome:
        """Give one of the two collections the name with all aliases, and return which."""
        try:
            outcome = await patiently(self._limits, partial(self._set_right, built))
        except BackupError as error:
            outcome = _Outcome.ANOTHER
            why = f"whether it could take that name is not known: {error.message}"
        else:
            why = "another collection has that name now"
        if outcome is _Outcome.OLD:
            self._begun.remove(built)
            return outcome
        self._builder.release(built)
        if outcome is _Outcome.ANOTHER:
            self.unsettled = True
            self._begun.remove(built)
            text = f"{built.temporary} is {built.target} as restored, and stays: {why}"
            self._tracker.warn(LeftBehind(text, subject=str(built.temporary)))
        return outcome

    async def _set_right(self, built: Built) -> _Outcome:
        found = await self._id_of(built.target)
        if found == self.replaced[built.target].collection_id:
            aliases: tuple[str, ...] = ()
            with contextlib.suppress(CollectionNotFound):  # removed by an earlier clean-up
                aliases = await self._aliases(built.temporary)
            for alias in aliases:
                await require_ours(self._tracker)
                await self._gateway.alter_alias(built.target, alias)
            return _Outcome.OLD
        if found is None:
            await self._rename(built)
        return _Outcome.NEW if found in (None, built.collection_id) else _Outcome.ANOTHER

    async def _id_of(self, name: CollectionName) -> int | None:
        """Return the id of the collection of that name; an alias is none."""
        try:
            found = await self._gateway.describe_collection(name)
        except NotFound:
            return None
        return found.collection_id if found.name == name else None

    async def _aliases(self, name: CollectionName) -> tuple[str, ...]:
        return (await self._gateway.describe_collection(name)).aliases


def replacing(journal: RestoreJournal) -> list[Built]:
    """Return the collections that may have begun to take the place of others."""
    if not journal.renaming:
        return []
    return [Built.of(entry) for entry in journal.whole() if entry.replaces]
