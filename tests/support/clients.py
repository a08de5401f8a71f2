"""pymilvus clients for the tests, closed in time."""

import contextlib
import threading
from collections.abc import Iterator

from pymilvus import DataType, MilvusClient
from pymilvus.milvus_client import IndexParams

_FLAT = {DataType.FLOAT_VECTOR: ("FLAT", "L2"), DataType.BINARY_VECTOR: ("BIN_FLAT", "HAMMING")}
_creating_index = threading.Lock()


@contextlib.contextmanager
def connected(uri: str, database: str = "default", *, token: str = "") -> Iterator[MilvusClient]:
    """Yield a blocking client of one existing database."""
    # Not use_database: it asks for DescribeDatabase, which Milvus 2.3 does not have.
    client = MilvusClient(uri=uri, token=token, db_name=database)
    try:
        yield client
    finally:
        client.close()


def make_database(uri: str, database: str, *, token: str = "") -> None:
    """Make a database; one that is there already is fine."""
    with connected(uri, token=token) as client:
        if database not in client.list_databases():
            client.create_database(database)


def create_index(client: MilvusClient, collection: str, params: IndexParams) -> None:
    """Make indexes and wait until they are built, one collection at a time.

    Milvus 2.3 forgets to build an index when another collection's was asked for at the same
    moment, and finds it a minute later.
    """
    with _creating_index:
        client.create_index(collection, params)


def make_queryable(client: MilvusClient, collection: str) -> None:
    """Load a collection, after giving a brute-force index to vector fields without one."""
    indexed = {
        client.describe_index(collection, name)["field_name"]
        for name in client.list_indexes(collection)
    }
    missing = client.prepare_index_params()
    for field in client.describe_collection(collection)["fields"]:
        if field["type"] in _FLAT and field["name"] not in indexed:
            index_type, metric_type = _FLAT[field["type"]]
            missing.add_index(field["name"], index_type=index_type, metric_type=metric_type)
    if len(missing) > 0:
        create_index(client, collection, missing)
    client.load_collection(collection)
