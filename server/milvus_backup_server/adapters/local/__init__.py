"""Directories as object stores."""

from milvus_backup_server.adapters.local.store import LocalStore

__all__ = ["LocalStore"]
