"""S3 stores on aiobotocore. The only place that knows it and botocore."""

from milvus_backup_server.adapters.s3.clients import (
    S3Clients,
    S3ClientSettings,
    S3Credentials,
    S3Profile,
)
from milvus_backup_server.adapters.s3.store import S3Store
from milvus_backup_server.adapters.s3.writing import Encryption, S3Writing

__all__ = [
    "Encryption",
    "S3ClientSettings",
    "S3Clients",
    "S3Credentials",
    "S3Profile",
    "S3Store",
    "S3Writing",
]
