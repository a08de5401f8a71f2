"""Milvus over gRPC, with the stubs that pymilvus ships. The only place that knows them."""

from milvus_backup_server.adapters.milvus.gateway import GrpcMilvusGateway
from milvus_backup_server.adapters.milvus.settings import MilvusSettings, TlsMode

__all__ = ["GrpcMilvusGateway", "MilvusSettings", "TlsMode"]
