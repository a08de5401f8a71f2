"""A backup holds the rows of one moment, whatever happens to the collection while it is made."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from pymilvus import DataType, MilvusClient

from tests.support.clients import connected
from tests.support.collection_builder import CollectionBuilder, Index
from tests.support.compactions import Compaction, Compactions, Point
from tests.support.environment import Environment
from tests.support.rows import Rows, fetch_rows
from tests.support.running_service import (
    Decorators,
    Service,
    environment_settings,
    running_service,
)
from tests.support.writers import Loop, Queue, Upserter, Writer

# Milvus takes one to five minutes for it, with others beside it on a small machine.
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.torture,
    pytest.mark.xdist_group("milvus-two"),
    pytest.mark.timeout(900),
]

POINTS = (Point.FLUSHING, Point.LISTING, Point.COPYING, Point.LISTING, Point.COPYING)
COLLECTION = "moment"
UPSERTED = range(120)
WRITERS_PAUSE = 0.02  # without one Milvus takes minutes for the compactions on a small machine
QUEUE_START, QUEUE_SIZE, QUEUE_BLOCKS = 1_000_000, 10, 3


@dataclass(frozen=True)
class Made:
    """A backup made under load, and between which changes of each writer its moment must lie."""

    name: str
    bounds: tuple[tuple[Writer, int, int], ...]


@pytest.fixture
def client(environment: Environment) -> Iterator[MilvusClient]:
    with connected(environment.milvus.uri) as made:
        yield made


@pytest.fixture
def writers(client: MilvusClient) -> tuple[Writer, ...]:
    """The writers of a collection that has several segments in two shards."""
    schema = MilvusClient.create_schema()
    schema.add_field("pk", DataType.INT64, is_primary=True)
    schema.add_field("version", DataType.VARCHAR, max_length=64)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=8)
    upserter = Upserter(client, COLLECTION, UPSERTED)
    queue = Queue(client, COLLECTION, start=QUEUE_START, size=QUEUE_SIZE, blocks=QUEUE_BLOCKS)
    collection = CollectionBuilder(client, COLLECTION, schema, num_shards=2)
    collection.index(Index("v", "FLAT", "L2"))
    for writer in (upserter, queue):
        collection.insert(list(writer.rows_after(0).values()))
        collection.flush()
    return upserter, queue


async def make(service: Service, name: str, writers: tuple[Writer, ...]) -> Made:
    """Make a backup; the bounds are what was acknowledged before, and what was sent before its end."""
    acknowledged = [writer.acknowledged for writer in writers]
    operation = await service.client.create_backup(name, collections=[COLLECTION])
    await service.client.wait(operation)
    ends = [writer.begun for writer in writers]
    return Made(name, tuple(zip(writers, acknowledged, ends, strict=True)))


async def restore(service: Service, uri: str, name: str) -> Rows:
    """Restore a backup beside the original, and return its rows."""
    await service.client.wait(await service.client.restore_backup(name, suffix=f"_{name}"))
    return await asyncio.to_thread(fetch_rows, uri, "default", f"{COLLECTION}_{name}")


async def test_five_backups_in_a_row_under_load_restore_to_their_moments(
    environment: Environment, client: MilvusClient, writers: tuple[Writer, ...]
) -> None:
    compactions = Compactions(client, COLLECTION)
    # The bucket of Milvus: restores import the backups in place.
    milvus = environment.milvus
    settings = environment_settings(environment, backup_bucket=milvus.bucket)
    around = Decorators(gateway=compactions.gateway, backup_store=compactions.backup_store)
    made: list[Made] = []
    async with running_service(settings, around) as service:
        with ExitStack() as under_load:
            for writer in writers:
                under_load.enter_context(Loop(writer.step, pause=WRITERS_PAUSE))
            flushing = Loop(lambda: client.flush(COLLECTION), pause=1.0)
            flushes = under_load.enter_context(flushing)
            for number, point in enumerate(POINTS):
                compactions.backups.append(Compaction(point))
                made.append(await make(service, f"moment_{number}", writers))
        restored = await asyncio.gather(*(restore(service, milvus.uri, it.name) for it in made))

    assert flushes.done >= len(POINTS)
    for compaction in compactions.backups:
        assert compaction.replaced
    assert len(compactions.backups[0].flushes) > 1  # compacted while it was written: not exact
    # Milvus 2.3.5 may lose deletes for good when they meet a compaction, and no backup has them then:
    # the original has the rows again, too, when it is loaded from the store.
    client.flush(COLLECTION)
    own = fetch_rows(milvus.uri, "default", COLLECTION)
    lost = {key for writer in writers for key in writer.lost_deletes(own)}
    for writer in writers:
        writer.assert_moment(own, writer.acknowledged, writer.begun, lost=lost)
    for backup, rows in zip(made, restored, strict=True):
        for writer, first, last in backup.bounds:
            writer.assert_moment(rows, first, last, lost=lost)
