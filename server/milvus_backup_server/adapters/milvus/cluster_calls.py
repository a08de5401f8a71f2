"""The calls about what a Milvus has beside collections: databases, users, its garbage collection."""

from __future__ import annotations

from milvus_backup_server.adapters.milvus.connection import MilvusConnection
from milvus_backup_server.adapters.milvus.management import ManagementConnection
from milvus_backup_server.adapters.milvus.rbac import rbac_message, rbac_meta
from milvus_backup_server.adapters.milvus.schemas import key_values
from milvus_backup_server.adapters.milvus.stubs import milvus_pb2
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.records import DatabaseBackupInfo, RbacMeta


class ClusterCalls:
    """Part of GrpcMilvusGateway."""

    _connection: MilvusConnection
    _management: ManagementConnection

    async def describe_database(self, database: str) -> DatabaseBackupInfo:
        """Return a database with its id and properties; only from Milvus 2.4.3 on."""
        request = milvus_pb2.DescribeDatabaseRequest(db_name=database)
        answer = await self._connection.call(
            "DescribeDatabase", request, CollectionName(database, "")
        )
        return DatabaseBackupInfo(
            db_name=database, db_id=answer.dbID, properties=key_values(answer.properties)
        )

    async def rbac(self) -> RbacMeta:
        """Return users with their hashes, roles, grants and privilege groups; from Milvus 2.4.9 on."""
        request = milvus_pb2.BackupRBACMetaRequest()
        return rbac_meta((await self._connection.call("BackupRBAC", request)).RBAC_meta)

    async def restore_rbac(self, meta: RbacMeta) -> None:
        """Add users, roles, grants and privilege groups; refused if one of them is there."""
        request = milvus_pb2.RestoreRBACMetaRequest(RBAC_meta=rbac_message(meta))
        hashes = tuple(user.password for user in meta.users if user.password)
        await self._connection.call("RestoreRBAC", request, secrets=hashes)

    async def pause_gc(self, seconds: int, collection_id: int = 0) -> str:
        """Pause the garbage collection, of one collection from 2.6.8 on; return the ticket, if there is one."""
        return await self._management.pause(seconds, collection_id)

    async def resume_gc(self, ticket: str) -> None:
        """End a pause; all pauses where there are no tickets."""
        await self._management.resume(ticket)
