"""An object of more than 1 GiB, copied by a real store in parts, and read and written by us."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from milvus_backup_server.adapters.s3 import S3Clients, S3ClientSettings
from milvus_backup_server.adapters.store_wrappers import RequestLimiter, RetryPolicy, reliable
from milvus_backup_server.adapters.transfer import AsyncTransferEngine, CopyMode, TransferSettings
from milvus_backup_server.domain.objects import ObjectInfo, TransferJob
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.objects import md5_of_object, write_chunks
from tests.contract.buckets import MIB, unique_prefix
from tests.contract.s3_profiles import profile
from tests.support.seaweedfs import SeaweedFS
from tests.support.stores import CountingStore, GatedStore
from tests.support.transfers import stream_of

pytestmark = [
    pytest.mark.s3,
    pytest.mark.torture,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("seaweedfs-contract"),
]

SIZE = 1100 * MIB + 77
AS_SERVED = TransferSettings(copy_threshold_bytes=500 * MIB)


@pytest.fixture(scope="module")
async def stores(seaweed: SeaweedFS) -> AsyncIterator[tuple[ObjectStore, ObjectStore]]:
    """Two buckets, with all decorators that the service has."""
    limiter = RequestLimiter(64)
    settings = S3ClientSettings(read_timeout_seconds=600)
    async with S3Clients(settings) as clients:
        opened = [
            await clients.store(profile(seaweed, bucket)) for bucket in ("suite-one", "suite-two")
        ]
        one, two = (
            reliable(store, limiter, RetryPolicy(), deadline_seconds=60) for store in opened
        )
        yield one, two


@pytest.fixture(scope="module")
async def large(stores: tuple[ObjectStore, ObjectStore]) -> tuple[ObjectInfo, str]:
    """The object, and its MD5."""
    block = secrets.token_bytes(MIB)

    async def chunks() -> AsyncIterator[bytes]:
        for number in range(1100):
            yield number.to_bytes(8, "big") + block[8:]
        yield bytes(77)

    written = await write_chunks(stores[0], f"{unique_prefix()}large", chunks(), 64 * MIB)
    assert written.info.size == SIZE
    return written.info, written.md5


def job_of(info: ObjectInfo, key: str) -> TransferJob:
    return TransferJob("one", info.key, "two", key, info.size, info.etag)


@pytest.mark.parametrize(
    ("mode", "way"), [(CopyMode.AUTO, "server"), (CopyMode.STREAMING, "stream")]
)
async def test_the_copy_is_equal(
    stores: tuple[ObjectStore, ObjectStore],
    large: tuple[ObjectInfo, str],
    mode: CopyMode,
    way: str,
) -> None:
    info, md5 = large
    target = CountingStore(stores[1])
    engine = AsyncTransferEngine({"one": stores[0], "two": target}, replace(AS_SERVED, mode=mode))
    key = f"{unique_prefix()}copy"
    async with aclosing(engine.transfer(stream_of([job_of(info, key)]))) as outcomes:
        (outcome,) = [it async for it in outcomes]
    assert outcome.error is None
    assert outcome.mode == way
    assert target.calls["copy_part" if way == "server" else "upload_part"] > 1
    assert target.peak > 1, "parts are moved side by side"
    copied = await stores[1].head(key)
    assert copied is not None
    assert copied.size == SIZE
    assert await md5_of_object(stores[1], copied, 8 * MIB) == md5
    assert await stores[1].list_uploads(key) == []
    await stores[1].delete([key])


async def test_a_cancel_in_the_middle_leaves_nothing(
    stores: tuple[ObjectStore, ObjectStore], large: tuple[ObjectInfo, str]
) -> None:
    gated = GatedStore(stores[1], "copy_part", after=True)
    engine = AsyncTransferEngine({"one": stores[0], "two": gated}, AS_SERVED)
    key = f"{unique_prefix()}cancelled"

    async def transfer() -> None:
        async with aclosing(engine.transfer(stream_of([job_of(large[0], key)]))) as outcomes:
            async for _ in outcomes:
                pass

    running = asyncio.create_task(transfer())
    await gated.wait_for(2)
    assert [upload.key for upload in await stores[1].list_uploads(key)] == [key]
    running.cancel()
    await asyncio.wait({running})
    assert await stores[1].list_uploads(key) == []
    assert await stores[1].head(key) is None
