"""Workers that move objects from store to store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Mapping

from milvus_backup_server.adapters.transfer.copying import copy_on_server
from milvus_backup_server.adapters.transfer.settings import CopyMode, TransferSettings
from milvus_backup_server.adapters.transfer.streaming import Streamer
from milvus_backup_server.domain.errors import CopyDenied, StorageRefused
from milvus_backup_server.domain.objects import StoreLocation, TransferJob, TransferOutcome
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.concurrency import task_group
from milvus_backup_server.service.memory import ByteBudget

_Jobs = asyncio.Queue[TransferJob | None]
_Denied = set[tuple[str, str]]
# Pairs of stores of which one call of ``transfer`` learned that the target may not copy by itself;
# the next call asks again, as credentials are renewed.

# None is the end; an exception is that of the caller's iterator of jobs.
_Results = asyncio.Queue[TransferOutcome | Exception | None]


class AsyncTransferEngine:
    """The engine on asyncio; one for a process, as it holds the limit of bytes in memory.

    Stores copy by themselves where both are of one endpoint. Where they refuse (other credentials),
    and between endpoints, bytes come through us, unless the settings say otherwise.

    Args:
        stores: By the names that jobs have for them.
        settings: The limits.
        memory: For bytes that come through us, if others share it.
    """

    def __init__(
        self,
        stores: Mapping[str, ObjectStore],
        settings: TransferSettings,
        memory: ByteBudget | None = None,
    ) -> None:
        self._stores = stores
        self._settings = settings
        self._streamer = Streamer(settings, memory or ByteBudget(settings.bytes_in_flight))

    async def transfer(
        self, jobs: AsyncIterable[TransferJob]
    ) -> AsyncGenerator[TransferOutcome, None]:
        """Copy each job's object; the promises are those of the port."""
        results = _Results(self._settings.workers)
        run = asyncio.create_task(self._run(jobs, results))
        try:
            while (result := await results.get()) is not None:
                if isinstance(result, Exception):
                    raise result
                yield result
        finally:
            run.cancel()
            await asyncio.wait({run})

    async def _run(self, jobs: AsyncIterable[TransferJob], results: _Results) -> None:
        queue = _Jobs(self._settings.workers)
        denied: _Denied = set()
        try:
            async with task_group() as group:
                started = 0
                async for job in jobs:
                    if started < self._settings.workers:  # few jobs need few workers
                        group.create_task(self._work(queue, results, denied))
                        started += 1
                    await queue.put(job)
                for _ in range(started):
                    await queue.put(None)
        except Exception as error:  # noqa: BLE001 - raised by the generator instead
            await results.put(error)
        else:
            await results.put(None)

    async def _work(self, queue: _Jobs, results: _Results, denied: _Denied) -> None:
        while (job := await queue.get()) is not None:
            await results.put(await self._outcome(job, denied))

    async def _outcome(self, job: TransferJob, denied: _Denied) -> TransferOutcome:
        try:
            return await self._move(job, denied)
        except Exception as error:  # noqa: BLE001 - one object's failure stops no other
            return TransferOutcome(job, error=error)

    async def _move(self, job: TransferJob, denied: _Denied) -> TransferOutcome:
        source, target = self._stores[job.source_store], self._stores[job.target_store]
        pair = (job.source_store, job.target_store)
        if pair not in denied and self._copies(source.location, target.location):
            try:
                etag = await copy_on_server(job, source.location, target, self._settings)
                return TransferOutcome(job, "server", etag)
            except CopyDenied as error:
                if self._settings.mode is CopyMode.DIRECT:
                    raise _no_other_way(target.location, error.message) from error
                denied.add(pair)
        elif self._settings.mode is CopyMode.DIRECT:
            raise _no_other_way(target.location, "the stores are at different addresses")
        streamed = await self._streamer.stream(job, source, target)
        return TransferOutcome(
            job, "stream", streamed.etag, streamed.md5, copy_denied=pair in denied
        )

    def _copies(self, source: StoreLocation, target: StoreLocation) -> bool:
        """Tell whether the store is asked to copy by itself."""
        if not source.same_endpoint(target) or self._settings.mode is CopyMode.STREAMING:
            return False
        # What copies files is this process anyway, and bytes that come through it are hashed.
        return not target.is_directory or self._settings.mode is CopyMode.DIRECT


def _no_other_way(target: StoreLocation, reason: str) -> StorageRefused:
    return StorageRefused(
        f"{target.endpoint} cannot copy by itself, and transfer.mode is direct: {reason}",
        subject=target.bucket,
        bucket=target.bucket,
        code="CopyDenied",
    )
