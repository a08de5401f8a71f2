"""The operation log in an object store: small objects beside the backups."""

from milvus_backup_server.adapters.operation_log.log import StoreOperationLog

__all__ = ["StoreOperationLog"]
