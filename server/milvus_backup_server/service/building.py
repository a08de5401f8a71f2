"""Collections that a restore builds: under a temporary name first, renamed when they are whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from milvus_backup_server.domain.errors import BackupError, NotFound, TargetAlreadyExists
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.names import temporary_name
from milvus_backup_server.domain.records import CollectionBackupInfo, IndexInfo
from milvus_backup_server.domain.restore_plan import NEVER_CREATED
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.tracker import Tracker


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
    indexes: Sequence[IndexInfo]


class CollectionBuilder:
    """Makes the collections of one restore, and takes them away again when it does not succeed.

    Args:
        gateway: The target.
        operation: The restore's name, part of the temporary names.
        tracker: Where warnings go.
    """

    def __init__(self, gateway: MilvusGateway, operation: str, tracker: Tracker) -> None:
        self._gateway = gateway
        self._operation = operation
        self._tracker = tracker
        self._temporary: list[CollectionName] = []
        self._built: list[Built] = []
        self._renamed: list[Built] = []
        self._databases: list[str] = []

    async def create_databases(self, databases: Sequence[str]) -> None:
        """Make the databases that are missing."""
        for database in databases:
            self._databases.append(database)
            await self._gateway.create_database(database)

    async def create(
        self, source: CollectionName, target: CollectionName, record: CollectionBackupInfo
    ) -> Built:
        """Make an empty collection with its partitions under a temporary name."""
        assert record.schema is not None  # noqa: S101 the request's checks saw to it
        name = temporary_name(self._operation, len(self._temporary))
        temporary = CollectionName(target.database, name)
        self._temporary.append(temporary)
        keyed = any(field.is_partition_key for field in record.schema.fields)
        await self._gateway.create_collection(
            temporary,
            record.schema,
            shards=record.shards_num,
            consistency_level=record.consistency_level,
            properties=record.properties,
            partition_count=len(record.partition_backups) if keyed else 0,
        )
        if not keyed:
            await self._create_partitions(temporary, record)
        description = await self._gateway.describe_collection(temporary)
        built = Built(source, temporary, target, description.collection_id, record.index_infos)
        self._built.append(built)
        return built

    async def create_indexes(self, built: Built) -> None:
        """Make the indexes of the backup on a collection."""
        for index in built.indexes:
            await self._gateway.create_index(built.temporary, index)

    async def rename_all(self) -> None:
        """Give every collection its final name.

        Raises:
            TargetAlreadyExists: Somebody made a collection of that name meanwhile.
        """
        for built in self._built:
            if await self._gateway.has_collection(built.target):
                raise TargetAlreadyExists(
                    str(built.target),
                    f"collection {built.target} was made while it was being restored",
                )
            self._renamed.append(built)
            await self._gateway.rename_collection(built.temporary, built.target.name)

    async def roll_back(self) -> None:
        """Remove everything that was made, renamed collections included; what fails becomes a warning."""
        for built in self._renamed:
            await self._drop_renamed(built)
        for temporary in self._temporary:
            await self._attempt_drop(temporary)
        for database in reversed(self._databases):
            try:
                await self._gateway.drop_database(database)
            except BackupError as error:
                self._tracker.warn(error)

    async def _create_partitions(
        self, collection: CollectionName, record: CollectionBackupInfo
    ) -> None:
        for partition in record.partition_backups:
            if partition.partition_name != NEVER_CREATED:
                await self._gateway.create_partition(collection, partition.partition_name)

    async def _drop_renamed(self, built: Built) -> None:
        """Remove a collection under its final name, but only if it is the one that we made."""
        try:
            description = await self._gateway.describe_collection(built.target)
        except NotFound:
            return
        except BackupError as error:
            self._tracker.warn(error)
            return
        if description.collection_id == built.collection_id:
            await self._attempt_drop(built.target)

    async def _attempt_drop(self, collection: CollectionName) -> None:
        try:
            await self._gateway.drop_collection(collection)
        except BackupError as error:
            self._tracker.warn(error)
