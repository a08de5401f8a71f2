"""Collections with known rows, in the shapes of the Go tool's fixtures, made through pymilvus.

Each maker drops the collection if it is there, makes it anew and returns the rows that must be in
it. The same seed gives the same rows, automatic keys excepted.
"""

import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from pymilvus import CollectionSchema, DataType, MilvusClient

from tests.support.clients import connected, make_database
from tests.support.collection_builder import CollectionBuilder, Dataset, Index
from tests.support.rows import Row

_SEED = 2305
_VERSIONED_DIM = 8


class Maker(Protocol):
    """Makes one collection on the Milvus at `uri`, under `name` if given."""

    def __call__(
        self, uri: str, *, name: str = ..., token: str = "", seed: int = ...
    ) -> Dataset: ...


def vectors(count: int, dim: int, seed: int) -> list[list[float]]:
    """Return `count` random vectors of 32-bit floats in [0, 1)."""
    drawn = np.random.default_rng(seed).random((count, dim), dtype=np.float32)
    return [[float(number) for number in vector] for vector in drawn]


def make_hello_milvus(
    uri: str, *, name: str = "hello_milvus", token: str = "", seed: int = _SEED
) -> Dataset:
    """3,000 rows in one segment: INT64 key, DOUBLE, VARCHAR, FLOAT_VECTOR(8), IVF_FLAT, loaded."""
    schema = MilvusClient.create_schema()
    schema.add_field("pk", DataType.INT64, is_primary=True)
    schema.add_field("random", DataType.DOUBLE)
    schema.add_field("var", DataType.VARCHAR, max_length=65535)
    schema.add_field("embeddings", DataType.FLOAT_VECTOR, dim=8)
    with connected(uri, token=token) as client:
        collection = CollectionBuilder(client, name, schema)
        collection.insert(
            [
                {"pk": pk, "random": pk / 7, "var": str(pk), "embeddings": vector}
                for pk, vector in enumerate(vectors(3_000, 8, seed))
            ]
        )
        collection.flush()
        collection.index(Index("embeddings", "IVF_FLAT", "L2", {"nlist": 128}))
        collection.load()
    return Dataset("default", name, collection.rows)


def make_all_types(
    uri: str, *, name: str = "all_types", token: str = "", seed: int = _SEED
) -> Dataset:
    """795 rows of every scalar type of 2.3, VARCHAR key, partition key, 2 shards, dynamic fields.

    Some rows are deleted before and after their flush; the last delete and upsert are not flushed.
    """
    rows = [_all_types_row(n, vector) for n, vector in enumerate(vectors(800, 16, seed))]
    with connected(uri, token=token) as client:
        collection = CollectionBuilder(
            client, name, _all_types_schema(), num_shards=2, num_partitions=4
        )
        collection.insert(rows[:500])
        collection.delete(["k0001", "k0002"])
        collection.flush()
        collection.insert(rows[500:])
        collection.flush()
        collection.index(
            Index("v", "HNSW", "COSINE", {"M": 16, "efConstruction": 100}, name="vidx"),
            Index("f_int64", name="sidx"),
        )
        collection.load()
        collection.delete(["k0003", "k0004", "k0005"])
        collection.upsert([rows[10] | {"tag": "upserted"}])
    return Dataset("default", name, collection.rows)


def _all_types_schema() -> CollectionSchema:
    schema = MilvusClient.create_schema(enable_dynamic_field=True, description="every type of 2.3")
    schema.add_field("pk", DataType.VARCHAR, is_primary=True, max_length=64)
    schema.add_field("tenant", DataType.VARCHAR, max_length=32, is_partition_key=True)
    schema.add_field("f_bool", DataType.BOOL)
    schema.add_field("f_int8", DataType.INT8)
    schema.add_field("f_int16", DataType.INT16)
    schema.add_field("f_int32", DataType.INT32)
    schema.add_field("f_int64", DataType.INT64)
    schema.add_field("f_float", DataType.FLOAT)
    schema.add_field("f_double", DataType.DOUBLE)
    schema.add_field("f_json", DataType.JSON)
    schema.add_field("f_arr", DataType.ARRAY, element_type=DataType.INT64, max_capacity=16)
    schema.add_field(
        "f_arrs", DataType.ARRAY, element_type=DataType.VARCHAR, max_length=32, max_capacity=8
    )
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=16)
    return schema


def _all_types_row(n: int, vector: list[float]) -> Row:
    return {
        "pk": f"k{n:04}",
        "tenant": f"t{n % 17}",
        "f_bool": n % 2 == 1,
        "f_int8": n % 127,
        "f_int16": n,
        "f_int32": n,
        "f_int64": 2**60 + n,
        "f_float": float(np.float32(n / 3)),
        "f_double": n / 7,
        "f_json": {"a": n, "b": [n, "x", None, {"c": 1.5}], "ü": "ß"},
        "f_arr": list(range(n % 16)),
        "f_arrs": [f"s{i}" for i in range(n % 8)],
        "v": vector,
        "tag": f"dyn{n}",
        "extra": {"n": n},
    }


def make_bin_vec(uri: str, *, name: str = "bin_vec", token: str = "", seed: int = _SEED) -> Dataset:
    """300 rows with automatic keys and BINARY_VECTOR(64) in three partitions, none in _default."""
    schema = MilvusClient.create_schema()
    schema.add_field("pk", DataType.INT64, is_primary=True, auto_id=True)
    schema.add_field("b", DataType.BINARY_VECTOR, dim=64)
    generator = np.random.default_rng(seed)
    with connected(uri, token=token) as client:
        collection = CollectionBuilder(client, name, schema)
        for partition in ("p1", "p2", "p3"):
            collection.partition(partition)
            rows: list[Row] = [{"b": generator.bytes(8)} for _ in range(100)]
            collection.insert(rows, partition=partition)
        collection.flush()
        collection.index(Index("b", "BIN_FLAT", "HAMMING"))
        collection.load()
    return Dataset("default", name, collection.rows)


def make_empty_one(
    uri: str, *, name: str = "empty_one", token: str = "", seed: int = _SEED
) -> Dataset:
    """No rows, no index, not loaded."""
    del seed
    schema = MilvusClient.create_schema()
    schema.add_field("pk", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=4)
    with connected(uri, token=token) as client:
        CollectionBuilder(client, name, schema)
    return Dataset("default", name, {})


def make_churn(uri: str, *, name: str = "churn", token: str = "", seed: int = _SEED) -> Dataset:
    """1,850 rows after four rounds of insert, delete and upsert, each of them flushed.

    A round changes rows that the round before had flushed, and rows of its own before their flush.
    """
    schema = MilvusClient.create_schema()
    schema.add_field("pk", DataType.INT64, is_primary=True)
    schema.add_field("round", DataType.INT32)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=8)
    drawn = iter(vectors(4 * 600, 8, seed))

    def rows(number: int, keys: Iterable[int]) -> list[Row]:
        return [{"pk": pk, "round": number, "v": next(drawn)} for pk in keys]

    with connected(uri, token=token) as client:
        collection = CollectionBuilder(client, name, schema)
        for number in range(4):
            first = 500 * number
            collection.insert(rows(number, range(first, first + 505)))
            if number > 0:
                collection.delete(range(first - 500, first - 450))
                collection.upsert(rows(100 + number, range(first - 400, first - 380)))
            collection.delete(range(first + 500, first + 505))
            collection.upsert(rows(number, range(first + 480, first + 500)))
            collection.flush()
        collection.index(Index("v", "FLAT", "IP"))
        collection.load()
    return Dataset("default", name, collection.rows)


def make_groups(uri: str, *, name: str = "groups", token: str = "", seed: int = _SEED) -> Dataset:
    """1,391 rows: 1,400 inserted in 7 flushes, 9 deleted, the last of them not flushed."""
    schema = MilvusClient.create_schema()
    schema.add_field("pk", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=16)
    rows: list[Row] = [{"pk": pk, "v": v} for pk, v in enumerate(vectors(1_400, 16, seed))]
    with connected(uri, token=token) as client:
        collection = CollectionBuilder(client, name, schema)
        for first in range(0, 1_400, 200):
            collection.insert(rows[first : first + 200])
            if first == 200:
                collection.delete([0, 1, 2, 3, 200, 201, 202, 203])
            collection.flush()
        collection.index(Index("v", "FLAT", "L2"))
        collection.load()
        collection.delete([1_399])
    return Dataset("default", name, collection.rows)


def make_orders(uri: str, *, name: str = "orders", token: str = "", seed: int = _SEED) -> Dataset:
    """400 rows in the database `shop`: VARCHAR key, 2 shards, time to live 10 days, IVF_SQ8."""
    schema = MilvusClient.create_schema(description="orders of the shop")
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=40)
    schema.add_field("amount", DataType.DOUBLE)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=8)
    make_database(uri, "shop", token=token)
    with connected(uri, "shop", token=token) as client:
        collection = CollectionBuilder(
            client, name, schema, num_shards=2, properties={"collection.ttl.seconds": 864_000}
        )
        collection.insert(
            [
                {"id": f"order-{n:05}", "amount": n * 1.25, "v": vector}
                for n, vector in enumerate(vectors(400, 8, seed))
            ]
        )
        collection.flush()
        collection.index(Index("v", "IVF_SQ8", "L2", {"nlist": 16}))
        collection.load()
    return Dataset("shop", name, collection.rows)


MAKERS: tuple[Maker, ...] = (
    make_hello_milvus,
    make_all_types,
    make_bin_vec,
    make_empty_one,
    make_churn,
    make_groups,
    make_orders,
)


def make_all(uri: str, *, token: str = "", seed: int = _SEED) -> list[Dataset]:
    """Make every collection of the fixtures under its own name, several at a time."""
    with ThreadPoolExecutor(len(MAKERS)) as pool:
        return list(pool.map(lambda make: make(uri, token=token, seed=seed), MAKERS))


def versioned_row(key: int, version: str) -> Row:
    """Return the one row that `version` of `key` can have: vector and version fit each other."""
    start = zlib.crc32(f"{key} {version}".encode()) % 2**20
    return {"pk": key, "version": version, "v": [start + i / 8 for i in range(_VERSIONED_DIM)]}


def versioned_rows(keys: Iterable[int], version: str) -> list[Row]:
    """Return the rows of `version` for some keys."""
    return [versioned_row(key, version) for key in keys]


def make_versioned(
    uri: str,
    name: str,
    keys: Iterable[int] = (),
    *,
    version: str = "v0",
    database: str = "default",
    token: str = "",
    shards: int = 1,
) -> Dataset:
    """Make a small collection for writers: INT64 key, VARCHAR version, FLOAT_VECTOR(8), FLAT.

    It is loaded, and holds `version` of every one of `keys`, flushed.
    """
    schema = MilvusClient.create_schema()
    schema.add_field("pk", DataType.INT64, is_primary=True)
    schema.add_field("version", DataType.VARCHAR, max_length=64)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=_VERSIONED_DIM)
    make_database(uri, database, token=token)
    with connected(uri, database, token=token) as client:
        collection = CollectionBuilder(client, name, schema, num_shards=shards)
        rows = versioned_rows(keys, version)
        if rows:
            collection.insert(rows)
            collection.flush()
        collection.index(Index("v", "FLAT", "L2"))
        collection.load()
    return Dataset(database, name, collection.rows)
