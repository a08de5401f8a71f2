"""What the conformance tests run on: a gateway, and a way to write rows beside it."""

import asyncio
import itertools
import random
import struct
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Protocol, Self

import pyarrow as pa

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.adapters.milvus import GrpcMilvusGateway, MilvusSettings
from milvus_backup_server.domain.milvus import (
    CollectionName,
    Flush,
    ImportJob,
    ImportOptions,
    ImportState,
    physical_milliseconds,
)
from milvus_backup_server.domain.records import CollectionSchema, FieldSchema, IndexInfo, KeyValue
from milvus_backup_server.ports.milvus import MilvusGateway
from tests.support.clients import connected
from tests.support.environment import Environment
from tests.support.fake_milvus import FakeMilvus
from tests.support.rows import Key, Row
from tests.support.simulator import SimulatedMilvus, simulator
from tests.support.simulator.handmade import Column, put_deletes, written_rows
from tests.support.simulator.model import Collection, Segment, Stored

_ENDED = frozenset({ImportState.COMPLETED, ImportState.FAILED, ImportState.UNKNOWN})

DIMENSION = 4
ROOT = "files"
FLAT = IndexInfo(
    field_name="v",
    index_name="vi",
    index_type="FLAT",
    params={"index_type": "FLAT", "metric_type": "L2"},
)

NewName = Callable[[], CollectionName]

PLAIN = CollectionSchema(
    description="a description",
    fields=(
        FieldSchema(field_id=100, name="pk", is_primary_key=True, data_type=5),
        FieldSchema(
            field_id=101,
            name="v",
            data_type=101,
            type_params=(KeyValue(key="dim", value=str(DIMENSION)),),
        ),
    ),
)

KEYED = CollectionSchema(
    fields=(
        *PLAIN.fields,
        FieldSchema(
            field_id=102,
            name="tenant",
            data_type=21,
            type_params=(KeyValue(key="max_length", value="20"),),
            is_partition_key=True,
        ),
    ),
    enable_dynamic_field=True,
)


class Subject(Protocol):
    """A Milvus under test."""

    @property
    def gateway(self) -> MilvusGateway:
        """The gateway."""
        ...

    @property
    def options(self) -> ImportOptions:
        """How this version imports."""
        ...

    async def insert(self, name: CollectionName, keys: Iterable[int]) -> None:
        """Insert rows."""
        ...

    async def delete(self, name: CollectionName, keys: Sequence[int]) -> None:
        """Delete rows."""
        ...

    async def put(self, name: CollectionName, rows: Sequence[Row], partition: str) -> None:
        """Have rows in a partition, in whatever way."""
        ...

    async def take_away(self, name: CollectionName, keys: Sequence[Key]) -> None:
        """Have some of them deleted."""
        ...

    async def objects(self, prefix: str) -> list[str]:
        """List the keys below a prefix of Milvus's bucket."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class FakeSubject:
    """The Milvus in memory."""

    options = ImportOptions()

    def __init__(self) -> None:
        self._store = MemoryServer().store("milvus")
        self.gateway = FakeMilvus(self._store, ROOT)

    async def insert(self, name: CollectionName, keys: Iterable[int]) -> None:
        self.gateway.insert(name, keys)

    async def delete(self, name: CollectionName, keys: Sequence[int]) -> None:
        self.gateway.delete(name, keys)

    async def put(self, name: CollectionName, rows: Sequence[Row], partition: str) -> None:
        self.gateway.insert(name, [_key(row) for row in rows], partition)

    async def take_away(self, name: CollectionName, keys: Sequence[Key]) -> None:
        self.gateway.delete(name, keys)

    async def objects(self, prefix: str) -> list[str]:
        page = await self._store.list_page(prefix)
        return [item.key for item in page.objects]

    async def close(self) -> None:
        """Nothing to let go of."""


class SimulatedSubject:
    """The simulated Milvus, over gRPC and REST; rows and deletes are written as its segments' logs."""

    options = ImportOptions(hybrid_end_ts=True, rest=True)

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._milvus = SimulatedMilvus(MemoryServer().store("milvus"), "2.5.27", ROOT)
        self._written: dict[int, list[tuple[Segment, frozenset[int]]]] = defaultdict(list)
        self.gateway: MilvusGateway

    async def start(self) -> Self:
        served = await self._stack.enter_async_context(simulator(self._milvus))
        gateway = GrpcMilvusGateway(MilvusSettings(host="127.0.0.1", port=served.port))
        self._stack.push_async_callback(gateway.close)
        self.gateway = gateway
        return self

    async def insert(self, name: CollectionName, keys: Iterable[int]) -> None:
        found, given = self._milvus.collection(name.database, name.name), list(keys)
        vectors = [_vector() for _ in given]
        rows: list[Row] = [
            {"pk": it, "v": vector} for it, vector in zip(given, vectors, strict=True)
        ]
        await self.put(name, rows, "_default")
        packed = [struct.pack(f"<{DIMENSION}f", *vector) for vector in vectors]
        columns: dict[str, Column] = {
            "pk": (pa.int64(), given),
            "v": (pa.binary(4 * DIMENSION), packed),
        }
        segment = await written_rows(self._milvus, found, columns)
        found.growing.append(segment)
        self._written[found.collection_id].append((segment, frozenset(given)))

    async def delete(self, name: CollectionName, keys: Sequence[int]) -> None:
        await self.take_away(name, keys)
        found = self._milvus.collection(name.database, name.name)
        for segment, held in self._written[found.collection_id]:
            gone = [key for key in keys if key in held]
            if gone:
                await put_deletes(self._milvus, found, segment, gone)

    async def put(self, name: CollectionName, rows: Sequence[Row], partition: str) -> None:
        found = self._milvus.collection(name.database, name.name)
        number = self._milvus.partition_id(found, partition)
        found.stored += [
            Stored(_key(row), self._milvus.clock.tick(), number, _all_fields(found, row))
            for row in rows
        ]

    async def take_away(self, name: CollectionName, keys: Sequence[Key]) -> None:
        found = self._milvus.collection(name.database, name.name)
        for key in keys:
            found.delete(key, self._milvus.clock.tick())

    async def objects(self, prefix: str) -> list[str]:
        page = await self._milvus.store.list_page(prefix)
        return [item.key for item in page.objects]

    async def close(self) -> None:
        await self._stack.aclose()


class RealSubject:
    """A real Milvus, its rows written by pymilvus."""

    options = ImportOptions()

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        milvus = environment.milvus
        self.gateway = GrpcMilvusGateway(MilvusSettings(host=milvus.host, port=milvus.port))

    async def insert(self, name: CollectionName, keys: Iterable[int]) -> None:
        def run() -> None:
            rows = [{"pk": key, "v": _vector()} for key in keys]
            with connected(self._environment.milvus.uri, name.database) as client:
                client.insert(name.name, rows)

        await asyncio.to_thread(run)

    async def delete(self, name: CollectionName, keys: Sequence[int]) -> None:
        def run() -> None:
            with connected(self._environment.milvus.uri, name.database) as client:
                client.delete(name.name, ids=list(keys))

        await asyncio.to_thread(run)

    async def put(self, name: CollectionName, rows: Sequence[Row], partition: str) -> None:
        def run() -> None:
            with connected(self._environment.milvus.uri, name.database) as client:
                client.insert(name.name, list(rows), partition_name=partition)

        await asyncio.to_thread(run)

    async def take_away(self, name: CollectionName, keys: Sequence[Key]) -> None:
        def run() -> None:
            with connected(self._environment.milvus.uri, name.database) as client:
                client.delete(name.name, ids=list(keys))

        await asyncio.to_thread(run)

    async def objects(self, prefix: str) -> list[str]:
        def run() -> list[str]:
            seaweed = self._environment.seaweed
            return list(seaweed.objects.keys(self._environment.milvus.bucket, prefix))

        return await asyncio.to_thread(run)

    async def close(self) -> None:
        await self.gateway.close()


def _key(row: Row) -> Key:
    key = row["pk"]
    assert isinstance(key, int | str)
    return key


def _all_fields(collection: Collection, row: Row) -> Row:
    """Return a row with null for the fields that it lacks."""
    return {name: None for name, field in collection.named_fields() if not field.is_dynamic} | row


def _vector() -> list[float]:
    return [random.random() for _ in range(DIMENSION)]


async def create(
    subject: Subject, name: CollectionName, schema: CollectionSchema = PLAIN, partitions: int = 0
) -> None:
    """Make a collection with one shard, unlike any default in its other settings."""
    await subject.gateway.create_collection(
        name,
        schema,
        shards=1,
        consistency_level=1,
        properties=[KeyValue(key="collection.ttl.seconds", value="86400")],
        partition_count=partitions,
    )


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(60):
        for pause in itertools.repeat(0.05):
            if await check():
                return
            await asyncio.sleep(pause)


async def flushed(subject: Subject, name: CollectionName) -> Flush:
    """Flush a collection and wait until everything is written."""
    flush = (await subject.gateway.flush(name.database, [name.name]))[name.name]
    await until(lambda: subject.gateway.is_flushed(name, flush))
    return flush


async def ended(subject: Subject, job_id: str) -> ImportJob:
    """Wait for the end of an import."""

    async def check() -> bool:
        return (await subject.gateway.import_job(job_id)).state in _ENDED

    await until(check)
    return await subject.gateway.import_job(job_id)


async def clock_past(subject: Subject, moment: int) -> None:
    """Wait until the clock shows a later millisecond."""

    async def check() -> bool:
        now = await subject.gateway.allocate_timestamp()
        return physical_milliseconds(now) > physical_milliseconds(moment)

    await until(check)
