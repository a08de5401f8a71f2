"""Builds a collection step by step and keeps account of the rows that must be in it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pymilvus import CollectionSchema, MilvusClient

from tests.support.clients import create_index
from tests.support.rows import Key, Row, Rows

_BATCH = 5_000


@dataclass(frozen=True)
class Dataset:
    """A collection and the rows that must be in it."""

    database: str
    collection: str
    rows: Rows


@dataclass(frozen=True)
class Index:
    """An index as MilvusClient is asked for it; without a type Milvus chooses."""

    field: str
    index_type: str = ""
    metric_type: str = ""
    params: Mapping[str, int] | None = None
    name: str = ""


class CollectionBuilder:
    """One collection in the making; `rows` is what it must hold once all calls are through.

    Every call blocks until Milvus has acknowledged it. Errors are pymilvus's MilvusException.
    """

    def __init__(
        self, client: MilvusClient, name: str, schema: CollectionSchema, **options: object
    ) -> None:
        """Make the collection anew; one that is there is dropped.

        Args:
            client: of the database that the collection shall be in.
            name: of the collection.
            schema: its fields.
            options: further arguments of MilvusClient.create_collection.
        """
        self.name = name
        self.rows: Rows = {}
        self._client = client
        self._key = str(schema.primary_field.name)
        if client.has_collection(name):
            client.drop_collection(name)
        client.create_collection(name, schema=schema, **options)

    def partition(self, name: str) -> None:
        """Make a partition."""
        self._client.create_partition(self.name, name)

    def insert(self, rows: Sequence[Row], *, partition: str | None = None) -> None:
        """Insert rows; keys that Milvus makes are taken from its answer."""
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            answer = self._client.insert(self.name, batch, partition_name=partition)
            self._expect(batch, answer["ids"])

    def upsert(self, rows: Sequence[Row]) -> None:
        """Write rows over those with the same keys, or beside the others."""
        answer = self._client.upsert(self.name, rows)
        self._expect(rows, answer["ids"])

    def delete(self, keys: Iterable[Key]) -> None:
        """Delete rows by key, all of which must be there."""
        gone = list(keys)
        self._client.delete(self.name, ids=gone)
        for key in gone:
            del self.rows[key]

    def flush(self) -> None:
        """Seal the growing segments and wait until they are in the object store."""
        self._client.flush(self.name)

    def index(self, *indexes: Index) -> None:
        """Make indexes and wait until they are built."""
        for wanted in indexes:
            params = self._client.prepare_index_params()
            params.add_index(
                wanted.field,
                index_name=wanted.name,
                index_type=wanted.index_type,
                **({"metric_type": wanted.metric_type} if wanted.metric_type else {}),
                **({"params": dict(wanted.params)} if wanted.params else {}),
            )
            create_index(self._client, self.name, params)

    def load(self) -> None:
        """Load the collection and wait until it is loaded."""
        self._client.load_collection(self.name)

    def _expect(self, rows: Sequence[Row], keys: Iterable[Key]) -> None:
        for row, key in zip(rows, keys, strict=True):
            self.rows[key] = {name: _answered(value) for name, value in row.items()}
            self.rows[key][self._key] = key


def _answered(value: object) -> object:
    # How a query gives back a binary vector.
    return [{"hex": value.hex()}] if isinstance(value, bytes) else value
