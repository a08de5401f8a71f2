"""The methods of BackupService."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence

from milvus_backup.v1.backup_pb2 import (
    BACKUP_STRATEGY_UNSPECIFIED,
    BACKUP_VIEW_UNSPECIFIED,
    Backup,
    BackupCollection,
    BackupPlace,
    BackupStrategy,
    BackupView,
)
from milvus_backup.v1.backup_service_pb2 import (
    RESTORE_ALIASES_UNSPECIFIED,
    RESTORE_LOAD_UNSPECIFIED,
    CollectionMapping,
    CollectionPartitions,
    CreateBackupRequest,
    DeleteBackupRequest,
    GetBackupRequest,
    ListBackupCollectionsRequest,
    ListBackupsRequest,
    RestoreAliases,
    RestoreBackupRequest,
    RestoreLoad,
    SkipParams,
    VerifyBackupRequest,
)
from milvus_backup.v1.operation_pb2 import Operation
from milvus_backup.v1.verification_pb2 import VERIFY_LEVEL_UNSPECIFIED, VerifyLevel
from milvus_backup_client._connection import Connection


class BackupMethods:
    """Part of BackupClient: backups made, looked at, restored, verified and removed."""

    _connection: Connection

    async def create_backup(
        self,
        backup_name: str = "",
        *,
        collections: Sequence[str] = (),
        partitions: Mapping[str, Sequence[str]] | None = None,
        strategy: BackupStrategy.ValueType = BACKUP_STRATEGY_UNSPECIFIED,
        pause_gc: bool = False,
        gc_pause_seconds: int = 0,
        rbac: bool = False,
        allow_partial: bool = False,
        place: BackupPlace | None = None,
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        validate_only: bool = False,
        timeout_seconds: float | None = None,
    ) -> Operation:
        """Begin a backup.

        Args:
            backup_name: Empty: the service makes one from the time.
            collections: ``collection``, ``database.collection``, ``database.*`` or ``database.`` (the
                database alone); none: all.
            partitions: Of these collections only the partitions named. They are selected by that.
            strategy: How Milvus is flushed, and whether rows are backed up; AUTO is the default.
            pause_gc: Pause Milvus's garbage collection meanwhile, where that can be done.
            gc_pause_seconds: So long a pause stays behind a crash of the service; 0: 900.
            rbac: Also back up users (with hashes), roles, grants and privilege groups; refused by Milvus
                before 2.4.9.
            allow_partial: Whether the backup is complete without the collections that fail.
            place: Where it is to lie, as far as the service's settings allow; None: where they say.
            labels: To keep with the backup.
            request_id: The same id gives the same operation, so that the call can be repeated.
                Default: a new one. Empty: none, and the call is never repeated.
            validate_only: Check everything, touch nothing, and return a finished operation with
                the plan. What stands in the way is in the plan too, and the operation has failed.
            timeout_seconds: See the class.

        Returns:
            The operation, just begun.
        """
        request = CreateBackupRequest(
            backup_name=backup_name,
            collections=_names(collections),
            partitions=_partitions(partitions),
            strategy=strategy,
            pause_gc=pause_gc,
            gc_pause_seconds=gc_pause_seconds,
            rbac=rbac,
            allow_partial=allow_partial,
            place=place,
            labels=labels,
            request_id=_request_id(request_id),
            validate_only=validate_only,
        )
        method = self._connection.backups.CreateBackup
        repeat = bool(request.request_id)
        return await self._connection.call(method, request, timeout_seconds, repeat=repeat)

    async def restore_backup(
        self,
        backup_name: str,
        *,
        collections: Sequence[str] = (),
        partitions: Mapping[str, Sequence[str]] | None = None,
        target_collections: Sequence[str] = (),
        suffix: str = "",
        renames: Mapping[str, str] | None = None,
        mappings: Sequence[CollectionMapping] = (),
        restore_indexes: bool = False,
        use_auto_index: bool = False,
        meta_only: bool = False,
        max_shard_count: int = 0,
        skip_params: SkipParams | None = None,
        rbac: bool = False,
        drop_existing_collections: bool = False,
        skip_create_collections: bool = False,
        drop_existing_indexes: bool = False,
        truncate_to_checkpoints: bool = False,
        aliases: RestoreAliases.ValueType = RESTORE_ALIASES_UNSPECIFIED,
        load: RestoreLoad.ValueType = RESTORE_LOAD_UNSPECIFIED,
        replica_count: int = 0,
        skip_content_check: bool = False,
        place: BackupPlace | None = None,
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        validate_only: bool = False,
        timeout_seconds: float | None = None,
    ) -> Operation:
        """Begin to restore a backup.

        Args:
            backup_name: A complete or legacy backup.
            collections: By their names in the backup, written as in ``create_backup``; none: all.
            partitions: Of these collections only the partitions named, as in ``create_backup``.
            target_collections: By their names after renaming; narrows ``collections``.
            suffix: Appended to every collection's name. Not together with ``renames``.
            renames: ``old`` to ``new``, ``db.old`` to ``db2.new``, ``db.*`` to ``db2.*``, or ``db.``
                to ``db2.`` (the database alone).
            mappings: Where collections go, in the place of ``suffix`` and ``renames``: one source may
                go to several targets, each with shards and a description of its own. Without
                ``target_collections`` nothing else is restored.
            restore_indexes: Make the backed-up indexes again.
            use_auto_index: Let Milvus choose type and parameters of the indexes on vectors.
            meta_only: Make databases, collections, partitions and indexes, but import no rows.
            max_shard_count: The most shards that a collection gets; 0: as in the backup.
            skip_params: Properties and parameters that are left out of what is made.
            rbac: Add the users, roles, grants and privilege groups that the target lacks; refused by
                Milvus before 2.4.9.
            drop_existing_collections: Replace collections that have a target's name, each when the new
                one is whole.
            skip_create_collections: Import into collections that exist.
            drop_existing_indexes: Drop the indexes of such collections first.
            truncate_to_checkpoints: Leave out what was written behind the checkpoints of a backup
                without a moment.
            aliases: Which collections get the aliases that they had; the default is those whose names
                stay.
            load: Which collections are loaded again; the default is none.
            replica_count: How many times; 0: as when they were backed up.
            skip_content_check: Compare only presence and size of the objects before Milvus reads
                them. A damaged object can crash Milvus.
            place: Where the backup lies, as in ``create_backup``.
            labels: To keep with the operation.
            request_id: As in ``create_backup``.
            validate_only: As in ``create_backup``.
            timeout_seconds: See the class.

        Returns:
            The operation, just begun.
        """
        request = RestoreBackupRequest(
            backup_name=backup_name,
            collections=_names(collections),
            partitions=_partitions(partitions),
            target_collections=_names(target_collections),
            suffix=suffix,
            renames=renames,
            mappings=mappings,
            restore_indexes=restore_indexes,
            use_auto_index=use_auto_index,
            meta_only=meta_only,
            max_shard_count=max_shard_count,
            skip_params=skip_params,
            rbac=rbac,
            drop_existing_collections=drop_existing_collections,
            skip_create_collections=skip_create_collections,
            drop_existing_indexes=drop_existing_indexes,
            truncate_to_checkpoints=truncate_to_checkpoints,
            aliases=aliases,
            load=load,
            replica_count=replica_count,
            skip_content_check=skip_content_check,
            place=place,
            labels=labels,
            request_id=_request_id(request_id),
            validate_only=validate_only,
        )
        method = self._connection.backups.RestoreBackup
        repeat = bool(request.request_id)
        return await self._connection.call(method, request, timeout_seconds, repeat=repeat)

    async def delete_backup(
        self,
        backup_name: str,
        *,
        place: BackupPlace | None = None,
        timeout_seconds: float | None = None,
    ) -> Operation:
        """Begin to remove a backup, whole or not."""
        request = DeleteBackupRequest(backup_name=backup_name, place=place)
        return await self._connection.call(
            self._connection.backups.DeleteBackup, request, timeout_seconds, repeat=False
        )

    async def verify_backup(
        self,
        backup_name: str,
        *,
        level: VerifyLevel.ValueType = VERIFY_LEVEL_UNSPECIFIED,
        sample_percent: int = 0,
        sample_seed: int = 0,
        place: BackupPlace | None = None,
        collections: Sequence[str] = (),
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Operation:
        """Begin to compare a backup with what was recorded of it; nothing in it is changed.

        Damage makes the operation fail: waiting for it raises BackupCorrupt, or RowsDiffer where only
        its restored rows are others; the error's ``operation`` has the result that says what is wrong.

        Args:
            backup_name: A complete or legacy backup.
            level: LISTING, the default, reads no data; CONTENT reads every byte; RESTORED restores it
                under temporary names too, compares all rows with its logs, and drops it.
            sample_percent: With CONTENT, the share of the data objects that is read; 0: all.
            sample_seed: Chooses which those are; 0: the service takes a new one and names it.
            place: Where the backup lies, as in ``create_backup``.
            collections: With RESTORED, those that are restored, as in ``create_backup``; none: all.
            request_id: As in ``create_backup``.
            timeout_seconds: See the class.

        Returns:
            The operation, just begun.
        """
        request = VerifyBackupRequest(
            backup_name=backup_name,
            level=level,
            sample_percent=sample_percent,
            sample_seed=sample_seed,
            place=place,
            collections=collections,
            request_id=_request_id(request_id),
        )
        method = self._connection.backups.VerifyBackup
        repeat = bool(request.request_id)
        return await self._connection.call(method, request, timeout_seconds, repeat=repeat)

    async def get_backup(
        self,
        backup_name: str,
        *,
        view: BackupView.ValueType = BACKUP_VIEW_UNSPECIFIED,
        place: BackupPlace | None = None,
        timeout_seconds: float | None = None,
    ) -> Backup:
        """Return one backup; the default view is FULL, with its first 50 collections."""
        request = GetBackupRequest(backup_name=backup_name, view=view, place=place)
        return await self._connection.call(
            self._connection.backups.GetBackup, request, timeout_seconds
        )

    async def list_backups(
        self,
        *,
        view: BackupView.ValueType = BACKUP_VIEW_UNSPECIFIED,
        place: BackupPlace | None = None,
        page_size: int = 0,
        timeout_seconds: float | None = None,
    ) -> AsyncGenerator[Backup, None]:
        """Yield all backups by name, also incomplete ones; the default view is BASIC.

        Args:
            view: FULL costs the service more reads.
            place: Where they lie, as in ``create_backup``.
            page_size: Backups per call; 0 leaves it to the service.
            timeout_seconds: The time of each page.
        """
        request = ListBackupsRequest(view=view, page_size=page_size, place=place)
        method = self._connection.backups.ListBackups
        async for page in self._connection.pages(method, request, timeout_seconds):
            for backup in page.backups:
                yield backup

    async def list_backup_collections(
        self,
        backup_name: str,
        *,
        place: BackupPlace | None = None,
        page_size: int = 0,
        timeout_seconds: float | None = None,
    ) -> AsyncGenerator[BackupCollection, None]:
        """Yield all collections of a backup; arguments as in ``list_backups``."""
        request = ListBackupCollectionsRequest(
            backup_name=backup_name, page_size=page_size, place=place
        )
        method = self._connection.backups.ListBackupCollections
        async for page in self._connection.pages(method, request, timeout_seconds):
            for collection in page.collections:
                yield collection


def _names(names: Sequence[str]) -> Sequence[str]:
    if isinstance(names, str):  # else it would be taken for a list of letters
        raise TypeError(f"a list of names is needed, not the one name {names!r}")
    return names


def _partitions(chosen: Mapping[str, Sequence[str]] | None) -> list[CollectionPartitions]:
    return [
        CollectionPartitions(collection=collection, partitions=_names(partitions))
        for collection, partitions in (chosen or {}).items()
    ]


def _request_id(given: str | None) -> str:
    return uuid.uuid4().hex if given is None else given
