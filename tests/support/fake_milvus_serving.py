"""How a `FakeMilvus` serves its collections: aliases, and being loaded."""

from collections.abc import Sequence

from milvus_backup_server.domain.binlogs import RowBatch
from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.milvus_types import is_vector
from milvus_backup_server.domain.records import IndexInfo
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.fake_binlogs import fake_rows
from tests.support.fake_milvus_cluster import FakeCluster, refused
from tests.support.fake_milvus_state import FakeCollection, Key, live


class FakeServing(FakeCluster):
    """The part of a `FakeMilvus` that answers calls about aliases and loading.

    Attributes:
        query_nodes: how many replicas a collection may have.
        load_polls: how often a collection that is being loaded does not answer queries.
        altered: keys whose rows queries answer with other values than those that were written.
    """

    def __init__(self, store: ObjectStore, root: str) -> None:
        """Make one without collections."""
        super().__init__(store, root)
        self.query_nodes = 1
        self.load_polls = 1
        self.altered: set[Key] = set()

    async def create_alias(self, collection: CollectionName, alias: str) -> None:
        own = self.collection(collection).description.name.name
        name = CollectionName(collection.database, alias)
        if alias in self._database(collection.database):
            raise refused(f"alias and collection name conflict[alias={alias}]")
        if self.aliases.get(name, own) != own:
            raise refused(f"{alias} is alias to another collection: alias already exist")
        self.aliases[name] = own

    async def alter_alias(self, collection: CollectionName, alias: str) -> None:
        own = self.collection(collection).description.name.name
        if CollectionName(collection.database, alias) not in self.aliases:
            raise refused(f"alias not found[alias={alias}]")
        self.aliases[CollectionName(collection.database, alias)] = own

    async def drop_alias(self, database: str, alias: str) -> None:
        self.aliases.pop(CollectionName(database, alias), None)

    async def load_collection(
        self, collection: CollectionName, partitions: Sequence[str] = (), *, replicas: int = 1
    ) -> None:
        found = self.collection(collection)
        indexed = {index.field_name for index in found.indexes}
        vectors = {item.name for item in found.schema.fields if is_vector(item.data_type)}
        if not vectors <= indexed:
            raise refused(f"index not found[collection={collection.name}]")
        if replicas > self.query_nodes:
            raise refused("nodes not enough")
        names = [self._partition(collection, name).name for name in partitions]
        found.loaded = names or [partition.name for partition in found.partitions]
        found.load_state, found.replicas = "Loading", replicas
        found.load_polls = self.load_polls

    async def load_state(self, collection: CollectionName, partition: str = "") -> str:
        found = self.collection(collection)
        if partition and self._partition(collection, partition).name not in found.loaded:
            return "NotLoad"
        return found.load_state

    async def replica_count(self, collection: CollectionName) -> int:
        found = self.collection(collection)
        return found.replicas if found.load_state != "NotLoad" else 0

    async def query_node_count(self) -> int:
        return self.query_nodes

    async def count_rows(self, collection: CollectionName) -> int | None:
        found = self.collection(collection)
        if found.load_state == "NotLoad":
            return None
        if found.load_polls:
            found.load_polls -= 1
            return None
        found.load_state = "Loaded"
        return len(live(_loaded_rows(found), found.deleted))

    async def query_rows(
        self,
        collection: CollectionName,
        fields: Sequence[str],
        *,
        key: str,
        partition: str,
        after: Key | None,
        limit: int,
    ) -> RowBatch:
        found = self.collection(collection)
        if found.load_state != "Loaded":
            raise refused(f"collection not loaded[collection={collection.name}]")
        if partition and any(item.is_partition_key for item in found.schema.fields):
            raise refused("not support manually specifying the partition names")
        wanted = self._partition(collection, partition).partition_id if partition else None
        there = [
            sorted({key for key, _ in live(segment.rows, found.deleted)}, key=_order)
            for segment in found.segments
            if wanted in (None, segment.partition_id)
        ]
        if after is not None:
            there = [[key for key in keys if _order(key) > _order(after)] for keys in there]
        # As in Milvus 2.3 the limit is that of each segment, and a page ends where one of them does.
        pages = [keys[:limit] for keys in there if keys]
        last = min((_order(keys[-1]) for keys in pages), default=("", ""))
        first = {key for keys in pages for key in keys if _order(key) <= last}
        return fake_rows(found.schema, fields, sorted(first, key=_order), self.altered)

    async def drop_index(self, collection: CollectionName, index: IndexInfo) -> None:
        found = self.collection(collection)
        if found.load_state != "NotLoad":
            raise refused("index cannot be dropped, collection is loaded, please release it first")
        found.indexes = [it for it in found.indexes if it.index_name != index.index_name]

    def load(self, name: CollectionName, state: str = "Loaded", *partitions: str) -> None:
        """Set the load state of a collection and of its partitions, of some if any are named."""
        found = self.collection(name)
        found.load_state = state
        found.loaded = list(partitions) or [partition.name for partition in found.partitions]


def _order(key: Key) -> tuple[str, Key]:
    return type(key).__name__, key


def _loaded_rows(found: FakeCollection) -> list[tuple[int | str, int]]:
    ids = {it.partition_id for it in found.partitions if it.name in found.loaded}
    return [row for it in found.segments if it.partition_id in ids for row in it.rows]
