"""The inside of a `FakeMilvus`: its collections and rows, and what tests do with them."""

import itertools
from collections.abc import Iterable, Sequence

from milvus_backup_server.domain.errors import CollectionNotFound, DatabaseNotFound, MilvusRefused
from milvus_backup_server.domain.milvus import (
    DEFAULT_DATABASE,
    CollectionName,
    Flush,
    Partition,
    physical_milliseconds,
)
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.fake_milvus_state import (
    Clock,
    FakeCollection,
    FakeSegment,
    Key,
    SegmentState,
    Stamped,
    delta_object,
    insert_objects,
    live,
)


class FakeCluster:
    """Databases, collections and segments, with their objects in a store.

    Attributes:
        clock: the clock of all timestamps.
        databases: the collections of each database by name.
        aliases: alias to the name of a collection of the same database.
    """

    def __init__(self, store: ObjectStore, root: str) -> None:
        """Make one without collections."""
        self.clock = Clock()
        self.databases: dict[str, dict[str, FakeCollection]] = {DEFAULT_DATABASE: {}}
        self.aliases: dict[CollectionName, str] = {}
        self._store = store
        self._root = root
        self._numbers = itertools.count(400_000_000_000_000_000)
        self._replaced: list[FakeSegment] = []

    def collection(self, name: CollectionName) -> FakeCollection:
        """Return a collection's state by its name or alias."""
        target = self.aliases.get(name, name.name)
        try:
            return self.databases[name.database][target]
        except KeyError:
            raise CollectionNotFound(str(name)) from None

    def keys(self, name: CollectionName) -> list[Key]:
        """Return the primary keys of a collection's rows, sorted."""
        return self.collection(name).live_keys()

    def insert(self, name: CollectionName, keys: Iterable[Key], partition: str = "") -> int:
        """Insert rows and return their timestamp; into the first partition if none is named."""
        collection, stamp = self.collection(name), self.clock.tick()
        target = collection.partition(partition) or collection.partitions[0]
        segment = collection.growing(target.partition_id)
        if segment is None:
            segment = FakeSegment(next(self._numbers), target.partition_id)
            collection.segments.append(segment)
        segment.rows += [(key, stamp) for key in keys]
        return stamp

    def delete(self, name: CollectionName, keys: Iterable[Key], stamp: int = 0) -> int:
        """Delete rows by key and return the timestamp."""
        collection, stamp, gone = self.collection(name), stamp or self.clock.tick(), set(keys)
        for segment in collection.segments:
            held = gone.intersection(key for key, _ in segment.rows)
            segment.deletes += [(key, stamp) for key in sorted(held, key=str)]
        collection.deleted |= dict.fromkeys(gone, stamp)
        return stamp

    def upsert(self, name: CollectionName, keys: Sequence[Key], partition: str = "") -> int:
        """Delete and insert rows in one timestamp, and return it."""
        return self.delete(name, keys, self.insert(name, keys, partition))

    def point_alias(self, name: CollectionName, alias: str) -> None:
        """Point an alias at a collection."""
        self.aliases[CollectionName(name.database, alias)] = self.collection(
            name
        ).description.name.name

    async def compact(self, name: CollectionName) -> list[int]:
        """Merge the flushed segments of each partition without their deleted rows.

        The replaced segments are listed no more, their objects stay until `collect_garbage`.
        """
        collection = self.collection(name)
        made = []
        for partition in collection.partitions:
            old = [
                item
                for item in collection.segments
                if item.partition_id == partition.partition_id
                and item.state is SegmentState.FLUSHED
            ]
            if old:
                rows = live(itertools.chain.from_iterable(i.rows for i in old), collection.deleted)
                collection.segments = [item for item in collection.segments if item not in old]
                self._replaced += old
                made.append(await self._add_segment(collection, partition, rows))
        return made

    async def collect_garbage(self) -> None:
        """Delete the objects of replaced segments."""
        for segment in self._replaced:
            await self._store.delete(segment.keys)
        self._replaced = []

    def _database(self, database: str) -> dict[str, FakeCollection]:
        try:
            return self.databases[database]
        except KeyError:
            raise DatabaseNotFound(database) from None

    def _taken(self, name: CollectionName) -> bool:
        return name.name in self.databases.get(name.database, {}) or name in self.aliases

    def _partition(self, collection: CollectionName, name: str) -> Partition:
        found = self.collection(collection).partition(name)
        if found is None:
            raise refused(f"partition not found[partition={name}]")
        return found

    def _flush(self, name: CollectionName) -> Flush:
        collection, moment = self.collection(name), self.clock.tick()
        before = {item.segment_id for item in collection.written()}
        for segment in collection.segments:
            if segment.state is SegmentState.GROWING:
                segment.state = SegmentState.SEALED
        everything = frozenset(item.segment_id for item in collection.written())
        return Flush(
            moment=moment,
            segment_ids=everything,
            sealed_ids=everything - before,
            seal_time=physical_milliseconds(moment) // 1000,
        )

    async def _write(self, collection: FakeCollection, segment: FakeSegment) -> None:
        objects: dict[str, bytes] = {}
        if segment.state is SegmentState.SEALED:
            segment.state = SegmentState.FLUSHED
            objects |= insert_objects(collection, segment, self._root, self._numbers)
        if segment.deletes:
            key, data = delta_object(collection, segment, self._root, next(self._numbers))
            objects[key] = data
            segment.deletes = []
        segment.keys += objects
        for key, data in objects.items():
            await self._store.put(key, data)

    async def _add_segment(
        self, collection: FakeCollection, partition: Partition, rows: list[Stamped]
    ) -> int:
        segment = FakeSegment(next(self._numbers), partition.partition_id, rows)
        segment.state = SegmentState.SEALED
        collection.segments.append(segment)
        await self._write(collection, segment)
        return segment.segment_id


def refused(text: str) -> MilvusRefused:
    """Return the error of a call that is refused."""
    return MilvusRefused(f"Milvus at fake:19530 answers: {text}", subject="fake:19530", call="fake")
