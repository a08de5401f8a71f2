"""Whether a Milvus keeps its objects where the settings say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import Enum

from milvus_backup_server.domain.errors import SourceStorageMismatch
from milvus_backup_server.domain.layout import source_directories
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.ports.milvus import MilvusGateway
from milvus_backup_server.service.context import Storage
from milvus_backup_server.service.preflight_stores import where

_COLLECTIONS_TRIED = 20


class BucketProof(Enum):
    """What was found."""

    RIGHT = "right"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    """Milvus has no flushed rows by which it could be told."""


async def prove_bucket(gateway: MilvusGateway, storage: Storage) -> BucketProof:
    """Look for the objects of collections that have flushed rows; the first few are enough."""
    proof = BucketProof.UNKNOWN
    async for name in collections_with_rows(gateway):
        description = await gateway.describe_collection(name)
        prefix, _ = source_directories(storage.root, description.collection_id)
        if (await storage.store.list_page(prefix, limit=1)).objects:
            return BucketProof.RIGHT
        proof = BucketProof.WRONG
    return proof


def nothing_of(name: CollectionName, storage: Storage, prefix: str) -> SourceStorageMismatch:
    """Return the error of a collection that has flushed rows and no objects below ``prefix``."""
    return SourceStorageMismatch(
        f"Milvus has flushed rows of {name}, but {where(storage)} has no objects of it: "
        "milvus.storage.bucketName or milvus.storage.rootPath is not what Milvus uses",
        subject=str(name),
        bucket=storage.store.location.bucket,
        prefix=prefix,
    )


async def collections_with_rows(gateway: MilvusGateway) -> AsyncIterator[CollectionName]:
    """Yield the collections that have flushed rows, looking at the first few only."""
    tried = 0
    for database in await gateway.list_databases():
        for name in await gateway.list_collections(database):
            if any(segment.rows for segment in await gateway.list_segments(name)):
                yield name
            tried += 1
            if tried == _COLLECTIONS_TRIED:
                return
