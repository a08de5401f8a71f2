"""Two stores and the jobs to copy the objects of one into the other."""

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing

from milvus_backup_server.adapters.memory_store import MemoryServer, MemoryStore
from milvus_backup_server.adapters.transfer import AsyncTransferEngine, TransferSettings
from milvus_backup_server.domain.objects import TransferJob, TransferOutcome
from milvus_backup_server.ports.object_store import ObjectStore

SMALL = TransferSettings(
    workers=4,
    part_size_bytes=10,
    bytes_in_flight=40,
    copy_threshold_bytes=30,
    copy_part_size_bytes=20,
    parts_in_flight=2,
)


class Source:
    """A bucket to copy from, and the jobs to copy it."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store

    async def job(self, key: str, data: bytes) -> TransferJob:
        info = await self.store.put(key, data)
        return TransferJob("source", key, "target", f"copy/{key}", info.size, info.etag)

    async def jobs(self, sizes: Iterable[int]) -> list[TransferJob]:
        return [
            await self.job(f"{n:03}", bytes(n % 250 for _ in range(s))) for n, s in enumerate(sizes)
        ]


async def stream_of(jobs: Iterable[TransferJob]) -> AsyncIterator[TransferJob]:
    for job in jobs:
        yield job


async def run(
    source: ObjectStore,
    target: ObjectStore,
    jobs: Iterable[TransferJob],
    settings: TransferSettings = SMALL,
) -> list[TransferOutcome]:
    """Transfer all jobs with a new engine; outcomes in the order of source keys."""
    engine = AsyncTransferEngine({"source": source, "target": target}, settings)
    async with aclosing(engine.transfer(stream_of(jobs))) as outcomes:
        found = [outcome async for outcome in outcomes]
    return sorted(found, key=lambda outcome: outcome.job.source_key)


async def one(source: ObjectStore, target: ObjectStore, job: TransferJob) -> TransferOutcome:
    [outcome] = await run(source, target, [job])
    return outcome


Stores = tuple[Source, MemoryStore]


def two_buckets() -> Stores:
    """Return two buckets of one server."""
    server = MemoryServer()
    return Source(server.store("source")), server.store("target")


def two_servers() -> Stores:
    """Return two buckets of two servers."""
    return Source(MemoryServer("one").store("source")), MemoryServer("two").store("target")
