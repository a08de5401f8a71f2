"""What a simulated Milvus holds: databases, collections, segments and rows."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from milvus_backup_server.adapters.milvus.stubs import (
    Message,
    common_pb2,
    milvus_pb2,
    schema_pb2,
)
from milvus_backup_server.domain.milvus import ALL_PARTITIONS, MilvusVersion
from milvus_backup_server.domain.milvus_types import is_vector
from milvus_backup_server.ports.object_store import ObjectStore
from tests.support.fake_milvus_state import Clock
from tests.support.rows import Key, Row, Rows
from tests.support.simulator.field_ids import number_fields

NOT_LOADED, LOADED = "NotLoad", "Loaded"
BM25, TEXT_EMBEDDING, MINHASH = 1, 2, 4
RUNTIME_CHECK_OFF = "disable_func_runtime_check"
_FUNCTIONS = {
    BM25: MilvusVersion(2, 5, 0),
    TEXT_EMBEDDING: MilvusVersion(2, 6, 0),
    MINHASH: MilvusVersion(3, 0, 0),
}
_INDEX_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SWITCH = MilvusVersion(2, 6, 8)
_FIRST_FUNCTION_ID = 100
_PARTITION_KEY_PARTITIONS = 16


class Fault(Exception):
    """An error answer of Milvus: its code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(slots=True)
class Segment:
    """A flushed segment, and the ids of its logs by field id or column group."""

    segment_id: int
    partition_id: int
    num_rows: int = 0
    l0: bool = False
    storage_version: int = 0
    channel: str = ""
    binlogs: Mapping[int, Sequence[int]] = field(default_factory=dict)
    deltalogs: Mapping[int, Sequence[int]] = field(default_factory=dict)


@dataclass(slots=True)
class Stored:
    """A row that an import left."""

    key: Key
    timestamp: int
    partition_id: int
    row: Row


@dataclass(slots=True)
class Collection:
    """A collection; `schema` is Milvus's message, with the ids that it gave."""

    collection_id: int
    name: str
    database: str
    schema: Message
    partitions: dict[str, int]
    shards: int = 1
    consistency_level: int = 2
    properties: dict[str, str] = field(default_factory=dict)
    created: int = 0
    channels: Sequence[str] = ()
    indexes: list[Message] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    growing: list[Segment] = field(default_factory=list)
    """What the next flush seals."""
    stored: list[Stored] = field(default_factory=list)
    load: str = NOT_LOADED
    loaded: list[str] = field(default_factory=list)
    """The partitions that are loaded; none: all are, if it is."""
    replicas: int = 1

    @property
    def keyed(self) -> bool:
        """Whether it has a partition key."""
        return any(item.is_partition_key for item in self.schema.fields)

    def seal(self) -> list[Segment]:
        """Let what grows be flushed, and return it."""
        sealed, self.growing = self.growing, []
        self.segments += sealed
        return sealed

    def user_fields(self) -> list[Message]:
        """Return its fields, those of structs included, in the order of their ids."""
        inner = [item for struct in self.schema.struct_array_fields for item in struct.fields]
        return sorted([*self.schema.fields, *inner], key=lambda item: item.fieldID)

    def is_loaded(self, partitions: Iterable[str]) -> bool:
        """Tell whether it is loaded, or all of some partitions are."""
        there = not self.loaded or set(partitions) <= set(self.loaded)
        return self.load == LOADED and there

    def seen(self) -> list[Stored]:
        """Return the rows of the partitions that are loaded."""
        ids = {self.partitions[name] for name in self.loaded}
        return [item for item in self.stored if not ids or item.partition_id in ids]

    def named_fields(self) -> Iterator[tuple[str, Message]]:
        """Yield its fields by name, those of structs as `struct[field]`."""
        for item in self.schema.fields:
            yield item.name, item
        for struct in self.schema.struct_array_fields:
            for item in struct.fields:
                yield f"{struct.name}[{item.name}]", item

    def rows(self) -> Rows:
        """Return its rows by primary key.

        Raises:
            AssertionError: a key is there twice.
        """
        found = {item.key: item.row for item in self.stored}
        assert len(found) == len(self.stored), f"{self.name} has rows twice"
        return found

    def delete(self, key: Key, timestamp: int, partition_id: int = ALL_PARTITIONS) -> None:
        """Delete the older rows of a key that are there now."""
        self.stored = [
            item
            for item in self.stored
            if item.key != key
            or item.timestamp >= timestamp
            or partition_id not in (ALL_PARTITIONS, item.partition_id)
        ]


class SimulatedMilvus:
    """The state of one Milvus.

    Args:
        store: its bucket.
        version: such as `2.5.27`.
        root: its root path.

    Attributes:
        databases: collections of each database by name.
        properties: properties of databases.
        access: users, roles, grants and privilege groups, without those that every Milvus has.
        refuse_access: with what the next addition to them is refused; empty: it is not.
        flushes: how many flushes of collections there were.
        flushes_too_soon: how many of the next are refused as ones that follow the last too soon.
        flushes_of_all: how many flushes of everything there were.
        flushing_all: how often it says that the next flush of everything is not written yet.
        flush_all_fault: with what the next flush of everything is refused.
        query_nodes: how many nodes can hold replicas.
        embeds: whether the services answer that functions of text embedding call.
        replace_after_flush: a collection and a segment of it that a compaction replaces right after the
            next flush, of collections or of everything.
    """

    def __init__(self, store: ObjectStore, version: str, root: str = "files") -> None:
        parsed = MilvusVersion.parse(version)
        assert parsed is not None
        self.store = store
        self.version_text = version
        self.version = parsed
        self.root = root
        self.clock = Clock()
        self.databases: dict[str, dict[str, Collection]] = {"default": {}}
        self.database_ids = {"default": 1}
        self.properties: dict[str, dict[str, str]] = {"default": {}}
        self.aliases: dict[tuple[str, str], Collection] = {}
        self.access = milvus_pb2.RBACMeta()
        self.refuse_access = ""
        self.flushes = 0
        self.flushes_too_soon = 0
        self.flushes_of_all = 0
        self.flushing_all = 0
        self.flush_all_fault: Fault | None = None
        self.embeds = True
        self.query_nodes = 1
        self.replace_after_flush: tuple[Collection, Segment] | None = None
        self.numbers = itertools.count(480_000_000_000_000_000)

    def database(self, name: str) -> dict[str, Collection]:
        """Return the collections of a database."""
        try:
            return self.databases[name or "default"]
        except KeyError:
            raise Fault(800, f"database not found[database={name}]") from None

    def collection(self, database: str, name: str) -> Collection:
        """Return a collection."""
        database = database or "default"
        found = self.database(database).get(name) or self.aliases.get((database, name))
        if found is None:
            raise Fault(100, f"collection not found[database={database}][collection={name}]")
        return found

    def flushed(self) -> None:
        """Let happen what is to happen right after a flush."""
        if self.replace_after_flush:
            collection, segment = self.replace_after_flush
            collection.segments.remove(segment)
            self.replace_after_flush = None

    def by_id(self, collection_id: int) -> Collection:
        """Return a collection by its id."""
        for found in self.collections():
            if found.collection_id == collection_id:
                return found
        raise Fault(100, f"collection not found[collection={collection_id}]")

    def collections(self) -> Iterator[Collection]:
        """Yield every collection."""
        for named in self.databases.values():
            yield from named.values()

    def create_database(self, name: str, properties: Mapping[str, str]) -> None:
        """Make a database."""
        if name in self.databases:
            raise Fault(65535, f"database already exist: {name}")
        self.databases[name] = {}
        self.database_ids[name] = next(self.numbers)
        self.properties[name] = dict(properties)

    def create_collection(self, request: Message) -> None:
        """Make a collection as CreateCollection is asked to."""
        database = self.database(request.db_name)
        schema = schema_pb2.CollectionSchema.FromString(request.schema)
        schema.name = request.collection_name
        number_fields(schema)
        _number_functions(schema)
        properties = {item.key: item.value for item in request.properties}
        self._check_functions(schema, properties)
        keyed = any(item.is_partition_key for item in schema.fields)
        if request.num_partitions and not keyed:
            raise Fault(1100, "num_partitions should only be specified with partition key field")
        if request.collection_name in database:
            if database[request.collection_name].schema == schema:
                return
            raise Fault(65535, "create duplicate collection with different parameters")
        number = next(self.numbers)
        made = Collection(
            collection_id=number,
            name=request.collection_name,
            database=request.db_name or "default",
            schema=schema,
            partitions={},
            shards=request.shards_num or 1,
            consistency_level=request.consistency_level,
            properties=properties,
            created=self.clock.tick(),
        )
        made.channels = tuple(
            f"by-dev-rootcoord-dml_{shard}_{number}v{shard}" for shard in range(made.shards)
        )
        count = (request.num_partitions or _PARTITION_KEY_PARTITIONS) if made.keyed else 0
        names = [f"_default_{at}" for at in range(count)] or ["_default"]
        made.partitions = {name: next(self.numbers) for name in names}
        if self.version >= MilvusVersion(2, 6, 0):
            made.properties.setdefault("timezone", "UTC")
        database[made.name] = made

    def _check_functions(self, schema: Message, properties: Mapping[str, str]) -> None:
        off = self.version >= _SWITCH and properties.get(RUNTIME_CHECK_OFF) == "true"
        for function in schema.functions:
            if function.type not in _FUNCTIONS:
                raise Fault(1100, "check output field for unknown function type")
            if self.version < _FUNCTIONS[function.type]:
                raise Fault(1100, f"unsupported function type: {function.type}")
            if function.type == TEXT_EMBEDDING and not (off or self.embeds):
                raise Fault(65535, f"Function [{function.name}]: the model's service failed")

    def drop(self, collection: Collection) -> None:
        """Remove a collection and its aliases."""
        del self.databases[collection.database][collection.name]
        kept = {name: item for name, item in self.aliases.items() if item is not collection}
        self.aliases = kept

    def load(self, collection: Collection, replicas: int, partitions: Sequence[str] = ()) -> None:
        """Load a collection or some of its partitions; every vector needs its index."""
        indexed = {index.field_name for index in collection.indexes}
        for name, item in collection.named_fields():
            if is_vector(item.data_type) and name not in indexed:
                text = f"there is no vector index on field: [{name}]"
                raise Fault(65535, f"{text}, please create index firstly")
        for name in partitions:
            self.partition_id(collection, name)
        if replicas > self.query_nodes:
            text = f"service resource insufficient[currentQueryNode={self.query_nodes}]"
            raise Fault(12, f"{text}: call query coordinator LoadCollection")
        collection.load, collection.replicas = LOADED, replicas or 1
        collection.loaded = list(partitions)

    def create_index(self, request: Message) -> None:
        """Make an index; the same again is no error."""
        found = self.collection(request.db_name, request.collection_name)
        if request.field_name not in dict(found.named_fields()):
            raise Fault(1100, f"cannot create index on non-exist field: {request.field_name}")
        if request.index_name and not _INDEX_NAME.fullmatch(request.index_name):
            raise Fault(1100, f"Invalid index name: {request.index_name}")
        path = _json_path(request.extra_params)
        for there in found.indexes:
            if (there.field_name, _json_path(there.params)) == (request.field_name, path):
                if list(there.params) != list(request.extra_params):
                    raise Fault(1100, "at most one distinct index is allowed per field")
                return
        index = milvus_pb2.IndexDescription(
            index_name=request.index_name or f"{request.field_name}{path}",
            indexID=next(self.numbers),
            params=request.extra_params,
            field_name=request.field_name,
        )
        found.indexes.append(index)

    def create_alias(self, request: Message) -> None:
        """Give a collection an alias."""
        database = request.db_name or "default"
        found = self.collection(database, request.collection_name)
        there = self.aliases.get((database, request.alias))
        if request.alias in self.database(database) or there not in (None, found):
            raise Fault(
                1602, f"alias exists and already aliased to another collection: {request.alias}"
            )
        self.aliases[database, request.alias] = found

    def alter_alias(self, request: Message) -> None:
        """Point an alias that exists at a collection."""
        database = request.db_name or "default"
        if (database, request.alias) not in self.aliases:
            raise Fault(1600, f"alias not found[database={database}][alias={request.alias}]")
        self.aliases[database, request.alias] = self.collection(database, request.collection_name)

    def add_field(self, collection: Collection, data: bytes) -> None:
        """Add a field, as 2.6 does."""
        added = schema_pb2.FieldSchema.FromString(data)
        if self.version < MilvusVersion(2, 6, 0):
            raise Fault(65535, "unknown method AddCollectionField")
        if not added.nullable:
            raise Fault(1100, f"added field must be nullable, field name = {added.name}")
        if added.name in {item.name for item in collection.user_fields()}:
            raise Fault(1100, f"duplicate field name: {added.name}")
        added.fieldID = max(item.fieldID for item in collection.user_fields()) + 1
        collection.schema.fields.append(added)

    def rename(self, collection: Collection, name: str) -> None:
        """Give a collection another name."""
        database = self.databases[collection.database]
        if name in database:
            raise Fault(65535, f"duplicated new collection name {name}")
        database[name] = database.pop(collection.name)
        collection.name = collection.schema.name = name

    def partition_id(self, collection: Collection, name: str) -> int:
        """Return the id of a partition."""
        try:
            return collection.partitions[name]
        except KeyError:
            raise Fault(200, f"partition not found[partition={name}]") from None


def _json_path(params: Iterable[Message]) -> str:
    """Return the path in a JSON field that an index is of, as Milvus writes it in names."""
    given = next((pair.value for pair in params if pair.key == "json_path"), "")
    return "".join(f"/{part}" for part in re.findall(r"\['([^']*)'\]", given))


def _number_functions(schema: Message) -> None:
    ids = {item.name: item.fieldID for item in schema.fields}
    for number, function in enumerate(schema.functions, _FIRST_FUNCTION_ID):
        function.id = number
        for name in (*function.input_field_names, *function.output_field_names):
            if name not in ids:
                raise Fault(1100, f"function field not found: {name}")
        del function.input_field_ids[:], function.output_field_ids[:]
        function.input_field_ids.extend(ids[name] for name in function.input_field_names)
        function.output_field_ids.extend(ids[name] for name in function.output_field_names)


def pairs(values: Mapping[str, str]) -> list[Message]:
    """Return properties as Milvus's messages."""
    return [common_pb2.KeyValuePair(key=key, value=value) for key, value in values.items()]
