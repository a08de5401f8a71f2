"""What the scripts of the tutorial agree on: two collections, and every row of them.

Nothing is kept between the scripts. The rows come from a fixed seed, so verify_data.py knows what
prepare_data.py wrote, on another machine and a year later too.
"""

import argparse
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass

from pymilvus import CollectionSchema, DataType, MilvusClient, MilvusException

Key = int | str
Row = dict[str, object]

KEY = "pk"
"""The name of the primary key's field, in both collections."""
VECTOR = "embeddings"
"""The name of the vector field, in both collections."""
RECOVERED = "_recover"
"""The suffix that the tutorial restores with."""

_INSERTED = 3_100
_DELETED_ONE_IN = 31  # so that 3,000 rows are left
_DIMENSION = 8
_SEED = 19530


@dataclass(frozen=True)
class Collection:
    """One collection of the tutorial.

    Attributes:
        name: Its name in Milvus.
        schema: Its fields.
        inserted: Every row that is inserted, by its key.
        deleted: The keys of those that are deleted again.
    """

    name: str
    schema: CollectionSchema
    inserted: dict[Key, Row]
    deleted: list[Key]

    def remaining(self) -> dict[Key, Row]:
        """Return the rows that must be there after the deletes, by their keys."""
        rows = dict(self.inserted)
        for key in self.deleted:
            del rows[key]
        return rows


def tutorial_collections() -> dict[str, Collection]:
    """Return the collections of the tutorial by their names."""
    numbers = random.Random(_SEED)  # noqa: S311 - an example's data, no secrets
    return {made.name: made for made in (_hello_milvus(numbers), _hello_milvus2(numbers))}


def _hello_milvus(numbers: random.Random) -> Collection:
    """Integer keys, and every field named by the schema."""
    schema = MilvusClient.create_schema()
    schema.add_field(KEY, DataType.INT64, is_primary=True)
    schema.add_field("random", DataType.DOUBLE)
    schema.add_field("var", DataType.VARCHAR, max_length=100)
    schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=_DIMENSION)
    rows: dict[Key, Row] = {
        n: {KEY: n, "random": numbers.random(), "var": str(n), VECTOR: _vector(numbers)}
        for n in range(_INSERTED)
    }
    return Collection("hello_milvus", schema, rows, list(rows)[::_DELETED_ONE_IN])


def _hello_milvus2(numbers: random.Random) -> Collection:
    """String keys, and a dynamic field: a row may have values that the schema does not name."""
    schema = MilvusClient.create_schema(enable_dynamic_field=True)
    schema.add_field(KEY, DataType.VARCHAR, max_length=100, is_primary=True)
    schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=_DIMENSION)
    keys = [f"book-{n:04}" for n in range(_INSERTED)]
    rows: dict[Key, Row] = {
        key: {KEY: key, VECTOR: _vector(numbers), "title": f"Book {n}", "tags": [n % 7, n % 11]}
        for n, key in enumerate(keys)
    }
    return Collection("hello_milvus2", schema, rows, list(rows)[::_DELETED_ONE_IN])


def _vector(numbers: random.Random) -> list[float]:
    """Return a vector of numbers that a 32-bit float holds exactly, so that they come back equal."""
    return [int(numbers.random() * 2**20) / 2**20 for _ in range(_DIMENSION)]


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the arguments that all scripts have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--uri", default="http://localhost:19530", help="where Milvus is (default: %(default)s)"
    )
    parser.add_argument("--token", default="", help="USER:PASSWORD, if Milvus asks for them")
    return parser


def run(
    script: Callable[[MilvusClient, argparse.Namespace], bool], options: argparse.Namespace
) -> None:
    """Run a script on Milvus and exit: 0 if it returns true, 1 if not or if Milvus fails."""
    try:
        client = MilvusClient(uri=options.uri, token=options.token)
        try:
            succeeded = script(client, options)
        finally:
            client.close()
    except MilvusException as error:
        sys.exit(f"Milvus at {options.uri}: {error.message}")
    sys.exit(0 if succeeded else 1)
