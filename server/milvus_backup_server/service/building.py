"""Collections that a restore builds: under a temporary name first, renamed when they are whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from milvus_backup_server.domain.capabilities import DATABASE_PROPERTIES_FROM
from milvus_backup_server.domain.errors import (
    BackupError,
    LeftBehind,
    MilvusVersionUnsupported,
    NotFound,
    TargetAlreadyExists,
)
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.names import temporary_name
from milvus_backup_server.domain.records import IndexInfo
from milvus_backup_server.domain.restore_journal import TargetEntry
from milvus_backup_server.domain.restore_mapping import MappedDatabase
from milvus_backup_server.domain.restore_plan import NEVER_CREATED
from milvus_backup_server.domain.schema_steps import schema_steps
from milvus_backup_server.domain.target_collection import TargetCollection
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.concurrency import for_each
from milvus_backup_server.service.context import WorkLimits
from milvus_backup_server.service.fence import require_ours
from milvus_backup_server.service.open_imports import OpenImports
from milvus_backup_server.service.patience import patiently
from milvus_backup_server.service.restore_journal import RestoreJournal
from milvus_backup_server.service.tracker import Tracker

T = TypeVar("T")

_CALLS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Built:
    """A collection under its temporary name.

    Attributes:
        collection_id: Milvus's id, by which it is known also after the renaming.
    """

    source: CollectionName
    temporary: CollectionName
    target: CollectionName
    collection_id: int

    @classmethod
    def of(cls, entry: TargetEntry) -> Built:
        """Return a collection as the journal knows it."""
        return cls(entry.source, entry.place, entry.target, entry.collection_id)


class CollectionBuilder:
    """Makes the collections of one restore, and takes them away again when it does not succeed.

    Args:
        gateway: The target.
        operation: The restore's name, part of the temporary names.
        tracker: Where warnings go.
        limits: How long a clean-up waits for Milvus.
        journal: Is told what is made before it is. What it knows of an earlier run counts as made.
        imports: Those of an earlier run are waited for before what they fill is removed.

    Attributes:
        remains: Something under a temporary name could not be removed.
    """

    def __init__(
        self,
        gateway: MilvusGateway,
        operation: str,
        tracker: Tracker,
        limits: WorkLimits,
        *,
        journal: RestoreJournal,
        imports: OpenImports,
    ) -> None:
        self._gateway = gateway
        self._operation = operation
        self._tracker = tracker
        self._limits = limits
        self._journal = journal
        self._imports = imports
        self.remains = False
        self._temporary: dict[CollectionName, None] = {}
        self._renamed: list[Built] = []
        self._databases: dict[str, None] = {}

    def adopt(self) -> None:
        """Take what an earlier run made as made by this one."""
        self._imports.adopt()
        if self._journal.head is not None:
            self._databases = dict.fromkeys(self._journal.head.databases)
        for entry in self._journal.targets():
            self._temporary[entry.place] = None
            if self._journal.renaming and not entry.replaces:
                self._renamed.append(Built.of(entry))

    def adopt_unwritten(self, temporary: CollectionName) -> None:
        """Take a collection as made by this one of which an earlier run could not write down that it made it."""
        self._temporary[temporary] = None

    async def forget_missing(self) -> None:
        """Have built anew what an earlier run had imported and is not there: it began to clean up."""

        async def check(entry: TargetEntry) -> None:
            built = Built.of(entry)
            if not await self._is(built, built.temporary) and not await self.is_renamed(built):
                self._journal.forget_made(entry.target)

        imported = [entry for entry in self._journal.targets() if entry.imported]
        await for_each(imported, check, concurrent=_CALLS_AT_ONCE)

    async def missing(self, databases: Sequence[MappedDatabase]) -> list[MappedDatabase]:
        """Return the databases that are not there; one that somebody made meanwhile stays theirs."""
        present = await self._gateway.list_databases() if databases else []
        return [database for database in databases if database.name not in present]

    async def create_databases(
        self, databases: Sequence[MappedDatabase], *, with_properties: bool
    ) -> None:
        """Make databases that are missing.

        Args:
            databases: What they are called, and their properties.
            with_properties: Whether this Milvus gives databases properties; where it does not, those
                that a database had become a warning.
        """
        for database in databases:
            self._databases[database.name] = None
            given = database.properties if with_properties else ()
            await self._gateway.create_database(database.name, given)
            if given != database.properties:
                self._tracker.warn(_without_properties(database))

    async def create(
        self, source: CollectionName, target: CollectionName, wanted: TargetCollection
    ) -> Built:
        """Make an empty collection with its partitions under a temporary name."""
        entry = await self._begin(source, target)
        temporary = entry.place
        if not self._journal.first_run:
            # What an earlier run left under this name without writing it down has rows. Milvus would
            # take the same schema once more, and give us that.
            await self._patiently(partial(self._drop, temporary))
        steps = schema_steps(wanted.schema)
        await self._gateway.create_collection(
            temporary,
            steps.created,
            shards=wanted.shard_count,
            consistency_level=wanted.consistency_level,
            properties=wanted.properties,
            partition_count=wanted.partition_count,
        )
        for field in steps.added:
            await self._gateway.add_field(temporary, field)
        await self._create_partitions(temporary, wanted.partitions)
        description = await self._gateway.describe_collection(temporary)
        await self._journal.note_made(target, description.collection_id)
        return Built(source, temporary, target, description.collection_id)

    async def _begin(self, source: CollectionName, target: CollectionName) -> TargetEntry:
        await self._tracker.require_owner()
        number = self._journal.names_given
        entry = TargetEntry(
            database=target.database,
            name=target.name,
            source_database=source.database,
            source_name=source.name,
            temporary=temporary_name(self._operation, number),
            built=number + 1,
        )
        await self._journal.begin_target(entry)
        self._temporary[entry.place] = None
        return entry

    async def create_indexes(self, built: Built, indexes: Sequence[IndexInfo]) -> None:
        """Make the indexes of the backup on a collection; those that are there already stay."""
        for index in indexes:
            await self._gateway.create_index(built.temporary, index)

    async def continued(self, target: CollectionName) -> Built | None:
        """Return the collection that an earlier run was building; None if it must be built anew.

        What is under its temporary name then, without being it, is removed.
        """
        entry = self._journal.target(target)
        if entry is None:
            return None
        built = Built.of(entry)
        if entry.collection_id and await self._is(built, built.temporary):
            return built
        await self.drop(built.temporary)
        return None

    async def drop(self, temporary: CollectionName) -> None:
        """Remove a collection that is to be built anew; its temporary name is not used again."""
        await self._imports.end_in(temporary)
        await self._patiently(partial(self._drop, temporary))
        self._temporary.pop(temporary, None)

    async def drop_others(self, kept: Iterable[Built]) -> None:
        """Remove collections that have no final name, but for some; what remains becomes a warning."""
        named = {built.temporary for built in kept}
        for temporary in [it for it in self._temporary if it not in named]:
            await self._remove_temporary(temporary)
            self._temporary.pop(temporary)

    async def drop_failed(self, target: CollectionName) -> None:
        """Remove what was built of a collection that failed; what remains becomes a warning."""
        entry = self._journal.target(target)
        if entry is not None and entry.place in self._temporary:
            await self._remove_temporary(entry.place)
            self._temporary.pop(entry.place)

    def release(self, built: Built) -> None:
        """Let go of a collection: whatever happens, it is not removed."""
        self._temporary.pop(built.temporary, None)

    async def require_free(self, built: Built) -> None:
        """Raise TargetAlreadyExists if somebody made a collection of the final name meanwhile."""
        if await self._gateway.has_collection(built.target):
            raise TargetAlreadyExists(
                str(built.target),
                f"collection {built.target} was made while it was being restored",
            )

    async def is_renamed(self, built: Built) -> bool:
        """Tell whether what has the final name is the collection that we made."""
        return await self._is(built, built.target)

    async def rename(self, built: Built) -> None:
        """Give a collection its final name; Milvus refuses one that is taken."""
        await self._tracker.require_owner()
        self._renamed.append(built)
        await self._gateway.rename_collection(built.temporary, built.target.name)

    async def roll_back(self, *, renamed: bool) -> None:
        """Remove what was made; what cannot be removed becomes a warning that names it.

        Args:
            renamed: Also collections that have their final names. Without it they stay: they are
                whole, and somebody may have found them.
        """
        for built in self._renamed:
            if renamed:
                await self._removing(str(built.target), partial(self._drop_renamed, built))
            else:
                await self._warn_of_whole(built)
        for temporary in self._temporary:
            await self._remove_temporary(temporary)
        for database in reversed(self._databases):
            await self._removing(database, partial(self._drop_database, database))

    async def _remove_temporary(self, temporary: CollectionName) -> None:
        await self._imports.end_in(temporary)
        if not await self._removing(str(temporary), partial(self._drop, temporary)):
            self.remains = True

    async def _removing(self, what: str, remove: Callable[[], Awaitable[None]]) -> bool:
        try:
            await self._patiently(remove)
        except BackupError as error:
            self._warn_of_remains(what, f"could not be removed and remains: {error.message}")
            return False
        return True

    async def _patiently(self, act: Callable[[], Awaitable[T]]) -> T:
        return await patiently(self._limits, act)

    async def _warn_of_whole(self, built: Built) -> None:
        what = str(built.target)
        try:
            if await self._patiently(partial(self.is_renamed, built)):
                self._warn_of_remains(what, "was restored whole and stays")
        except BackupError as error:
            self._warn_of_remains(what, f"may have been restored whole and stay: {error.message}")

    def _warn_of_remains(self, what: str, how: str) -> None:
        self._tracker.warn(LeftBehind(f"{what} {how}", subject=what))

    async def _create_partitions(
        self, collection: CollectionName, partitions: Iterable[str]
    ) -> None:
        for partition in partitions:
            if partition != NEVER_CREATED:
                await self._gateway.create_partition(collection, partition)

    async def _drop_renamed(self, built: Built) -> None:
        """Remove a collection under its final name, but only if it is the one that we made."""
        if await self.is_renamed(built):
            # Milvus 2.3 keeps the aliases of a dropped collection.
            for alias in (await self._gateway.describe_collection(built.target)).aliases:
                await require_ours(self._tracker)
                await self._gateway.drop_alias(built.target.database, alias)
        if await self.is_renamed(built):  # still
            await self._drop(built.target)

    async def _drop(self, collection: CollectionName) -> None:
        await require_ours(self._tracker)
        await self._gateway.drop_collection(collection)

    async def _drop_database(self, database: str) -> None:
        await require_ours(self._tracker)
        await self._gateway.drop_database(database)

    async def _is(self, built: Built, name: CollectionName) -> bool:
        try:
            description = await self._gateway.describe_collection(name)
        except NotFound:
            return False
        return description.collection_id == built.collection_id


def _without_properties(database: MappedDatabase) -> MilvusVersionUnsupported:
    names = ", ".join(item.key for item in database.properties)
    return MilvusVersionUnsupported(
        f"database {database.name!r} was made without its properties ({names}), which need Milvus "
        f"{DATABASE_PROPERTIES_FROM} or later",
        subject=database.name,
        needed=str(DATABASE_PROPERTIES_FROM),
    )
