"""The ``TransferEngine`` on asyncio."""

from milvus_backup_server.adapters.transfer.engine import AsyncTransferEngine
from milvus_backup_server.adapters.transfer.settings import TransferSettings

__all__ = ["AsyncTransferEngine", "TransferSettings"]
