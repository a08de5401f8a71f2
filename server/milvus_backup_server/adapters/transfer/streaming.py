"""Copies whose bytes come through us: hashed on the way, and compared with what the stores say."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

from milvus_backup_server.adapters.transfer.settings import Part, TransferSettings, parts_of
from milvus_backup_server.domain.errors import ObjectChanged, StorageUnavailable
from milvus_backup_server.domain.objects import (
    TransferJob,
    Upload,
    UploadedPart,
    md5_of_etag,
)
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.concurrency import task_group
from milvus_backup_server.service.memory import ByteBudget
from milvus_backup_server.service.objects import feed, md5_of, uploading

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Streamed:
    """A copy whose bytes came through us.

    Attributes:
        etag: ETag of the copy.
        md5: MD5 of the bytes.
        confirmed: Whether the ETag is no other MD5 than that of the bytes.
    """

    etag: str
    md5: str
    confirmed: bool


class Streamer:
    """Reads from one store and writes to another within a budget of bytes."""

    def __init__(self, settings: TransferSettings, memory: ByteBudget) -> None:
        self._settings = settings
        self._budget = memory
        # Stores whose ETags were seen not to be MD5s although they look like it (SSE-KMS).
        self._opaque: set[str] = set()

    async def stream(self, job: TransferJob, source: ObjectStore, target: ObjectStore) -> Streamed:
        """Copy an object, anew if its bytes were damaged on the way.

        Raises:
            ObjectNotFound: The source is gone.
            ObjectChanged: It is not the one of the job.
            StorageUnavailable: Bytes were damaged on the way again and again.
        """
        for _ in range(_TRIES):
            streamed = await self._once(job, source, target)
            if await self._is_sound(job, source, target, streamed):
                return streamed
        raise StorageUnavailable(
            f"{job.target_key} arrives damaged at every try",
            subject=target.location.endpoint,
            bucket=target.location.bucket,
            key=job.target_key,
        )

    async def _once(self, job: TransferJob, source: ObjectStore, target: ObjectStore) -> Streamed:
        if job.size > self._settings.part_size_bytes:
            return await self._in_parts(job, source, target)
        async with self._budget.hold(job.size):
            data = await _fetch(job, source, Part(1, 0, job.size))
            md5 = await md5_of(data)
            written = await target.put(job.target_key, data)
        return _streamed(written.etag, md5)

    async def _in_parts(
        self, job: TransferJob, source: ObjectStore, target: ObjectStore
    ) -> Streamed:
        async with uploading(target, job.target_key) as upload:
            relay = _Relay(self._budget, self._settings.parts_in_flight, target, upload)
            async with task_group() as group:
                for part in parts_of(job.size, self._settings.part_size_bytes):
                    await relay.pass_on(group, job, source, part)
            etag = await target.complete_upload(upload, relay.parts)
        return _streamed(etag, relay.hasher.hexdigest())

    async def _is_sound(
        self, job: TransferJob, source: ObjectStore, target: ObjectStore, streamed: Streamed
    ) -> bool:
        """Read again what an ETag denies; ETags that only look like MD5s are no reason to fail."""
        if not _agrees(job.etag, streamed.md5):
            again = await self._md5_of(source, job.source_key, job.size, job.etag)
            if again != streamed.md5:
                return False
        if streamed.confirmed or job.target_store in self._opaque:
            return True
        stored = await self._md5_of(target, job.target_key, job.size, streamed.etag)
        if stored != streamed.md5:
            return False
        self._opaque.add(job.target_store)
        return True

    async def _md5_of(self, store: ObjectStore, key: str, size: int, etag: str) -> str:
        hasher = hashlib.md5(usedforsecurity=False)
        for part in parts_of(size, self._settings.part_size_bytes):
            async with self._budget.hold(part.length):
                data = await store.get(key, offset=part.offset, length=part.length, if_match=etag)
                await feed(hasher, data)
                del data  # before the bytes are given back
        return hasher.hexdigest()


class _Relay:
    """Reads the parts of an object in their order, and writes several of them at once."""

    def __init__(
        self, budget: ByteBudget, parts_in_flight: int, target: ObjectStore, upload: Upload
    ) -> None:
        self.hasher = hashlib.md5(usedforsecurity=False)
        self._budget = budget
        self._slots = asyncio.Semaphore(parts_in_flight)
        self._target = target
        self._upload = upload
        self._done: dict[int, UploadedPart] = {}

    @property
    def parts(self) -> list[UploadedPart]:
        """The written parts in their order."""
        return [self._done[number] for number in sorted(self._done)]

    async def pass_on(
        self, group: asyncio.TaskGroup, job: TransferJob, source: ObjectStore, part: Part
    ) -> None:
        """Read a part, and start to write it."""
        await self._slots.acquire()
        granted = await self._budget.acquire(part.length)

        def release(_: object = None) -> None:
            self._budget.release(granted)
            self._slots.release()

        try:
            data = await _fetch(job, source, part)
            await feed(self.hasher, data)
        except BaseException:
            release()
            raise
        # A task that is cancelled before it runs never enters its body: hence the callback.
        group.create_task(self._write(part.number, data)).add_done_callback(release)

    async def _write(self, number: int, data: bytes) -> None:
        self._done[number] = await self._target.upload_part(self._upload, number, data)


async def _fetch(job: TransferJob, source: ObjectStore, part: Part) -> bytes:
    data = await source.get(
        job.source_key, offset=part.offset, length=part.length, if_match=job.etag
    )
    if len(data) != part.length:
        raise ObjectChanged(
            f"{job.source_key} has not the {job.size} bytes that it was listed with",
            key=job.source_key,
        )
    return data


def _streamed(etag: str, md5: str) -> Streamed:
    return Streamed(etag, md5, _agrees(etag, md5))


def _agrees(etag: str, md5: str) -> bool:
    return md5_of_etag(etag) in ("", md5)
