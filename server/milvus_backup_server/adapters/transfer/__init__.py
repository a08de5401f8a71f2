"""The ``TransferEngine`` on asyncio."""

from milvus_backup_server.adapters.transfer.engine import AsyncTransferEngine
from milvus_backup_server.adapters.transfer.settings import CopyMode, TransferSettings

__all__ = ["AsyncTransferEngine", "CopyMode", "TransferSettings"]
