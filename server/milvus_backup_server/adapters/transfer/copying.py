"""Copies that the store makes by itself."""

from __future__ import annotations

from milvus_backup_server.adapters.transfer.settings import Part, TransferSettings, parts_of
from milvus_backup_server.adapters.transfer.tasks import spread
from milvus_backup_server.domain.objects import StoreLocation, TransferJob, UploadedPart
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.objects import uploading

_WITHOUT_PARTS = frozenset({"gcp"})
"""Providers that copy objects of any size at once, and none in parts."""


async def copy_on_server(
    job: TransferJob, source: StoreLocation, target: ObjectStore, settings: TransferSettings
) -> str:
    """Have the store copy an object, in parts if it is large; return the copy's ETag."""
    if settings.is_one_copy(job.size) or target.location.provider in _WITHOUT_PARTS:
        return await target.copy(
            source, job.source_key, job.target_key, if_match=job.etag, size=job.size
        )
    async with uploading(target, job.target_key) as upload:

        async def copy(part: Part) -> UploadedPart:
            return await target.copy_part(
                upload,
                part.number,
                source,
                job.source_key,
                offset=part.offset,
                length=part.length,
                if_match=job.etag,
            )

        parts = parts_of(job.size, settings.copy_part_size_bytes)
        done = await spread(parts, settings.parts_in_flight, copy)
        return await target.complete_upload(upload, done)
