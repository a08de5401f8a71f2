"""BackupService: map in, call the use case, map out."""

# Methods and their arguments are named by the contract.
# ruff: noqa: N802, ARG002

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from milvus_backup.v1 import backup_pb2, backup_service_pb2, operation_pb2
from milvus_backup.v1.backup_service_pb2_grpc import BackupServiceServicer
from milvus_backup_server.api import mapping_backups as mapping
from milvus_backup_server.api.archives import read_archive
from milvus_backup_server.api.callers import Context, current_caller
from milvus_backup_server.api.mapping import read_place
from milvus_backup_server.api.mapping_collections import collection_message
from milvus_backup_server.api.mapping_operations import operation_message
from milvus_backup_server.api.mapping_verifications import verify_request
from milvus_backup_server.api.pages import PageSize, cut_by_key, cut_by_offset, read_position
from milvus_backup_server.domain.requests import ExportRequest, ImportRequest
from milvus_backup_server.service.use_cases import UseCases

BACKUP_PAGES = PageSize(default=100, largest=500)
COLLECTION_PAGES = PageSize(default=50, largest=200)


class BackupServicer(BackupServiceServicer):
    """Makes, shows, restores, verifies and removes backups."""

    def __init__(self, use_cases: UseCases) -> None:
        self._use_cases = use_cases

    async def CreateBackup(
        self, request: backup_service_pb2.CreateBackupRequest, context: Context
    ) -> operation_pb2.Operation:
        """Begin a backup."""
        wanted = mapping.create_request(request)
        operation = await self._use_cases.create.start(wanted, current_caller())
        return operation_message(operation)

    async def RestoreBackup(
        self, request: backup_service_pb2.RestoreBackupRequest, context: Context
    ) -> operation_pb2.Operation:
        """Begin a restore."""
        wanted = mapping.restore_request(request)
        operation = await self._use_cases.restore.start(wanted, current_caller())
        return operation_message(operation)

    async def DeleteBackup(
        self, request: backup_service_pb2.DeleteBackupRequest, context: Context
    ) -> operation_pb2.Operation:
        """Begin to remove a backup."""
        wanted = mapping.delete_request(request)
        operation = await self._use_cases.delete.start(wanted, current_caller())
        return operation_message(operation)

    async def VerifyBackup(
        self, request: backup_service_pb2.VerifyBackupRequest, context: Context
    ) -> operation_pb2.Operation:
        """Begin to verify a backup."""
        wanted = verify_request(request)
        operation = await self._use_cases.verify.start(wanted, current_caller())
        return operation_message(operation)

    async def GetBackup(
        self, request: backup_service_pb2.GetBackupRequest, context: Context
    ) -> backup_pb2.Backup:
        """Tell about one backup."""
        full = mapping.wants_full(request.view, default=True)
        catalog = self._use_cases.catalog.at(read_place(request.place))
        get = catalog.get if full else catalog.get_basic
        return mapping.backup_message(await get(request.backup_name))

    async def ListBackups(
        self, request: backup_service_pb2.ListBackupsRequest, context: Context
    ) -> backup_service_pb2.ListBackupsResponse:
        """List backups by name."""
        position = read_position(request, BACKUP_PAGES)
        full = mapping.wants_full(request.view, default=False)
        catalog = self._use_cases.catalog.at(read_place(request.place))
        page = await catalog.list(position.key, position.limit, full=full)
        backups, next_key = cut_by_key(page, mapping.backup_message, lambda backup: backup.name)
        return backup_service_pb2.ListBackupsResponse(
            backups=backups, next_page_token=position.token(next_key)
        )

    async def ListBackupCollections(
        self, request: backup_service_pb2.ListBackupCollectionsRequest, context: Context
    ) -> backup_service_pb2.ListBackupCollectionsResponse:
        """List the collections of a backup."""
        position = read_position(request, COLLECTION_PAGES)
        catalog = self._use_cases.catalog.at(read_place(request.place))
        page = await catalog.collections(request.backup_name, position.offset, position.limit)
        collections, next_key = cut_by_offset(page, collection_message, position.offset)
        return backup_service_pb2.ListBackupCollectionsResponse(
            collections=collections, next_page_token=position.token(next_key)
        )

    async def ExportBackup(
        self, request: backup_service_pb2.ExportBackupRequest, context: Context
    ) -> AsyncGenerator[backup_service_pb2.ExportBackupResponse, None]:
        """Send a backup as an archive."""
        wanted = ExportRequest(request.backup_name, read_place(request.place))
        export = await self._use_cases.export.start(wanted, current_caller())
        async with aclosing(export.chunks()) as chunks:
            async for chunk in chunks:
                yield backup_service_pb2.ExportBackupResponse(chunk=chunk)

    async def ImportBackup(
        self,
        requests: AsyncIterator[backup_service_pb2.ImportBackupRequest],
        context: Context,
    ) -> operation_pb2.Operation:
        """Make a backup of an archive."""
        archive = await read_archive(requests)
        operation = await self._use_cases.import_.run(
            ImportRequest(archive.backup_name, archive.place), archive.chunks, current_caller()
        )
        return operation_message(operation)
