"""Archives of any size pass through a bounded number of bytes, and a bounded number of requests."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from milvus_backup_server.adapters.store_decorator import StoreDecorator
from milvus_backup_server.domain.objects import ObjectInfo, Upload, UploadedPart
from milvus_backup_server.domain.requests import ExportRequest
from milvus_backup_server.ports.object_store import ObjectStore
from milvus_backup_server.service.export_run import CHUNK_BYTES
from tests.support.running_service import Decorators
from tests.support.service import CALLER, World, running
from tests.support.stores import CountingStore, DelayingStore
from tests.support.tars import below, go_backup, in_chunks, tar_of

MIB = 1 << 20
SHAPES = [
    pytest.param(400, 60_000, id="many small"),
    pytest.param(30, MIB, id="as large as small ones may be"),
    pytest.param(2, 16 * MIB, id="large"),
]
BOUND = 12 * MIB
"""Held by one stream: small objects on their way to or from the store, and a few parts and chunks."""


class Ledger(StoreDecorator):
    """Counts bytes that go into the store and come out of it."""

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self.read = 0
        self.written = 0

    async def get(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> bytes:
        data = await super().get(key, offset=offset, length=length, if_match=if_match)
        if "/binlogs/" in key:
            self.read += len(data)
        return data

    async def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectInfo:
        written = await super().put(key, data, if_absent=if_absent, if_match=if_match)
        self.written += len(data)
        return written

    async def upload_part(self, upload: Upload, number: int, data: bytes) -> UploadedPart:
        part = await super().upload_part(upload, number, data)
        self.written += len(data)
        return part


@pytest.mark.parametrize(("count", "size"), SHAPES)
async def test_an_import_holds_few_bytes(count: int, size: int) -> None:
    world, ledgers = World(), list[Ledger]()
    archive = tar_of(below("b", go_backup(count, size)))
    most = sent = 0

    def counting(inner: ObjectStore) -> Ledger:
        ledgers.append(Ledger(inner))
        return ledgers[-1]

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal most, sent
        async for chunk in in_chunks(archive, 300_000):
            sent += len(chunk)
            yield chunk
            most = max(most, sent - ledgers[0].written)

    async with running(world, Decorators(backup_store=counting)) as service:
        await service.import_(chunks())
    assert ledgers[0].written > count * size
    # Headers and padding are not written: at most 1 KiB for each object.
    assert most - 1024 * count < BOUND
    assert most < len(archive) / 2


@pytest.mark.parametrize(("count", "size"), SHAPES)
async def test_an_export_reads_no_further_than_it_is_read(count: int, size: int) -> None:
    world, ledgers = World(), list[Ledger]()
    for key, data in below("backup/b", go_backup(count, size)).items():
        await world.backup_store.put(key, data)

    def counting(inner: ObjectStore) -> Ledger:
        ledgers.append(Ledger(inner))
        return ledgers[-1]

    async with running(world, Decorators(backup_store=counting)) as service:
        export = await service.use_cases.export.start(ExportRequest("b"), CALLER)
        most = taken = 0
        async for chunk in export.chunks():
            assert len(chunk) <= CHUNK_BYTES
            for _ in range(20):  # it works ahead as far as it may
                await asyncio.sleep(0)
            most = max(most, ledgers[0].read - taken)
            taken += len(chunk)
    assert ledgers[0].read == count * size
    assert most < BOUND
    assert most < count * size / 2


async def test_small_objects_are_written_and_read_several_at_a_time() -> None:
    world, stores = World(), list[CountingStore]()

    def counting(inner: ObjectStore) -> CountingStore:
        stores.append(CountingStore(DelayingStore(inner, 0.005)))
        return stores[-1]

    archive = tar_of(below("b", go_backup(100, 100)))
    async with running(world, Decorators(backup_store=counting)) as service:
        await service.import_(in_chunks(archive))
        assert 4 <= stores[0].peak <= 10
        stores[0].peak = 0
        await service.export()
    assert 4 <= stores[0].peak <= 10
